"""Prompts that tests register."""

from __future__ import annotations

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.schema.prompts import PromptVersion

FULL = {"author": "ada", "purpose": "hooks", "tested_on": "threads", "performance_metrics": {"ctr": 0.07}}
"""Metadata in which nothing that is recommended is missing."""


def draft(version="1.0.0", template="Hi {name}", name="hook", **metadata):
    """A version that is not registered, with all metadata that is recommended."""
    return PromptVersion(name=name, version=version, template=template, metadata={**FULL, **metadata})


def versions(backend, name="hook"):
    """The versions of a prompt that count, oldest first."""
    return [v.version for v in prompts.all_versions(backend, name)]
