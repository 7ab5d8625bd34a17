r"""Files that hold prompts, read without running or fetching anything.

A prompt has a ``name``, a ``template``, at most one of ``version`` and ``bump`` (major, minor or
patch; with neither the step is the smallest that the change warrants), and ``metadata``. Any other
key is refused, so that none is misspelled in silence. The ending of a file says how it is written:

- ``.yaml``, ``.yml``: one mapping, a list of them, or several documents. Dates stay text; anchors,
  aliases and tags are refused.

      name: persona/hook
      version: 1.0.0
      template: |-
        {greeting}, {name}!
      metadata: {author: content-team, purpose: hooks}

- ``.json``: one object, or a list of them, with the same keys.
- ``.md``, ``.txt``, ``.prompt``: the same keys but ``template`` in YAML between two lines of ``---``; what
  follows is the template, without empty lines before it and line breaks at its end.
- ``.ipynb``: the cells that begin with ``%%hokusai_prompt``. Those tagged ``raises-exception`` are left out.
"""

from __future__ import annotations

import difflib
import re
from functools import partial
from typing import TYPE_CHECKING

from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompt_cells import PromptCell, cells_in
from hokusai_nb.schema.prompt_entries import KEYS, Entry
from hokusai_nb.schema.prompt_json import json_node
from hokusai_nb.schema.prompt_places import FileProblem, Misread, Node, Place, Source
from hokusai_nb.schema.prompt_yaml import yaml_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from hokusai_nb.schema.prompt_entries import FilePrompt, Spot

__all__ = ["ENDINGS", "read_prompts"]

ENDINGS = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".md": "text",
    ".markdown": "text",
    ".txt": "text",
    ".prompt": "text",
    ".ipynb": "notebook",
}
"""How a file is read, by its ending in lower case."""

