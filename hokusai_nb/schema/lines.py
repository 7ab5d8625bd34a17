"""A verb written out again: as the magic line and as the Python call that ask for the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hokusai_nb.schema.tags import CONTRIBUTOR_TAGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hokusai_nb.schema.verbs import Verb

__all__ = ["Code", "is_uri", "magic_line", "python_call", "quote", "word"]

_PLAIN_WORD = re.compile(r"[\w@%+=:,./\-]+")
_ARGUMENTS = {
    "run": "run_id",
    "name": "name",
    "token": "token_id",
    "metric": "benchmark_metric",
    "value": "benchmark_value",
    "tags": "tags",
    "model": "model",
    "force_new": "force_new",
}
"""Fields of a registration, and what the registry's methods call them."""


def quote(text: str, mark: str = "") -> str:
    r"""Return text as one word of a line that means exactly that text.

    Args:
        text: What the word shall mean.
        mark: A quote that the word is to begin with; one is chosen where it is needed.

    >>> quote("plain"), quote("it's 5 $"), quote("a{b}")
    ('plain', '"it\'s 5 $$"', "'a{{b}}'")
    """
    if not mark and _PLAIN_WORD.fullmatch(text):
        return text
    doubled = re.sub(r"[${}]", r"\g<0>\g<0>", text)
    if mark != '"' and "'" not in text:
        return f"'{doubled}'"
    return '"' + re.sub(r'["\\]', r"\\\g<0>", doubled) + '"'


def word(text: str) -> str:
    r"""Return text as one word, whatever it holds.

    A line break would end the line and a leading dash make an option of it: such text becomes an
    expression that yields it.

    >>> word("churn"), word("a\nb"), word("--help")
    ('churn', "{'a\\nb'}", "{'--help'}")
    """
    return quote(text) if text.isprintable() and not text.startswith("-") else "{" + ascii(text) + "}"


def is_uri(model: object) -> bool:
    """Whether a model is named by a URI or a path: a logged model's name holds neither of the two signs."""
    return isinstance(model, str) and bool({":", "/"} & set(model))


def magic_line(verb: type[Verb], magic: str, values: Mapping[str, Any]) -> str:
    """Return the line that asks for the values.

    Args:
        verb: What the line is read as.
        magic: Name of the magic, without its percent sign.
        values: Values by field; None, False and empty ones are left out.
    """
    return " ".join([f"%{magic}", *_words(verb, values)])


def _is_left_out(value: object) -> bool:
    return value is None or value is False or value in ("", {})


def _words(verb: type[Verb], values: Mapping[str, Any]) -> Iterator[str]:
    for name, _, option in verb.options():
        value = values.get(name)
        if _is_left_out(value):
            continue
        if isinstance(value, dict):
            yield from (f"{option.flag} {word(f'{key}={text}')}" for key, text in value.items())
        elif value is True:
            yield option.flag
        else:
            yield f"{option.flag} {word(str(value))}".strip()


class Code(str):
    """Python source that stands in a call as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def python_call(values: Mapping[str, Any], *, estimator: Code | None = None, input_example: Code | None = None) -> str:
    """Return the Python that registers the same.

    Args:
        values: Values by field of `hokusai_nb.schema.verbs.Register`; ``model`` may be `Code`.
        estimator: Source of the estimator that is to be logged, in place of ``model``.
        input_example: Source of its input rows.
    """
    given = {key: dict(v) if key == "tags" else v for key, v in values.items() if not _is_left_out(v)}
    by_uri = isinstance(given.get("model"), Code) or is_uri(given.get("model"))
    if estimator or input_example or "run" not in given or by_uri:
        return _by_uri(given) if by_uri and "run" not in given else _by_verb(given, estimator, input_example)
    return _call("register_run_model", given, "run")


def _by_uri(given: dict[str, Any]) -> str:
    # The method's own arguments all have to be given; None has the value read from the run.
    return _call("register_tokenized_model", {"value": None, **given}, "model", model="model_uri")


def _call(method: str, given: dict[str, Any], first: str, **renamed: str) -> str:
    """Return a call of one of the registry's methods, which know a contributor as a tag only."""
    tags = dict(given.get("tags", {}))
    if "contributor" in given and not any(key in tags for key in CONTRIBUTOR_TAGS):
        tags = {"contributor_address": given["contributor"], **tags}
    told = {**given, "tags": tags} if tags else given
    names = {**_ARGUMENTS, **renamed}
    wanted = [first, *(key for key in names if key != first)]
    lines = [f"    {names[key]}={told[key]!r},\n" for key in wanted if key in told]
    return f"from hokusai_nb import ModelRegistry\n\nModelRegistry().{method}(\n{''.join(lines)})"


def _by_verb(given: dict[str, Any], estimator: Code | None, input_example: Code | None) -> str:
    fields = "".join(
        f"        {key}={value!r},\n" for key, value in given.items() if not (estimator and key == "model")
    )
    objects = {"estimator": estimator, "input_example": input_example}
    rest = "".join(f"    {key}={source},\n" for key, source in objects.items() if source)
    head = "from hokusai_nb import ModelRegistry\nfrom hokusai_nb.schema.verbs import Register\n\n"
    return f"{head}ModelRegistry().register(\n    Register(\n{fields}    ),\n{rest})"
