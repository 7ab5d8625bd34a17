"""YAML with the place of each value, read safely.

Only plain data is made. Dates stay text, as in JSON; anchors, aliases and tags are refused: a few
lines of them can stand for more data than there is memory.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.prompt_places import Misread, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["yaml_nodes"]

_TAGS = "tag:yaml.org,2002:"
"""What ``!!`` stands for."""
_TIMESTAMP = f"{_TAGS}timestamp"
_BREAKS = "\r\n\x85\u2028\u2029"
_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
_FOLD = re.compile(f"[ \t]*(?:\r\n|[{_BREAKS}])[ \t]*")
_JOINED = re.compile(f"\\\\(?:\r\n|[{_BREAKS}])[ \t{_BREAKS}]*")
_SPACES = re.compile("[ ]*")
_ESCAPES = {"x": 4, "u": 6, "U": 10}
"""Characters of an escape in double quotes, by its letter; of all others, two."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Makes plain data of nodes, and none of what refers to other nodes."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in found if tag != _TIMESTAMP]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            what = "Anchors (&) and aliases (*) are not read."
            raise Misread(what, "Write the value out, or put it in quotes.", event.start_mark.index)
        if tag := getattr(event, "tag", None):
            what = f"The tag {quoted(tag.replace(_TAGS, '!!'))} is not read."
            raise Misread(what, "Give text, numbers, true, false, null, lists and mappings.", event.start_mark.index)
        return super().compose_node(parent, index)


def yaml_nodes(text: str, base: int = 0) -> list[Node]:
    """Return the values of the documents in YAML text; empty ones are left out.

    Args:
        text: YAML.
        base: Offset in the file that the text begins at.

    Raises:
        Misread: It is no YAML, names a key twice, or is nested too deep; its place is counted from the text's start.
    """
    try:
        return list(_documents(text, base))
    except yaml.reader.ReaderError as error:
        what = f"This is no YAML: {quoted(_character(error))} may not stand in it as it is."
        raise Misread(what, 'In double quotes, write an escape such as "\\x1b".', error.position) from None
    except yaml.MarkedYAMLError as error:
        mark = _mark(text, error)
        what = f"This is no YAML: {' '.join(filter(None, [error.context, error.problem]))}"
        raise Misread(what, _hint(text, mark), mark.index if mark else 0) from None
    except RecursionError:
        what = "This YAML is nested too deep."
        raise Misread(what, "A prompt needs a few levels.") from None


def _mark(text: str, error: Any) -> Any:
    """Return where to look: where something was opened that nothing closes, else where the reader got stuck."""
    at, begun = error.problem_mark, error.context_mark
    unclosed = at is None or at.index >= len(text.rstrip()) or "unexpected document separator" in (error.problem or "")
    return begun or at if unclosed else at


def _character(error: Any) -> str:
    return chr(error.character) if isinstance(error.character, int) else str(error.character)


def _hint(text: str, mark: Any) -> str:
    line = text[: mark.index if mark else 0].rpartition("\n")[2]
    if "{" in line or (mark and text[mark.index : mark.index + 1] in ("{", "%")):
        return "Put a template that begins with a brace in quotes, or below `template: |`."
    return ""


def _documents(text: str, base: int) -> Iterator[Node]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            found = _node(loader, text, loader.get_node(), base)
            if found.value is not None:
                yield found
    finally:
        loader.dispose()


def _node(loader: _Loader, text: str, node: Any, base: int) -> Node:
    start = node.start_mark.index
    if isinstance(node, yaml.ScalarNode):
        return _scalar(loader, text, node, base)
    if isinstance(node, yaml.SequenceNode):
        items = tuple(_node(loader, text, item, base) for item in node.value)
        return Node([item.value for item in items], start + base, items=items)
    members: dict[Any, tuple[int, Node]] = {}
    members_written: dict[Any, str] = {}
    for key, value in node.value:
        at = key.start_mark.index
        if not isinstance(key, yaml.ScalarNode):
            what = "A key must be text, not a list or a mapping."
            raise Misread(what, "Put braces that are text in quotes.", at)
        found = _scalar(loader, text, key, base)
        name = found.value
        if name in members:
            if found.written not in ("", members_written.get(name)):
                what = f"A key must be text: {quoted(found.written)[1:-1]}."
                raise Misread(what, "Put it in quotes.", at)
            what = f"The key {quoted(name)} is given twice."
            raise Misread(what, "Leave one of them out.", at)
        members_written[name] = found.written
        members[name] = (at + base, _node(loader, text, value, base))
    return Node({key: found.value for key, (_, found) in members.items()}, start + base, members)


def _scalar(loader: _Loader, text: str, node: Any, base: int) -> Node:
    start = node.start_mark.index
    try:
        value = loader.construct_object(node)
    except (ValueError, OverflowError):  # a number of thousands of digits, a float such as "0o9"
        what = f"This cannot be read as what it looks like: {quoted(node.value)}"
        raise Misread(what, "Put it in quotes.", start) from None
    if not isinstance(value, str):
        return Node(value, start + base, written=node.value)
    return Node(value, start + base, offsets=partial(_characters, text, value, node, base))


def _characters(text: str, value: str, node: Any, base: int) -> list[int]:
    """Return the offset of each character: the value is read beside the text it was made from."""
    reading = _block(text, value, node) if node.style in ("|", ">") else _flow(text, value, node)
    return [at + base for at in reading]


def _block(text: str, value: str, node: Any) -> list[int]:
    header = _BREAK.search(text, node.start_mark.index)
    at = header.end() if header else len(text)
    indent = _indent(text, value, at)
    found = []
    at += _spaces(text, at, indent)
    for char in value:
        here = text[at : at + 1]
        if here != char and not char.isspace():
            while at < len(text) and text[at] != char and text[at].isspace():
                at += 1
        found.append(at)
        # What is kept as a line break, and what was folded into a space.
        ended = _BREAK.match(text, at) if char.isspace() and here in _BREAKS else None
        at = ended.end() + _spaces(text, ended.end(), indent) if ended else at + 1
    return [*found, at]


def _indent(text: str, value: str, at: int) -> int:
    """Return the indentation that was taken off: the first line that says something has it and its own."""
    own = next((line for line in _BREAK.split(value) if line.strip(" ")), "")
    lines = _BREAK.split(text[at:])
    written = next((line for line in lines if line.strip(" ")), "")
    return max(0, len(written) - len(written.lstrip(" ")) - (len(own) - len(own.lstrip(" "))))


def _spaces(text: str, at: int, most: int) -> int:
    match = _SPACES.match(text, at)
    return min(most, len(match[0])) if match else 0


def _flow(text: str, value: str, node: Any) -> list[int]:
    at = node.start_mark.index + bool(node.style)
    found = []
    for char in value:
        if node.style == '"':
            while joined := _JOINED.match(text, at):
                at = joined.end()
        if node.style == '"' and text[at : at + 1] == "\\":
            found.append(at)
            at += _ESCAPES.get(text[at + 1 : at + 2], 2)
            continue
        if text[at : at + 1] != char and char in " \n" and (fold := _FOLD.match(text, at)):
            found.append(at)
            at = fold.end()
            continue
        while at < len(text) and text[at] != char and text[at].isspace():
            at += 1
        found.append(at)
        at += 2 if node.style == "'" and text.startswith("''", at) else 1
    return [*found, at]
