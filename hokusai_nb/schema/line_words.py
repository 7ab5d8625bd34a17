"""The words of a magic line, and where variables stand in them; nothing is evaluated.

Quotes and backslashes are POSIX, as in `shlex`. Three things shlex cannot do are the reason for a
scanner of our own: ``#`` begins a comment only where a word begins (``note=#12`` is a value), an
``{expression}`` and a JSON object may hold spaces and quotes, and a closing ``;`` that silences the
output is told from one inside quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from hokusai_nb.errors import UsageError
from hokusai_nb.schema.problems import Problem

__all__ = ["Line", "LineProblem", "Reference", "ValueOf", "Word", "refuse", "scan", "split"]

_SPACE = " \t\r\n"
_NAME = re.compile(r"[^\W\d]\w*")
_COMMENT = re.compile(r"#[^\n]*")
_SILENCE = re.compile(r";\s*(#[^\n]*)?\Z")
_STRING = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_FINISHED = ("", "#")
_UNCLOSED = {
    "\\": ("The line ends in a backslash that escapes nothing.", "Remove it, or write it twice."),
    "{": ("A brace is not closed: {", "Write {expression} for a value, or {{ for the brace itself."),
}
# Inside double quotes a backslash stands for itself before anything else.
_ESCAPED_IN_QUOTES = '"\\${}'


@dataclass(frozen=True)
class Reference:
    """A variable or an expression that stands in a word.

    Attributes:
        source: Python source of the expression.
        shown: How it was typed, such as ``$name`` or ``{a + b}``.
    """

    source: str
    shown: str


ValueOf: TypeAlias = Callable[[Reference], str]
"""Says what stands for a reference; only where the line runs is there one."""


class LineProblem(Problem, frozen=True):
    """What is wrong with a line."""

    at: int = 0
    """Offset in the line."""


def refuse(what: str, hint: str = "", at: int = 0) -> NoReturn:
    """Raise the error for a line that cannot be understood.

    Args:
        what: What is wrong.
        hint: What to try.
        at: Offset in the line.
    """
    raise UsageError([LineProblem(field="line", what=what, hint=hint, at=at)]) from None


@dataclass(frozen=True)
class Word:
    """One word of a line.

    Attributes:
        parts: Its text, in pieces, with a `Reference` where a value is to be put in.
        start: Where it begins in the line.
        end: Where it ends in the line.
    """

    parts: tuple[str | Reference, ...]
    start: int
    end: int

    @property
    def lead(self) -> str:
        """The text before the first reference; what makes a word an option is never a value."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""

    @property
    def has_references(self) -> bool:
        """Whether a value is to be put in."""
        return any(isinstance(part, Reference) for part in self.parts)

    @property
    def shown(self) -> str:
        """The word as it was typed, without its quotes."""
        return "".join(part if isinstance(part, str) else part.shown for part in self.parts)

    def text(self, value_of: ValueOf) -> str:
        """Return the word with its values put in."""
        return "".join(part if isinstance(part, str) else value_of(part) for part in self.parts)

    def after(self, prefix: str) -> Word:
        """Return the word without a text that it begins with."""
        return Word((self.lead.removeprefix(prefix), *self.parts[1:]), self.start, self.end)


@dataclass(frozen=True)
class Line:
    """A line that was taken apart, finished or not.

    Attributes:
        words: Its words, comment left out.
        silent: Whether it ends in ``;``.
        unclosed: The quote or brace that is still open at the end, a backslash that escapes
            nothing, or ``#`` where the end lies in a comment.
        unclosed_at: Where that begins.
    """

    words: tuple[Word, ...]
    silent: bool
    unclosed: str
    unclosed_at: int


def split(text: str) -> Line:
    """Return the line's words.

    Raises:
        UsageError: A quote or a brace is not closed.

    >>> [word.text(lambda reference: "a b") for word in split("'one two' $x k={x}! # done").words]
    ['one two', 'a b', 'k=a b!']
    """
    line = scan(text)
    if line.unclosed not in _FINISHED:
        quotes = f"A quote is not closed: {line.unclosed}", "Close it, or put the apostrophe in double quotes."
        refuse(*_UNCLOSED.get(line.unclosed, quotes), at=line.unclosed_at)
    return line


