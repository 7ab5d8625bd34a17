"""What the registration of a file is asked for with, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

import pydantic

from hokusai_nb.errors import MetricValidationError, ValidationError
from hokusai_nb.schema.display import SIMULATED, Shown, grid, signed
from hokusai_nb.schema.frozen import Frozen, FrozenDict
from hokusai_nb.schema.lifecycle import SiteTokenId, Status
from hokusai_nb.schema.names import ModelName
from hokusai_nb.schema.problems import Problem, checked, raise_custom
from hokusai_nb.schema.tags import BASELINE_TAG, CONTRIBUTOR_TAGS, check_contributor, check_extra_tags
from hokusai_nb.schema.values import DecimalText, check_decimal, format_decimal
from hokusai_nb.schema.verbs import Contributor, ExtraTags, Option, Verb

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["METRIC_FAILED", "SOURCE_TAG", "PerformanceSource", "RegisterFile", "Registration"]

METRIC_FAILED = "Metric Validation Failed: "
"""What every message begins with that refuses a metric or a value."""
SOURCE_TAG = "hokusai.performance_source"
"""Tag that says where a version's value comes from: a `PerformanceSource`."""

PerformanceSource: TypeAlias = Literal["given", "run", "metrics.json", "mlmodel", "declared"]
"""Where the measured value comes from: ``--value``, the run's metric, the file, the MLmodel's run, or nowhere."""


def _check_number(value: object, field: str) -> list[Problem]:
    found = check_decimal(value, field=field)
    return [p.model_copy(update={"what": f"{METRIC_FAILED}{field}: {p.what}"}) for p in found]


def _check_baseline(value: object) -> list[Problem]:
    return _check_number(value, "baseline")


def _check_value(value: object) -> list[Problem]:
    return _check_number(value, "value")


class RegisterFile(Verb):
    """Register a model file or folder for a token of the site."""

    token: Annotated[SiteTokenId, Option("--token-id", suggest="token_ids")]
    """Token in draft, such as XRAY or MSG-AI."""
    path: Annotated[str, pydantic.StringConstraints(min_length=1), Option("--model-path", metavar="PATH")]
    """File or folder; it is uploaded as it is and never loaded."""
    metric: Annotated[str, Option("--metric", suggest="run_metrics")]
    """Benchmark metric of the catalogue, such as auroc."""
    baseline: Annotated[str, pydantic.BeforeValidator(checked(_check_baseline, format_decimal)), Option("--baseline")]
    """What the model has to reach, in the metric's own unit."""
    value: Annotated[
        Annotated[str, pydantic.BeforeValidator(checked(_check_value, format_decimal))] | None, Option("--value")
    ] = None
    """What it reached; read from the run, metrics.json or the MLmodel's run if left out."""
    run: Annotated[str | None, Option("--run-id", suggest="run_ids", metavar="RUN")] = None
    """MLflow run that measured it."""
    name: Annotated[ModelName | None, Option("--model-name", suggest="model_names", metavar="NAME")] = None
    """Registered model name; hokusai- and the token in lower case if left out."""
    contributor: Annotated[Contributor | None, Option("--contributor", metavar="ADDRESS")] = None
    """Contributor's Ethereum address."""
    tags: Annotated[ExtraTags, Option("--tag", suggest="tag_names", metavar="KEY=VALUE")] = FrozenDict()
    """Further tag; may be given several times."""
    dry_run: Annotated[bool, Option("--dry-run")] = False
    """Check everything, write nothing."""
    as_json: Annotated[bool, Option("--json")] = False
    """Print JSON."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Return the validated verb.

        Raises:
            MetricValidationError: The baseline or the value is no number.
            ValidationError: Some other field is wrong.
        """
        try:
            return super().parse(values)
        except ValidationError as error:
            if not error.what.startswith(METRIC_FAILED):
                raise
            raise MetricValidationError(error.problems) from None

    @pydantic.model_validator(mode="after")
    def _fields_agree(self) -> Self:
        raise_custom(self.disagreements(self.model_dump()))
        return self

    @classmethod
    def further(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Return contradictions among the fields that are valid."""
        return cls.disagreements(values)

    @staticmethod
    def disagreements(values: Mapping[str, Any]) -> list[Problem]:
        """Return where fields that are each valid contradict one another."""
        tags, contributor = values.get("tags"), values.get("contributor")
        if not isinstance(tags, Mapping):
            return []
        problems = []
        stated = {str(tags[key]).lower() for key in CONTRIBUTOR_TAGS if key in tags}
        if stated and contributor and str(contributor).lower() not in stated:
            what = "The contributor and the contributor tag name different addresses."
            problems.append(Problem(field="contributor", what=what, hint="Leave one of them out."))
        if BASELINE_TAG in tags:
            what = f"Tag {BASELINE_TAG} cannot be set through tags."
            problems.append(Problem(field="tags", what=what, hint="The baseline sets it."))
        return problems

    def warnings(self) -> list[Problem]:
        """Return addresses that fail their checksum, and further doubts about tags."""
        address = check_contributor(self.contributor, field="contributor") if self.contributor else []
        return [p for p in [*address, *check_extra_tags(self.tags)] if p.severity == "warning"]


class Registration(Shown, frozen=True):
    """What the registration of a file has made."""

    token_id: str
    status: Status
    """The token's status now."""
    model_name: str
    version: str
    """Registry version; in a dry run the one that would follow."""
    mlflow_run_id: str | None
    """The run that holds the files; None in a dry run."""
    metric_name: str
    metric_value: DecimalText
    """In the metric's own unit."""
    baseline_value: DecimalText
    improvement: Decimal
    """Over the baseline, positive where better."""
    performance_source: PerformanceSource
    tags: Frozen[str, str]
    created: bool = True
    """False where an earlier attempt had made the version."""
    dry_run: bool = False
    simulated: bool = False
    """True in mock mode."""
    warnings: tuple[Problem, ...] = ()
    url: str | None = None
    """Page of the version in MLflow's own UI, where a server has one."""

    def _grid(self) -> tuple[Markup, str]:
        state = "Would register" if self.dry_run else "Registered" if self.created else "Registered before:"
        rows: list[tuple[str, object]] = [
            ("Token", f"{self.token_id} ({self.status.value})"),
            ("Benchmark", f"{self.metric_name} = {self.metric_value}"),
            ("Baseline", f"{self.baseline_value} (improvement {signed(self.improvement)})"),
        ]
        if self.mlflow_run_id:
            rows.append(("Run", self.mlflow_run_id))
        if self.url:
            rows.append(("MLflow", self.url))
        notes = [f"Warning: {p.sentence}" for p in self.warnings]
        if self.performance_source == "declared":
            notes.insert(0, "No measured value was found: the baseline is recorded as the declared value.")
        if self.simulated:
            notes.insert(0, SIMULATED)
        return grid(f"{state} {self.model_name} version {self.version}", rows, notes=notes)
