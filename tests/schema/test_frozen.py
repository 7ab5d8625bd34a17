"""Mappings inside frozen records: equal to dictionaries, and never changed."""

from __future__ import annotations

import copy
import json
import pickle

import pydantic
import pytest

from hokusai_nb.schema.frozen import Frozen, FrozenDict


class Record(pydantic.BaseModel, frozen=True):
    tags: Frozen[str, str] = FrozenDict()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("a", 2),
        lambda d: d.__delitem__("a"),
        lambda d: d.__ior__({"b": 1}),
        lambda d: d.clear(),
        lambda d: d.pop("a"),
        lambda d: d.popitem(),
        lambda d: d.setdefault("b", 1),
        lambda d: d.update(b=1),
    ],
)
def test_no_method_changes_it(change):
    frozen = FrozenDict(a=1)
    with pytest.raises(TypeError, match="cannot be changed"):
        change(frozen)
    assert frozen == {"a": 1}


def test_it_is_a_dictionary_in_every_other_way():
    frozen = FrozenDict(a="1")
    assert frozen == {"a": "1"} == dict(frozen)
    assert json.dumps(frozen) == '{"a": "1"}'
    assert {**frozen, "b": "2"} == (frozen | {"b": "2"}) == {"a": "1", "b": "2"}
    assert hash(frozen) == hash(FrozenDict(a="1"))
    for twin in (pickle.loads(pickle.dumps(frozen)), copy.copy(frozen), copy.deepcopy(frozen)):
        assert twin == frozen
        assert type(twin) is FrozenDict


def test_a_records_mapping_is_frozen_however_it_was_made():
    given = {"a": "1"}
    record = Record(tags=given)
    given["a"] = "2"
    assert record.tags == {"a": "1"}
    for made in (record, Record.model_validate_json(record.model_dump_json()), Record()):
        assert type(made.tags) is FrozenDict
        assert hash(made) == hash(made.model_copy())


def test_a_default_of_it_stands_in_the_json_schema():
    from hokusai_nb.schema.verbs import Register

    assert Register.model_json_schema()["properties"]["tags"]["default"] == {}
