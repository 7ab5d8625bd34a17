"""Metadata of prompts: whatever JSON can hold, stored as text and typed again on the way back."""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.frozen import FrozenDict
from hokusai_nb.schema.problems import Problem, errors_in, plain, quoted
from hokusai_nb.schema.tags import MAX_VALUE_LENGTH
from hokusai_nb.schema.text_length import is_longer

__all__ = [
    "RECOMMENDED",
    "RESERVED",
    "FrozenList",
    "Metadata",
    "check_metadata",
    "decode_metadata",
    "encode_metadata",
    "frozen_json",
    "recommend_metadata",
    "reserved_prefix",
    "same_value",
    "thawed_json",
]

RECOMMENDED = ("author", "purpose", "tested_on", "performance_metrics")
"""Keys whose absence is worth a warning."""
RESERVED = ("mlflow.", "_mlflow_", "hokusai.")
"""Prefixes of the keys that a registry keeps beside the user's; `reserved_prefix` compares them."""
MAX_KEY_LENGTH = 200
MAX_DEPTH = 20

_KEY = re.compile(r"[\w.\- ]+", re.ASCII)
# Text that begins like JSON is written as JSON, all other text as it stands: so it reads well, and
# what is read is never taken for something else.
_LIKE_JSON = re.compile(r"\s*(?:[\[{\"]|-?[0-9]|(?:true|false|null)\s*\Z|\Z)")
_JSON_TYPES = "Give text, a number, True, False, None, a list or a mapping of these."


class FrozenList(list[Any]):
    """Equal to a plain list, hashable where its items are, and taken by ``json``, ``pickle`` and ``copy``."""

    __slots__ = ()

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        del args, kwargs
        msg = "A record cannot be changed; make a changed copy of this list with list(…)."
        raise TypeError(msg)

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a list has none
        return hash(tuple(self))

    def __reduce__(self) -> tuple[type[FrozenList], tuple[list[Any]]]:
        """Copy and pickle through the constructor, because item by item is refused."""
        return type(self), (list(self),)


def frozen_json(value: Any) -> Any:
    """Return the value with its mappings and lists frozen, at every depth."""
    if isinstance(value, Mapping):
        return FrozenDict({key: frozen_json(item) for key, item in value.items()})
    return FrozenList(frozen_json(item) for item in value) if isinstance(value, list) else value


def thawed_json(value: Any) -> Any:
    """Return a plain copy of frozen JSON, which its owner may change."""
    if isinstance(value, Mapping):
        return {key: thawed_json(item) for key, item in value.items()}
    return [thawed_json(item) for item in value] if isinstance(value, list) else value


def _settled(metadata: Mapping[str, Any]) -> FrozenDict[str, Any]:
    return FrozenDict({plain(key): frozen_json(_as_stored(value)) for key, value in metadata.items()})


def _as_stored(value: object) -> Any:
    try:
        return _json(value)
    except _Refusal:  # another client may have stored what is nested deeper than ours
        return value


Metadata = Annotated[Mapping[str, Any], AfterValidator(_settled)]
"""A field of metadata, in JSON's own types as it will come back, and frozen at every depth."""


def check_metadata(metadata: object) -> list[Problem]:
    """Return what keeps metadata from being stored and coming back as it is."""
    if not isinstance(metadata, Mapping):
        what = f"Metadata must be a mapping: {quoted(metadata)}"
        return [Problem(field="metadata", what=what, hint="Such as {'author': 'content-team'}.")]
    return [problem for key, value in metadata.items() for problem in _check_entry(key, value)]


def reserved_prefix(key: str) -> str | None:
    """Return the reserved prefix that a key begins with, or None.

    Spaces around it and capitals make no other key: some databases take them for the same.

    >>> reserved_prefix(" MLflow.note"), reserved_prefix("mlflower.x")
    ('mlflow.', None)
    """
    folded = key.strip().casefold()
    return next((prefix for prefix in RESERVED if folded.startswith(prefix)), None)


def recommend_metadata(metadata: Mapping[str, object]) -> list[Problem]:
    """Return a warning for each recommended key that is missing or says nothing."""
    return [
        Problem(
            field=f"metadata.{key}",
            what=f"Recommended metadata is missing: {key}",
            hint=f"Give metadata={{'{key}': …}}.",
            severity="warning",
        )
        for key in RECOMMENDED
        if metadata.get(key) is None or metadata.get(key) == ""
    ]


