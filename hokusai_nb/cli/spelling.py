"""What to try, in the words of a shell: below the faces, errors name what Python calls."""

from __future__ import annotations

__all__ = ["as_options"]

_SPELLED = {
    "allow_breaking=True": "--allow-breaking",
    "ModelRegistry().list_models() and PromptModel.list()": "hokusai model list and hokusai prompt list",
    "PromptModel.list()": "hokusai prompt list",
    "get_history()": "hokusai {group} history",
}


def as_options(text: str, group: str | None = "prompt") -> str:
    """Return a text with calls of Python replaced by the commands and options that do the same.

    >>> as_options("See its history with get_history().", "model")
    'See its history with hokusai model history.'
    """
    for call, command in _SPELLED.items():
        text = text.replace(call, command.format(group=group or "prompt"))
    return text
