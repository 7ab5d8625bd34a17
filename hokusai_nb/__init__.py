"""Register, compare and improve token-linked machine-learning models from a notebook.

``%load_ext hokusai_nb`` adds the magics; the names below are the same verbs for Python. Importing
this package imports none of MLflow, pandas, Altair or pydantic: each name is loaded when used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from hokusai_nb.backends.http import AsyncHokusaiClient, HokusaiClient
    from hokusai_nb.core.prompt_batches import apromote_prompts, aregister_prompts, promote_prompts, register_prompts
    from hokusai_nb.core.prompt_setup import configure_mlflow_with_registry, get_mlflow_client
    from hokusai_nb.core.prompt_tests import run_tests
    from hokusai_nb.core.prompts import PromptModel, aload_prompt_template, load_prompt_template
    from hokusai_nb.core.registry import ModelRegistry, register_tokenized_model
    from hokusai_nb.errors import HokusaiError, HokusaiWarning, ModelValidationError, ValidationError
    from hokusai_nb.schema.metrics import STANDARD_METRICS, register_metric
    from hokusai_nb.schema.prompts import ModelStage
    from hokusai_nb.schema.records import Comparison, Lineage, LineageEntry, ModelList, RegisteredModel

__version__ = "0.1.0"

_HOME = {
    "STANDARD_METRICS": "schema.metrics",
    "AsyncHokusaiClient": "backends.http",
    "Comparison": "schema.records",
    "HokusaiClient": "backends.http",
    "HokusaiError": "errors",
    "HokusaiWarning": "errors",
    "Lineage": "schema.records",
    "LineageEntry": "schema.records",
    "ModelList": "schema.records",
    "ModelRegistry": "core.registry",
    "ModelStage": "schema.prompts",
    "ModelValidationError": "errors",
    "PromptModel": "core.prompts",
    "RegisteredModel": "schema.records",
    "ValidationError": "errors",
    "aload_prompt_template": "core.prompts",
    "apromote_prompts": "core.prompt_batches",
    "aregister_prompts": "core.prompt_batches",
    "configure_mlflow_with_registry": "core.prompt_setup",
    "get_mlflow_client": "core.prompt_setup",
    "load_prompt_template": "core.prompts",
    "promote_prompts": "core.prompt_batches",
    "register_metric": "schema.metrics",
    "register_prompts": "core.prompt_batches",
    "register_tokenized_model": "core.registry",
    "run_tests": "core.prompt_tests",
}

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics and their completion to a shell; loading again replaces them."""
    from hokusai_nb.magics import load  # noqa: PLC0415 - only a shell needs them

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove everything that loading added."""
    from hokusai_nb.magics import unload  # noqa: PLC0415 - only a shell needs them

    unload(shell)
