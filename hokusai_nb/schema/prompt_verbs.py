"""What a user can ask of prompts and of stages, described once as the other verbs are."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

import pydantic

from hokusai_nb.schema.arguments import typed_value
from hokusai_nb.schema.frozen import Frozen, FrozenDict
from hokusai_nb.schema.problems import Problem, checked, raise_custom
from hokusai_nb.schema.prompt_metadata import Metadata, check_metadata
from hokusai_nb.schema.prompt_names import PromptName
from hokusai_nb.schema.verbs import Option, Verb
from hokusai_nb.schema.versioning import Bump

__all__ = ["EditPrompt", "Further", "Promote", "Prompts", "Rollback"]

Further: TypeAlias = Literal["staging", "production"]
"""The stages that a version is promoted to."""


def _typed(metadata: Any) -> dict[str, Any]:
    return {key: typed_value(value) if isinstance(value, str) else value for key, value in (metadata or {}).items()}


def _check(metadata: Any) -> list[Problem]:
    return [] if metadata is None else check_metadata(metadata)


class EditPrompt(Verb):
    """Check a prompt's template, render it, compare it with the last version, and register it."""

    name: Annotated[PromptName, Option(suggest="prompt_names")]
    """Name with slashes, such as persona/entrepreneur/hook."""
    version: Annotated[str | None, Option(suggest="versions_or_stages")] = None
    """Semantic version, or a stage to show what is in it; the next one that the change warrants if left out."""
    bump: Annotated[Bump | None, Option("--bump", suggest="bumps", metavar="major|minor|patch")] = None
    """Step to the next version, in place of VERSION."""
    meta: Annotated[
        Metadata,
        pydantic.BeforeValidator(checked(_check, _typed)),
        Option("--meta", suggest="metadata_keys", metavar="KEY=VALUE", several=True),
    ] = FrozenDict()
    """Metadata; JSON keeps its type, such as target=0.06 or limits={"max":3}; more pairs may follow."""
    register_it: Annotated[bool, Option("--register")] = False
    """Register the version; nothing is written without it."""
    render: Annotated[
        Frozen[str, str], Option("--render", suggest="template_variables", metavar="NAME=VALUE", several=True)
    ] = FrozenDict()
    """Value of a variable in the rendered sample; more pairs may follow."""
    allow_breaking: Annotated[bool, Option("--allow-breaking")] = False
    """Accept a version whose step says less than the change means to callers."""
    form: Annotated[bool, Option("--form", notebook=True)] = False
    """Open the editor with what the line says filled in."""

    @pydantic.model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.version is not None and self.bump is not None:
            what = "VERSION and --bump exclude each other."
            raise_custom([Problem(field="bump", what=what, hint="Leave one of them out.")])
        return self


class Prompts(Verb):
    """List registered prompts with their versions and stages."""

    prefix: Annotated[str, Option(suggest="prompt_names")] = ""
    """Only names that begin with this."""
    as_json: Annotated[bool, Option("--json")] = False
    """Return JSON text."""


class Promote(Verb):
    """Promote a version of a prompt or a model by one stage: dev, staging, production."""

    name: Annotated[str, Option(suggest="names")]
    """Prompt or registered model."""
    version: Annotated[str | None, Option(suggest="versions")] = None
    """To staging the newest, to production the one in staging, if left out."""
    to: Annotated[Further | None, Option("--to", suggest="stages", metavar="staging|production")] = None
    """Stage to promote it to; staging if left out. A version that has come as far already stays where it is."""
    why: Annotated[str, Option("--why", metavar="TEXT")] = ""
    """Reason, for the history."""
    as_json: Annotated[bool, Option("--json")] = False
    """Return JSON text."""


class Rollback(Verb):
    """Take the version of a prompt or a model out of a stage, and put the one before it back."""

    name: Annotated[str, Option(suggest="names")]
    """Prompt or registered model."""
    to: Annotated[str | None, Option("--to", suggest="versions", metavar="VERSION")] = None
    """Earlier version of this stage; the last before this one if left out."""
    stage: Annotated[Further | None, Option("--stage", suggest="stages", metavar="staging|production")] = None
    """Stage to change; production where it has a version, else staging, if left out."""
    why: Annotated[str, Option("--why", metavar="TEXT")] = ""
    """Reason, for the history."""
    as_json: Annotated[bool, Option("--json")] = False
    """Return JSON text."""
