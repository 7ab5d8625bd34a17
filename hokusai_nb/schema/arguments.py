"""A verb's fields as they are typed: what the magics' lines and the command line are both made of."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

    from hokusai_nb.schema.verbs import Option, Verb

__all__ = ["Argument", "arguments", "as_typed", "pairs_in", "typed_value"]


@dataclass(frozen=True)
class Argument:
    """A verb's field as it is typed.

    Attributes:
        field: Name of the field.
        flag: Such as ``--token``; empty for a positional argument.
        kind: ``value``; ``switch``, which takes no value; ``on|off``; or ``pairs``, which may be
            given several times as KEY=VALUE.
        required: Whether the verb cannot do without.
        metavar: What stands for the value in the help.
        suggest: Where completion finds candidates.
        choices: All that a value may be; empty where that is not listed.
        notebook: Whether it makes sense in a notebook only, such as the name of a variable.
        several: Whether one flag may be followed by several KEY=VALUE words.
        help: One sentence.
    """

    field: str
    flag: str
    kind: Literal["value", "switch", "on|off", "pairs"]
    required: bool
    metavar: str
    suggest: str
    choices: tuple[str, ...]
    notebook: bool
    several: bool
    help: str

    @property
    def typed(self) -> str:
        """How messages name it."""
        return self.flag or self.metavar

    @property
    def usage(self) -> str:
        """How the help shows it."""
        return " ".join(part for part in (self.flag, "" if self.kind == "switch" else self.metavar) if part)


@cache
def arguments(verb: type[Verb]) -> tuple[Argument, ...]:
    """Return what a verb's line can carry, in the fields' order."""
    return tuple(_argument(name, info, option) for name, info, option in verb.options())


def _argument(name: str, info: FieldInfo, option: Option) -> Argument:
    annotation = info.annotation
    # Of a Literal and None, Python makes the older kind of union.
    is_union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    choices = typing.get_args(annotation) if is_union else (annotation,)
    kind: Literal["value", "switch", "on|off", "pairs"]
    if annotation is bool:
        kind = "switch"
    elif bool in choices:
        kind = "on|off"
    elif any((typing.get_origin(c) or c) is Mapping for c in choices):
        kind = "pairs"
    else:
        kind = "value"
    return Argument(
        field=name,
        flag=option.flag,
        kind=kind,
        required=info.is_required(),
        metavar=option.metavar or name.upper().replace("_", "-"),
        suggest=option.suggest,
        choices=tuple(word for c in choices if typing.get_origin(c) is Literal for word in typing.get_args(c)),
        notebook=option.notebook,
        several=option.several,
        help=info.description or "",
    )


def as_typed(verb: type[Verb], problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems with fields named as they are typed."""
    named = {a.field: a.typed for a in arguments(verb)}
    told = []
    for problem in problems:
        rest = problem.what.removeprefix(problem.field)
        if problem.field in named and rest.startswith((" ", ":")) and rest != problem.what:
            told.append(problem.model_copy(update={"what": f"{named[problem.field]}{rest}"}))
        else:
            told.append(problem)
    return told


def pairs_in(texts: Iterable[str], by: str, form: str, field: str) -> tuple[dict[str, str], list[Problem]]:
    """Return the pairs that KEY=VALUE texts say up to the first that is wrong, and what is wrong with it.

    Args:
        texts: One for each pair.
        by: What they are given by, such as ``--tag``.
        form: How one is written, such as ``KEY=VALUE``.
        field: Field that they belong to.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            return pairs, [Problem(field=field, what=f"{by} needs {form}: {quoted(text)}.")]
        if key in pairs:
            what = f"{by} {quoted(key)} is given twice."
            return pairs, [Problem(field=field, what=what, hint="Leave one of them out.")]
        pairs[key] = value
    return pairs, []


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
