"""Names of registered models, as MLflow can store them on any of its databases."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from hokusai_nb.schema.problems import Problem, checked, guess_or, plain, quoted

__all__ = ["MAX_NAME_LENGTH", "ModelName", "check_model_name"]

MAX_NAME_LENGTH = 256
"""PostgreSQL's column; SQLite would take more, and the model could then not be moved."""
_FORBIDDEN = str.maketrans("/:", "--", "\0")
_EXAMPLE = "Give a name, such as churn-classifier."
_RULE = "A name cannot hold / or :, a NUL character or half a character, nor begin with two dots."


def check_model_name(value: object, *, field: str = "name") -> list[Problem]:
    """Return what is wrong with a registered model's name.

    MLflow refuses ``/`` and ``:`` (they are syntax in ``models:/`` URIs), blank names and names
    that read as a path; anything else is a name, quotes and line breaks included.
    """
    text = plain(value) if isinstance(value, str) else ""
    if len(text) > MAX_NAME_LENGTH:
        what = f"Model name invalid: it has {len(text):,} characters."
        return [Problem(field=field, what=what, hint=f"{MAX_NAME_LENGTH} is the most.")]
    repair = _nearest(text)
    if repair == text:
        return []
    hint = f"{guess_or(repair, _EXAMPLE)} {_RULE}" if text.strip() else _EXAMPLE
    return [Problem(field=field, what=f"Model name invalid: {quoted(value)}", hint=hint, repair=repair)]


def _nearest(name: str) -> str | None:
    """Return the name itself if it can be stored, else the one most like it, if any."""
    name = name.encode(errors="ignore").decode().translate(_FORBIDDEN)
    if name.startswith(".."):
        name = name.lstrip(".-")
    return None if name == "." or not name.strip() else name


_SHAPE = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH, "pattern": r"^[^/:\u0000]*$"}
ModelName = Annotated[str, BeforeValidator(checked(check_model_name, plain)), WithJsonSchema(_SHAPE, mode="validation")]
"""A name that a registered model can be created under."""
