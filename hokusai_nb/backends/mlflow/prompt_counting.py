"""Which of MLflow's versions of a prompt count.

Nothing locks a prompt. Each version says, from its creation on, which one its writer saw as the newest,
and all readers decide alike from that which versions count (`hokusai_nb.schema.versioning.counting`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.schema.versioning import Place, counting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow.entities.model_registry import ModelVersion

__all__ = ["AFTER", "PREFIX", "VERSION", "WITHDRAWN", "is_ours", "only_counting", "surely_counts"]

PREFIX = "hokusai.prompt."
VERSION = f"{PREFIX}version"
AFTER = f"{PREFIX}after"
"""Tag with MLflow's number of the newest version that its writer saw, 0 where there was none."""
WITHDRAWN = f"{PREFIX}withdrawn"
"""Tag of a version that does not count and may not be deleted, for whoever sees it on MLflow's pages."""


def is_ours(version: ModelVersion) -> bool:
    """Whether a version has a semantic version, and its writer has not taken it back."""
    return VERSION in version.tags and WITHDRAWN not in version.tags


def _after(version: ModelVersion) -> int | None:
    text = version.tags.get(AFTER, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def surely_counts(version: ModelVersion) -> bool:
    """Whether a version counts whatever others there are: nothing can stand between it and what its writer saw."""
    return is_ours(version) and _after(version) == int(version.version) - 1


def only_counting(versions: Iterable[ModelVersion]) -> list[ModelVersion]:
    """Return those of one prompt's versions that count, in the order in which they were registered."""
    ours = sorted((v for v in versions if is_ours(v)), key=lambda v: int(v.version))
    numbers = counting(Place(int(v.version), v.tags[VERSION], _after(v)) for v in ours)
    return [v for v in ours if int(v.version) in numbers]
