"""A sequence of entries that is a record, and shows itself as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

from hokusai_nb.schema.display import Shown

__all__ = ["SHOWN_ROWS", "Entries"]

SHOWN_ROWS = 50

E = TypeVar("E")


class Entries(Shown, Sequence[E], Generic[E], frozen=True):
    """Entries in order."""

    entries: tuple[E, ...]

    def __iter__(self) -> Iterator[E]:  # type: ignore[override]  # a sequence before a pydantic model
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[E]: ...
    def __getitem__(self, index: int | slice) -> E | Sequence[E]:
        return self.entries[index]
