"""A model's signature is told as JSON Schema, and its MLmodel file is read without believing it."""

from __future__ import annotations

import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Map, Object, Property

from hokusai_nb.backends.mlflow.api_schemas import json_schema, read_description
from hokusai_nb.errors import ValidationError
from tests.conftest import MLMODEL


def described(tmp_path, text):
    (tmp_path / "MLmodel").write_text(text)
    return read_description(tmp_path)


def test_what_an_mlmodel_says_is_its_run_and_its_signature(tmp_path):
    found = described(tmp_path, MLMODEL.format(name="m") + f"run_id: {'a' * 32}\n")
    assert found.run_id == "a" * 32
    numbers = {"a": {"type": "number"}, "b": {"type": "number"}}
    assert found.api_schema == {
        "inputSchema": {"type": "object", "properties": numbers, "required": ["a", "b"]},
        "outputSchema": {"type": "number"},
    }


def test_a_model_may_say_neither(tmp_path):
    found = described(tmp_path, "flavors: {python_function: {loader_module: x}}\nrun_id: null\nsignature: null\n")
    assert (found.run_id, found.api_schema) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just text",
        "[1, 2]",
        "flavors: []",
        "flavors: {}",
        "run_id: x",
        "flavors: {a: !!python/object/apply:os.mkdir [made]}",
        "a: [",
        "\t",
        "[" * 5000,
    ],
)
def test_a_file_that_describes_no_model_is_refused(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError, match="does not describe an MLflow model"):
        described(tmp_path, text)
    assert not (tmp_path / "made").exists()


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "MLmodel").write_bytes(b"\xff\xfe\x00flavors")
    with pytest.raises(ValidationError, match="does not describe"):
        read_description(tmp_path)


@pytest.mark.parametrize(
    "stated", ["{inputs: 'no json'}", "{inputs: '[{}]'}", "text", '{inputs: \'[{"type": "odd"}]\'}']
)
def test_a_signature_that_cannot_be_read_is_left_out_with_a_word(tmp_path, stated, caplog):
    found = described(tmp_path, f"flavors: {{python_function: {{}}}}\nsignature: {stated}\n")
    assert found.api_schema is None
    assert "signature" in caplog.text


def test_every_type_of_a_column_has_its_schema():
    types = {
        "boolean": {"type": "boolean"},
        "integer": {"type": "integer"},
        "long": {"type": "integer"},
        "float": {"type": "number"},
        "double": {"type": "number"},
        "string": {"type": "string"},
        "binary": {"type": "string", "contentEncoding": "base64"},
        "datetime": {"type": "string", "format": "date-time"},
    }
    assert set(types) == {t.name for t in DataType}
    found = json_schema(Schema([ColSpec(DataType[name], name) for name in types]))
    assert found == {"type": "object", "properties": types, "required": list(types)}


def test_types_that_hold_others_are_told_with_what_they_hold():
    inner = Object([Property("b", DataType.string), Property("a", DataType.long, required=False)])
    columns = [
        ColSpec(Array(inner), "list"),
        ColSpec(Map(DataType.double), "map", required=False),
        ColSpec(AnyType(), "any"),
    ]
    assert json_schema(Schema(columns)) == {
        "type": "object",
        "properties": {
            "list": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                    "required": ["b"],
                },
            },
            "map": {"type": "object", "additionalProperties": {"type": "number"}},
            "any": {},
        },
        "required": ["list", "any"],
    }


def test_columns_without_names_are_told_by_their_place():
    one, two = ColSpec("double"), ColSpec("string")
    assert json_schema(Schema([one])) == {"type": "number"}
    assert json_schema(Schema([one, two])) == {
        "type": "array",
        "prefixItems": [{"type": "number"}, {"type": "string"}],
        "minItems": 2,
        "maxItems": 2,
    }


def test_arrays_are_nested_and_have_the_lengths_that_are_fixed():
    image = json_schema(Schema([TensorSpec(np.dtype("uint8"), (-1, 2, 3))]))
    row = {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3}
    assert image == {"type": "array", "items": {"type": "array", "items": row, "minItems": 2, "maxItems": 2}}
    named = json_schema(Schema([TensorSpec(np.dtype("bool"), (-1,), name="mask")]))
    assert named["properties"] == {"mask": {"type": "array", "items": {"type": "boolean"}}}


def test_a_side_that_is_not_stated_is_an_empty_schema():
    signature = ModelSignature(Schema([ColSpec("double", "a")]))
    assert json_schema(signature.outputs) == {}
