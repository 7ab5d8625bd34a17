"""From a line to the fields of a verb; nothing on the line is evaluated."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NoReturn

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.arguments import Argument, arguments, as_typed, pairs_in
from hokusai_nb.schema.line_words import refuse, split
from hokusai_nb.schema.problems import errors_in, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hokusai_nb.schema.line_words import Reference, ValueOf, Word
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.verbs import Verb

__all__ = ["LineRequest"]

_YES = {"on", "true", "yes", "1"}
_NO = {"off", "false", "no", "0"}
_HELP = ("--help", "-h")


class LineRequest:
    """A line whose words were given to the verb's fields; no variable was read yet.

    Attributes:
        silent: Whether the line ends in ``;``, so that nothing is to be shown.
        wants_help: Whether ``--help`` or ``-h`` is on the line.
        is_bare: Whether there is nothing on the line.
    """

    def __init__(self, verb: type[Verb], text: str, magic: str) -> None:
        """Give the words of a line to the verb's fields.

        Args:
            verb: What the magic does.
            text: The line after the magic's name.
            magic: Name of the magic, for messages.

        Raises:
            UsageError: An option is unknown, lacks its value or is given twice; there are too many
                words; a quote is not closed.
        """
        self._verb = verb
        self._magic = magic
        self._given: dict[str, list[Word | None]] = {}
        self._at = 0
        self._arguments = {a.field: a for a in arguments(verb)}
        line = split(text)
        self.wants_help = any(word.shown in _HELP and not word.has_references for word in line.words)
        self.silent = line.silent and not self.wants_help
        if not self.wants_help:
            self._read(line.words)
        self.is_bare = not self._given

    def names(self, field: str) -> bool:
        """Whether the line gives a field a value."""
        return field in self._given

    def words(self, field: str) -> list[Word]:
        """Return the words that are a field's values; a switch has none."""
        return [word for word in self._given.get(field, ()) if word is not None]

    def refuse(self, what: str, hint: str = "") -> NoReturn:
        """Raise the error for this line, with the way to the help."""
        refuse(what, f"{hint} See %{self._magic} --help.".strip(), self._at)

    def values_by(self, value_of: ValueOf) -> dict[str, Any]:
        """Return what the verb is made of, with the variables' values put in.

        Raises:
            UsageError: What `value_of` raises, or a value has not the form that its option needs.
        """
        return {field: self._value(field, value_of) for field in self._given}

    def fixed(self) -> dict[str, Any]:
        """Return what the verb is made of as far as it is known, whatever the values of variables will be.

        Raises:
            UsageError: A value has not the form that its option needs.
        """
        return {field: self._value(field, _unknown) for field in self._given if field not in self.late()}

    def late(self) -> set[str]:
        """Return the fields whose values hold variables."""
        return {field for field in self._given if any(word.has_references for word in self.words(field))}

    def problems(self) -> list[Problem]:
        """Return what is wrong already, whatever the values of variables will be.

        Raises:
            UsageError: A value has not the form that its option needs.
        """
        late = self.late()
        return [p for p in as_typed(self._verb, errors_in(self._verb.check(self.fixed()))) if p.field not in late]

    def check(self) -> None:
        """Raise what is wrong already, whatever the values of variables will be.

        Raises:
            ValidationError: A field is wrong, or missing, that no variable is to fill.
        """
        if problems := self.problems():
            raise ValidationError(problems)

    def _read(self, given: tuple[Word, ...]) -> None:
        flags = {a.flag: a for a in self._arguments.values() if a.flag}
        places = [a for a in self._arguments.values() if not a.flag]
        words = iter(given)
        only_values = False
        pairs: Argument | None = None
        for word in words:
            self._at = word.start
            if word.shown == "--" and not word.has_references and not only_values:
                only_values = True
            elif word.lead.startswith("-") and not only_values:
                taken = self._take_option(flags, word, words)
                pairs = taken if taken.several else None
            elif pairs is not None and "=" in word.lead and not only_values:
                self._take(pairs, word)
            elif places:
                self._take(places.pop(0), word)
            else:
                hint = "Put text with spaces in quotes."
                self.refuse(f"There is no place for the argument {quoted(word.shown)}.", hint)
        self._at = 0

    def _take(self, argument: Argument, word: Word | None) -> None:
        """Note a word as an argument's value; None is a switch that was set."""
        if argument.kind != "pairs" and argument.field in self._given:
            self.refuse(f"{argument.typed} is given twice.", "Leave one of them out.")
        self._given.setdefault(argument.field, []).append(word)

    def _take_option(self, flags: Mapping[str, Argument], word: Word, words: Iterator[Word]) -> Argument:
        flag, equals, _ = word.lead.partition("=")
        if flag not in flags or (word.has_references and not equals):
            guess = difflib.get_close_matches(word.shown.partition("=")[0], flags, n=1)
            listed = f"There are: {', '.join(flags)}." if flags else "It has no options."
            hint = f"Did you mean {guess[0]}?" if guess else listed
            self.refuse(f"There is no option {quoted(word.shown.partition('=')[0])[1:-1]}.", hint)
        argument = flags[flag]
        if argument.kind == "switch":
            if equals:
                self.refuse(f"{flag} takes no value: {quoted(word.shown)}.")
            self._take(argument, None)
            return argument
        if equals:
            self._take(argument, word.after(f"{flag}="))
            return argument
        value = next(words, None)
        if value is None or value.lead.startswith("--"):
            hint = f"Write {flag}=… for a value that begins with --." if value else ""
            self.refuse(f"{flag} needs a value: {argument.metavar}.", hint)
        self._take(argument, value)
        return argument

    def _value(self, field: str, value_of: ValueOf) -> Any:
        argument, words = self._arguments[field], self.words(field)
        if argument.kind == "switch":
            return True
        texts = [word.text(value_of) for word in words]
        if argument.kind == "pairs":
            pairs, problems = pairs_in(texts, argument.flag, argument.metavar, field)
            if problems:
                self._at = words[len(pairs)].start
                self.refuse(problems[0].what, problems[0].hint)
            return pairs
        if argument.kind == "value":
            return texts[0]
        if texts[0].lower() not in _YES | _NO:
            self._at = words[0].start
            self.refuse(f"{argument.flag} is either on or off: {quoted(texts[0])}.")
        return texts[0].lower() in _YES


def _unknown(reference: Reference) -> NoReturn:
    """A reference in what is known without references: there is none."""
    raise AssertionError(reference.shown)
