"""From a verb to a command: its options, its help and its checks are read from the verb's fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.arguments import arguments, as_typed, pairs_in
from hokusai_nb.schema.metrics import known_metrics
from hokusai_nb.schema.problems import raise_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from hokusai_nb.schema.arguments import Argument
    from hokusai_nb.schema.verbs import Verb

__all__ = ["options_of", "takes"]

F = TypeVar("F", bound="Callable[..., Any]")


def options_of(verb: type[Verb], *fields: str) -> Callable[[F], F]:
    """Give a function some options of a verb as they are, each named like its field."""
    wanted = {a.field: a for a in arguments(verb)}

    def decorate(function: F) -> F:
        decorated: Callable[..., Any] = function
        for field in reversed(fields):
            decorated = _parameter(wanted[field])(decorated)
        return cast("F", decorated)

    return decorate


def takes(verb: type[Verb]) -> Callable[[F], Callable[..., Any]]:
    """Give a function the options of a verb; it is called with the validated verb first.

    What makes sense in a notebook only is left out.
    """
    shown = [a for a in arguments(verb) if not a.notebook]

    def decorate(function: F) -> Callable[..., Any]:
        def called(**given: Any) -> Any:
            values = {a.field: given.pop(a.field) for a in shown}
            return function(_made(verb, shown, values), **given)

        called.__doc__ = function.__doc__ or verb.__doc__
        called.__name__ = function.__name__
        called.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]  # click's
        decorated: Callable[..., Any] = called
        for argument in reversed(shown):
            decorated = _parameter(argument)(decorated)
        return decorated

    return decorate


def _made(verb: type[Verb], shown: list[Argument], values: dict[str, Any]) -> Verb:
    """Return the verb.

    Raises:
        ValidationError: A field is wrong; fields are named as they are typed.
    """
    stated: dict[str, Any] = {}
    for argument in shown:
        value = values[argument.field]
        if argument.kind == "pairs":
            stated[argument.field], problems = pairs_in(value, argument.flag, argument.metavar, argument.field)
            raise_for(problems)
        elif value is not None and not (argument.kind == "switch" and value is False):
            stated[argument.field] = value
    try:
        return verb.parse(stated)
    except ValidationError as error:
        raise type(error)(as_typed(verb, error.problems)) from None  # type: ignore[arg-type]  # problems of the schema


def _parameter(argument: Argument) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if not argument.flag:
        return click.argument(
            argument.field, metavar=argument.metavar, required=argument.required, shell_complete=_complete(argument)
        )
    if argument.kind == "switch":
        return click.option(argument.flag, argument.field, is_flag=True, help=argument.help)
    return click.option(
        argument.flag,
        argument.field,
        metavar=argument.metavar,
        required=argument.required,
        multiple=argument.kind == "pairs",
        type=click.Choice(argument.choices) if argument.choices else None,
        help=argument.help,
        shell_complete=_complete(argument),
    )


def _complete(argument: Argument) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    """Return what proposes values: metrics of the catalogue, paths; nothing asks a server while somebody types."""
    if argument.suggest == "run_metrics":
        return lambda _context, _parameter, begun: _metrics(begun)
    if argument.metavar == "PATH":
        return lambda _context, _parameter, begun: _files(begun)
    return None


def _metrics(begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a completing shell needs it

    names = [name for metric in known_metrics() for name in (metric.name, *metric.aliases)]
    return [CompletionItem(name) for name in sorted(names) if name.startswith(begun)]


def _files(begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a completing shell needs it

    return [CompletionItem(begun, type="file")]
