"""The catalogue of benchmark metrics."""

from __future__ import annotations

from fastapi import APIRouter

from hokusai_nb.api.auth import READ
from hokusai_nb.api.bodies import MetricPage
from hokusai_nb.api.idempotency import ApiRoute
from hokusai_nb.api.paths import V1
from hokusai_nb.schema.metrics import known_metrics

__all__ = ["router"]

router = APIRouter(prefix=f"{V1}/metrics", tags=["metrics"], route_class=ApiRoute)


@router.get("", operation_id="listMetrics", summary="List benchmark metrics", dependencies=[READ])
def metrics() -> MetricPage:
    """List the metrics that the server knows: direction, range, aliases and family of each."""
    return MetricPage(entries=tuple(known_metrics()))
