"""Entries: a sequence that is a record."""

from __future__ import annotations

from collections.abc import Sequence

from hokusai_nb.schema.prompts import PromptList, PromptVersion


def test_entries_are_a_sequence_of_what_they_hold():
    versions = [PromptVersion(name="a", version=f"1.0.{n}", template="x") for n in range(3)]
    found = PromptList(entries=tuple(versions))
    assert isinstance(found, Sequence)
    assert list(found) == versions
    assert (len(found), found[0], found[-1], found[1:]) == (3, versions[0], versions[2], tuple(versions[1:]))
    assert versions[1] in found
    assert list(reversed(found)) == versions[::-1]
    assert found.index(versions[2]) == 2
