"""Drawing the plots of a thousand versions; there is no peer."""

from __future__ import annotations

from decimal import Decimal

from hokusai_nb.core.lineage import build_lineage
from hokusai_nb.plots.improvement import improvement_plot
from hokusai_nb.plots.lineage import lineage_plot
from hokusai_nb.schema.records import RegisteredModel
from hokusai_nb.schema.tags import METRIC_TAG, TOKEN_TAG, VALUE_TAG
from tests.bench.figures import Row, in_turns

COUNT = 1000
TURNS = 5


def version(number):
    # It climbs and falls back, as a real series does: not every version is a new best.
    value = str(Decimal("0.5") + Decimal(number) / 4000 - Decimal(number % 7) / 500)
    tags = {TOKEN_TAG: "MSG-AI", METRIC_TAG: "accuracy", VALUE_TAG: value, "contributor": f"0x{number % 5:040x}"}
    return RegisteredModel(
        name="model",
        version=str(number),
        token_id="MSG-AI",
        benchmark_metric="accuracy",
        benchmark_value=value,
        tags=tags,
        run_id=None,
        source="models:/m-1",
        creation_timestamp=1_700_000_000_000 + number,
    )


def measure() -> list[Row]:
    lineage = build_lineage("model", [version(i) for i in range(1, COUNT + 1)], {})
    rows = []
    for what, draw in (("improvement", improvement_plot), ("lineage", lineage_plot)):
        work = (lambda draw=draw: draw(lineage).spec, lambda draw=draw: draw(lineage).png)
        in_turns([work])  # imports, and starts the renderer
        spec, png = in_turns([work] * TURNS)
        rows.append(
            Row(f"{what} plot of {COUNT:,} versions", png, note=f"chart and PNG; the chart alone {spec:.0f} ms")
        )
    return rows
