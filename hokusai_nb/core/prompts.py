"""Prompts as first-class models: validated, versioned, promoted by stages, compared and rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.backends.mlflow.prompt_stages import placed
from hokusai_nb.core import prompt_moving, prompt_registration, prompt_runs
from hokusai_nb.core.callers import warned
from hokusai_nb.core.prompt_cache import CACHE, current_backend
from hokusai_nb.core.prompt_facts import PromptFacts
from hokusai_nb.core.prompt_loading import find, line_to, waits_for_staging
from hokusai_nb.core.prompt_rules import proposed, refused
from hokusai_nb.core.prompt_tests import require_passed, run_tests
from hokusai_nb.core.twins import twin
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompt_names import parse_prompt_name
from hokusai_nb.schema.prompts import ModelStage, PromptHistory, PromptLineage, PromptList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.core.prompt_tests import Requirements
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.schema.versioning import Bump

__all__ = [
    "ModelStage",
    "ModelValidationError",
    "PromptModel",
    "aload_prompt_template",
    "load_prompt_template",
    "run_tests",
]


class PromptModel(PromptFacts):
    """One version of a prompt template.

    Making one checks it and contacts nothing. What the registry holds counts from then on: two objects of
    the same version say the same of its stage. Methods that talk to the registry have an ``async`` twin with
    the prefix ``a``, and raise `ConnectionFailedError` within five seconds if the server is down. What a twin
    has begun when it is cancelled is done to its end.

    Args:
        name: Words joined by slashes, such as ``persona/entrepreneur/hook``.
        template: Python format string.
        version: Semantic version.
        stage: ``dev``; with ``staging`` it is promoted there as soon as it is registered.
        metadata: What JSON can hold; each value keeps its type.

    Raises:
        ModelValidationError: Something of this is wrong; ``problems`` lists all of it.
    """

    __slots__ = ()

    @classmethod
    def propose(
        cls, name: str, template: str, bump: Bump | None = None, metadata: Mapping[str, Any] | None = None
    ) -> PromptModel:
        """Return the next version of a prompt, not registered yet.

        Args:
            name: The prompt; it need not exist, and then begins with 1.0.0.
            template: The new text.
            bump: ``major``, ``minor`` or ``patch``; the smallest that the change warrants if left out.
                `register` goes on to the number after it where another process takes it first.
            metadata: As for `PromptModel`.
        """
        made = cls(name, template, "0.0.0", metadata=metadata)
        backend = current_backend()
        standing = CACHE.standing(backend, name, refresh=True)
        version = proposed(line_to(backend, standing.newest if standing else None), template, bump)
        made._record = made._record.model_copy(update={"version": version})
        made._bump = bump
        return made

    # What the registry does

    def register(self, *, allow_breaking: bool = False) -> PromptModel:
        """Register this version and return it; registered again with the same content it is the same version.

        Args:
            allow_breaking: Accept a version whose step says less than the change means to callers.

        Raises:
            ModelValidationError: The version is not above the newest one, its step is too small, or it is
                registered already with other content. Nothing was written.
            ConflictError: Another process registered this number at the same time, with other content.
        """
        missing = [problem.field.rpartition(".")[2] for problem in self.validate()]
        made = self._register(allow_breaking=allow_breaking)
        if missing:
            what = f"Recommended metadata is missing: {', '.join(missing)}"
            doubt = Problem(field="metadata", what=what, hint="Give it as metadata={…}.", severity="warning")
            warned(made.model_copy(update={"warnings": (doubt,)}))
        return self

    def _register(self, *, allow_breaking: bool, after: PromptVersion | None = None) -> PromptVersion:
        self.validate()
        if self._stage is ModelStage.PRODUCTION and self._backend is None:
            what = f"Cannot promote directly from dev to production: {self.name} {self.version}"
            raise refused(what, "Register it in dev or staging, then promote it.", field="stage")
        backend = self._backend or current_backend()
        made = prompt_registration.register(
            backend, self._record, allow_breaking=allow_breaking, bump=self._bump, after=after
        )
        self._record, self._backend, self._bump, self._stage = made, backend, None, None
        # An earlier attempt may have registered it only; what was taken back stays so.
        if self._waits and (made.created or waits_for_staging(backend, made)):
            prompt_moving.promote(backend, made, ModelStage.STAGING, "registered for staging")
        self._waits = False
        return made

    def promote_to_staging(self, why: str = "", *, require: Requirements = ()) -> PromptModel:
        """Promote this version from dev to staging, and take the one that is there out of it.

        Args:
            why: The reason, for the history.
            require: Tests and metric gates that have to pass first, as for `run_tests`.

        Raises:
            ModelValidationError: ``Model must be registered before promotion``, a later version is there, or
                a test does not pass.
            ConflictError: Somebody else changed the prompt's stages at the same time: they won.
        """
        return self._promote(ModelStage.STAGING, why, require)

    def promote_to_production(self, why: str = "", *, require: Requirements = ()) -> PromptModel:
        """Promote this version from staging to production, and take the one that is there out of it.

        Args:
            why: The reason, for the history.
            require: Tests and metric gates that have to pass first, as for `run_tests`.

        Raises:
            ModelValidationError: ``Model must be registered before promotion``, ``Cannot promote directly from
                dev to production``, a later version is there, or a test does not pass.
            ConflictError: Somebody else changed the prompt's stages at the same time: they won.
        """
        return self._promote(ModelStage.PRODUCTION, why, require)

    def _promote(self, to: ModelStage, why: str, require: Requirements) -> PromptModel:
        backend = self._backend or current_backend()
        require_passed(self, to, require)
        self._record = prompt_moving.promote(backend, self._record, to, why)
        self._backend, self._bump, self._stage, self._waits = backend, None, None, False
        return self

    def rollback(self, to: str | None = None, why: str = "") -> PromptModel:
        """Take this version out of its stage, put the one that was there before in its place, and return that one.

        Args:
            to: An earlier version of this stage; the last before this one if left out.
            why: The reason, for the history.

        Raises:
            ModelValidationError: This version is in dev, or the other one never was in its stage.
            ConflictError: Production had none before, or somebody else changed the stages at the same time.
        """
        backend = self._backend or current_backend()
        return self._of(backend, prompt_moving.roll_back(backend, self._record, to, why))

    @classmethod
    def load_from_registry(
        cls,
        name: str,
        version: str | int | None = None,
        stage: ModelStage | str | None = None,
        *,
        refresh: bool = False,
    ) -> PromptModel:
        """Return a registered version; the newest if neither a version nor a stage is given.

        A version is asked for once in a process; what a stage points at, again after five seconds. Nothing is
        linked to the current run, as ``mlflow.genai.load_prompt`` does.

        Args:
            name: The prompt.
            version: Semantic version, or MLflow's own number.
            stage: ``staging``, ``production``, or ``dev`` for the newest that is in neither.
            refresh: Ask the registry whatever is known.

        Raises:
            ModelNotFoundError: There is none.
            ModelValidationError: The name, the version or the stage cannot be.
        """
        backend = current_backend()
        if type(name) is type(version) is str and stage is None and not refresh:
            known = CACHE.known(backend, name, version)
            if known:
                return cls._of(backend, known)
        found, at = find(backend, parse_prompt_name(name), version, stage, refresh=refresh)
        return cls._of(backend, found, at)

    @classmethod
    def list(cls, prefix: str = "") -> PromptList:
        """Return all registered versions of prompts whose names begin with a prefix, with their stages.

        What was made with MLflow's own functions has no semantic version, and is not among them.

        Raises:
            ModelValidationError: The prefix is no text.
        """
        if not isinstance(prefix, str):
            what = f"A prefix must be text: {quoted(prefix)}"
            raise refused(what, "Such as persona/, or nothing for all prompts.", field="prefix")
        return PromptList(entries=tuple(prompts.by_prefix(current_backend(), prefix)))

    def get_lineage(self) -> PromptLineage:
        """Return all versions of this prompt in order, each a dictionary with ``version``, ``created_at``, ….

        The further keys are ``parent_version``, ``author``, ``stage`` and ``mlflow_version``.
        """
        backend = self._backend or current_backend()
        standing = CACHE.standing(backend, self.name, refresh=True)
        found = prompts.all_versions(backend, self.name) if standing else []
        CACHE.note(backend, found, anew=True)
        return PromptLineage.of(
            self.name,
            (placed(standing, v) for v in found) if standing else (),
            prompt_runs.RunsOf.versions(backend, self.name, found),
        )

    def get_parent_version(self) -> PromptModel | None:
        """Return the version that this one was made from, or None for the first one and for one that is deleted."""
        backend = self._backend or current_backend()
        mine = self._record if self.registered else CACHE.version(backend, self.name, self.version)
        parent = mine.parent_version if mine else None
        found = CACHE.version(backend, self.name, parent) if parent else None
        return self._of(backend, found) if found else None

    def get_history(self) -> PromptHistory:
        """Return every change of stage of this prompt's versions, oldest first: who, when, from, to and why."""
        standing = CACHE.standing(self._backend or current_backend(), self.name, refresh=True)
        return PromptHistory(name=self.name, entries=standing.changes if standing else ())

    def tag_run(self, run_id: str | None = None) -> str:
        """Note in a run that it used this version, and return the run's id.

        The plot of the lineage shows what such runs measured, and MLflow's pages link the two. A run that
        loaded the prompt with ``mlflow.genai.load_prompt`` counts without it.

        Args:
            run_id: The run; the active one, or else the last that ended here, if left out.

        Raises:
            ModelValidationError: ``Model must be registered before a run is tagged with it``.
            NoCurrentRunError: No run is named, and there is no current one.
            RunNotFoundError: The run that is named does not exist.
        """
        return prompt_runs.tag_run(self._backend or current_backend(), self._record, run_id)

    aregister = twin(register)
    apromote_to_staging = twin(promote_to_staging)
    apromote_to_production = twin(promote_to_production)
    arollback = twin(rollback)
    aget_lineage = twin(get_lineage)
    aget_parent_version = twin(get_parent_version)
    aget_history = twin(get_history)
    atag_run = twin(tag_run)
    apropose = classmethod(twin(propose))
    aload_from_registry = classmethod(twin(load_from_registry))
    alist = classmethod(twin(list))  # noqa: A003 - the method above is meant
    ato_dict = twin(PromptFacts.to_dict)


def load_prompt_template(name: str, stage: ModelStage | str = ModelStage.PRODUCTION) -> str:
    """Return the text alone of the version in a stage, for a service that renders it itself.

    Raises:
        ModelNotFoundError: The stage has no version.
    """
    return PromptModel.load_from_registry(name, stage=stage).template


aload_prompt_template = twin(load_prompt_template)
