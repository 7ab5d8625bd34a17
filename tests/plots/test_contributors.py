"""One name and one colour for each contributor."""

from __future__ import annotations

from decimal import Decimal

from hokusai_nb.plots.contributors import Contributors
from hokusai_nb.plots.theme import GREY, PALE, PALETTE


def people_of(lineage_of, *people):
    return Contributors.of(lineage_of(["0.5"] * len(people), people=people).entries)


def test_an_address_in_another_case_is_the_same_contributor(lineage_of):
    who = people_of(lineage_of, "0x" + "aB" * 20, "0x" + "Ab" * 20, "Bob", "bob")
    assert list(who.colours) == ["0xaBaB…aBaB", "Bob", "bob"]


def test_two_addresses_that_look_alike_when_shortened_are_told_apart(lineage_of):
    who = people_of(lineage_of, "0xaaaa" + "1" * 32 + "bbbb", "0xaaaa" + "2" * 32 + "bbbb")
    assert list(who.colours) == ["0xaaaa…bbbb", "0xaaaa…bbbb (2)"]


def test_somebody_called_no_contributor_is_not_nobody(lineage_of):
    who = people_of(lineage_of, "no contributor", None, "  ")
    assert who.colours == {"no contributor (2)": PALETTE[0], "no contributor": PALE}


def test_eight_have_colours_of_their_own_and_the_rest_share_one(lineage_of):
    people = [f"person {i}" for i in range(12)]
    who = people_of(lineage_of, *people, *people[4:])
    assert list(who.colours) == [*people[4:], "4 others"]
    assert list(who.colours.values()) == [*PALETTE, GREY]


def test_weights_decide_who_is_named(lineage_of):
    people = tuple(f"person {i}" for i in range(10))
    entries = lineage_of(["0.5"] * 10, people=people).entries
    who = Contributors.of(entries, {"person 9": Decimal(5), "person 8": Decimal(1)})
    assert {"person 8", "person 9"} <= set(who.colours)
    assert who.label(entries[6]) == who.label(entries[7]) == "2 others"


def test_a_lone_contributor_too_many_is_still_counted_in_words(lineage_of):
    who = people_of(lineage_of, *(f"person {i}" for i in range(9)))
    assert list(who.colours)[-1] == "1 other"
