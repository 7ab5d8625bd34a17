"""Prompts in notebooks: cells that begin with ``%%hokusai_prompt``, read without running anything."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from hokusai_nb.errors import UsageError
from hokusai_nb.schema.arguments import typed_value
from hokusai_nb.schema.line_reading import LineRequest
from hokusai_nb.schema.line_words import LineProblem
from hokusai_nb.schema.prompt_json import json_node
from hokusai_nb.schema.prompt_places import Misread, Node, Place, Source
from hokusai_nb.schema.prompt_verbs import EditPrompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hokusai_nb.schema.problems import Problem

__all__ = ["PromptCell", "cells_in"]

MAGIC = "%%hokusai_prompt"
EXPECTED_TO_FAIL = "raises-exception"
"""Jupyter's tag of a cell that shows an error on purpose."""
_HEAD = re.compile(rf"{MAGIC}(?=\s|\Z)")
_ABOVE = re.compile(r"(?:[^\S\n]*\n)*(?=(?P<indent>[ \t]*))")
_SHORT = 1000
"""Characters of a file that may as well be read with the place of each value."""


class PromptCell:
    """One cell, and where its characters stand in the file.

    Attributes:
        number: Position among all cells of the notebook, from 1.
        text: Its source.
        fields: What the first line says, as far as it is known before the cell runs: ``name``, ``version``, ``bump``,
            ``metadata``; each a `Node` whose places are offsets in the cell.
        problems: What is wrong with the first line.
        unknown: Whether something of that is only known when the cell runs.
        form: Whether the cell opens the editor, so that it may be empty.
        wants_help: Whether the cell only asks for help.
    """

    def __init__(self, number: int, text: str, source: Source, offsets: list[int]) -> None:
        self.number = number
        self.text = text
        self._source = source
        self._offsets = offsets
        self._in_cell = Source(text)
        # IPython ends the line at any character that Python counts as a line break.
        first = text.splitlines(keepends=True)[0]
        self.body = len(first)
        self._line = len(MAGIC)
        try:
            request = LineRequest(EditPrompt, first[self._line :].rstrip(), MAGIC.lstrip("%"))
            self.problems: list[Problem] = [] if request.wants_help else request.problems()
        except UsageError as error:
            (problem,) = error.problems
            assert isinstance(problem, LineProblem)
            raise Misread(problem.what, problem.hint, self._line + problem.at) from None
        self.form = request.names("form")
        self.wants_help = request.wants_help
        self.unknown = bool(request.late() - {"render"})
        self.fields = self._fields(request)

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

    def _fields(self, request: LineRequest) -> dict[str, Node]:
        known = request.fixed()
        starts = {field: [self._line + word.start for word in request.words(field)] for field in known}
        found: dict[str, Node] = {f: Node(known[f], starts[f][0]) for f in ("name", "version", "bump") if f in known}
        if "meta" in known:
            pairs = {key: typed_value(text) for key, text in known["meta"].items()}
            places = zip(pairs.items(), starts["meta"], strict=True)
            members = {key: (start, Node(value, start)) for (key, value), start in places}
            found["metadata"] = Node(pairs, min(starts["meta"]), members)
        return found


def cells_in(text: str) -> Iterator[PromptCell | tuple[Misread, Place]]:
    """Yield the prompt cells of a notebook, or why one cannot be read; those that show an error on purpose are not.

    Raises:
        Misread: The text is no notebook.
    """
    if MAGIC not in text:  # the other notebooks are large, and read fast
        _check(json_node(text) if len(text) < _SHORT else Node(_loaded(text), 0))
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
    return _as_ipython_takes_it(text, [*offsets, end])


def _as_ipython_takes_it(text: str, offsets: list[int]) -> tuple[str, list[int]]:
    """Return a cell without the empty lines above a magic and without the indentation of its first line."""
    above = _ABOVE.match(text)
    assert above is not None
    kept = range(above.end(), len(text))
    if (indent := above["indent"]) and text.startswith(MAGIC, kept.start + len(indent)):
        lines = re.finditer(rf"^{re.escape(indent)}", text[kept.start :], re.MULTILINE)
        dropped = {kept.start + at for line in lines for at in range(*line.span())}
        return "".join(text[at] for at in kept if at not in dropped), [
            offsets[at] for at in [*kept, len(text)] if at not in dropped
        ]
    return text[kept.start :], offsets[kept.start :]
