"""The package's public face: what it exports, and that importing it costs next to nothing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import hokusai_nb

PUBLIC = [
    "STANDARD_METRICS",
    "AsyncHokusaiClient",
    "Comparison",
    "HokusaiClient",
    "HokusaiError",
    "HokusaiWarning",
    "Lineage",
    "LineageEntry",
    "ModelList",
    "ModelRegistry",
    "ModelStage",
    "ModelValidationError",
    "PromptModel",
    "RegisteredModel",
    "ValidationError",
    "aload_prompt_template",
    "apromote_prompts",
    "aregister_prompts",
    "configure_mlflow_with_registry",
    "get_mlflow_client",
    "load_prompt_template",
    "promote_prompts",
    "register_metric",
    "register_prompts",
    "register_tokenized_model",
    "run_tests",
]
HEAVY = ["mlflow", "pandas", "numpy", "matplotlib", "altair", "ipywidgets", "pydantic", "IPython", "sqlalchemy"]
HEAVY += ["httpx", "fastapi", "tenacity"]


def type_checking_imports():
    """Names that type checkers see, by the module they come from."""
    tree = ast.parse(Path(hokusai_nb.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    found = [(alias.name, node.module) for node in block.body for alias in node.names]
    return {name: module for name, module in found if module.startswith("hokusai_nb.")}


def test_the_public_names_are_exactly_these_in_order():
    assert hokusai_nb.__all__ == PUBLIC
    constants, functions = [n for n in PUBLIC if n.isupper()], [n for n in PUBLIC if n[0].islower()]
    classes = [n for n in PUBLIC if n not in (*constants, *functions)]
    assert [*sorted(constants), *sorted(classes), *sorted(functions)] == PUBLIC
    assert dir(hokusai_nb) == sorted([*PUBLIC, "__version__"])


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_loaded_from_its_home_when_used(name):
    home = importlib.import_module(f"hokusai_nb.{hokusai_nb._HOME[name]}")
    assert getattr(hokusai_nb, name) is getattr(home, name)
    assert name in home.__all__


def test_type_checkers_see_the_same_names_as_users():
    expected = {name: f"hokusai_nb.{home}" for name, home in hokusai_nb._HOME.items()}
    assert type_checking_imports() == expected
    assert sorted(hokusai_nb._HOME) == sorted(hokusai_nb.__all__)


def test_an_unknown_name_is_an_attribute_error_that_says_so():
    with pytest.raises(AttributeError, match="module 'hokusai_nb' has no attribute 'no_such_name'"):
        _ = hokusai_nb.no_such_name


def test_the_version_is_that_of_the_distribution():
    assert importlib.metadata.version("hokusai_nb") == hokusai_nb.__version__


@pytest.mark.parametrize("module", ["hokusai_nb", "hokusai_nb.errors"])
def test_importing_the_package_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_schema_imports_neither_mlflow_nor_pandas():
    rooms = ["tokens", "values", "metrics", "names", "tags", "verbs", "records", "display", "problems"]
    imports = "; ".join(f"import hokusai_nb.schema.{room}" for room in rooms)
    code = f"import sys; {imports}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pydantic"]


def test_the_package_says_that_it_is_typed():
    assert (Path(hokusai_nb.__file__).parent / "py.typed").is_file()
