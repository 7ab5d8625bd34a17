"""Where a registration is made: tags that only the notebook extension can collect, handed in by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["collect", "set_collector"]

_collector: Callable[[], Mapping[str, str]] | None = None


def set_collector(collector: Callable[[], Mapping[str, str]] | None) -> None:
    """Have every registration of this process record these tags; None ends that.

    Args:
        collector: Returns the tags as they are now; called from any thread.
    """
    global _collector  # noqa: PLW0603 - one process has one notebook
    _collector = collector


def collect() -> Mapping[str, str]:
    """Return the tags that say where a registration is made; none outside a notebook."""
    return _collector() if _collector is not None else {}
