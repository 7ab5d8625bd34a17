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

import re
from functools import partial
from typing import TYPE_CHECKING

from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompt_cells import PromptCell, cells_in
from hokusai_nb.schema.prompt_entries import KEYS, Entry
from hokusai_nb.schema.prompt_json import json_node
from hokusai_nb.schema.prompt_likeness import is_meant, keys_in, may_head_one, meant, prompts_inside
from hokusai_nb.schema.prompt_places import FileProblem, Misread, Node, Place, Source
from hokusai_nb.schema.prompt_yaml import yaml_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
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

_FRONT = re.compile(r"\s*?^---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_UNCLOSED = re.compile(r"\s*(?:---[ \t]*\r?\n)?(?P<head>(?:[^\n]*\S[^\n]*(?:\n|\Z))*)")
_STARTING = re.compile(r"^(name|version|bump)[ \t]*:", re.MULTILINE)
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
        lenient: Whether a file or an entry that has nothing of a prompt is passed over in silence; one that has
            something of it is an error where it looks like a prompt with a mistake, and else a warning.
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
        if not lenient or kind == "notebook" or keys_in(text):
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
                if not self.lenient or is_meant(node.value):
                    self.entry(node)
                else:
                    self.other(node)
            elif not self.lenient:
                what = f"A prompt must be a mapping: {quoted(node.value)}"
                self.misread(Misread(what, f"With the keys {', '.join(KEYS)}.", node.start))

    def other(self, node: Node) -> None:
        """Pass over a mapping that is no prompt, not in silence where it has something of one."""
        if inner := next(prompts_inside(node), None):
            what = "A prompt stands inside another value."
            self.misread(Misread(what, "Write it at the top of the file, or in a list there.", inner.start))
        elif (resembling := [key for key in node.value if meant(key)]) and not self.problems:
            what = f"This was passed over: it has a key {quoted(resembling[0])} but does not look like a prompt."
            hint = "A prompt has a name and a template."
            self.misread(Misread(what, hint, node.members[resembling[0]][0]), severity="warning")

    def front_matter(self) -> None:
        """Take the prompt of a text with front matter."""
        text = self.source.text
        front = _FRONT.match(text)
        if front is None:
            self._without_front(text)
            return
        begin = front.start(1)
        if not text.startswith("---") and (not self.lenient or keys_in(front[1])):
            what = "The front matter must begin in the first line."
            raise Misread(what, "Leave out the empty lines above it.")
        try:
            nodes = yaml_nodes(front[1], begin)
        except Misread as misread:
            raise Misread(misread.what, misread.hint, misread.offset + begin) from None
        if len(nodes) != 1 or not isinstance(nodes[0].value, dict):
            if not self.lenient or keys_in(front[1]):
                what = "The front matter must be one mapping."
                raise Misread(what, _EXPECTED["text"], begin)
            return
        (head,) = nodes
        if self.lenient and not may_head_one(head.value):
            self.other(head)
            return
        if "template" in head.members:
            what = "The template stands below the front matter, not in it."
            self.misread(Misread(what, "Leave one of them out.", head.members["template"][0]), field="template")
            return
        body = _body(text, front.end())
        value = {**head.value, "template": body.value}
        self.entry(Node(value, head.start, {**head.members, "template": (body.start, body)}))

    def _without_front(self, text: str) -> None:
        """Refuse a text whose front matter is not closed, or lacks its first line, where it may be one."""
        unclosed = _UNCLOSED.match(text)
        keys = set(keys_in(unclosed["head"])) if unclosed else set()
        begin = len(text) - len(text.lstrip())
        if text.startswith("---", begin):
            if not self.lenient or keys:
                what = "The front matter is not closed."
                raise Misread(what, "End it with a line of ---.", begin)
        elif len(set(_STARTING.findall(unclosed["head"] if unclosed else ""))) > 1:
            what = "The front matter does not begin with ---."
            raise Misread(what, _EXPECTED["text"], begin)

    def entry(self, node: Node) -> None:
        """Take one mapping."""
        at = self.source.place
        spots: dict[str, Spot] = {"": lambda _: at(node.start)}
        for key, (_, value) in node.members.items():
            spots[str(key)] = partial(_in_file, at, value)
        if metadata := node.members.get("metadata"):
            for key, (start, _) in metadata[1].members.items():
                spots[f"metadata.{key}"] = partial(_in_file, at, Node(key, start))
        values, unquoted = _as_written(node)
        entry = Entry(self.file, values, spots)
        for key, written in unquoted.items():
            read = f"It is read as {quoted(node.value[key])}, which is no text. Put it in quotes."
            self.misread(Misread(f"Model name invalid: {written}", read, node.members[key][1].start), field=key)
        guesses = {key: meant(key) for key in node.members if key not in KEYS}
        for key, guess in guesses.items():
            listed = f"There are {', '.join(KEYS)}; anything else belongs below metadata."
            hint = f"Did you mean {guess}?" if guess else listed
            misread = Misread(f"A prompt has no key {quoted(key)}.", hint, node.members[key][0])
            self.misread(misread, prompt=entry.name)
        told = {*unquoted, *(guess for guess in guesses.values() if guess and guess not in values)}
        self.take(entry, told=told, whole=not guesses and not unquoted)

    def cells(self, cells: Iterable[PromptCell | tuple[Misread, Place]]) -> None:
        """Take the prompts of a notebook."""
        for cell in cells:
            if not isinstance(cell, PromptCell):
                self.misread(*cell)
                continue
            if cell.wants_help or (cell.form and not cell.template.value.strip()):
                continue
            nodes = {**cell.fields, "template": cell.template}
            entry = Entry(self.file, {key: node.value for key, node in nodes.items()}, _cell_spots(cell, nodes))
            if cell.unknown:
                self.problems += [entry.told(problem) for problem in [*cell.problems, *entry.check_text()]]
                what = "The first line of this cell holds variables, so only the rest of it was checked."
                hint = "Write out name, version and metadata."
                self.problems.append(entry.told(Problem(field="", what=what, hint=hint, severity="warning")))
            else:
                self.take(entry, of_line=cell.problems)

    def take(
        self, entry: Entry, *, told: Container[str] = (), whole: bool = True, of_line: Iterable[Problem] = ()
    ) -> None:
        """Check what a prompt says of itself, and take it if nothing is wrong.

        Args:
            entry: What the file says of it.
            told: Keys of which it was told already what is wrong.
            whole: Whether nothing was wrong so far.
            of_line: What is wrong with the line that it was read from.
        """
        errors = [problem for problem in entry.errors() if problem.field not in told]
        fields = {problem.field.partition(".")[0] for problem in errors}
        errors += [entry.told(problem) for problem in of_line if problem.field.partition(".")[0] not in fields]
        self.problems += errors
        if whole and not errors:
            self.problems += entry.doubts()
            self.prompts.append(entry.prompt())


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


def _as_written(node: Node) -> tuple[dict[Any, Any], dict[str, str]]:
    """Return the values with the version as it was written, and a name that was written so that it is no text."""
    values = dict(node.value)
    members = {key: node.members[key][1] for key in ("name", "version") if key in node.members}
    written = {key: one.written for key, one in members.items() if one.written and one.value is not None}
    if "version" in written:
        values["version"] = written["version"]
    return values, {key: text for key, text in written.items() if key == "name"}


def _body(text: str, start: int) -> Node:
    """Return the template below front matter: with Unix line breaks, and none before and after it."""
    blank = _EMPTY_LINES.match(text, start)
    begin = blank.end() if blank else start
    end = begin + len(text[begin:].rstrip("\r\n"))
    # Of a Windows line break the second character stays.
    offsets = [at for at in range(begin, end) if text[at : at + 2] != "\r\n"]
    return Node("".join(text[at] for at in offsets), begin, offsets=lambda: [*offsets, end])
