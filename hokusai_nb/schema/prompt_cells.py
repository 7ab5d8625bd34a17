"""Prompts in notebooks: cells that begin with ``%%hokusai_prompt``, read without running anything."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.prompt_json import json_node
from hokusai_nb.schema.prompt_places import Misread, Node, Place, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAGIC", "PromptCell", "cells_in", "typed_value"]

MAGIC = "%%hokusai_prompt"
EXPECTED_TO_FAIL = "raises-exception"
"""Jupyter's tag of a cell that shows an error on purpose."""
_HEAD = re.compile(r"%%hokusai_prompt(?=\s|\Z)([^\n]*)\n?")
_WORD = re.compile(r"""(?:\{\{|\}\}|\$\$|\{[^{}]*\}|"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\{])+""")
_DOUBLED = {"{{": "{", "}}": "}", "$$": "$"}
_QUOTED = re.compile(
    r""""(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>[^']*)'|\\(?P<escaped>.)|(?P<bare>[^"'\\]+)""", re.DOTALL
)
_VALUE = re.compile(r"(\{\{|\}\}|\$\$)|(\{[^{}]*\}|\$[^\W\d]\w*)")
TAKE_VALUES = ("--bump", "--meta", "--render")
"""Options of the magic that the next word belongs to."""


@dataclass(frozen=True)
class Word:
    """A word of a cell's first line; None where its text is only known when the cell runs."""

    text: str | None
    start: int
    """Offset in the cell."""


class PromptCell:
    """One cell, and where its characters stand in the file.

    Attributes:
        number: Position among all cells of the notebook, from 1.
        text: Its source.
        fields: What the first line says: ``name``, ``version``, ``bump``, ``metadata``; each a `Node` whose
            places are offsets in the cell.
        unknown: Whether something of that is only known when the cell runs.
        form: Whether the cell opens the editor, so that it may be empty.
    """

    def __init__(self, number: int, text: str, source: Source, offsets: list[int]) -> None:
        self.number = number
        self.text = text
        self._source = source
        self._offsets = offsets
        self._in_cell = Source(text)
        self.fields: dict[str, Node] = {}
        self.unknown = False
        self.form = False
        head = _HEAD.match(text)
        assert head is not None
        self.body = head.end()
        self._read(list(_words(text, head.start(1), head.end(1))))

    def place(self, offset: int) -> Place:
        """Return where a character of the cell stands, in the cell and in the file."""
        line, column, *_ = self._in_cell.place(offset)
        inside = self._source.place(self._offsets[min(offset, len(self._offsets) - 1)])
        return Place(inside.line, inside.column, self.number, line, column)

    @property
    def template(self) -> Node:
        """What stands below the first line, without the line break at its end."""
        body = self.text[self.body :].removesuffix("\n")
        return Node(body, self.body, offsets=partial(range, self.body, self.body + len(body) + 1))

    def _read(self, words: list[Word]) -> None:
        metadata: dict[str, tuple[int, Node]] = {}
        rest = iter(words)
        for word in rest:
            if word.text is None or not word.text.startswith("--"):
                self._positional(word)
                continue
            flag, equals, text = word.text.partition("=")
            if flag not in TAKE_VALUES:
                self.form = self.form or flag == "--form"
                continue  # the magic itself says what else there is
            value = Word(text, word.start) if equals else next(rest, None)
            if value is None or value.text is None:
                self.unknown = self.unknown or flag != "--render"
            elif flag == "--bump":
                self.fields["bump"] = Node(value.text, value.start)
            elif flag == "--meta":
                key, _, text = value.text.partition("=")
                metadata[key] = (value.start, Node(typed_value(text), value.start))
        if metadata:
            values = {key: node.value for key, (_, node) in metadata.items()}
            self.fields["metadata"] = Node(values, min(start for start, _ in metadata.values()), metadata)

    def _positional(self, word: Word) -> None:
        field = next((name for name in ("name", "version") if name not in self.fields), None)
        if field is None:
            what = f"There is no place for the argument {quoted(word.text)}."
            raise Misread(what, "Put text with spaces in quotes.", word.start)
        self.unknown = self.unknown or word.text is None
        self.fields[field] = Node(word.text, word.start)


