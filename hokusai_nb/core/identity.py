"""What an estimator is recognised by when it is registered again."""

from __future__ import annotations

import uuid

from hokusai_nb.backends.mlflow.fingerprints import fingerprint

__all__ = ["Acquaintance", "identity_of"]


def identity_of(estimator: object) -> str | None:
    """Return what is equal for estimators that have learnt the same; None where that cannot be told."""
    learnt = fingerprint(estimator)
    return f"estimator {learnt}" if learnt else None


class Acquaintance:
    """Recognises the object that was tried last, also one that no digest can tell.

    An attempt may change an estimator that it logs, and some are pickled differently each time: the
    same object is another registration only if it has learnt something else since that attempt.
    """

    def __init__(self) -> None:
        self._last: tuple[object, str | None, str] | None = None

    def identity(self, estimator: object) -> str:
        """Return what the estimator is to be recognised by."""
        now = identity_of(estimator)
        identity = now or f"object {uuid.uuid4().hex}"
        if self._last is not None and self._last[0] is estimator:
            _, before, known = self._last
            if now == before or now != identity_of(estimator):
                identity = known
        self._last = estimator, now, identity
        return identity

    def tried(self, estimator: object, identity: str) -> None:
        """Take note of what it has learnt when an attempt under this identity ends, whatever came of it."""
        self._last = estimator, identity_of(estimator), identity
