"""The bytes of a model's files: read twice, once for their digest and once to be sent, never loaded.

Nothing of them is unpickled, imported or executed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow.model_files import Found, refusal, why
from hokusai_nb.schema.problems import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hokusai_nb.errors import ValidationError

__all__ = ["CheckedReader", "LocalFile", "ModelFiles", "changed", "digest", "read"]

CHUNK = 1024 * 1024
# A pipe that takes a file's place after it was found must not keep us waiting, nor a link lead elsewhere.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class LocalFile(Found):
    """A file that was read: ``sha256`` is what its bytes were."""

    sha256: str


@dataclass(frozen=True)
class ModelFiles:
    """Everything that is uploaded for a model.

    Attributes:
        name: The file's or the folder's name.
        root: The folder, or the file itself.
        files: In the order of their names.
        size: Bytes altogether.
        digest: SHA-256 of a file's bytes; of a folder, of what ``sha256sum`` prints for its sorted files.
    """

    name: str
    root: Path
    files: tuple[LocalFile, ...]
    size: int
    digest: str


def open_file(file: Found) -> int:
    """Return a descriptor of the file that was found, and of no other that took its place.

    Raises:
        ValidationError: It is another, or it cannot be read.
    """
    try:
        descriptor = os.open(file.path, _FLAGS)
    except OSError as error:
        what = f"The file {quoted_path(file.given)} cannot be read: {why(error)}."
        raise refusal(what, "Check that it is there and that you may read it.") from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or (facts.st_dev, facts.st_ino) != file.identity:
        os.close(descriptor)
        raise changed(file)
    return descriptor


def changed(file: Found) -> ValidationError:
    """Return the error for a file that is not the same any more."""
    what = f"The file {quoted_path(file.given)} was changed while it was being registered."
    return refusal(what, "Register it again once whatever writes it has finished.")


def read(file: Found, tell: Callable[[int], None]) -> LocalFile:
    """Read a file once and return it with its digest.

    Args:
        file: The file.
        tell: Called with the number of bytes of each piece.

    Raises:
        ValidationError: It cannot be read, or it is being written at the moment.
    """
    sha256, total, buffer = hashlib.sha256(), 0, memoryview(bytearray(CHUNK))
    with open(open_file(file), "rb", buffering=0) as raw:
        try:
            while count := raw.readinto(buffer):
                sha256.update(buffer[:count])
                total += count
                tell(count)
        except OSError as error:
            what = f"The file {quoted_path(file.given)} cannot be read: {why(error)}."
            raise refusal(what, "Check the disk that it lies on.") from error
    if total != file.size:
        raise changed(file)
    return LocalFile(**{**vars(file), "sha256": sha256.hexdigest()})


def digest(root: Path, found: list[Found], tell: Callable[[int], None]) -> ModelFiles:
    """Read every file once and return them with their digests.

    Args:
        root: As `find_files` returned it.
        found: As `find_files` returned it.
        tell: Called with the number of bytes of each piece that was read.

    Raises:
        ValidationError: A file cannot be read, or it is being written at the moment.
    """
    files = tuple(read(file, tell) for file in found)
    if root == files[0].given:
        whole = files[0].sha256
    else:
        whole = hashlib.sha256("".join(f"{f.sha256}  {f.name}\n" for f in files).encode()).hexdigest()
    return ModelFiles(name=root.name, root=root, files=files, size=sum(f.size for f in files), digest=whole)


class CheckedReader:
    """A file as an upload reads it: the last piece is refused if the bytes are not those of the digest.

    What is not read to its end is not stored, by MLflow's local store nor by its server, so that a
    file that changes meanwhile never appears in the registry.

    Attributes:
        trouble: What was raised, where a library wraps it in an error of its own.
    """

    def __init__(self, file: LocalFile, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell
        self._raw = open(open_file(file), "rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._at = 0
        self._sha256 = hashlib.sha256()
        self.trouble: ValidationError | None = None

    def __len__(self) -> int:
        return self._file.size

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(CHUNK):
            yield piece

    def read(self, size: int = -1) -> bytes:
        """Return the next piece of at most so many bytes; empty at the end."""
        left = self._file.size - self._at
        wanted = left if size < 0 else min(size, left)
        piece = self._raw.read(wanted) or b""
        self._sha256.update(piece)
        self._at += len(piece)
        ended = self._at == self._file.size
        if (wanted and not piece) or (
            ended and (self._sha256.hexdigest() != self._file.sha256 or bool(self._raw.read(1)))
        ):
            self.trouble = changed(self._file)
            raise self.trouble
        self._tell(len(piece))
        return piece

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def seek(self, place: int) -> int:
        """Begin again; no other place can be gone to."""
        if place:
            msg = "A file is uploaded from its beginning."
            raise OSError(msg)
        self._raw.seek(0)
        self._tell(-self._at)
        self._at, self._sha256 = 0, hashlib.sha256()
        return 0

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
