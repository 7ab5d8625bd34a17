"""Servers without MLflow, each in a thread: quick to start, and over real HTTP."""

from __future__ import annotations

import pytest

from tests.apis import api_thread


@pytest.fixture
def start(sqlite_config):
    """Start a server with further options: ``start(rate_limit="3/minute")``; ended with the test."""
    from contextlib import ExitStack

    with ExitStack() as running:
        yield lambda **options: running.enter_context(api_thread(sqlite_config, **options))


@pytest.fixture
def tokens_api(start):
    """A server of tokens and events."""
    return start()
