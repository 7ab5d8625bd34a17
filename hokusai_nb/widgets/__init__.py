"""Forms for notebooks: they build what a magic line would say, and do the same with it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hokusai_nb.widgets.prompt import PromptForm
    from hokusai_nb.widgets.registration import RegistrationForm

__all__ = ["PromptForm", "RegistrationForm"]

_HOMES = {"PromptForm": "prompt", "RegistrationForm": "registration"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"hokusai_nb.widgets.{_HOMES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
