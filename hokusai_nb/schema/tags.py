"""Tags of a model version: the three required ones, the known optional ones, and the rest.

A distribution adds its own tags through the entry-point group ``hokusai_nb.tags``: each entry
point names a `TagSpec` or a callable that returns an iterable of them.
"""

from __future__ import annotations

import importlib.metadata
import numbers
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from hokusai_nb.errors import HokusaiWarning
from hokusai_nb.schema.metrics import check_benchmark, check_metric
from hokusai_nb.schema.problems import Problem, errors_in, plain, quoted
from hokusai_nb.schema.tag_values import (
    any_text,
    check_contributor,
    check_hash,
    check_hours,
    check_semver,
    decimal_text,
    parse_semver,
    whole_number,
)
from hokusai_nb.schema.tokens import check_token, fold_token
from hokusai_nb.schema.values import format_decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "BASELINE_TAG",
    "CONTRIBUTOR_TAGS",
    "KEY_TAG",
    "METRIC_TAG",
    "NOTEBOOK_PREFIX",
    "REQUIRED_TAGS",
    "TOKEN_TAG",
    "VALUE_TAG",
    "TagSpec",
    "check_contributor",
    "check_extra_tags",
    "check_tags",
    "iter_recommended",
    "known_tags",
    "stored_texts",
    "tag_field",
    "tag_text",
]

TOKEN_TAG = "hokusai_token_id"  # noqa: S105 - a tag's name, not a secret
METRIC_TAG = "benchmark_metric"
VALUE_TAG = "benchmark_value"
REQUIRED_TAGS = (TOKEN_TAG, METRIC_TAG, VALUE_TAG)
CONTRIBUTOR_TAGS = ("contributor_address", "contributor")
"""Where a contributor's address may stand; the second is an alias that is only read."""
KEY_TAG = "hokusai.registration_key"
BASELINE_TAG = "hokusai.baseline_requirement"
NOTEBOOK_PREFIX = "hokusai.notebook."
PLUGINS = "hokusai_nb.tags"
MAX_KEY_LENGTH = 250
MAX_VALUE_LENGTH = 100_000
_KEY = re.compile(r"[/\w.\- :]+")
_RESERVED = ("hokusai.", "mlflow.")


@dataclass(frozen=True)
class TagSpec:
    """An optional tag that we know.

    Attributes:
        name: The tag's key.
        meaning: What it says, with its unit.
        check: Returns what is wrong with a value's text.
        recommended: Filled in from the run where the run knows it.
    """

    name: str
    meaning: str
    check: Callable[[str], list[Problem]]
    recommended: bool = False


def _contributor_alias(text: str) -> list[Problem]:
    return check_contributor(text, field="contributor")


_STANDARD = (
    TagSpec("dataset_version", "Version or digest of the data set", any_text("dataset_version"), recommended=True),
    TagSpec("preprocessing", "How the data was prepared", any_text("preprocessing"), recommended=True),
    TagSpec("feature_count", "Number of features", whole_number("feature_count"), recommended=True),
    TagSpec("training_samples", "Number of training samples", whole_number("training_samples"), recommended=True),
    TagSpec("test_samples", "Number of test samples", whole_number("test_samples"), recommended=True),
    TagSpec("contributor_address", "Ethereum address of the contributor", check_contributor),
    TagSpec("contributor", "Alias of contributor_address", _contributor_alias),
    TagSpec("contribution_hash", "SHA-256 of the contributed data, 64 hex digits", check_hash),
    TagSpec("contribution_type", "Kind of contribution, such as data or code", any_text("contribution_type")),
    TagSpec("data_contribution", "What data was contributed", any_text("data_contribution")),
    TagSpec("dataset_size", "Size of the data set, with its unit", any_text("dataset_size")),
    TagSpec("training_hours", "Training time in hours", check_hours),
    TagSpec("gpu_type", "Accelerator that was used", any_text("gpu_type")),
    TagSpec("improvement_method", "What made this version better", any_text("improvement_method")),
    TagSpec("previous_version", "Registry version this one was made from", whole_number("previous_version", least=1)),
    TagSpec("full_version", "Semantic version", check_semver),
    TagSpec("major_version", "First part of full_version", whole_number("major_version")),
    TagSpec("minor_version", "Second part of full_version", whole_number("minor_version")),
    TagSpec("patch_version", "Third part of full_version", whole_number("patch_version")),
    TagSpec(BASELINE_TAG, "Value that a version must reach, in the metric's unit", decimal_text(BASELINE_TAG)),
)


