"""Checks of the optional tags' values, each with its repair."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import semver

from hokusai_nb.schema.problems import Problem, guess_or, plain, quoted
from hokusai_nb.schema.values import check_decimal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "any_text",
    "check_contributor",
    "check_hash",
    "check_hours",
    "check_semver",
    "decimal_text",
    "parse_semver",
    "whole_number",
]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_WHOLE = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
_SPELLED_WHOLE = re.compile(r"(?:v|#)?0*(\d[\d_ ]*|\d{1,3}(?:,\d{3})+)(?:\.0*)?", re.ASCII | re.IGNORECASE)
_SHORT = 250
"""Longer text is not looked at for a number or a version."""
_PARTS = re.compile(r"v?(\d+)(\.\d+)?", re.ASCII | re.IGNORECASE)


def any_text(field: str) -> Callable[[str], list[Problem]]:
    """Make a check that takes every text but a blank one."""

    def check(text: str) -> list[Problem]:
        return [] if text.strip() else [Problem(field=field, what=f"{field} is empty.", hint="Leave the tag out.")]

    return check


def whole_number(field: str, *, least: int = 0) -> Callable[[str], list[Problem]]:
    """Make a check that takes whole numbers in digits."""

    def valid(text: str) -> bool:
        return bool(_WHOLE.fullmatch(text)) and int(text) >= least

    def check(text: str) -> list[Problem]:
        if valid(text):
            return []
        spelled = _SPELLED_WHOLE.fullmatch(text.strip()) if len(text) <= _SHORT else None
        guess = re.sub(r"[ ,_]", "", spelled[1]) if spelled else ""
        repair = guess if valid(guess) else None
        hint = guess_or(repair, f"Give a whole number from {least} up, in digits.")
        return [Problem(field=field, what=f"{field} must be a whole number: {quoted(text)}", hint=hint, repair=repair)]

    return check


def decimal_text(field: str) -> Callable[[str], list[Problem]]:
    """Make a check that takes finite decimals."""

    def check(text: str) -> list[Problem]:
        return check_decimal(text, field=field)

    return check


def check_hours(text: str) -> list[Problem]:
    """Return what is wrong with a number of hours."""
    problems = check_decimal(text)
    if not problems and Decimal(text) >= 0:
        return []
    guess = problems[0].repair if problems and "%" not in text else None
    repair = guess if guess is not None and Decimal(guess) >= 0 else None
    what = f"training_hours must be a number of hours, 0 or more: {quoted(text)}"
    return [Problem(field="training_hours", what=what, hint=guess_or(repair, "Such as 1.5."), repair=repair)]


def parse_semver(text: str) -> semver.Version | None:
    """Return the text as a semantic version, or None if it is none."""
    valid = len(text) <= _SHORT and text.isascii() and semver.Version.is_valid(text)
    return semver.Version.parse(text) if valid else None


def check_semver(text: str) -> list[Problem]:
    """Return what is wrong with a semantic version."""
    if parse_semver(text):
        return []
    guess = text.strip().removeprefix("v")
    if parts := _PARTS.fullmatch(guess):
        guess = f"{parts[1]}{parts[2] or '.0'}.0"
    repair = guess if parse_semver(guess) else None
    hint = guess_or(repair, "Give MAJOR.MINOR.PATCH, such as 1.4.0.")
    what = f"full_version must be a semantic version: {quoted(text)}"
    return [Problem(field="full_version", what=what, hint=hint, repair=repair)]


def check_hash(text: str) -> list[Problem]:
    """Return what is wrong with a SHA-256; capitals are a warning, because other readers compare the text."""
    field = "contribution_hash"
    guess = text.strip().lower().removeprefix("sha256:").removeprefix("0x")
    repair = guess if _HASH.fullmatch(guess) and guess != text else None
    if not _HASH.fullmatch(text):
        hint = guess_or(repair, "Give the 64 hexadecimal digits of a SHA-256.")
        what = f"contribution_hash must be 64 hexadecimal digits: {quoted(text)}"
        return [Problem(field=field, what=what, hint=hint, repair=repair)]
    if repair is None:
        return []
    what = f"contribution_hash has capital letters: {quoted(text)}"
    hint = "Hashes are compared as text, in lower case."
    return [Problem(field=field, what=what, hint=hint, repair=repair, severity="warning")]


def check_contributor(value: object, *, field: str = "contributor_address") -> list[Problem]:
    """Return what is wrong with a contributor's Ethereum address.

    A mixed-case address that fails its EIP-55 checksum is a warning, and only where the
    ``attest`` extra, which can compute it, is installed.
    """
    text = plain(value) if isinstance(value, str) else ""
    if _ADDRESS.fullmatch(text):
        return _checksum(text, field)
    guess = text.strip()
    guess = guess if guess.startswith("0x") else f"0x{guess.removeprefix('0X')}"
    repair = guess if _ADDRESS.fullmatch(guess) else None
    hint = guess_or(repair, "Give 0x and 40 hexadecimal digits.")
    return [Problem(field=field, what=f"Contributor address invalid: {quoted(value)}", hint=hint, repair=repair)]


def _checksum(address: str, field: str) -> list[Problem]:
    digits = address[2:]
    if digits in (digits.lower(), digits.upper()):
        return []
    try:
        from eth_utils.address import to_checksum_address  # noqa: PLC0415 - an extra

        repair = str(to_checksum_address(address))
    except ImportError:  # the extra, or the hash function that it brings, is not installed
        return []
    if repair == address:
        return []
    what = f"Contributor address fails its EIP-55 checksum: {quoted(address)}"
    return [Problem(field=field, what=what, hint="One digit may be mistyped.", repair=repair, severity="warning")]
