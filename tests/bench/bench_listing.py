"""Listing one token among 10,000 versions in 1,000 models, against the loop over the models."""

from __future__ import annotations

from hokusai_nb.core.registry import ModelRegistry
from tests.bench.figures import Row, in_turns
from tests.bench.stores import sqlite_store

MODELS, EACH, TOKENS = 1000, 10, 50
TURNS = 2


def token_of(name):
    return f"TOKEN-{int(name.removeprefix('model-')) % TOKENS}"


def loop(client, token):
    found, page_token = [], None
    while True:
        page = client.search_registered_models(page_token=page_token)
        for model in page:
            versions = client.search_model_versions(f"name = '{model.name}'")
            found += [v for v in versions if v.tags.get("hokusai_token_id") == token]
        page_token = page.token
        if not page_token:
            return found


def measure() -> list[Row]:
    with sqlite_store({f"model-{i}": EACH for i in range(MODELS)}, token_of) as uri:
        registry = ModelRegistry(uri)
        client = registry.backend.client

        def ours():
            assert len(registry.list_models_by_token("TOKEN-7")) == MODELS * EACH // TOKENS

        def peer():
            assert len(loop(client, "TOKEN-7")) == MODELS * EACH // TOKENS

        mine, theirs = in_turns([(ours, peer)] * TURNS)
    what = f"list a token, {MODELS * EACH:,} versions, {MODELS:,} models, SQLite"
    return [Row(what, mine, theirs, target=0.1, note="search_registered_models, then one search for each model")]
