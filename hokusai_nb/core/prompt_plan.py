"""Registering the prompts of files: everything is looked at first, and nothing is written if any of it is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.backends.mlflow.prompt_stages import placed
from hokusai_nb.core import prompt_registration
from hokusai_nb.core.prompt_batches import promote_prompts, register_prompts
from hokusai_nb.core.prompt_cache import CACHE, current_backend
from hokusai_nb.core.prompt_loading import line_to
from hokusai_nb.core.prompt_rules import check_follows, proposed, refused
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.prompts import ModelStage, PromptVersion
from hokusai_nb.schema.versioning import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.backends.mlflow.prompt_stages import Standing
    from hokusai_nb.core.prompt_rules import Line
    from hokusai_nb.errors import HokusaiError
    from hokusai_nb.schema.prompt_entries import FilePrompt
    from hokusai_nb.schema.versioning import Bump

__all__ = ["PlannedPrompt", "carry_out", "plan_registration", "promotable"]

REASON = "registered for staging"


@dataclass(frozen=True)
class PlannedPrompt:
    """What becomes of one prompt of a file."""

    given: FilePrompt
    record: PromptVersion
    """The version that is or would be registered."""
    before: str | None = None
    """Version that it follows."""
    known: bool = False
    """Whether the registry holds it already, with the same content."""
    to_staging: bool = False
    """Whether it is promoted, too."""
    error: HokusaiError | None = None
    """Why it is refused, or failed."""
    done: bool = False
    """Whether all of this was carried out."""

    @property
    def state(self) -> str:
        """One word: ``new``, ``registered``, ``unchanged``, ``refused`` or ``failed``."""
        if self.error:
            return "failed" if self.done else "refused"
        return "unchanged" if self.known else "registered" if self.done else "new"


def plan_registration(
    given: Iterable[FilePrompt],
    *,
    bump: Bump | None = None,
    allow_breaking: bool = False,
    stage: ModelStage | None = None,
) -> list[PlannedPrompt]:
    """Return what registering prompts would do, name by name and in the order of versions; writes nothing.

    Args:
        given: Prompts of files.
        bump: Step of those that say neither a version nor a step; the smallest that the change warrants if left out.
        allow_breaking: Accept a version whose step says less than the change means to callers.
        stage: With staging, the last version of each name is promoted there, unless it was promoted before.
    """
    backend = current_backend()
    names: dict[str, list[FilePrompt]] = {}
    for prompt in given:
        names.setdefault(prompt.name, []).append(prompt)
    found: list[PlannedPrompt] = []
    for name, same in names.items():
        standing = CACHE.standing(backend, name, refresh=True)
        planned = _planned(backend, standing, same, bump, allow_breaking=allow_breaking)
        if stage is ModelStage.STAGING:
            planned[-1] = replace(planned[-1], to_staging=_waits(standing, planned[-1]))
        found += planned
    return found


def _planned(
    backend: Backend, standing: Standing | None, same: Sequence[FilePrompt], bump: Bump | None, *, allow_breaking: bool
) -> list[PlannedPrompt]:
    line = line_to(backend, standing.newest if standing else None)
    planned: list[PlannedPrompt] = []
    stepping = [prompt for prompt in same if prompt.version is None]
    numbered = [(parse_version(prompt.version), prompt) for prompt in same if prompt.version is not None]
    for prompt in [*(p for _, p in sorted(numbered, key=lambda pair: pair[0])), *stepping]:
        wanted = PromptVersion(
            name=prompt.name, version=prompt.version or "0.0.0", template=prompt.template, metadata=prompt.metadata
        )
        before = line.newest.version if line.newest else None
        try:
            if prompt.version is None and (len(stepping) > 1 or numbered):
                what = f"{prompt.name} stands in the files several times, once without a version."
                raise refused(what, "Give each of them its version.", field="name")
            known, wanted = _looked_up(backend, line, wanted, prompt.bump or bump, stepping=prompt.version is None)
            if not known:
                check_follows(line, wanted, allow_breaking=allow_breaking)
        except ModelValidationError as error:
            planned.append(PlannedPrompt(prompt, wanted, before, error=error))
            continue
        shown = placed(standing, wanted) if known and standing else wanted
        planned.append(PlannedPrompt(prompt, shown, shown.parent_version if known else before, known=known))
        line = line if known else line.then(wanted)
    return planned


def _looked_up(
    backend: Backend, line: Line, wanted: PromptVersion, bump: Bump | None, *, stepping: bool
) -> tuple[bool, PromptVersion]:
    """Return whether the registry holds a prompt, and which version it is or would be.

    Raises:
        ModelValidationError: The version is registered with other content.
    """
    if not stepping:
        known = prompt_registration.known_already(backend, line, wanted)
        return known is not None, known or wanted
    # Without a number of its own, what the newest version says already is no new one.
    if line.newest and prompts.is_same(line.newest, wanted):
        return True, line.newest
    return False, wanted.model_copy(update={"version": proposed(line, wanted.template, bump)})


def _waits(standing: Standing | None, planned: PlannedPrompt) -> bool:
    """Whether a version is new, or the newest and was never promoted: what was taken back stays so."""
    if planned.error or not planned.known:
        return planned.error is None
    if standing is None or standing.newest is None:
        return False
    newest = standing.newest.version
    return newest == planned.record.version and newest not in standing.moved


def carry_out(
    planned: Sequence[PlannedPrompt], *, allow_breaking: bool = False, progress: bool = False
) -> list[PlannedPrompt]:
    """Register and promote what was planned, and return what became of each; one that fails harms no other name."""
    new = [i for i, one in enumerate(planned) if not one.known and not one.error]
    models = {i: _model(planned[i]) for i in new}
    made = register_prompts(models.values(), allow_breaking=allow_breaking, progress=progress)
    results = dict(enumerate(planned))
    for i, result in zip(new, made, strict=True):
        record = result.prompt.record if result.prompt else planned[i].record
        results[i] = replace(planned[i], record=record, error=result.error, done=True)
    moving = [i for i, one in results.items() if one.to_staging and not one.error]
    moved = promote_prompts(
        [models.get(i) or _model(results[i]) for i in moving], ModelStage.STAGING, why=REASON, progress=progress
    )
    for i, result in zip(moving, moved, strict=True):
        record = result.prompt.record if result.prompt else results[i].record
        results[i] = replace(results[i], record=record, error=result.error, done=True)
    return [replace(one, done=True) for one in results.values()]


def _model(planned: PlannedPrompt) -> PromptModel:
    record = planned.record
    return PromptModel(record.name, record.template, record.version, metadata=record.metadata)


def promotable(to: ModelStage, prefix: str = "") -> list[tuple[str, str, str | None]]:
    """Return what can be promoted to a stage: each name, its version, and the one that is there now.

    To production goes what staging holds; to staging, the newest version, unless it was there and taken back.
    """
    found = []
    versions: dict[str, list[PromptVersion]] = {}
    for version in PromptModel.list(prefix):
        versions.setdefault(version.name, []).append(version)
    for name, same in versions.items():
        holder = next((v.version for v in same if to in v.stages), None)
        if to is ModelStage.PRODUCTION:
            waiting = next((v for v in same if v.stage is ModelStage.STAGING), None)
        else:
            waiting = same[-1] if same[-1].stage is ModelStage.DEV else None
        if waiting is None or (holder and parse_version(holder) > parse_version(waiting.version)):
            continue
        if to is ModelStage.PRODUCTION or not _moved(name, waiting.version):
            found.append((name, waiting.version, holder))
    return found


def _moved(name: str, version: str) -> bool:
    standing = CACHE.standing(current_backend(), name, refresh=True)
    return standing is not None and version in standing.moved
