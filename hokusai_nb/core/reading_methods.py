"""What the registry answers: versions, lists of them, lineage and comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import runs, versions
from hokusai_nb.core.lineage import build_lineage, compare_versions
from hokusai_nb.core.twins import twin
from hokusai_nb.errors import ModelNotFoundError, ValidationError
from hokusai_nb.schema.hints import LIST_MODELS
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.records import Comparison, Lineage, LineageEntry, ModelList, RegisteredModel

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.client import Backend

__all__ = ["ReadingMethods"]


class ReadingMethods:
    """The part of `ModelRegistry` that writes nothing.

    Attributes:
        backend: Where models are.
    """

    backend: Backend

    def get_tokenized_model(self, name: str, version: int | str | None = None) -> RegisteredModel:
        """Return a version that carries a token; None means the latest that does.

        Raises:
            ModelNotFoundError: No such model or version, or it carries no token.
        """
        if version is None:
            newest = versions.latest(self.backend, name, tokenized=True)
            model = newest or self.get_latest_model_version(name)
        else:
            model = versions.get(self.backend, name, str(version))
        if model.token_id is None:
            what = f"Version {model.version} of {quoted(name)} carries no Hokusai token."
            raise ModelNotFoundError(what, "Register it under one, or name a version that has one.")
        return model

    def get_latest_model_version(self, name: str) -> RegisteredModel:
        """Return the newest version of a model, whoever made it.

        Raises:
            ModelNotFoundError: No such model, or it has no version.
        """
        if newest := versions.latest(self.backend, name):
            return newest
        what = f"Model {quoted(name)} does not exist in {self.backend.safe_uri}, or has no version."
        raise ModelNotFoundError(what, LIST_MODELS)

    def list_models(self, prefix: str | None = None, token_id: str | None = None) -> ModelList:
        """Return all versions that carry a token, by name and version.

        Aliases are left out: MLflow's search does not say them.

        Args:
            prefix: Only names that begin with this.
            token_id: Only versions of this token.
        """
        if token_id is not None:
            found = self.list_models_by_token(token_id)
            if not prefix:
                return found
            kept = tuple(m for m in found if m.name.startswith(prefix))
            return ModelList(entries=kept, title=f"{found.title} that begin with {prefix}")
        title = f"Models that begin with {prefix}" if prefix else "Models"
        return ModelList(entries=tuple(versions.list_all(self.backend, prefix)), title=title)

    def list_models_by_token(self, token_id: str) -> ModelList:
        """Return all versions of a token, by name and version, in whatever case it was stored.

        As in `list_models`, aliases are left out.

        Raises:
            ValidationError: The token id is no text.
        """
        if not isinstance(token_id, str):
            what = f"Token ID format invalid: {quoted(token_id)}"
            raise ValidationError([Problem(field="token", what=what, hint="Give text, such as 'MSG-AI'.")])
        return ModelList(entries=tuple(versions.by_token(self.backend, token_id)), title=f"Models of {token_id}")

    def get_model_lineage(self, name: str) -> Lineage:
        """Return all versions of a model in order, each with its parent, improvement and run.

        Raises:
            ModelNotFoundError: No such model, or it has no version.
        """
        found = versions.by_name(self.backend, name)
        if not found:
            self.get_latest_model_version(name)  # raises, in the words used everywhere
        facts = runs.get_runs(self.backend, [v.run_id for v in found if v.run_id])
        return build_lineage(name, found, facts)

    def compare(self, name: str, first: int | str, second: int | str) -> Comparison:
        """Return two versions side by side: tags, metrics, parameters and the improvement.

        Raises:
            ModelNotFoundError: No such model or version.
        """
        pair = [versions.get(self.backend, name, str(v)) for v in (first, second)]
        facts = runs.get_runs(self.backend, [v.run_id for v in pair if v.run_id])
        one, two = (LineageEntry(**dict(v), run=facts.get(v.run_id or "")) for v in pair)
        return compare_versions(one, two)

    aget_tokenized_model = twin(get_tokenized_model)
    aget_latest_model_version = twin(get_latest_model_version)
    alist_models = twin(list_models)
    alist_models_by_token = twin(list_models_by_token)
    aget_model_lineage = twin(get_model_lineage)
    acompare = twin(compare)
