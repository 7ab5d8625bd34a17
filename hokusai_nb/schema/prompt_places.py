"""Places in files: where a value was written, character by character, and what is wrong there."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pydantic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FileProblem", "Misread", "Node", "Place", "Source"]

_BREAK = re.compile(r"\r\n|\r|\n")


class Place(NamedTuple):
    """A place in a file, and in a cell where the file is a notebook; all counted from 1, columns in characters."""

    line: int = 1
    column: int = 1
    cell: int | None = None
    """Position among all cells of the notebook."""
    cell_line: int | None = None
    cell_column: int | None = None

    def __str__(self) -> str:
        """As editors write it: ``4:7``; in a notebook, where nobody sees the file's lines, ``cell 3:2:7``."""
        return f"{self.line}:{self.column}" if self.cell is None else f"cell {self.cell}:{self.in_cell}"

    @property
    def in_cell(self) -> str:
        """Line and column within the cell."""
        return f"{self.cell_line}:{self.cell_column}"


class Source:
    """Text of a file, which knows its lines."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _BREAK.finditer(self.text))]

    def place(self, offset: int) -> Place:
        r"""Return where a character stands.

        >>> Source("a\r\nbc").place(4)
        Place(line=2, column=2, cell=None, cell_line=None, cell_column=None)
        """
        line = bisect.bisect_right(self._starts, offset)
        return Place(line, offset - self._starts[line - 1] + 1)


@dataclass(frozen=True)
class Node:
    """A value that was read from a file, and where it stands there."""

    value: Any
    start: int
    """Offset in the file's text."""
    members: Mapping[Any, tuple[int, Node]] = field(default_factory=dict)
    """Of a mapping: where each key stands, and its value."""
    items: tuple[Node, ...] = ()
    """Of a list."""
    offsets: Callable[[], Sequence[int]] | None = None
    """Of a text: offset in the file of each of its characters and of its end."""
    written: str = ""
    """Of a number, a truth value and null: the characters that say it."""

    def at(self, offset: int | None = None) -> int:
        """Return where a character of a text stands in the file, or where the value begins."""
        found = self.offsets() if self.offsets and offset is not None else ()
        return found[min(offset or 0, len(found) - 1)] if found else self.start


class FileProblem(pydantic.BaseModel, frozen=True):
    """Something that is wrong in a file, or should be looked at."""

    file: str
    line: int
    """Counted from 1; of a notebook, in the file itself."""
    column: int
    """Counted from 1, in characters."""
    cell: int | None = None
    """Of a notebook: the cell, and the place in it."""
    cell_line: int | None = None
    cell_column: int | None = None
    prompt: str | None = None
    """Name of the prompt, where it has one."""
    field: str = ""
    what: str
    hint: str = ""
    excerpt: str = ""
    """The line of the template, and a caret under the place."""
    repair: str | None = None
    """A value for the field that is valid, where one can be guessed."""
    severity: Literal["error", "warning"] = "error"

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.line, self.column, self.cell, self.cell_line, self.cell_column)

    @property
    def sentence(self) -> str:
        """What is wrong and what to try, on one line."""
        stop = "." if self.hint and not self.what.endswith((".", "!", "?")) else ""
        return f"{self.what}{stop} {self.hint}".rstrip()


class Misread(Exception):  # noqa: N818 - never leaves the room: it becomes a `FileProblem`
    """A file that cannot be read as what its ending says, from a place on."""

    def __init__(self, what: str, hint: str = "", offset: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.offset = offset
