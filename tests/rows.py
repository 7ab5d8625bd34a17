"""Rows of a store's tables: written where calls would take too long, counted where nothing may be written."""

from __future__ import annotations

import sqlalchemy
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelTag,
)


def add_versions(uri, versions):
    """Write versions straight into a store's tables: a thousand calls would take half a minute.

    Each is a mapping of ``name``, ``version`` and ``tags``, and if need be ``run_id`` and ``source``.
    """
    names = dict.fromkeys(v["name"] for v in versions)
    models = [{"name": n, "creation_time": 1, "last_updated_time": 1} for n in names]
    plain = {"creation_time": 1, "last_updated_time": 1, "current_stage": "None", "status": "READY"}
    rows = [
        {
            **plain,
            "name": v["name"],
            "version": v["version"],
            "run_id": v.get("run_id", ""),
            "source": v.get("source", "models:/m-0"),
            "storage_location": v.get("source", "models:/m-0"),
        }
        for v in versions
    ]
    tags = [
        {"name": v["name"], "version": v["version"], "key": key, "value": value}
        for v in versions
        for key, value in v["tags"].items()
    ]
    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        known = {row[0] for row in connection.execute(sqlalchemy.text("SELECT name FROM registered_models"))}
        if new := [m for m in models if m["name"] not in known]:
            connection.execute(sqlalchemy.insert(SqlRegisteredModel), new)
        connection.execute(sqlalchemy.insert(SqlModelVersion), rows)
        if tags:
            connection.execute(sqlalchemy.insert(SqlModelVersionTag), tags)
    engine.dispose()


def add_prompt(uri, name):
    """Write a prompt into a store's tables: MLflow's own call goes on writing in a thread of its own."""
    tag = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    add_versions(uri, [{"name": name, "version": 1, "tags": {tag["key"]: tag["value"]}, "source": "dummy-source"}])
    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.insert(SqlRegisteredModelTag), [{"name": name, **tag}])
    engine.dispose()


def row_counts(uri):
    """The number of rows of every table: what a call that writes nothing leaves as it was."""
    engine = sqlalchemy.create_engine(uri)
    with engine.connect() as connection:
        tables = sqlalchemy.inspect(engine).get_table_names()
        counts = {t: connection.execute(sqlalchemy.text(f'SELECT COUNT(*) FROM "{t}"')).scalar() for t in tables}
    engine.dispose()
    return counts
