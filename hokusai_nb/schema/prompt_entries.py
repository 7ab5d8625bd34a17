"""One prompt of a file: what it says of itself, checked, and where each word of it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompt_metadata import check_metadata, recommend_metadata
from hokusai_nb.schema.prompt_names import check_prompt_name
from hokusai_nb.schema.prompt_places import FileProblem
from hokusai_nb.schema.templates import TemplateProblem, check_template
from hokusai_nb.schema.versioning import Bump, check_version

if TYPE_CHECKING:
    from hokusai_nb.schema.prompt_places import Place

__all__ = ["KEYS", "Entry", "FilePrompt", "Spot"]

KEYS = ("name", "version", "bump", "template", "metadata")
"""What a prompt may say of itself."""
_QUOTE_IT = "Put the template in quotes, or below `template: |`."

Spot = Callable[[int | None], "Place"]
"""Where a character of a field stands, or where the field begins."""


@dataclass(frozen=True)
class Entry:
    """What a file says of one prompt, right or wrong."""

    file: str
    values: Mapping[str, Any]
    """By key."""
    spots: Mapping[str, Spot] = field(repr=False)
    """Where each key's value stands, ``metadata.key`` for a key of the metadata; under the empty name, the whole."""

    @property
    def name(self) -> str | None:
        """The prompt's name, where it has one."""
        name = self.values.get("name")
        return name if isinstance(name, str) else None

    def place(self, of: str = "", offset: int | None = None) -> Place:
        """Return where a field stands, or what it belongs to where it is not written."""
        while of not in self.spots:
            of = of.rpartition(".")[0]
        return self.spots[of](offset)

    def told(self, problem: Problem) -> FileProblem:
        """Return a problem with its place in the file."""
        what, hint, excerpt = problem.what, problem.hint, ""
        offset = None
        if isinstance(problem, TemplateProblem):
            # What it says of its place is counted in the template; here the file's counts.
            what = what.removesuffix(f" (line {problem.line}, column {problem.column})")
            hint, _, excerpt = hint.partition("\n")
            above = self.values["template"].split("\n")[: problem.line - 1]
            offset = sum(len(line) + 1 for line in above) + problem.column - 1
        return FileProblem(
            file=self.file,
            prompt=self.name,
            field=problem.field,
            what=what,
            hint=hint,
            excerpt=excerpt,
            repair=problem.repair,
            severity=problem.severity,
            **self.place(problem.field, offset)._asdict(),
        )

    def errors(self) -> list[FileProblem]:
        """Return everything that is wrong with it."""
        metadata = {} if self.values.get("metadata") is None else self.values["metadata"]
        found = [*check_prompt_name(self.values.get("name")), *self._check_step(), *self.check_text()]
        return [self.told(problem) for problem in [*found, *check_metadata(metadata)]]

    def doubts(self) -> list[FileProblem]:
        """Return a warning that names the recommended metadata that is missing."""
        missing = [p.field.rpartition(".")[2] for p in recommend_metadata(self.values.get("metadata") or {})]
        what = f"Recommended metadata is missing: {', '.join(missing)}"
        return [self.told(Problem(field="metadata", what=what, severity="warning"))] if missing else []

    def prompt(self) -> FilePrompt:
        """Return the prompt; nothing is wrong with it."""
        assert self.name is not None
        return FilePrompt(
            name=self.name,
            template=self.values["template"],
            version=self.values.get("version"),
            bump=self.values.get("bump"),
            metadata=self.values.get("metadata") or {},
            entry=self,
        )

    def _check_step(self) -> list[Problem]:
        version, bump = self.values.get("version"), self.values.get("bump")
        if bump is not None and "version" in self.values:
            return [Problem(field="bump", what="Give a version or a bump, not both.", hint="Leave one of them out.")]
        if bump is not None and bump not in get_args(Bump):
            what = f"There is no version step {quoted(bump)}."
            return [Problem(field="bump", what=what, hint="Use major, minor or patch.")]
        return check_version(version) if "version" in self.values else []

    def check_text(self) -> list[Problem]:
        """Return what is wrong with the template."""
        template = self.values.get("template")
        problems = check_template(template)
        if template is None or isinstance(template, str):
            return problems
        return [problem.model_copy(update={"hint": _QUOTE_IT}) for problem in problems]


@dataclass(frozen=True)
class FilePrompt:
    """A prompt that a file holds; whatever it says of itself is valid."""

    name: str
    template: str
    version: str | None
    """Semantic version; None where the next one is meant."""
    bump: Bump | None
    metadata: Mapping[str, Any]
    entry: Entry = field(repr=False, compare=False)

    @property
    def file(self) -> str:
        """Path of the file."""
        return self.entry.file

    @property
    def place(self) -> Place:
        """Where it begins."""
        return self.entry.place()
