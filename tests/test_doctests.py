"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import hokusai_nb

ROOT = Path(hokusai_nb.__file__).parent
# Only modules that hold an example are imported.
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_are_true(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_schema_is_shown_by_example():
    assert {f"hokusai_nb.schema.{room}" for room in ("tokens", "values", "metrics", "display")} <= set(WITH_EXAMPLES)