def typed_value(text: str) -> Any:
    """Return what a text writes in JSON, such as a number, null or a list; any other text as it is.

    >>> typed_value("0.06"), typed_value("true"), typed_value("threads"), typed_value('"17"'), typed_value("NaN")
    (0.06, True, 'threads', '17', 'NaN')
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def cells_in(text: str) -> Iterator[PromptCell | tuple[Misread, Place]]:
    """Yield the prompt cells of a notebook, or why one cannot be read; those that show an error on purpose are not.

    Raises:
        Misread: The text is no notebook.
    """
    if MAGIC not in text:  # the other notebooks are large, and read fast
        _check(json_node(text) if len(text) < 1000 else Node(_loaded(text), 0))  # noqa: PLR2004 - either will do
        return
    notebook = json_node(text)
    _check(notebook)
    source = Source(text)
    for number, cell in enumerate(notebook.members["cells"][1].items, 1):
        body = cell.members.get("source", (0, None))[1]
        if body is None or not _is_code(cell.value):
            continue
        written, offsets = _joined(body)
        if _HEAD.match(written):
            try:
                yield PromptCell(number, written, source, offsets)
            except Misread as misread:
                line, column, *_ = Source(written).place(misread.offset)
                inside = source.place(offsets[misread.offset])
                yield misread, Place(inside.line, inside.column, number, line, column)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return json_node(text).value


def _check(notebook: Node) -> None:
    cells = notebook.value.get("cells") if isinstance(notebook.value, dict) else None
    if not isinstance(cells, list):
        what = "This is no notebook: it has no list of cells."
        raise Misread(what, "Notebooks of format 4 are read; open and save an older one.", notebook.start)


def _is_code(cell: Any) -> bool:
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return False
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return not (isinstance(tags, list) and EXPECTED_TO_FAIL in tags)


def _joined(body: Node) -> tuple[str, list[int]]:
    """Return a cell's source, a text or a list of lines, and the offset of each character in the file."""
    pieces = [body] if isinstance(body.value, str) else [item for item in body.items if isinstance(item.value, str)]
    offsets: list[int] = []
    for piece in pieces:
        assert piece.offsets is not None
        offsets += list(piece.offsets())[:-1]
    end = pieces[-1].at(len(pieces[-1].value)) if pieces else body.start
    text = "".join(piece.value for piece in pieces)
    stripped = len(text) - len(text.lstrip("\n"))  # IPython leaves out empty lines before a magic
    return text[stripped:], [*offsets[stripped:], end]


def _words(text: str, start: int, end: int) -> Iterator[Word]:
    at = start
    while at < end:
        if text[at].isspace():
            at += 1
            continue
        match = _WORD.match(text, at, end)
        if text[at] == "#" or match is None:
            if match is None:
                what = f"A quote or a brace is not closed: {quoted(text[at])[1:-1]}"
                raise Misread(what, "Close it; write {{ and $$ for the characters themselves.", at)
            return
        if text[at:end].rstrip() == ";":
            return
        yield Word(_text(match[0], last=match.end() == len(text[:end].rstrip())), at)
        at = match.end()


def _text(word: str, *, last: bool) -> str | None:
    """Return what a word says without its quotes; None where it holds a variable or an expression."""
    if last and word.endswith(";"):
        word = word[:-1]
    found = []
    for piece in _QUOTED.finditer(word):
        if piece["escaped"] is not None:
            found.append(piece["escaped"])
            continue
        text = piece["double"] or piece["single"] or piece["bare"] or ""
        if any(match[2] for match in _VALUE.finditer(text)):
            return None
        text = _VALUE.sub(lambda match: _DOUBLED[match[1]], text)
        found.append(re.sub(r'\\(["\\])', r"\1", text) if piece["double"] else text)
    return "".join(found)