_FRONT = re.compile(r"---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_KEY_OF_ONE = re.compile(r"""^[\s\-{\["']*template["']?\s*:""", re.MULTILINE)
_EMPTY_LINES = re.compile(r"(?:[ \t]*\r?\n)*")
_EXPECTED = {
    "yaml": "Write a mapping with name, version and template, or a list of them.",
    "json": "Write an object with name, version and template, or a list of them.",
    "text": "Begin with --- and lines such as `name: persona/hook`, then --- and the template.",
    "notebook": "Begin a cell with %%hokusai_prompt NAME VERSION.",
}


def read_prompts(file: str, text: str, *, lenient: bool = False) -> tuple[list[FilePrompt], list[FileProblem]]:
    """Return the prompts that the text of a file holds, and what is wrong with it or should be looked at.

    Args:
        file: Path of the file, whose ending is one of `ENDINGS`.
        text: What it holds.
        lenient: Whether a file or an entry that does not look like a prompt is passed over in silence.
    """
    kind = ENDINGS["." + file.rpartition(".")[2].lower()]
    found = _Found(file, Source(text), lenient=lenient)
    try:
        if kind == "notebook":
            found.cells(cells_in(text))
        elif kind == "text":
            found.front_matter()
        else:
            found.entries([json_node(text)] if kind == "json" else yaml_nodes(text))
    except Misread as misread:
        if not lenient or kind == "notebook" or _KEY_OF_ONE.search(text):
            found.misread(misread)
    if not (found.prompts or found.problems or lenient):
        found.misread(Misread("There is no prompt in this file.", _EXPECTED[kind]))
    return found.prompts, found.problems


class _Found:
    """What one file holds."""

    def __init__(self, file: str, source: Source, *, lenient: bool) -> None:
        self.file = file
        self.source = source
        self.lenient = lenient
        self.prompts: list[FilePrompt] = []
        self.problems: list[FileProblem] = []

    def misread(self, misread: Misread, place: Place | None = None, **of: Any) -> None:
        """Note what cannot be read, and go on."""
        place = place or self.source.place(misread.offset)
        problem = FileProblem(file=self.file, what=misread.what, hint=misread.hint, **place._asdict(), **of)
        self.problems.append(problem)

    def entries(self, nodes: Sequence[Node]) -> None:
        """Take the prompts among the values of a YAML or JSON file."""
        for node in (one for top in nodes for one in (top.items if isinstance(top.value, list) else (top,))):
            if isinstance(node.value, dict):
                if not self.lenient or _looks_like_one(node.value):
                    self.entry(node)
            elif not self.lenient:
                what = f"A prompt must be a mapping: {quoted(node.value)}"
                self.misread(Misread(what, f"With the keys {', '.join(KEYS)}.", node.start))

    def front_matter(self) -> None:
        """Take the prompt of a text with front matter."""
        front = _FRONT.match(self.source.text)
        if front is None:
            if self.source.text.startswith("---") and not self.lenient:
                what = "The front matter is not closed."
                raise Misread(what, "End it with a line of ---.")
            return
        begin = front.start(1)
        try:
            nodes = yaml_nodes(front[1], begin)
        except Misread as misread:
            raise Misread(misread.what, misread.hint, misread.offset + begin) from None
        if len(nodes) != 1 or not isinstance(nodes[0].value, dict):
            if not self.lenient:
                what = "The front matter must be one mapping."
                raise Misread(what, _EXPECTED["text"], begin)
            return
        (head,) = nodes
        if self.lenient and not _may_head_one(head.value):
            return
        if "template" in head.members:
            what = "The template stands below the front matter, not in it."
            self.misread(Misread(what, "Leave one of them out.", head.members["template"][0]), field="template")
            return
        body = _body(self.source.text, front.end())
        value = {**head.value, "template": body.value}
        self.entry(Node(value, head.start, {**head.members, "template": (body.start, body)}))

    def entry(self, node: Node) -> None:
        """Take one mapping."""
        at = self.source.place
        spots: dict[str, Spot] = {"": lambda _: at(node.start)}
        for key, (_, value) in node.members.items():
            spots[str(key)] = partial(_in_file, at, value)
        if metadata := node.members.get("metadata"):
            for key, (start, _) in metadata[1].members.items():
                spots[f"metadata.{key}"] = partial(_in_file, at, Node(key, start))
        entry = Entry(self.file, node.value, spots)
        meant = {key: _guessed(key) for key in node.members if key not in KEYS}
        for key, guess in meant.items():
            listed = f"There are {', '.join(KEYS)}; anything else belongs below metadata."
            hint = f"Did you mean {guess}?" if guess else listed
            misread = Misread(f"A prompt has no key {quoted(key)}.", hint, node.members[key][0])
            self.misread(misread, prompt=entry.name)
        self.take(entry, misspelled=meant.values(), whole=not meant)

    def cells(self, cells: Iterable[PromptCell | tuple[Misread, Place]]) -> None:
        """Take the prompts of a notebook."""
        for cell in cells:
            if not isinstance(cell, PromptCell):
                self.misread(*cell)
                continue
            if cell.form and not cell.template.value.strip():
                continue
            nodes = {**cell.fields, "template": cell.template}
            entry = Entry(self.file, {key: node.value for key, node in nodes.items()}, _cell_spots(cell, nodes))
            if cell.unknown:
                self.problems += [entry.told(problem) for problem in entry.check_text()]
                what = "The first line of this cell holds variables, so only its template was checked."
                hint = "Write out name, version and metadata."
                self.problems.append(entry.told(Problem(field="", what=what, hint=hint, severity="warning")))
            else:
                self.take(entry)

    def take(self, entry: Entry, *, misspelled: Iterable[str | None] = (), whole: bool = True) -> None:
        """Check what a prompt says of itself, and take it if nothing is wrong."""
        absent = {key for key in misspelled if key not in entry.values}
        errors = [problem for problem in entry.errors() if problem.field not in absent]
        self.problems += errors
        if whole and not errors:
            self.problems += entry.doubts()
            self.prompts.append(entry.prompt())


def _guessed(key: object) -> str | None:
    return next(iter(difflib.get_close_matches(str(key), KEYS, n=1)), None)


def _in_file(place: Callable[[int], Place], node: Node, offset: int | None) -> Place:
    return place(node.at(offset))


def _cell_spots(cell: PromptCell, nodes: Mapping[str, Node]) -> dict[str, Spot]:
    spots: dict[str, Spot] = {"": lambda _: cell.place(0)}
    for key, node in nodes.items():
        spots[key] = partial(_in_file, cell.place, node)
    if metadata := nodes.get("metadata"):
        for key, (start, _) in metadata.members.items():
            spots[f"metadata.{key}"] = partial(_in_file, cell.place, Node(key, start))
    return spots


def _looks_like_one(value: Mapping[Any, Any]) -> bool:
    """Whether a mapping is meant as a prompt, also where a key is misspelled; other files name versions, too."""
    given = set(value)
    if "template" in given:
        return bool({"name", "version", "bump"} & given)
    meant = all(_guessed(key) for key in given - set(KEYS))
    return "name" in given and bool({"version", "bump"} & given) and meant


def _may_head_one(value: Mapping[Any, Any]) -> bool:
    """Whether front matter is a prompt's: that of other documents has a name at times, too."""
    return "name" in value and (bool({"version", "bump"} & set(value)) or set(value) <= set(KEYS))


def _body(text: str, start: int) -> Node:
    """Return the template below front matter: with Unix line breaks, and none before and after it."""
    blank = _EMPTY_LINES.match(text, start)
    begin = blank.end() if blank else start
    end = begin + len(text[begin:].rstrip("\r\n"))
    # Of a Windows line break the second character stays.
    offsets = [at for at in range(begin, end) if text[at : at + 2] != "\r\n"]
    return Node("".join(text[at] for at in offsets), begin, offsets=lambda: [*offsets, end])
