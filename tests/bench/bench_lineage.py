"""The lineage of a thousand versions, against one raw search of them that fetches no run."""

from __future__ import annotations

import functools

from hokusai_nb.backends.mlflow.search import PAGE
from hokusai_nb.core.registry import ModelRegistry
from tests.bench.figures import Row, in_turns
from tests.bench.stores import served, sqlite_store

COUNT = 1000
TURNS = {"SQLite": 7, "server": 5}


def raw_search(client):
    """All pages, as large as ours."""
    found, token = [], None
    while True:
        page = client.search_model_versions("name = 'model'", max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def measure() -> list[Row]:
    rows = []
    note = "search_model_versions, all pages; ours fetches aliases and runs too, and computes improvements"
    for store, opened in (("SQLite", sqlite_store), ("server", served)):
        with opened({"model": COUNT, "other": COUNT}) as uri:
            registry = ModelRegistry(uri)
            ours = functools.partial(registry.get_model_lineage, "model")
            peer = functools.partial(raw_search, registry.backend.client)
            assert len(peer()) == COUNT
            assert sum(entry.run is not None for entry in ours()) == COUNT
            mine, theirs = in_turns([(ours, peer)] * TURNS[store])
        rows.append(Row(f"lineage of {COUNT:,} versions, {store}", mine, theirs, note=note))
    return rows
