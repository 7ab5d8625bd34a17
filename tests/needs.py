"""What a test does without a program that it needs."""

from __future__ import annotations

import os

import pytest


def without(program: str, package: str):
    """Fail where CI runs, and elsewhere leave the test out; the summary of the run names the reason."""
    message = f"NO {program.upper()}, which its tests need: apt-get install {package}"
    pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
