"""Drafts of prompts: a template on its way to be a version, with what the registry says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.core.prompt_cache import CACHE, current_backend
from hokusai_nb.core.prompt_loading import line_to
from hokusai_nb.core.prompt_rules import FIRST, Line, check_follows, proposed, taken, warranted
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ModelValidationError, RegistryError
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.prompt_card import PromptCard, Sample
from hokusai_nb.schema.prompt_metadata import recommend_metadata
from hokusai_nb.schema.tag_values import parse_semver
from hokusai_nb.schema.versioning import is_prerelease, step_between

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.schema.versioning import Bump

__all__ = ["Draft", "draft"]


@dataclass(frozen=True)
class Draft:
    """A template with its version, and what the registry says of it.

    Attributes:
        model: The version; the registered one where the registry holds it with this content.
        last: The version before it, where there is one.
        refusal: What would refuse its registration.
        trouble: Why the registry could not be asked; None where it answered.
        release: The newest version that is no pre-release, where that is known.
    """

    model: PromptModel
    last: PromptVersion | None = None
    refusal: ModelValidationError | None = None
    trouble: RegistryError | None = None
    release: PromptVersion | None = None

    def register(self, *, allow_breaking: bool = False) -> None:
        """Register the version, unless it is registered.

        Raises:
            RegistryError: The registry cannot be reached.
            ModelValidationError: The version is refused; nothing was written.
            ConflictError: Another process registered this number at the same time, with other content.
        """
        if self.trouble:
            raise self.trouble
        if not self.model.registered:
            # What is missing in its metadata stands on its card, where a warning of Python's would be said twice.
            self.model._register(allow_breaking=allow_breaking)  # noqa: SLF001 - a draft is the model's own

    def show_with(self, sample: Sample | None, *, with_template: bool = False) -> PromptModel:
        """Return the version, which shows itself as the card of the draft from now on."""
        found = _missing_metadata(self.model)
        if self.refusal:
            found = [*(p for p in self.refusal.problems if isinstance(p, Problem)), *found]
        record = self.model.record
        self.model._card = PromptCard(  # noqa: SLF001 - see above
            prompt=record,
            sample=sample,
            last=self.last,
            reason=_reason(self.last, self.release, record),
            problems=tuple(found),
            unchecked=_unchecked(self.model, self.trouble),
            with_template=with_template,
        )
        return self.model


def draft(
    name: str,
    template: str,
    version: str | None = None,
    bump: Bump | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    allow_breaking: bool = False,
) -> Draft:
    """Return what a template would be registered as; nothing is written.

    Where the newest version, or the one that is named, is registered with this template and this metadata, it is
    that version: a draft that is registered and made again is the same.

    Args:
        name: The prompt; it need not exist.
        template: Its text.
        version: Semantic version; the next one if left out.
        bump: Step to the next version; the smallest that the change warrants if left out.
        metadata: As for `PromptModel`.
        allow_breaking: Whether a step that says less than the change means would be accepted.

    Raises:
        ModelValidationError: Name, template, version or metadata are wrong.
    """
    made = PromptModel(name, template, version or FIRST, metadata=metadata)
    backend = current_backend()
    try:
        standing = CACHE.standing(backend, name, refresh=True)
        last = standing.newest if standing else None
        known = _known(backend, made.record, last, version)
        line = line_to(backend, last)
    except RegistryError as error:
        return Draft(made, trouble=error)
    if known and prompts.is_same(known, made.record):
        CACHE.note(backend, [known], anew=True)
        model = PromptModel._of(backend, known.model_copy(update={"created": False}))  # noqa: SLF001 - as it loads one
        return Draft(model, _parent(backend, known))
    if version is None:
        text = proposed(line, template, bump)
        made = PromptModel(name, template, text, metadata=metadata)
        made._bump = bump  # noqa: SLF001 - so that it goes on where another process takes the number first
    refusal = _refusal(made.record, line, known, allow_breaking=allow_breaking)
    return Draft(made, line.newest, refusal, release=line.release)


def _known(
    backend: Backend, wanted: PromptVersion, last: PromptVersion | None, version: str | None
) -> PromptVersion | None:
    """Return the registered version that the draft may be: the newest, or the one of its number."""
    if last is None or version is None or last.version == version:
        return last
    return CACHE.version(backend, wanted.name, version, refresh=True)


def _parent(backend: Backend, known: PromptVersion) -> PromptVersion | None:
    try:
        return CACHE.version(backend, known.name, known.parent_version) if known.parent_version else None
    except RegistryError:
        return None


def _refusal(
    wanted: PromptVersion, line: Line, known: PromptVersion | None, *, allow_breaking: bool
) -> ModelValidationError | None:
    if known and known.version == wanted.version:
        return taken(line, wanted)
    try:
        check_follows(line, wanted, allow_breaking=allow_breaking)
    except ModelValidationError as error:
        return error
    return None


def _reason(last: PromptVersion | None, release: PromptVersion | None, wanted: PromptVersion) -> str:
    if last is None or last.template == wanted.template:
        return ": its text is the same" if last else ""
    prepared = is_prerelease(last.version)
    before = release if prepared else last
    try:
        change = warranted(before, wanted.template) if before else None
    except ModelValidationError:  # another client's text, which is no template
        return ""
    if before is None or change is None:
        return ""
    if prepared:
        return f"; the change since {before.version} is {change.step}: {change.reason}"
    step = step_between(last.version, wanted.version) if parse_semver(last.version) else None
    return f": {change.reason}" if step == change.step else f"; the change is {change.step}: {change.reason}"


def _missing_metadata(model: PromptModel) -> list[Problem]:
    missing = [problem.field.rpartition(".")[2] for problem in recommend_metadata(model.metadata)]
    if not missing:
        return []
    what = f"Recommended metadata is missing: {', '.join(missing)}"
    return [Problem(field="metadata", what=what, severity="warning")]


def _unchecked(model: PromptModel, trouble: RegistryError | None) -> str:
    if trouble is None:
        return ""
    return (
        f"The registry could not be asked, so it is not known which versions there are, whether {model.version} "
        f"can follow them and what changed since the last: {trouble.what}"
    )
