"""What an estimator has learnt, as a digest."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from hokusai_nb.log import logger

__all__ = ["fingerprint"]

_TREES = ("sklearn.neighbors._ball_tree", "sklearn.neighbors._kd_tree")
_COUNTERS = range(7, 11)
"""Where a tree's state holds its trims, leaves, splits and distance calls."""


class _Digest:
    """A file that keeps only the digest of what is written to it."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return memoryview(data).nbytes


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """A pickler that leaves out what scikit-learn's search trees count while they predict."""

    def reducer_override(self, obj: Any) -> Any:
        # Told by its module, so that scikit-learn need not be imported.
        if type(obj).__module__ not in _TREES or not hasattr(obj, "get_n_calls"):
            return super().reducer_override(obj)
        make, args, state = obj.__reduce__()
        return make, args, tuple(part for i, part in enumerate(state) if i not in _COUNTERS)


def fingerprint(estimator: object) -> str | None:
    """Return a digest of what an estimator has learnt, equal for equal training.

    Cloudpickle and not pickle, because it stores the code of classes written in a notebook too, so
    that one whose method was changed is another. None where the estimator cannot be pickled.
    """
    digest = _Digest()
    try:
        _Pickler(digest, protocol=5).dump(_without_timings(estimator))
    except Exception:  # noqa: BLE001 - pickling runs the estimator's own code
        logger.debug("%s has no fingerprint.", type(estimator), exc_info=True)
        return None
    return digest.sha256.hexdigest()


def _without_timings(estimator: object) -> object:
    """Return a scikit-learn search without the seconds that it took, which differ at every fit."""
    results = getattr(estimator, "cv_results_", None)
    if not isinstance(results, dict):
        return estimator
    learnt = copy.copy(estimator)
    kept = {key: value for key, value in results.items() if not key.endswith("_time")}
    learnt.__dict__ = {**vars(estimator), "cv_results_": kept, "refit_time_": None}
    return learnt
