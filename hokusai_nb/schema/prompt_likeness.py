"""Whether something in a file is meant as a prompt, also where it has a mistake: folders hold other files, too."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hokusai_nb.schema.prompt_entries import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hokusai_nb.schema.prompt_places import Node

__all__ = ["is_meant", "keys_in", "may_head_one", "meant", "prompts_inside"]

_CALLED = {"prompt": "template"}
"""What others call a key."""
_LONGEST = 20
"""Characters of a word that may be one of the keys, misspelled."""
_KEY = re.compile(r"""(?:^|[{,\[])[\s\-{\["']*(\w+)["']?\s*:""", re.MULTILINE)
_DEPTH = 3
"""Levels of a file that are searched for prompts."""


@lru_cache(maxsize=4096)
def _guess(key: str) -> str | None:
    if len(key) > _LONGEST:
        return None
    return _CALLED.get(key.lower()) or next(iter(difflib.get_close_matches(key, KEYS, n=1)), None)


def meant(key: object) -> str | None:
    """Return the key of a prompt that is written, or that was probably meant; None for any other.

    >>> meant("template"), meant("tempalte"), meant("prompt"), meant("jobs")
    ('template', 'template', 'template', None)
    """
    return _guess(key) if isinstance(key, str) else None


def keys_in(text: str) -> list[str]:
    """Return the keys of a prompt that a text which cannot be read seems to hold, each once."""
    return list(dict.fromkeys(key for word in dict.fromkeys(_KEY.findall(text)) if (key := meant(word))))


def is_meant(value: Mapping[Any, Any]) -> bool:
    """Whether a mapping is meant as a prompt; packages and workflows have names and versions, too."""
    keys = {meant(key) for key in value} - {None}
    if "template" in value:
        return True
    named = "name" in keys and bool({"version", "bump"} & keys)
    return (named and all(map(meant, value))) or ("template" in keys and bool(keys - {"template", "metadata"}))


def may_head_one(value: Mapping[Any, Any]) -> bool:
    """Whether front matter is a prompt's; that of other documents has a name or a version at times."""
    keys = {meant(key) for key in value} - {None}
    known = all(map(meant, value)) and bool(value)
    return known or ("name" in keys and bool({"version", "bump", "template"} & keys))


def prompts_inside(node: Node, depth: int = _DEPTH) -> Iterator[Node]:
    """Yield the mappings below a value that have the keys of a prompt."""
    for inner in [*(value for _, value in node.members.values()), *node.items]:
        value = inner.value
        if (
            isinstance(value, dict)
            and isinstance(value.get("template"), str)
            and set(KEYS) & value.keys() - {"template"}
        ):
            yield inner
        elif depth > 1:
            yield from prompts_inside(inner, depth - 1)
