"""Where a token stands and why: what its row does not say, its history does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from hokusai_nb.schema.display import printable
from hokusai_nb.schema.lifecycle import Status, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hokusai_nb.schema.lifecycle import RegistrationFacts, Transition

__all__ = ["TokenReport", "registered_as"]

_REGISTERED_AS = re.compile(r"(?P<name>.+) version (?P<version>[0-9]{1,9})")


class TokenReport(Token, frozen=True):
    """A token, why it is where it is, and which model it was registered with, as far as its history says."""

    why: str = ""
    """The reason of its last step; empty where none was given."""
    model_name: str | None = None
    version: str | None = None

    @classmethod
    def of(cls, token: Token, steps: Sequence[Transition]) -> Self:
        """Return the report on a token.

        Args:
            token: The token.
            steps: What it has gone through, oldest first.
        """
        made = next((_REGISTERED_AS.fullmatch(s.reason) for s in reversed(steps) if s.after is Status.REGISTERED), None)
        last = steps[-1] if steps else None
        told = last is not None and last.after is token.model_status and last.after is not Status.REGISTERED
        why = last.reason if last is not None and told else ""
        found = {"model_name": made["name"], "version": made["version"]} if made else {}
        return cls(**dict(token), why=why, **found)

    def _rows(self) -> list[tuple[str, object]]:
        status, *rest = super()._rows()
        failed = self.model_status is Status.FAILED
        why = self.why or (f"not recorded; see: hokusai token show {printable(self.token_id)}" if failed else "")
        said: list[tuple[str, object]] = [("Why", why)] if why else []
        if self.model_name:
            said.append(("Model", f"{self.model_name} version {self.version}"))
        return [status, *said, *rest]


def registered_as(facts: RegistrationFacts) -> str:
    """Return the reason of the step to ``registered``, from which `TokenReport` knows the model."""
    return f"{facts.model_name} version {facts.version}"
