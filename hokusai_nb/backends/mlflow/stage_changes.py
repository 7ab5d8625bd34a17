"""Changing stages while others may: a claim, an entry in the history, the aliases after it.

An alias can be set by anybody at any time; MLflow does not compare before it sets. So whoever changes a
stage first sets a tag of a key that nobody else has, a claim, and reads all tags back: only one who
reads no other claim goes on. Of two who claim at once, each reads the other's, or one of them reads
before the other wrote, and is the only one that may go on. Then follow the entry in the history, the
aliases, and the claim is deleted.

From the entry on, the history is what counts. The aliases are set to what it says, and looked at again
after that, so that whoever was held up meanwhile and taken for dead undoes no later change. What breaks
off is tried once more at once; what a store refuses for good is taken back by a further entry; and where
neither can be done, the claim stays, and the next change completes it.
"""

from __future__ import annotations

import dataclasses
import random
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from hokusai_nb.backends.mlflow.stage_aliases import NOT_NOW, delete_tag, entry_key, follow, set_tag, take_back
from hokusai_nb.backends.mlflow.stages import written
from hokusai_nb.errors import ConflictError, HokusaiError, NotFoundError, ValidationError
from hokusai_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hokusai_nb.backends.mlflow.stages import Move, Standing, Subject

__all__ = ["change_stages"]

V = TypeVar("V")

DEAD_SECONDS = 10.0
"""A claim that stands so long was left by a process that died."""
FRESH_SECONDS = DEAD_SECONDS / 2
"""How long a claim holds: its owner gives it up before others could take it for a dead process's."""
PAUSE_SECONDS = 0.02
GIVE_UP_SECONDS = 30.0


def change_stages(subject: Subject[V], decide: Callable[[Standing[V] | None], Sequence[Move]]) -> Standing[V] | None:
    """Move versions from stage to stage, unless somebody else moves some of the same name meanwhile.

    What a broken-off change left is cleared up first.

    Args:
        subject: What is changed.
        decide: Says from how things stand what to move, nothing or all at once; raises where it cannot be.

    Returns:
        How things stand now.

    Raises:
        ConflictError: Somebody else was first; what they changed is in the message.
    """
    claim = _Claim(subject)
    began: Standing[V] | None = None
    give_up = time.monotonic() + GIVE_UP_SECONDS
    try:
        while time.monotonic() < give_up:
            seen = subject.look()
            if seen is None:
                decide(None)
                return None
            began = began or seen
            if claim.rivals(seen):
                # What a clearing-up writes is no change that somebody else wanted.
                began = None if claim.give_way(seen) else began
                continue
            moves = _decided(subject, began, seen, decide)
            if not moves:
                return claim.without(seen)
            if claim.holds(seen):
                return _commit(subject, claim, seen, moves)
            claim.set(seen)
    finally:
        claim.drop()
    what = f"The stages of {subject.name} are being changed by somebody else all the time."
    raise ConflictError(what, "Try again later.")


def _decided(
    subject: Subject[V], began: Standing[V], seen: Standing[V], decide: Callable[[Standing[V]], Sequence[Move]]
) -> Sequence[Move]:
    """Return what to move; where somebody else was first, nothing if what was wanted is so by now."""
    if seen.last_entry == began.last_entry:
        return decide(seen)
    try:
        moves = decide(seen)
    except (ValidationError, ConflictError, NotFoundError):
        raise _overtaken(subject, seen) from None
    if moves:
        raise _overtaken(subject, seen)
    return moves


def _overtaken(subject: Subject[Any], seen: Standing[Any]) -> ConflictError:
    told = "; ".join(
        f"{c.version} from {c.from_stage.value} to {c.to_stage.value} by {c.who}"
        for c in (move.change for move in seen.entries.get(seen.last_entry, ()))
    )
    what = f"The stages of {subject.name} were changed by somebody else at the same time: {told}."
    return ConflictError(what, "Nothing else was changed. Look at its history, and try again if it is still wanted.")


