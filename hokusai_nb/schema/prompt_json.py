"""JSON with the place of each value, which `json` does not tell."""

from __future__ import annotations

import json
import re
import sys
from functools import partial

from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.prompt_places import Misread, Node

__all__ = ["json_node"]

_SPACE = re.compile(r"[ \t\r\n]*")
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_NUMBER = re.compile(r'"(?:\\.|[^"\\])*"|-?(?P<digits>\d+)(?![\d.eE])|[\d.eE+-]+', re.DOTALL)
_DECODER = json.JSONDecoder()


def json_node(text: str) -> Node:
    """Return the value of JSON text.

    Raises:
        Misread: It is no JSON, names a key twice, or is nested too deep.
    """
    try:
        json.loads(text)  # so that what follows may trust the text
        return _value(text, _skip(text, 0))[0]
    except json.JSONDecodeError as error:
        what = f"This is no JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise Misread(what, "", error.pos) from None
    except RecursionError:
        what = "This JSON is nested too deep."
        raise Misread(what, "A prompt needs a few levels.") from None
    except ValueError:  # Python reads no number of thousands of digits
        what = "A number in this JSON has too many digits."
        raise Misread(what, "Give it as text.", _long_number(text)) from None


def _long_number(text: str) -> int:
    """Return where the first whole number stands that has more digits than Python reads."""
    numbers = (match for match in _NUMBER.finditer(text) if match["digits"])
    return next((m.start() for m in numbers if len(m["digits"]) > sys.get_int_max_str_digits()), 0)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _value(text: str, at: int) -> tuple[Node, int]:
    """Return the value that begins at an offset, and where it ends."""
    if text[at] == "{":
        return _mapping(text, at)
    if text[at] == "[":
        return _list(text, at)
    value, end = _DECODER.raw_decode(text, at)
    if isinstance(value, str):
        return Node(value, at, offsets=partial(_characters, text, at)), end
    return Node(value, at, written=text[at:end]), end


def _mapping(text: str, start: int) -> tuple[Node, int]:
    members: dict[str, tuple[int, Node]] = {}
    at = _skip(text, start + 1)
    while text[at] != "}":
        begin = at
        key, at = _DECODER.raw_decode(text, at)
        if key in members:
            what = f"The key {quoted(key)} is given twice."
            raise Misread(what, "Leave one of them out.", begin)
        node, at = _value(text, _skip(text, _skip(text, at) + 1))
        members[key] = (begin, node)
        at = _next(text, at)
    return Node({key: node.value for key, (_, node) in members.items()}, start, members), at + 1


def _list(text: str, start: int) -> tuple[Node, int]:
    items = []
    at = _skip(text, start + 1)
    while text[at] != "]":
        node, at = _value(text, at)
        items.append(node)
        at = _next(text, at)
    return Node([node.value for node in items], start, items=tuple(items)), at + 1


def _next(text: str, at: int) -> int:
    """Return where the next entry begins, or the bracket that closes the last one."""
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at


def _characters(text: str, start: int) -> list[int]:
    found = []
    at = start + 1
    while text[at] != '"':
        found.append(at)
        if text[at] != "\\":
            at += 1
        elif text[at + 1] != "u":
            at += 2
        else:
            at += 12 if _PAIR.match(text, at) else 6
    return [*found, at]
