"""What is wrong in files of prompts, told to people, to programs and to GitHub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hokusai_nb.schema.display import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hokusai_nb.core.prompt_files import PromptFiles
    from hokusai_nb.schema.prompt_places import FileProblem

__all__ = ["as_github", "as_json_text", "as_text", "passed_over", "summary"]

SHOWN_OTHERS = 10


def as_text(problems: Iterable[FileProblem]) -> str:
    """Return ``file:line:column: message`` for each problem, below it the line of the template with a caret."""
    return "\n".join(line for problem in problems for line in _lines(problem))


def _lines(problem: FileProblem) -> list[str]:
    kind = "warning: " if problem.severity == "warning" else ""
    head = f"{printable(problem.file)}:{problem.place}: {kind}{printable(problem.sentence)}"
    return [head, *(f"    {printable(line)}" for line in problem.excerpt.splitlines())]


def as_json_text(found: PromptFiles) -> str:
    """Return everything that was found as JSON."""
    told = {
        "files": list(found.files),
        "prompts": [
            {
                "file": prompt.file,
                **prompt.place._asdict(),
                "name": prompt.name,
                "version": prompt.version,
                "bump": prompt.bump,
            }
            for prompt in found.prompts
        ],
        "problems": [problem.model_dump() for problem in found.problems],
        "passed_over": list(found.passed_over),
        "errors": len(found.errors),
        "warnings": len(found.warnings),
    }
    return json.dumps(told, indent=2)  # in ASCII, so that nothing in it steers a terminal


def as_github(problems: Iterable[FileProblem]) -> str:
    """Return a workflow command for each problem, which GitHub shows beside the line of the file.

    See "Workflow commands for GitHub Actions": what ends a property or the command is written as ``%XX``.
    """
    return "\n".join(_command(problem) for problem in problems)


def _command(problem: FileProblem) -> str:
    title = f"Prompt {problem.prompt}" if problem.prompt else "Prompt"
    in_cell = f"Cell {problem.place.cell}, line {problem.place.cell_line}: " if problem.cell else ""
    properties = {
        "file": printable(problem.file),
        "line": str(problem.line),
        "col": str(problem.column),
        "title": printable(title),
    }
    shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    text = "\n".join([f"{in_cell}{printable(problem.sentence)}", *map(printable, problem.excerpt.splitlines())])
    return f"::{problem.severity} {shown}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def summary(found: PromptFiles) -> str:
    """Return a line that counts what was found, and one that names the files without a prompt."""
    counted = f"{_count(found.prompts, 'prompt')} in {_count(found.files, 'file')}"
    wrong = f"{_count(found.errors, 'error')}, {_count(found.warnings, 'warning')}"
    return "\n".join(filter(None, [f"{counted}: {wrong}.", passed_over(found)]))


def passed_over(found: PromptFiles) -> str:
    """Return a line that names the files without a prompt; empty where there is none."""
    others = found.passed_over
    if not others:
        return ""
    more = f" and {len(others) - SHOWN_OTHERS:,} more" if len(others) > SHOWN_OTHERS else ""
    return f"Passed over, without a prompt: {', '.join(map(printable, others[:SHOWN_OTHERS]))}{more}."


def _count(of: Sequence[object], word: str) -> str:
    return f"{len(of):,} {word}{'' if len(of) == 1 else 's'}"
