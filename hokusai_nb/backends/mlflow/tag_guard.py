"""Whether a version's tags may be stored: what every way into a registry has to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem, errors_in
from hokusai_nb.schema.tags import REQUIRED_TAGS, TOKEN_TAG, check_tags, known_tags
from hokusai_nb.schema.tokens import check_token, fold_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    Confirm: TypeAlias = Callable[[str], bool]
    """Whether a token store knows this token ID, given in canonical form."""

__all__ = ["check_stored", "refuse"]

_PROMPT = "mlflow.prompt.is_prompt"


def check_stored(tags: Mapping[str, str], confirm: Confirm | None = None) -> list[Problem]:
    """Return what keeps a version from having these tags, all of them taken together.

    A version without any of our tags may have what it wants, and so may a prompt, as long as it has
    none of the tags that make a version a token's.

    Args:
        tags: Every tag of the version.
        confirm: Asked for a one-word ticker, which is valid only where a token store has it.
    """
    is_prompt = tags.get(_PROMPT, "").lower() == "true" and tags.keys().isdisjoint(REQUIRED_TAGS)
    if is_prompt or not any(map(_is_ours, tags)):
        return []
    problems = errors_in(check_tags(tags))
    token = tags.get(TOKEN_TAG, "")
    if (
        confirm is not None
        and check_token(token)
        and not check_token(token, ticker=True)
        and confirm(fold_token(token))
    ):
        return [p for p in problems if p.field != TOKEN_TAG]
    return problems


def _is_ours(key: str) -> bool:
    """Whether only a version that belongs to a token has this tag.

    The other tags with our prefix are a record of what was done, which any version may have.
    """
    return key in REQUIRED_TAGS or key.startswith("hokusai_") or (key.startswith("hokusai.") and key in known_tags())


def refuse(
    after: Mapping[str, str], before: Mapping[str, str] | None = None, *, confirm: Confirm | None = None
) -> None:
    """Refuse tags that break the schema.

    Args:
        after: Every tag of the version, as it would be.
        before: Its tags as they are; None for a new version. What is wrong with them already is no
            reason to refuse a change, or a version written long ago could not be mended tag by tag.
        confirm: See `check_stored`.

    Raises:
        ValidationError: They break it.
    """
    old = check_stored(before, confirm) if before else []
    problems = [p for p in check_stored(after, confirm) if p not in old]
    if problems:
        raise ValidationError(problems)