def scan(text: str) -> Line:
    """Return what there is of a line, which may end anywhere."""
    scanner = _Scanner(text)
    scanner.run()
    return Line(tuple(scanner.words), scanner.silent, scanner.unclosed, scanner.unclosed_at)


class _Scanner:
    """Goes through the line once, left to right."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.at = 0
        self.words: list[Word] = []
        self.silent = False
        self.unclosed = ""
        self.unclosed_at = 0
        self._parts: list[str | Reference] = []
        self._start: int | None = None

    def run(self) -> None:
        while self.at < len(self.source):
            char = self.source[self.at]
            if char in _SPACE:
                self._finish()
                self.at += 1
            elif char == "#" and self._start is None:
                self.at = _COMMENT.match(self.source, self.at).end()  # type: ignore[union-attr]  # it begins with #
                self.unclosed = "#" if self.at == len(self.source) else ""
            elif char == ";" and _SILENCE.match(self.source, self.at):
                self.silent = True
                break
            else:
                self._begin()
                if char in "'\"":
                    self._quoted(char)
                else:
                    self._one(escapable=None)
        self._finish()

    def _begin(self) -> None:
        if self._start is None:
            self._start = self.at

    def _finish(self) -> None:
        if self._start is not None:
            self.words.append(Word(tuple(self._parts), self._start, self.at))
            self._parts, self._start = [], None

    def _quoted(self, mark: str) -> None:
        start = self.at
        self.at += 1
        while self.at < len(self.source):
            if self.source[self.at] == mark:
                self.at += 1
                return
            self._one(escapable=_ESCAPED_IN_QUOTES if mark == '"' else "")
        if not self.unclosed:
            self.unclosed, self.unclosed_at = mark, start

    def _one(self, *, escapable: str | None) -> None:
        """Take one character, escape or reference; ``escapable`` None means every character is."""
        rest = self.source[self.at : self.at + 2]
        if rest[0] == "\\" and (escapable is None or (rest[1:] and rest[1] in escapable)):
            self._add(rest[1:])
            self.unclosed, self.unclosed_at = "" if rest[1:] else "\\", self.at
            self.at += len(rest)
        elif rest in ("{{", "}}", "$$"):
            self._add(rest[0])
            self.at += 2
        elif rest[0] == "{":
            self._braced()
        elif rest[0] == "$" and (name := _NAME.match(self.source, self.at + 1)):
            self._parts.append(Reference(name[0], f"${name[0]}"))
            self.at = name.end()
        else:
            self._add(rest[0])
            self.at += 1

    def _braced(self) -> None:
        end = _closing(self.source, self.at)
        if end is None:
            self.unclosed, self.unclosed_at = "{", self.at
            self._add(self.source[self.at :])
            self.at = len(self.source)
            return
        shown = self.source[self.at : end + 1]
        if is_object(shown):
            self._add(shown)
        else:
            self._parts.append(Reference(shown[1:-1], shown))
        self.at = end + 1

    def _add(self, text: str) -> None:
        if self._parts and isinstance(self._parts[-1], str):
            self._parts[-1] += text
        elif text:
            self._parts.append(text)


def is_object(text: str) -> bool:
    """Return whether a text is a JSON object, which stands for itself.

    Python would take one of a single key for that key with a format: ``{"a": 1}`` would be ``a``.

    >>> is_object('{"a": {"b": 1}}'), is_object("{}"), is_object("{a}"), is_object("{'a': 1}")
    (True, True, False, False)
    """
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _closing(text: str, start: int) -> int | None:
    """Return where the brace at ``start`` closes; braces in strings do not count."""
    depth = 0
    at = start
    while at < len(text):
        if text[at] in "'\"" and (string := _STRING.match(text, at)):
            at = string.end()
            continue
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return at
        at += 1
    return None
