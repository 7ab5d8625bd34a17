"""What a prompt's version is by itself: checked, rendered, compared and shown, without a word to the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from hokusai_nb.backends.mlflow.prompt_stages import placed
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompt_rules import parse_stage
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import errors_in
from hokusai_nb.schema.prompt_comparison import compare_prompts
from hokusai_nb.schema.prompt_metadata import check_metadata, recommend_metadata
from hokusai_nb.schema.prompt_names import check_prompt_name
from hokusai_nb.schema.prompts import ModelStage, PromptVersion
from hokusai_nb.schema.templates import Template, check_template, parse_template
from hokusai_nb.schema.versioning import check_version

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.display import Shown
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.prompt_comparison import PromptComparison
    from hokusai_nb.schema.versioning import Bump

__all__ = ["Card", "PromptFacts"]


class Card(Protocol):
    """What is said of a version beside what it holds."""

    def shown(self, prompt: PromptVersion, /) -> Shown:
        """Return how the version, as it is by now, is shown."""


class PromptFacts:
    """The part of `PromptModel` that asks nothing, but for a stage that was not asked for lately."""

    __slots__ = ("_backend", "_bump", "_card", "_record", "_stage", "_template", "_waits")

    _card: Card
    """How a draft shows itself; most have none."""

    def __init__(
        self,
        name: str,
        template: str,
        version: str,
        stage: ModelStage | str = ModelStage.DEV,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        metadata = {} if metadata is None else metadata
        texts = [*check_prompt_name(name), *check_template(template), *check_version(version)]
        if problems := errors_in([*texts, *check_metadata(metadata)]):
            raise ModelValidationError(problems)
        self._stage: ModelStage | None = parse_stage(stage)
        self._record = PromptVersion(name=name, version=version, template=template, metadata=metadata)
        self._template: Template | None = parse_template(template)
        self._backend: Backend | None = None
        self._bump: Bump | None = None
        self._waits = self._stage is ModelStage.STAGING
        """Whether it is still to be promoted, once it is registered."""

    @classmethod
    def _of(cls, backend: Backend, record: PromptVersion, stage: ModelStage | None = None) -> Self:
        """Return a registered version; its stage is asked for when it is needed."""
        made = object.__new__(cls)
        made._record, made._backend, made._stage = record, backend, stage
        made._template, made._bump, made._waits = None, None, False
        return made

    # What it says

    @property
    def name(self) -> str:
        """Name, with slashes."""
        return self._record.name

    @property
    def template(self) -> str:
        """The text."""
        return self._record.template

    @property
    def version(self) -> str:
        """Semantic version."""
        return self._record.version

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The user's metadata, frozen."""
        return self._record.metadata

    @property
    def stage(self) -> ModelStage:
        """Its stage as the registry said it within the last seconds; the one that was asked for if it is new."""
        if self._backend is None or self._record.mlflow_version is None:
            return self._stage or ModelStage.DEV
        standing = CACHE.standing(self._backend, self.name)
        return standing.stage_of(self._record.mlflow_version) if standing else ModelStage.DEV

    @property
    def mlflow_version(self) -> int | None:
        """MLflow's own number; None until it is registered."""
        return self._record.mlflow_version

    @property
    def registered(self) -> bool:
        """Whether this object was registered or loaded."""
        return self._record.registered

    @property
    def author(self) -> str | None:
        """Who registered it: the metadata's ``author``, or else the user at work."""
        return self._record.author

    @property
    def created_at(self) -> dt.datetime | None:
        """When it was registered, in UTC."""
        return self._record.created_at

    @property
    def parent_version(self) -> str | None:
        """The version that was the newest when it was registered."""
        return self._record.parent_version

    @property
    def record(self) -> PromptVersion:
        """All of this as a frozen record, with the stages and transitions that were last known; asks nothing."""
        standing = CACHE.last_standing(self._backend, self.name) if self._backend else None
        if standing is None or self.mlflow_version is None:
            asked_for = () if self._stage in (None, ModelStage.DEV) else (self._stage,)
            return self._record.model_copy(update={"stages": asked_for})
        return placed(standing, self._record)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        _ = self.stage  # so that what is last known is known of late
        return self.record.to_dict()

    def __repr__(self) -> str:
        return f"PromptModel({self.name!r}, version={self.version!r}, stage={self.record.stage.value!r})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        card: Card | None = getattr(self, "_card", None)
        return (card.shown(self.record) if card else self.record)._repr_mimebundle_(include, exclude)

    # What it does by itself

    def validate(self) -> list[Problem]:
        """Check name, template, version and metadata, and return what should be looked at all the same.

        Raises:
            ModelValidationError: Something is wrong: another client registered a text that is no template.
        """
        texts = [*check_prompt_name(self.name), *check_template(self.template), *check_version(self.version)]
        if problems := errors_in([*texts, *check_metadata(self.metadata)]):
            raise ModelValidationError(problems)
        return recommend_metadata(self.metadata)

    def get_template_variables(self) -> list[str]:
        """Return the names that a value is needed for, in the order they first appear."""
        return list(self._parsed().variables)

    def render(self, /, **values: object) -> str:
        """Return the text with the values in place.

        Raises:
            ModelValidationError: ``Missing required variables: …``, or a value does not fit its field.
        """
        return (self._template or self._parsed()).render(values)

    def compare_with(self, other: PromptFacts) -> PromptComparison:
        """Return what differs from this version to another: ``["template_diff"]["variables_added"]``, ….

        Raises:
            ModelValidationError: ``Cannot compare models with different names``.
        """
        return compare_prompts(self.record, other.record)

    def _parsed(self) -> Template:
        if self._template is None:
            self._template = parse_template(self.template)
        return self._template
