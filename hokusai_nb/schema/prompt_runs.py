"""MLflow runs that used a version of a prompt."""

from __future__ import annotations

import math
import sys

import pydantic

from hokusai_nb.schema.frozen import Frozen, FrozenDict
from hokusai_nb.schema.lifecycle import Utc

__all__ = ["PromptRun"]


class PromptRun(pydantic.BaseModel, frozen=True):
    """What a run measured with one version of a prompt."""

    run_id: str
    name: str
    version: str
    """Semantic version of the prompt."""
    started: Utc | None = None
    metrics: Frozen[str, float] = FrozenDict()
    """The last value of each metric, in its own unit; any of them may be no number."""

    def measured(self, metric: str) -> float | None:
        """Return the value of a metric; None where there is none, or it is no finite number."""
        value = self.metrics.get(metric)
        # MLflow's databases hold the largest float in place of an infinite one.
        return value if value is not None and math.isfinite(value) and abs(value) < sys.float_info.max else None
