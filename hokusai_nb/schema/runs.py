"""What the registry needs to know of a run: its figures, its data sets and its models."""

from __future__ import annotations

from typing import Annotated

import pydantic

from hokusai_nb.schema.frozen import Frozen, FrozenDict

__all__ = ["Dataset", "RunFacts", "RunModel"]


_NO_NUMBERS = ["NaN", "Infinity", "-Infinity"]
_Figure = Annotated[
    float, pydantic.WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": _NO_NUMBERS}]}, mode="serialization")
]
"""A metric's value; JSON has no word for those that are no numbers, so they are written as text."""


class Dataset(pydantic.BaseModel, frozen=True):
    """A data set that was logged as an input of a run."""

    name: str
    digest: str
    context: str | None = None
    """What it was used for, such as ``training``."""
    rows: int | None = None
    """Number of rows, where the run recorded it."""


class RunFacts(pydantic.BaseModel, frozen=True, ser_json_inf_nan="strings"):
    """What the registry needs to know of a run."""

    run_id: str
    name: str
    experiment_id: str
    status: str
    """MLflow's word: RUNNING, FINISHED, FAILED, KILLED or SCHEDULED."""
    artifact_uri: str = ""
    metrics: Frozen[str, _Figure] = FrozenDict()
    params: Frozen[str, str] = FrozenDict()
    datasets: tuple[Dataset, ...] = ()


class RunModel(pydantic.BaseModel, frozen=True):
    """A model that a run holds: an MLflow 3 logged model or an MLflow 2 run artifact."""

    name: str
    """Name given to ``log_model``, or the artifact path."""
    uri: str
    """``models:/m-…`` or ``runs:/RUN/PATH``; either can be loaded and registered."""
    source: str
    """What the registry stores as the version's source."""
    location: str
    """Where the files lie."""
    run_id: str | None
    model_id: str | None = None
    tags: Frozen[str, str] = FrozenDict()
    """What was said of the model when it was logged."""
