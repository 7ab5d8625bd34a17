"""The token-aware model registry: one façade over everything a user can ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow import versions
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.core import bulk, registration
from hokusai_nb.core.callers import stated, warned
from hokusai_nb.core.improving import tell_of_improvement
from hokusai_nb.core.reading_methods import ReadingMethods
from hokusai_nb.core.stage_methods import StageMethods
from hokusai_nb.core.standing import ask_doubts
from hokusai_nb.core.token_methods import TokenMethods
from hokusai_nb.core.twins import twin
from hokusai_nb.schema.problems import Problem, errors_in, raise_for
from hokusai_nb.schema.tags import REQUIRED_TAGS, TOKEN_TAG, check_extra_tags, check_tags, stored_texts
from hokusai_nb.schema.tokens import check_token
from hokusai_nb.schema.verbs import Register

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, MutableMapping

    from hokusai_nb.schema.records import BulkResult, RegisteredModel
    from hokusai_nb.site.store import TokenStore

__all__ = ["ModelRegistry", "register_tokenized_model"]


class ModelRegistry(ReadingMethods, StageMethods, TokenMethods):
    """Registered models and the tokens they are rewarded with.

    Cheap to make; nothing is contacted before the first call. Safe to share between threads.
    Every method that talks to the registry has an ``async`` twin with the prefix ``a``.

    All of them raise `ConnectionFailedError` within five seconds if the server is down, and
    `RegistryError` if it refuses for a reason that has no error of its own.

    Args:
        tracking_uri: MLflow store; what MLflow is set to if left out.
        token_store: Where tokens and events are; what the settings say if left out.
    """

    def __init__(self, tracking_uri: str | None = None, *, token_store: TokenStore | None = None) -> None:
        self.backend = Backend.at(tracking_uri)
        self._token_store = token_store

    def __repr__(self) -> str:
        return f"ModelRegistry({self.backend.safe_uri!r})"

    # Writing

    def register(
        self,
        verb: Register,
        *,
        estimator: object = None,
        input_example: object = None,
        provenance: Mapping[str, str] | None = None,
        identity: str | None = None,
        tried: MutableMapping[str, Container[str]] | None = None,
        from_settings: bool = True,
    ) -> RegisteredModel:
        """Do what a magic line, a form or a command asks for.

        Where there is a token store to ask, the token is asked for meanwhile. What speaks against it, such
        as that it is not in draft, is a warning of the record; it is waited for two seconds at most.

        Args:
            verb: The registration; without a model it is the current run's only one.
            estimator: Fitted estimator to log to the run before it is registered.
            input_example: Input rows from which the estimator's signature is made.
            provenance: Tags that say where the registration was made.
            identity: What the registration is recognised by when it is repeated, besides its tags;
                the run's model if left out.
            tried: A mapping that the caller keeps from one attempt to the next, empty at first. With it,
                attempts that force a new version make one together, also where an answer was lost.
            from_settings: Whether the settings of this process name the contributor where nobody else does;
                those of a server are none of its clients'.

        Raises:
            ValidationError: The benchmark value is missing, no number, or out of range.
            NoCurrentRunError, RunNotFoundError: There is no run to register from.
            NoModelError, AmbiguousModelError, ModelNotFoundError: Nor a model, or too many.
            ReadOnlyError: The store refuses to be written.
        """
        asked = ask_doubts(self, verb.token, in_turn=True) if self.names_token_store else None
        made = registration.register(
            self.backend,
            verb,
            estimator=estimator,
            input_example=input_example,
            provenance=provenance,
            identity=identity,
            tried=tried,
            from_settings=from_settings,
        )
        if asked and not made.dry_run:
            tell_of_improvement(self.backend, made, lambda: self.token_store)
        doubts = asked.answer() if asked else None
        return made.model_copy(update={"warnings": (*made.warnings, *doubts)}) if doubts else made

    def register_tokenized_model(
        self,
        model_uri: str,
        name: str,
        token_id: str,
        benchmark_metric: str,
        benchmark_value: object,
        tags: Mapping[str, object] | None = None,
        *,
        force_new: bool = False,
    ) -> RegisteredModel:
        """Register a model under a token and return the version.

        The same model registered again with the same tags is the same version.

        Args:
            model_uri: ``runs:/RUN/PATH``, ``models:/m-…``, a registered version or a folder.
            name: Registered model name; created if there is none.
            token_id: Such as ``MSG-AI``; lower case is folded.
            benchmark_metric: Such as ``accuracy``.
            benchmark_value: Performance that this version reached, in the metric's own unit; text
                is kept as it is.
            tags: Further tags; the required ones cannot be set here.
            force_new: Make a new version even if this registration was made before.

        Raises:
            ValidationError: Some argument is wrong; nothing was written.
            RunNotFoundError, NoModelError, ModelNotFoundError: The URI leads nowhere.
        """
        verb = Register.parse(
            {
                "model": stated("model_uri", model_uri),
                "name": name,
                "token": token_id,
                "metric": benchmark_metric,
                "value": benchmark_value,
                "tags": {} if tags is None else tags,
                "force_new": force_new,
            }
        )
        return warned(self.register(verb))

    def register_run_model(
        self,
        run_id: str,
        name: str,
        token_id: str,
        benchmark_metric: str,
        benchmark_value: object = None,
        tags: Mapping[str, object] | None = None,
        *,
        model: str | None = None,
        force_new: bool = False,
    ) -> RegisteredModel:
        """Register the model that a run holds; the value is the run's own metric if left out.

        Args:
            run_id: The run.
            name: Registered model name.
            token_id: Such as ``MSG-AI``.
            benchmark_metric: Such as ``accuracy``.
            benchmark_value: In the metric's own unit.
            tags: Further tags.
            model: Name of the logged model, where the run holds several.
            force_new: Make a new version even if this registration was made before.

        Raises:
            ValidationError: Some argument is wrong, or the run has no such metric.
            RunNotFoundError, NoModelError, AmbiguousModelError: There is nothing to register.
        """
        verb = Register.parse(
            {
                "run": stated("run_id", run_id),
                "model": model,
                "name": name,
                "token": token_id,
                "metric": benchmark_metric,
                "value": benchmark_value,
                "tags": {} if tags is None else tags,
                "force_new": force_new,
            }
        )
        return warned(self.register(verb))

    def register_many(
        self, records: Iterable[object], max_workers: int = 4, *, progress: bool = True
    ) -> list[BulkResult]:
        """Register many models at once.

        Args:
            records: Mappings of the arguments of `register_tokenized_model`, or of ``uri``,
                ``name``, ``token_id``, ``metric`` and ``value``.
            max_workers: Registrations under way at one time.
            progress: Show a progress bar.

        Returns:
            One result for each record, in order; a bad record harms no other. Run the same call
            again after an interruption and only the missing ones are registered.
        """
        return bulk.register_many(records, self.register, max_workers=max_workers, progress=progress)

    def update_model_tags(self, name: str, version: int | str, tags: Mapping[str, object]) -> RegisteredModel:
        """Set tags of a version; the whole set of tags must stay valid.

        Raises:
            ValidationError: The version's tags would no longer be valid; none is changed.
            ModelNotFoundError: No such model or version.
        """
        if not isinstance(tags, Mapping):
            raise_for(check_extra_tags(tags))
        raise_for(check_extra_tags({key: value for key, value in tags.items() if key not in REQUIRED_TAGS}))
        current = versions.get(self.backend, name, str(version))
        # Another client may have left an optional tag that is not valid; this change is not to blame for it.
        # Nor is it for a ticker, which a token store has confirmed.
        ticker = {TOKEN_TAG} if not check_token(current.tags.get(TOKEN_TAG), ticker=True) else set()
        old = [p for p in check_tags(current.tags) if p.field not in set(REQUIRED_TAGS) - ticker]
        raise_for(p for p in check_tags({**current.tags, **tags}) if p not in old)
        return versions.set_tags(self.backend, name, str(version), stored_texts(tags))

    def delete_model_version(self, name: str, version: int | str) -> None:
        """Delete one version; its number is not given out again.

        Raises:
            ModelNotFoundError: No such model or version.
        """
        versions.delete(self.backend, name, str(version))

    # Checking

    @staticmethod
    def validate_hokusai_tags(tags: Mapping[Any, object]) -> bool:
        """Return whether a version could carry these tags."""
        return not errors_in(check_tags(tags))

    @staticmethod
    def explain_hokusai_tags(tags: Mapping[Any, object]) -> list[Problem]:
        """Return what is wrong with the tags, each with its repair, warnings included."""
        return check_tags(tags)

    aregister = twin(register)
    aregister_tokenized_model = twin(register_tokenized_model)
    aregister_run_model = twin(register_run_model)
    aregister_many = twin(register_many)
    aupdate_model_tags = twin(update_model_tags)
    adelete_model_version = twin(delete_model_version)


def register_tokenized_model(
    model_uri: str,
    model_name: str,
    token_id: str,
    metric_name: str,
    baseline_value: object,
    tags: Mapping[str, object] | None = None,
) -> RegisteredModel:
    """Register a model under a token, where MLflow is set to write.

    The same as `ModelRegistry.register_tokenized_model`, in one call.

    Raises:
        ValidationError: Some argument is wrong; nothing was written.
        RunNotFoundError, NoModelError, ModelNotFoundError: The URI leads nowhere.
    """
    return ModelRegistry().register_tokenized_model(model_uri, model_name, token_id, metric_name, baseline_value, tags)
