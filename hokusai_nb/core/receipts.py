"""What a registration gained over the versions before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import versions
from hokusai_nb.core.lineage import gain
from hokusai_nb.errors import HokusaiError
from hokusai_nb.schema.receipt import Receipt

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.records import RegisteredModel

__all__ = ["receipt_for"]


def receipt_for(backend: Backend, model: RegisteredModel) -> Receipt:
    """Return the receipt of a version: one search of its model's versions.

    What is registered stays so, whatever becomes of the search: where the registry no longer
    answers, the receipt says so and leaves the gains out.

    Args:
        backend: Where it was registered.
        model: The version; one that is only previewed need not exist.
    """
    try:
        known = versions.by_name(backend, model.name)
    except HokusaiError as error:
        return Receipt(model=model, trouble=error.what)
    earlier = [v for v in known if int(v.version) < int(model.version) and not v.is_declared]
    last = earlier[-1] if earlier else None
    gains = [(over, v) for v in earlier if (over := gain(model, v)) is not None]
    # The best is the one that is hardest to beat; of equals, the first.
    best = min(gains, key=lambda pair: pair[0])[1] if gains else None
    return Receipt(
        model=model,
        last=last.version if last else None,
        last_metric=last.benchmark_metric if last else None,
        last_value=last.benchmark_value if last else None,
        over_last=gain(model, last),
        best=best.version if best else None,
        over_best=gain(model, best),
    )
