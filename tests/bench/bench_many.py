"""Registering a hundred models on a server at once, against one after the other."""

from __future__ import annotations

import functools

from hokusai_nb.core.registry import ModelRegistry
from tests.bench.figures import Row, in_turns
from tests.bench.stores import REQUIRED, fresh_models, served

COUNT = 100
TURNS = 2
WORKERS = 4


def at_once(registry, models):
    token, metric, value = REQUIRED.values()
    records = [
        {"uri": m.model_uri, "name": "many", "token_id": token, "metric": metric, "value": value} for m in models
    ]
    results = registry.register_many(records, max_workers=WORKERS, progress=False)
    assert all(result.ok for result in results), results


def one_by_one(registry, models):
    for model in models:
        registry.register_tokenized_model(model.model_uri, "many", *REQUIRED.values())


def measure() -> list[Row]:
    with served({"many": 10}) as uri:
        registry = ModelRegistry(uri)
        models = fresh_models(uri, 2 * COUNT * TURNS + 1)
        one_by_one(registry, [next(models)])
        rows = [
            [functools.partial(way, registry, [next(models) for _ in range(COUNT)]) for way in (at_once, one_by_one)]
            for _ in range(TURNS)
        ]
        mine, theirs = in_turns(rows)
    note = f"the loop over register_tokenized_model; {WORKERS} threads, server of one worker"
    return [Row(f"register_many of {COUNT}, server", mine, theirs, target=1.0, note=note)]
