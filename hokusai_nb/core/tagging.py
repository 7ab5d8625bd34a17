"""What a version is tagged with, and what one registration is recognised by."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import models
from hokusai_nb.config import settings
from hokusai_nb.schema.problems import Problem, errors_in, raise_for
from hokusai_nb.schema.tag_values import check_contributor
from hokusai_nb.schema.tags import (
    CONTRIBUTOR_TAGS,
    MAX_VALUE_LENGTH,
    METRIC_TAG,
    TOKEN_TAG,
    VALUE_TAG,
    check_extra_tags,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hokusai_nb.schema.registrations import RegisterFile
    from hokusai_nb.schema.runs import Dataset, RunFacts, RunModel
    from hokusai_nb.schema.verbs import Register

__all__ = ["key_of", "stated_tags", "storable", "tags_from_run"]

_TRAINING = ("train", "training")
_TEST = ("test", "testing", "eval", "evaluation")


def stated_tags(
    verb: Register | RegisterFile, value: str, *, from_settings: bool = True
) -> tuple[dict[str, str], list[Problem]]:
    """Return the tags that the user's words alone decide, and doubts about those of the settings.

    Args:
        verb: What was asked for.
        value: The benchmark value.
        from_settings: Whether the settings of this process name the contributor where the user does not.

    Raises:
        ValidationError: The contributor of the settings is no address.
    """
    tags = dict(verb.tags)
    doubts: list[Problem] = []
    contributor = verb.contributor
    if from_settings and contributor is None and not any(key in tags for key in CONTRIBUTOR_TAGS):
        contributor = settings().contributor
        doubts = check_contributor(contributor, field="HOKUSAI_CONTRIBUTOR") if contributor else []
        raise_for(doubts)
    if contributor and not any(key in tags for key in CONTRIBUTOR_TAGS):
        tags["contributor_address"] = contributor
    return {**tags, TOKEN_TAG: verb.token, METRIC_TAG: verb.metric, VALUE_TAG: value}, doubts


def tags_from_run(run: RunFacts | None, model: RunModel) -> dict[str, str]:
    """Return the recommended tags that the run knows: from data set inputs, parameters and signature.

    Several data sets of one kind count together; what could not stand in its tag is left out.
    """
    datasets = run.datasets if run else ()
    training = [d for d in datasets if d.context in _TRAINING]
    found: dict[str, object] = {
        "dataset_version": "+".join(dict.fromkeys(d.digest for d in training)) or None,
        "training_samples": _rows(training),
        "test_samples": _rows([d for d in datasets if d.context in _TEST]),
        "preprocessing": run.params.get("preprocessing") if run else None,
        "feature_count": models.signature_width(model) if model.uri else None,
    }
    texts = {key: str(value) for key, value in found.items() if value is not None}
    return {key: text for key, text in texts.items() if not errors_in(check_extra_tags({key: text}))}


def _rows(datasets: Sequence[Dataset]) -> int | None:
    """Return how many rows they have together, or None if that is not known of each."""
    counts = [d.rows for d in datasets if d.rows is not None]
    return sum(counts) if counts and len(counts) == len(datasets) else None


def storable(provenance: Mapping[str, str]) -> dict[str, str]:
    """Return tags that no user typed with what no database holds taken out: a path may be any bytes."""
    return {k: v.encode(errors="replace").decode().replace("\0", "")[:MAX_VALUE_LENGTH] for k, v in provenance.items()}


def key_of(name: str, identity: object, stated: Mapping[str, str]) -> str:
    """Return what two registrations share if, and only if, they are the same."""
    text = json.dumps([name, identity, sorted(stated.items())], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