def _check_entry(key: object, value: object) -> list[Problem]:
    name = plain(key) if isinstance(key, str) else ""
    if not _KEY.fullmatch(name) or len(name) > MAX_KEY_LENGTH or name.startswith(".."):
        hint = f"Use letters, digits, spaces and _ . - only, {MAX_KEY_LENGTH} characters at most."
        return [Problem(field="metadata", what=f"Metadata key invalid: {quoted(key)}", hint=hint)]
    field = f"metadata.{name}"
    if prefix := reserved_prefix(name):
        what = f"Metadata key {name} cannot be set: the prefix {prefix} is reserved."
        return [Problem(field=field, what=what, hint="Choose another key.")]
    if not isinstance(value, str) and is_longer(value, MAX_VALUE_LENGTH):  # what it counts, JSON writes too
        return [_too_long(name, f"more than {MAX_VALUE_LENGTH:,}")]
    try:
        text = _text(_json(value))
    except _Refusal as refusal:
        return [Problem(field=field, what=f"Metadata {name} cannot be stored: {refusal}", hint=refusal.hint)]
    if len(text) > MAX_VALUE_LENGTH:
        return [_too_long(name, f"{len(text):,}")]
    return []


def _too_long(name: str, length: str) -> Problem:
    what = f"Metadata {name} has {length} characters; {MAX_VALUE_LENGTH:,} is the most."
    return Problem(field=f"metadata.{name}", what=what, hint="Store it elsewhere and give its address.")


class _Refusal(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, why: str, hint: str = _JSON_TYPES) -> None:
        super().__init__(why)
        self.hint = hint


def _json(value: object, depth: int = 0) -> Any:
    """Return the value in JSON's own types: numpy's numbers as Python's, tuples as lists."""
    if depth > MAX_DEPTH:
        why = f"it is nested more than {MAX_DEPTH} deep."
        raise _Refusal(why, "Flatten it.")
    if value is None or isinstance(value, str):
        return value if value is None else plain(value)
    if type(value).__name__ in ("bool", "bool_"):  # numpy's truth values are registered as no kind of number
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return _finite(float(value))
    if isinstance(value, (list, tuple)):
        return [_json(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            why = f"a key of a mapping must be text: {quoted(odd[0])}"
            raise _Refusal(why)
        return {plain(key): _json(item, depth + 1) for key, item in value.items()}
    raise _Refusal(quoted(value))


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise _Refusal(quoted(number), "JSON has no word for it; leave it out, or give None.")
    return number


def _text(value: Any) -> str:
    """Return the text that a JSON value is stored as."""
    if isinstance(value, str) and not _LIKE_JSON.match(value) and _storable(value):
        return value
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:  # an integer of so many digits that Python does not write them
        why = "a number has too many digits."
        raise _Refusal(why, "Give it as text.") from None
    return text if _storable(text) else json.dumps(value)


def _storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def encode_metadata(metadata: Mapping[str, object]) -> dict[str, str]:
    """Return each value as the text it is stored as; `decode_metadata` gives back the same types.

    Text is stored as it is, unless it could be read as JSON.

    Raises:
        ModelValidationError: A key or a value cannot be stored.

    >>> encode_metadata({"author": "content-team", "target": 0.06, "ticket": "17", "tested": True})
    {'author': 'content-team', 'target': '0.06', 'ticket': '"17"', 'tested': 'true'}
    """
    if problems := errors_in(check_metadata(metadata)):
        raise ModelValidationError(problems)
    return {plain(key): _text(_json(value)) for key, value in metadata.items()}


def decode_metadata(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return stored texts as the values they were; text of another client that is no JSON stays text."""
    return {key: _value(text) for key, text in texts.items()}


def same_value(first: object, second: object) -> bool:
    """Return whether two values are the same once they are stored: 1 is not True, and keys have no order.

    >>> same_value([1, {"a": 1}], (1, {"a": 1})), same_value([1], [1.0])
    (True, False)
    """
    try:
        return json.dumps(_json(first), sort_keys=True) == json.dumps(_json(second), sort_keys=True)
    except (_Refusal, ValueError):  # one of them cannot be stored
        return type(first) is type(second) and first == second


def _value(text: str) -> Any:
    if not _LIKE_JSON.match(text):
        return text
    try:
        return json.loads(text, parse_float=_float, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)
