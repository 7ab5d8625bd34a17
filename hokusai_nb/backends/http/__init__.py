"""The Hokusai API: one description of its calls, and two clients that make them."""

from __future__ import annotations

from hokusai_nb.backends.http.async_client import AsyncHokusaiClient
from hokusai_nb.backends.http.client import HokusaiClient

__all__ = ["AsyncHokusaiClient", "HokusaiClient"]
