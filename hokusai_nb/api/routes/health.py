"""Whether the server is up, and whether it can do its work: the routes that need no key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from hokusai_nb.api.bodies import Readiness
from hokusai_nb.api.paths import V1
from hokusai_nb.api.services import Services, services

__all__ = ["router"]

router = APIRouter(prefix=V1, tags=["health"])


@router.get("/health", operation_id="getHealth", summary="Is the server up?")
async def health() -> Readiness:
    """Answer as long as the process does; nothing else is asked."""
    return Readiness(status="ok")


@router.get("/ready", operation_id="getReadiness", summary="Can the server do its work?")
def ready(services: Annotated[Services, Depends(services)]) -> Readiness:
    """Answer 503 where the database of tokens, or MLflow, does not answer, or the worker for events has ended."""
    services.ensure_ready()
    return Readiness(status="ok")
