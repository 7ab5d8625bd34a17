"""Prompts that tests register."""

from __future__ import annotations

FULL = {"author": "ada", "purpose": "hooks", "tested_on": "threads", "performance_metrics": {"ctr": 0.07}}
"""Metadata in which nothing that is recommended is missing."""
