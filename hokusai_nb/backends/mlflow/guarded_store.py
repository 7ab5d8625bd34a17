"""MLflow's registry in a database, where a version's tags keep the schema."""

# mypy: allow-untyped-calls
# MLflow's stores have no annotations.

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils.validation import (
    _validate_model_name,
    _validate_model_version,
    _validate_model_version_tag,
    _validate_tag_name,
)

from hokusai_nb.backends.mlflow.registry_plugin import confirmed
from hokusai_nb.backends.mlflow.tag_guard import refuse
from hokusai_nb.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
    from sqlalchemy.orm import Session

__all__ = ["GuardedStore", "WorkspaceAwareGuardedStore"]


class _Guarded(SqlAlchemyStore):
    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Iterable[ModelVersionTag] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> ModelVersion:
        """Make a version with all its tags, as MLflow does; nothing is written where they break the schema."""
        tags = list(tags or [])
        _refuse({tag.key: tag.value for tag in tags})
        made: ModelVersion = super().create_model_version(name, source, run_id, tags, *args, **kwargs)
        return made

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        """Set a tag, unless the version's tags would break the schema with it."""
        _validate_model_version_tag(tag.key, tag.value)
        with self._held(name, version) as (session, found):
            before = _tags_of(found)
            _refuse({**before, tag.key: tag.value}, before)
            key = {"workspace": found.workspace, "name": found.name, "version": found.version, "key": tag.key}
            session.merge(SqlModelVersionTag(**key, value=tag.value))

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Delete a tag, unless the version's tags would break the schema without it."""
        _validate_tag_name(key)
        with self._held(name, version) as (session, found):
            before = _tags_of(found)
            _refuse({k: v for k, v in before.items() if k != key}, before)
            for tag in found.model_version_tags:
                if tag.key == key:
                    session.delete(tag)

    @contextmanager
    def _held(self, name: str, version: str) -> Iterator[tuple[Session, SqlModelVersion]]:
        """Yield a version that nobody else changes the tags of until the transaction ends.

        Two changes that are right each by itself would otherwise pass each other unseen. The row is
        written as it is, which locks it in every database; SQLite has no ``SELECT … FOR UPDATE``.
        """
        _validate_model_name(name)
        number = _validate_model_version(version)
        with self.ManagedSessionMaker(read_only=False) as session:
            row = (SqlModelVersion.name == name, SqlModelVersion.version == number)
            same = {"current_stage": SqlModelVersion.current_stage}
            session.execute(
                sqlalchemy.update(SqlModelVersion)
                .where(*row, *self._get_workspace_clauses(SqlModelVersion))
                .values(same)
                .execution_options(synchronize_session=False)
            )
            yield session, self._get_sql_model_version(session, name, number)


class GuardedStore(_Guarded):
    """MLflow's registry; what breaks the tag schema is refused with ``INVALID_PARAMETER_VALUE``."""


class WorkspaceAwareGuardedStore(_Guarded, WorkspaceAwareSqlAlchemyStore):
    """The same where MLflow's workspaces are switched on."""


def _tags_of(version: SqlModelVersion) -> dict[str, str]:
    return {tag.key: tag.value for tag in version.model_version_tags}


def _refuse(after: Mapping[str, str], before: Mapping[str, str] | None = None) -> None:
    try:
        refuse(after, before, confirm=confirmed)
    except ValidationError as error:
        raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None