class _Claim:
    """The tag that says that a change is under way; of several, one at most is alone."""

    def __init__(self, subject: Subject[Any]) -> None:
        self._subject = subject
        self._key: str | None = None
        self._set_at = 0.0
        self._first_seen: dict[str, float] = {}
        self.kept = False
        """Whether it has to stay, because what it announces may be half done."""

    def rivals(self, seen: Standing[Any]) -> list[str]:
        """Return the claims of others."""
        return [key for key in seen.claims if key != self._key]

    def stands(self, seen: Standing[Any]) -> bool:
        """Whether nobody has taken this one for a dead process's."""
        return self._key in seen.claims

    def holds(self, seen: Standing[Any]) -> bool:
        """Whether nobody else claimed before these tags were read, and the claim is fresh."""
        if not self.stands(seen) or self.rivals(seen):
            return False
        if time.monotonic() - self._set_at < FRESH_SECONDS:
            return True
        self.drop()
        return False

    def set(self, seen: Standing[Any]) -> None:
        """Claim the next entry of the history."""
        key = f"{self._subject.claim}{uuid.uuid4().hex}"
        self._set_at = time.monotonic()
        self._key = key  # before it is set, so that an interrupt leaves none behind
        set_tag(self._subject, key, str(seen.last_entry + 1))

    def give_way(self, seen: Standing[Any]) -> bool:
        """Let others finish, taking this claim back unless all of them have to give way to it.

        Returns:
            Whether what a dead process left was cleared up.
        """
        if self.stands(seen) and min(seen.claims) != self._key:
            self.drop()
        now = time.monotonic()
        dead = [key for key in self.rivals(seen) if now - self._first_seen.setdefault(key, now) > DEAD_SECONDS]
        for key in dead:
            self._bury(key, seen)
        if not dead:
            time.sleep(PAUSE_SECONDS * random.uniform(0.5, 2))  # noqa: S311 - no secret
        return bool(dead)

    def drop(self) -> None:
        """Take the claim back, or give it up after the change; where that fails, the next one clears it up."""
        key = None if self.kept else self._key
        if key is None:
            return
        self._key = None
        try:
            delete_tag(self._subject, key)
        except HokusaiError as error:
            logger.warning("A claim on the stages of %s was not taken back: %s", self._subject.name, error.what)

    def without(self, seen: Standing[V]) -> Standing[V]:
        """Return how things stand but for this claim."""
        return dataclasses.replace(seen, claims={key: seen.claims[key] for key in self.rivals(seen)})

    def _bury(self, key: str, seen: Standing[Any]) -> None:
        """Remove what a dead process left; what it wrote into the history is completed, or taken back."""
        logger.warning("A change of the stages of %s was broken off; it is cleared up.", self._subject.name)
        number = seen.claims[key]
        if number == seen.last_entry > 0:
            try:
                follow(self._subject, seen.entries[number])
            except NOT_NOW:
                raise
            except HokusaiError:
                take_back(self._subject, number, seen.entries[number])
        delete_tag(self._subject, key)


# Carrying out


def _commit(subject: Subject[V], claim: _Claim, seen: Standing[V], moves: Sequence[Move]) -> Standing[V]:
    """Write the entry and have the aliases follow it.

    Raises:
        ConflictError: This process was taken for a dead one, and somebody else has moved versions since.
        HokusaiError: It could not be carried out. Where the entry stands nevertheless, so does the claim.
    """
    number = seen.last_entry + 1
    key = entry_key(subject, number)
    claim.kept = True
    try:
        found = _carry_out(subject, key, moves)
    except HokusaiError:
        # Where an answer was lost, doing all of it again does no harm.
        found = _carry_out_or_take_back(subject, claim, number, key, moves)
    except BaseException:
        # The user broke in: what was begun is brought to an end first.
        with suppress(HokusaiError):
            _carry_out_or_take_back(subject, claim, number, key, moves)
            claim.kept = False
        raise
    claim.kept = False
    entry = found.entries.get(number, ())
    alone = claim.stands(found) or len(entry) == len(moves)
    if not alone or not all(move in entry for move in moves):
        delete_tag(subject, key)
        raise _overtaken(subject, follow(subject, moves))
    if found.last_entry > number:
        raise _overtaken(subject, found)
    return claim.without(found)


def _carry_out(subject: Subject[V], key: str, moves: Sequence[Move]) -> Standing[V]:
    set_tag(subject, key, written(moves))
    return follow(subject, moves)


def _carry_out_or_take_back(
    subject: Subject[V], claim: _Claim, number: int, key: str, moves: Sequence[Move]
) -> Standing[V]:
    try:
        return _carry_out(subject, key, moves)
    except NOT_NOW:
        logger.warning("A change of the stages of %s was broken off; the next one completes it.", subject.name)
        raise
    except HokusaiError:
        take_back(subject, number, moves)
        claim.kept = False
        raise
