"""Lineages made of records, as the registry answers with them."""

from __future__ import annotations

import pytest

from hokusai_nb.core.lineage import build_lineage
from hokusai_nb.schema.records import RegisteredModel, RunFacts
from hokusai_nb.schema.registrations import SOURCE_TAG

ALICE, BOB, CAROL = ("0x" + digit * 40 for digit in "abc")
DAY = 86_400_000


def make_lineage(
    values,
    *,
    metrics="accuracy",
    people=(ALICE, BOB, CAROL),
    name="churn",
    parents=None,
    aliases=None,
    datasets=(),
    gone=(),
    declared=(),
):
    """Make a lineage of one version per value.

    Args:
        values: Benchmark values as text; None for none.
        metrics: One metric, or one per version.
        people: Contributors, taken in turn; None for nobody.
        parents: Parent by version, where it is not the version before.
        aliases: Aliases by version.
        datasets: Data sets of each version's run.
        gone: Versions whose run was deleted.
        declared: Versions whose value nobody measured.
    """
    versions, runs = [], {}
    for i, value in enumerate(values):
        number, run_id = str(i + 1), f"{i + 1:032x}"
        tags = {}
        if (person := people[i % len(people)]) is not None:
            tags["contributor_address"] = person
        if number in declared:
            tags[SOURCE_TAG] = "declared"
        if parents and number in parents:
            tags["previous_version"] = parents[number]
        versions.append(
            RegisteredModel(
                name=name,
                version=number,
                token_id="CHURN-AI",
                benchmark_metric=metrics if isinstance(metrics, str) else metrics[i],
                benchmark_value=value,
                tags=tags,
                run_id=run_id,
                creation_timestamp=1_760_000_000_000 + i * DAY,
                aliases=(aliases or {}).get(number, ()),
            )
        )
        if number not in gone:
            data = tuple(datasets[i]) if datasets else ()
            runs[run_id] = RunFacts(
                run_id=run_id, name=f"run-{number}", experiment_id="1", status="FINISHED", datasets=data
            )
    return build_lineage(name, versions, runs)


@pytest.fixture(scope="session")
def lineage_of():
    return make_lineage


def _rows(plot, name):
    """The data of the layers that draw a named data set."""
    named = [plot.spec, *plot.spec["layer"]]
    return next(part["data"]["values"] for part in named if part.get("data", {}).get("name") == name)


@pytest.fixture(scope="session")
def rows():
    return _rows
