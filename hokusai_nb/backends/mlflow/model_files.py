"""The files of a model on this machine: found, and refused where they cannot be uploaded as they are."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.utils.uri import validate_path_is_safe

from hokusai_nb.backends.mlflow.models import MLMODEL
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem, quoted, quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["UPLOADING", "Found", "find_files", "refusal", "why"]

UPLOADING = ".artifact.uploading."
"""How MLflow begins the names of files that it has not stored completely."""


@dataclass(frozen=True)
class Found:
    """A file that was found, not read yet.

    Attributes:
        name: Path inside the model, with slashes.
        given: Where it was found; a link, perhaps.
        path: Where its bytes are.
        size: Bytes.
        identity: What tells it from another file that takes its place.
    """

    name: str
    given: Path
    path: Path
    size: int
    identity: tuple[int, int]


def refusal(what: str, hint: str = "") -> ValidationError:
    """Return the error for a path that cannot be registered."""
    return ValidationError([Problem(field="path", what=what, hint=hint)])


def why(error: OSError | ValueError | RuntimeError) -> str:
    """Return what the system says, in a clause."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def find_files(path: str | os.PathLike[str]) -> tuple[Path, list[Found]]:
    """Return the folder, or the file itself, and every file in it, by name; nothing is read.

    Raises:
        ValidationError: There is nothing, or something in it cannot be uploaded as it is: a link
            that leads outside, a pipe, a name that MLflow cannot store.
    """
    shown = quoted_path(path)
    try:
        given = Path(path).expanduser().absolute()
        root = given.resolve(strict=True)
        kind = root.stat().st_mode
        if stat.S_ISDIR(kind):
            found = sorted((_checked(root, entry) for entry in _walk(root)), key=lambda f: f.name)
        else:
            found = [_checked(given.parent, given, link_allowed=True)]
            root = given
    except FileNotFoundError as error:
        what = f"There is no model at {shown}."
        raise refusal(what, "Give the path of a file or a folder.") from error
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, ValidationError):
            raise
        what = f"The model at {shown} cannot be read: {why(error)}."
        raise refusal(what, "Check the path and the rights of its files.") from error
    if not sum(f.size for f in found):
        what = f"The model at {shown} is empty."
        raise refusal(what, "Save the model first, or give another path.")
    if len(found) == 1 and root == found[0].given and found[0].name == MLMODEL:
        what = f"{shown} only describes a model."
        raise refusal(what, f"Give the folder that holds it: {given.parent}")
    return root, found


def _walk(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder that is no folder itself; a link to a folder is not entered."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            else:
                yield Path(entry.path)


def _checked(root: Path, given: Path, *, link_allowed: bool = False) -> Found:
    """Return a file that can be uploaded as it is.

    Args:
        root: The folder that it belongs to.
        given: Where it was found.
        link_allowed: Whether it may be a link to anywhere, because the user named it.

    Raises:
        ValidationError: It cannot.
    """
    name = given.relative_to(root).as_posix()
    path = given
    if given.is_symlink():
        try:
            path = given.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            what = f"The link {quoted(name)} leads nowhere."
            raise refusal(what, "Remove it, or put the file in its place.") from error
        if not link_allowed and not path.is_relative_to(root):
            what = f"The link {quoted(name)} leads out of the folder, to {quoted_path(path)}."
            raise refusal(what, "Only what lies in the folder is uploaded; copy the folder with its files: cp -rL")
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        what = f"{quoted(name)} is no file but {_kind(facts.st_mode)}."
        raise refusal(what, "Only files can be uploaded; remove it, or put the files in its place.")
    _ensure_storable(name)
    return Found(name=name, given=given, path=path, size=facts.st_size, identity=(facts.st_dev, facts.st_ino))


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "a link to a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((word for test, word in kinds.items() if test(mode)), "a device")


def _ensure_storable(name: str) -> None:
    """Refuse a name under which MLflow would not give the file back."""
    try:
        safe = validate_path_is_safe(name) == name and name.isprintable() and not set("\\?") & set(name)
        name.encode()
    except (MlflowException, UnicodeEncodeError):
        safe = False
    if not safe or any(part.startswith(UPLOADING) for part in name.split("/")):
        what = f"MLflow cannot store a file of the name {quoted(name)}."
        raise refusal(what, "Rename it: without #, ?, %, backslashes and control characters.")