@cache
def known_tags() -> Mapping[str, TagSpec]:
    """Return every optional tag we know by name, those of other distributions included."""
    specs = {spec.name: spec for spec in _STANDARD}
    for entry_point in importlib.metadata.entry_points(group=PLUGINS):
        for spec in _specs_of(entry_point):
            specs.setdefault(spec.name, spec)
    return MappingProxyType(specs)


def _specs_of(entry_point: importlib.metadata.EntryPoint) -> list[TagSpec]:
    """Return the tags of another distribution; if it is broken, it costs its own tags only."""
    try:
        found = entry_point.load()
        specs = [found] if isinstance(found, TagSpec) else list(found())
        if all(isinstance(spec, TagSpec) for spec in specs):
            return specs
        reason = "it returns something else than TagSpec"
    except Exception as error:  # noqa: BLE001 - foreign code may fail in any way
        reason = f"{type(error).__name__}: {error}"
    warnings.warn(f"Tags of {entry_point.value} are left out: {reason}", HokusaiWarning, stacklevel=2)
    return []


def tag_field(key: str) -> str:
    """Return what a verb calls one of its further tags, which may be called like another field of the verb."""
    return f"tags.{key}"


def tag_text(value: object) -> str | None:
    """Return the text a tag value is stored as, or None if it is neither text nor a number.

    >>> tag_text("2"), tag_text(0.5), tag_text(True), tag_text(None)
    ('2', '0.5', 'True', None)
    """
    if isinstance(value, str):
        return plain(value)
    # numpy's truth values are registered as no kind of number.
    if not isinstance(value, (numbers.Real, Decimal)) and type(value).__name__ not in ("bool", "bool_"):
        return None
    try:
        return str(value)
    except ValueError:  # an integer of so many digits that Python does not write them
        return None


def stored_texts(tags: Mapping[str, object]) -> dict[str, str]:
    """Return valid tags as they are stored: as text, token ids in canonical form."""
    texts = {key: format_decimal(value) if key == VALUE_TAG else tag_text(value) or "" for key, value in tags.items()}
    return {key: fold_token(text) if key == TOKEN_TAG else text for key, text in texts.items()}


def check_extra_tags(tags: object) -> list[Problem]:
    """Return what is wrong with the tags a user adds to the required ones."""
    if not isinstance(tags, Mapping):
        what = f"Tags must be a mapping: {quoted(tags)}"
        return [Problem(field="tags", what=what, hint="Such as {'dataset_version': '2'}.")]
    tags = _plain_keys(tags)
    problems = [p for key, value in tags.items() for p in _check_extra(key, value)]
    texts = {key: text for key, value in tags.items() if (text := tag_text(value)) is not None}
    return [*problems, *_check_agreement(texts)]


def _plain_keys(tags: Mapping[object, object]) -> dict[object, object]:
    return {plain(key) if isinstance(key, str) else key: value for key, value in tags.items()}


def _check_extra(key: object, value: object) -> list[Problem]:
    if key in REQUIRED_TAGS:
        what = f"Tag {key} cannot be set through tags."
        return [Problem(field=str(key), what=what, hint="Its own argument sets it.")]
    if problems := _check_storable(key, value):
        return problems
    key, text = str(key), tag_text(value) or ""
    spec = None if key.startswith("mlflow.") else known_tags().get(key)
    if spec is not None:
        return [p.under(key) for p in spec.check(text)]
    if key.startswith(_RESERVED):
        what = f"Tag {quoted(key)} cannot be set: the prefix {key.partition('.')[0]}. is reserved."
        return [Problem(field=key, what=what, hint="Choose another key.")]
    return []


