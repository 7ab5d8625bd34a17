"""What the package does, one module for each thing; the names below are loaded when used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hokusai_nb.core.registry import ModelRegistry, register_tokenized_model

__all__ = ["ModelRegistry", "register_tokenized_model"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("hokusai_nb.core.registry"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
