"""Registering one model with all our checks, against mlflow.register_model, which has none of them.

The peer writes the six tags that a user states; ours writes the registration's key and the number
of features besides.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging

import mlflow

from hokusai_nb.core.registry import ModelRegistry
from tests.bench.figures import Row, in_turns
from tests.bench.stores import REQUIRED, USER_TAGS, fresh_models, served, sqlite_store

FORMS = {"runs:/R/model": "runs_uri", "models:/m-…": "model_uri"}
STORES = {"SQLite": (sqlite_store, 25, 0.75), "server": (served, 15, 0.65)}
MANY = 2000


def ours(registry, model, form, name):
    made = registry.register_tokenized_model(getattr(model, FORMS[form]), name, *REQUIRED.values(), USER_TAGS)
    assert made.created


def peer(model, form, name):
    mlflow.register_model(getattr(model, FORMS[form]), name, tags={**REQUIRED, **USER_TAGS})


def case(uri, form, names):
    """Return the median of each; what is registered was never registered before."""
    registry = ModelRegistry(uri)
    models = fresh_models(uri, 3 * len(names))
    for name in names:  # that a name is no prompt's is asked once in a process
        ours(registry, next(models), form, name)
    pairs = [
        (functools.partial(ours, registry, next(models), form, name), functools.partial(peer, next(models), form, name))
        for name in names
    ]
    with contextlib.redirect_stderr(io.StringIO()):  # MLflow prints two lines for each
        return in_turns(pairs)


def measure() -> list[Row]:
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    rows = []
    for store, (opened, turns, target) in STORES.items():
        # Each pair has a name of its own, or ten versions would soon be fifty.
        few = {form: [f"{kind}-{i}" for i in range(turns)] for kind, form in enumerate(FORMS)}
        with opened({**{name: 9 for names in few.values() for name in names}, "many": MANY}) as uri:
            for form in FORMS:
                for count, names in ((10, few[form]), (MANY, ["many"] * turns)):
                    mine, theirs = case(uri, form, names)
                    what = f"register {form}, {store}, {count:,} versions"
                    rows.append(Row(what, mine, theirs, target=target, note="mlflow.register_model"))
    return rows