def _check_storable(key: object, value: object) -> list[Problem]:
    """Return what keeps MLflow from storing the tag, on any of its databases."""
    if not isinstance(key, str) or not _KEY.fullmatch(key) or len(key) > MAX_KEY_LENGTH or _path_like(key):
        hint = f"Use letters, digits, spaces and _ . - / : only, {MAX_KEY_LENGTH} characters at most, and no path."
        field = quoted(key)[1:-1] if isinstance(key, str) else "tags"
        return [Problem(field=field or "tags", what=f"Tag key invalid: {quoted(key)}", hint=hint)]
    text = tag_text(value)
    if text is None:
        what = f"Tag {quoted(key)} must be text or a number: {quoted(value)}"
        return [Problem(field=key, what=what, hint="Convert it with str() or json.dumps(), or leave it out.")]
    if len(text) > MAX_VALUE_LENGTH:
        what = f"Tag {quoted(key)} has {len(text):,} characters; MLflow stores {MAX_VALUE_LENGTH:,} at most."
        return [Problem(field=key, what=what, hint="Log it as an artifact and store its path.")]
    if "\0" in text or not _encodable(text):
        what = f"Tag {quoted(key)} holds a character that cannot be stored: {quoted(text)}"
        return [Problem(field=key, what=what, hint="Remove NUL characters and lone surrogates.")]
    return []


def _path_like(key: str) -> bool:
    """Whether MLflow would refuse the key because it reads as a path that normalises away."""
    parts = key.split("/")
    return key.startswith("..") or not {"", ".", ".."}.isdisjoint(parts)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_agreement(tags: Mapping[object, str]) -> list[Problem]:
    """Return where tags that say the same thing twice disagree, each being valid by itself."""
    problems = []
    if full := parse_semver(tags.get("full_version", "")):
        for part in ("major", "minor", "patch"):
            key, right = f"{part}_version", str(getattr(full, part))
            if tags.get(key, right) != right:
                what = f"{key} is {quoted(tags[key])}, but full_version is {quoted(str(full))}."
                problems.append(Problem(field=key, what=what, hint=f"Did you mean {right}?", repair=right))
    addresses = [tags[key] for key in CONTRIBUTOR_TAGS if key in tags and not errors_in(check_contributor(tags[key]))]
    if len({address.lower() for address in addresses}) > 1:
        what = "contributor and contributor_address name different addresses."
        problems.append(Problem(field="contributor", what=what, hint="Leave one of them out.", repair=addresses[0]))
    return problems


def check_tags(tags: object) -> list[Problem]:
    """Return what is wrong with a version's whole set of tags, as it stands in the registry."""
    if not isinstance(tags, Mapping):
        return check_extra_tags(tags)
    tags = _plain_keys(tags)
    missing = [
        Problem(field=key, what=f"Tag {key} is missing.", hint="Every Hokusai model version has it.")
        for key in REQUIRED_TAGS
        if key not in tags
    ]
    required = []
    if TOKEN_TAG in tags:
        required += [p.under(TOKEN_TAG) for p in check_token(tags[TOKEN_TAG])]
    if METRIC_TAG in tags:
        required += [p.under(METRIC_TAG) for p in check_metric(tags[METRIC_TAG])]
    if VALUE_TAG in tags:
        required += check_benchmark(tags.get(METRIC_TAG), tags[VALUE_TAG], field=VALUE_TAG)
    own = {k: v for k, v in tags.items() if k not in REQUIRED_TAGS and not _written_by_us(k)}
    return [*missing, *required, *check_extra_tags(own)]


def _written_by_us(key: object) -> bool:
    """Whether the package or MLflow writes this tag, and no check of ours speaks of it."""
    return isinstance(key, str) and key.startswith(_RESERVED) and key not in known_tags()


def iter_recommended() -> Iterable[str]:
    """Return the names of the tags that are filled in from the run."""
    return [spec.name for spec in known_tags().values() if spec.recommended]
