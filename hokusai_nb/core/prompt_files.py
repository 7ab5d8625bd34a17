"""Collecting the files that hold prompts, and reading them within bounds."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hokusai_nb.schema.problems import quoted, quoted_path
from hokusai_nb.schema.prompt_files import ENDINGS, read_prompts
from hokusai_nb.schema.prompt_places import FileProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hokusai_nb.schema.prompt_entries import FilePrompt

__all__ = ["MAX_BYTES", "PromptFiles", "read_prompt_files"]

MAX_BYTES = 1_000_000
"""Of a file with prompts: a template has 100,000 characters at most."""
MAX_NOTEBOOK_BYTES = 50_000_000
"""Of a notebook, which holds pictures, too."""
_EXPECTED = f"Prompts stand in files that end in {', '.join(ENDINGS)}."
_PASSED_OVER = ("__pycache__", "node_modules")


@dataclass(frozen=True)
class PromptFiles:
    """What files hold."""

    files: tuple[str, ...]
    """All that were looked at."""
    prompts: tuple[FilePrompt, ...]
    problems: tuple[FileProblem, ...]
    """Errors and warnings, in the order of files and lines."""
    passed_over: tuple[str, ...] = ()
    """Files in which nothing looks like a prompt."""

    @property
    def errors(self) -> tuple[FileProblem, ...]:
        """Those that let nothing be registered."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[FileProblem, ...]:
        """Those that should be looked at."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def read_prompt_files(paths: Iterable[str | os.PathLike[str]], *, lenient: bool = False) -> PromptFiles:
    """Read the prompts of files and folders; what is wrong with one keeps no other from being read.

    Of a folder, files of the known endings are taken, those in folders below it too; hidden folders and links to
    folders are not entered. Files that have nothing of a prompt are passed over there, and it is an error if no file
    of a folder has. A file is read once, however it is named.

    Args:
        paths: Files and folders.
        lenient: Whether files without a prompt are passed over also where they are named, and folders may hold none.
    """
    looked_at: dict[str, str] = {}
    prompts: list[FilePrompt] = []
    problems: list[FileProblem] = []
    others: set[str] = set()
    empty: list[str] = []
    for given in paths:
        holding = False
        for path, named in _files(given):
            real = os.path.realpath(path)
            if real not in looked_at:
                looked_at[real] = path
                found, wrong = _read(path, lenient=lenient or not named)
                prompts += found
                problems += wrong
                others |= set() if found or wrong else {real}
            holding = holding or named or real not in others
        empty += [] if holding or lenient else [os.fspath(given)]
    problems += _repeated(prompts)
    problems += (_problem(path, "There is no prompt in this folder.", _EXPECTED) for path in dict.fromkeys(empty))
    passed_over = tuple(path for real, path in looked_at.items() if real in others)
    return PromptFiles(tuple(looked_at.values()), tuple(prompts), tuple(problems), passed_over)


def _read(path: str, *, lenient: bool) -> tuple[list[FilePrompt], list[FileProblem]]:
    try:
        found, wrong = read_prompts(path, _text(path), lenient=lenient)
    except _Unreadable as error:
        return [], [_problem(path, error.what, error.hint)]
    return found, sorted(wrong, key=lambda problem: (problem.line, problem.column))


def _problem(path: str, what: str, hint: str) -> FileProblem:
    return FileProblem(file=path, line=1, column=1, what=what, hint=hint)


def _files(given: str | os.PathLike[str]) -> Iterator[tuple[str, bool]]:
    """Yield the files of a path, and whether it is the path itself."""
    path = os.fspath(given)
    if not Path(path).is_dir():
        yield path, True
        return
    for folder, inner, names in os.walk(path):
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name not in _PASSED_OVER)
        files = (os.path.join(folder, name) for name in sorted(names) if not name.startswith("."))  # noqa: PTH118 - keeps the ./ that was given
        yield from ((file, False) for file in files if Path(file).suffix.lower() in ENDINGS)


def _text(path: str) -> str:
    """Return what a file holds.

    Raises:
        _Unreadable: It is no file that can be read as text, or too large.
    """
    ending = Path(path).suffix.lower()
    if not os.path.lexists(path):
        what = f"There is no file or folder {quoted_path(path)}."
        raise _Unreadable(what, "Standard input is not read." if path == "-" else "Check its spelling.")
    if ending not in ENDINGS:
        what = f"The ending {quoted(ending)} is none of a file with prompts."
        raise _Unreadable(what, f"Use one of {', '.join(ENDINGS)}.")
    most = MAX_NOTEBOOK_BYTES if ENDINGS[ending] == "notebook" else MAX_BYTES
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # opening a pipe would wait for somebody to write
            raise _Unreadable("This is no regular file.", "Give files and folders.")  # noqa: EM101, TRY003 - one of several reasons
        with Path(path).open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        what = f"This file cannot be read: {error.strerror or error}."
        raise _Unreadable(what) from None
    if len(data) > most:
        what = f"This file is too large: more than {most:,} bytes."
        raise _Unreadable(what, "Split it, or leave it out.")
    return _decoded(data)


def _decoded(data: bytes) -> str:
    if b"\0" in data:
        what = "This file is binary: it holds NUL bytes."
        raise _Unreadable(what, "Give text in UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"This file is not UTF-8: byte 0x{data[error.start]:02x} in line {line}."
        raise _Unreadable(what, "Save it as UTF-8.") from None


def _repeated(prompts: Sequence[FilePrompt]) -> Iterator[FileProblem]:
    """Yield an error for each version that another prompt of the files has already."""
    first: dict[tuple[str, str], FilePrompt] = {}
    for prompt in prompts:
        if prompt.version is None:
            continue
        before = first.setdefault((prompt.name, prompt.version), prompt)
        if before is not prompt:
            place = prompt.entry.place("version")
            yield FileProblem(
                file=prompt.file,
                prompt=prompt.name,
                field="version",
                what=f"{prompt.name} {prompt.version} is in the files twice, first at {before.file}:{before.place}.",
                hint="Give one of them another version, or leave it out.",
                **place._asdict(),
            )
