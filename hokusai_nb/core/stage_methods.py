"""What the registry does with stages, of models and of prompts alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.core import promotion
from hokusai_nb.core.twins import twin

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.promotions import Promotion
    from hokusai_nb.schema.prompts import ModelStage, PromptHistory

__all__ = ["StageMethods"]


class StageMethods:
    """The part of `ModelRegistry` that moves versions from dev to staging to production and back.

    A stage is one of MLflow's aliases, ``staging`` or ``production``, so that ``models:/churn@production`` loads
    what stands there. A version without either is in dev.

    Attributes:
        backend: Where models and prompts are.
    """

    backend: Backend

    def promote(
        self, name: str, version: int | str | None = None, to: ModelStage | str | None = None, why: str = ""
    ) -> Promotion:
        """Promote a version of a model or a prompt by one stage; the one that is there leaves it.

        Args:
            name: The model or the prompt.
            version: Which one; if left out, to staging the newest, to production the one in staging.
            to: ``staging`` or ``production``; staging if left out. A version that has come as far already stays
                where it is, so that the same call again changes nothing.
            why: The reason, for the history.

        Raises:
            ModelNotFoundError: There is no such name or version.
            ModelValidationError: ``Cannot promote directly from dev to production``, or a later version is there.
            ConflictError: Somebody else changed the stages at the same time: they won.
        """
        return promotion.promote(self.backend, name, version, to, why)

    def rollback(
        self, name: str, to: int | str | None = None, why: str = "", *, stage: ModelStage | str | None = None
    ) -> Promotion:
        """Take the version of a model or a prompt out of a stage, and put the one before it back.

        Args:
            name: The model or the prompt.
            to: An earlier version of this stage; the last before this one if left out.
            why: The reason, for the history.
            stage: ``staging`` or ``production``; if left out, production where it has a version, else staging.

        Raises:
            ModelNotFoundError: There is no such name.
            ModelValidationError: The stage has no version, or the other one never was in it.
            ConflictError: Production had no version before, or somebody else changed it at the same time.
        """
        return promotion.roll_back(self.backend, name, to, stage, why)

    def get_history(self, name: str) -> PromptHistory:
        """Return every change of stage of a model's or a prompt's versions, oldest first: who, when and why.

        Raises:
            ModelNotFoundError: There is no such name.
        """
        return promotion.history(self.backend, name)

    apromote = twin(promote)
    arollback = twin(rollback)
    aget_history = twin(get_history)
