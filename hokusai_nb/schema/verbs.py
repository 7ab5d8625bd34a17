"""What a user can ask for, described once for magics, forms, commands and requests.

Each face has one small adapter that reads a verb's fields: the type validates, the `Option` says
how it is spelled on a line, the docstring below a field is its help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import pydantic

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.frozen import Frozen, FrozenDict
from hokusai_nb.schema.metrics import MetricName, check_benchmark, check_metric
from hokusai_nb.schema.names import ModelName
from hokusai_nb.schema.problems import Problem, checked, errors_in, plain, problems_in, raise_custom
from hokusai_nb.schema.tags import CONTRIBUTOR_TAGS, check_contributor, check_extra_tags, tag_field, tag_text
from hokusai_nb.schema.tokens import StoredTokenId, TokenId
from hokusai_nb.schema.values import DecimalText, check_decimal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Compare",
    "Configure",
    "Improvement",
    "Models",
    "Option",
    "Overview",
    "Register",
    "ShowLineage",
    "TokenStatus",
    "Verb",
]


@dataclass(frozen=True)
class Option:
    """How a field of a verb is spelled on a line.

    Attributes:
        flag: Such as ``--token``; empty for a positional argument.
        suggest: Where candidates for completion come from: a key of the completion's sources.
        metavar: What stands for the value in the help; the field's name in capitals if empty.
        notebook: Whether it makes sense in a notebook only, such as the name of a variable.
        several: Whether one flag may be followed by several KEY=VALUE words.
    """

    flag: str = ""
    suggest: str = ""
    metavar: str = ""
    notebook: bool = False
    several: bool = False


class Verb(pydantic.BaseModel, frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True):
    """Something a user can ask for; a field of another type is refused, not converted."""

    @classmethod
    def options(cls) -> Iterator[tuple[str, pydantic.fields.FieldInfo, Option]]:
        """Yield each field that a line can carry: its name, pydantic's facts and its spelling."""
        for name, info in cls.model_fields.items():
            for extra in info.metadata:
                if isinstance(extra, Option):
                    yield name, info, extra

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Return the validated verb.

        Raises:
            ValidationError: Some field is wrong; every problem that was found is in it.
        """
        try:
            return cls.model_validate(dict(values))
        except pydantic.ValidationError as error:
            raise ValidationError(problems_in(error)) from None

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Return everything that is wrong with the values, warnings included."""
        try:
            return cls.model_validate(dict(values)).warnings()
        except pydantic.ValidationError as error:
            return list(dict.fromkeys([*problems_in(error), *cls.further(values)]))

    @classmethod
    def further(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Return what can be said of the fields that are valid while others are not."""
        del values
        return []

    def warnings(self) -> list[Problem]:
        """Return what is accepted but should be looked at."""
        return []


def _check_tags(tags: object) -> list[Problem]:
    # A tag may be called like a field of the verb, so that its problems say that they are a tag's.
    problems = [] if tags is None else check_extra_tags(tags)
    return [p if p.field == "tags" else p.under(tag_field(p.field)) for p in problems]


def _text_tags(tags: Mapping[str, Any] | None) -> FrozenDict[str, str]:
    return FrozenDict((plain(key), tag_text(value) or "") for key, value in (tags or {}).items())


def _check_address(value: object) -> list[Problem]:
    return check_contributor(value, field="contributor")


ExtraTags = Annotated[Frozen[str, str], pydantic.BeforeValidator(checked(_check_tags, _text_tags))]
Contributor = Annotated[str, pydantic.BeforeValidator(checked(_check_address, plain))]


class Register(Verb):
    """Register a run's model under a Hokusai token."""

    name: Annotated[ModelName, Option(suggest="model_names")]
    """Registered model name."""
    token: Annotated[TokenId, Option("--token", suggest="token_ids")]
    """Token that the improvement is rewarded with, such as MSG-AI."""
    metric: Annotated[MetricName, Option("--metric", suggest="run_metrics")]
    """Benchmark metric, such as accuracy."""
    value: Annotated[DecimalText | None, Option("--value")] = None
    """Benchmark value in the metric's own unit; read from the run if left out."""
    run: Annotated[str | None, Option("--run", suggest="run_ids")] = None
    """Run id; the current run if left out."""
    model: Annotated[str | None, Option("--model", suggest="models", metavar="VAR|NAME|URI")] = None
    """Variable with a fitted estimator, name of a logged model, or model URI; the run's only model if left out."""
    input_example: Annotated[
        str | None, Option("--input-example", suggest="variables", metavar="VAR", notebook=True)
    ] = None
    """Variable with input rows, from which the signature of an estimator is made."""
    tags: Annotated[ExtraTags, Option("--tag", suggest="tag_names", metavar="KEY=VALUE")] = FrozenDict()
    """Further tag; may be given several times."""
    contributor: Annotated[Contributor | None, Option("--contributor", metavar="ADDRESS")] = None
    """Contributor's Ethereum address."""
    force_new: Annotated[bool, Option("--force-new")] = False
    """Make a new version even if the same registration was made before."""
    dry_run: Annotated[bool, Option("--dry-run")] = False
    """Check everything, register nothing; the run of a cell is recorded all the same."""
    as_json: Annotated[bool, Option("--json")] = False
    """Return JSON text."""
    form: Annotated[bool, Option("--form", notebook=True)] = False
    """Open the form with what the line says filled in."""

    @pydantic.model_validator(mode="after")
    def _fields_agree(self) -> Self:
        raise_custom(self.disagreements(self.model_dump()))
        return self

    @classmethod
    def further(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Return contradictions and warnings among the fields that are valid."""
        return [*cls.disagreements(values), *cls._doubts(values)]

    @staticmethod
    def disagreements(values: Mapping[str, Any]) -> list[Problem]:
        """Return where fields that are each valid contradict one another."""
        problems = []
        if not check_decimal(values.get("value")):
            problems += check_benchmark(values.get("metric"), values["value"])
        tags = values.get("tags")
        stated = [tags[key] for key in CONTRIBUTOR_TAGS if key in tags] if isinstance(tags, Mapping) else []
        addresses = [a for a in (values.get("contributor"), *stated) if not errors_in(_check_address(a))]
        if values.get("contributor") in addresses and len({address.lower() for address in addresses}) > 1:
            what = "The contributor and the contributor tag name different addresses."
            problems.append(Problem(field="contributor", what=what, hint="Leave one of them out."))
        return problems

    def warnings(self) -> list[Problem]:
        """Return an undeclared metric and addresses that fail their checksum."""
        return self._doubts(self.model_dump())

    @staticmethod
    def _doubts(values: Mapping[str, Any]) -> list[Problem]:
        found = [*check_metric(values.get("metric")), *_check_address(values.get("contributor"))]
        return [p for p in [*found, *_check_tags(values.get("tags"))] if p.severity == "warning"]


class Models(Verb):
    """List registered versions, all or those of one token."""

    prefix: Annotated[str | None, Option(suggest="model_names")] = None
    """Only names that begin with this."""
    token: Annotated[StoredTokenId | None, Option("--token", suggest="token_ids")] = None
    """Only versions of this token."""
    as_json: Annotated[bool, Option("--json")] = False
    """Return JSON text."""


class ShowLineage(Verb):
    """Show the versions of a model or a prompt, what each was made from and how far it got."""

    name: Annotated[str, Option(suggest="names")]
    """Registered model or prompt."""
    graph: Annotated[bool, Option("--graph", notebook=True)] = False
    """Return a graph instead of the table: versions, runs and contributors, or a prompt's stages over time."""
    as_json: Annotated[bool, Option("--json")] = False
    """Return JSON text."""


class Improvement(Verb):
    """Plot a model's benchmark value over its versions."""

    name: Annotated[str, Option(suggest="model_names")]
    """Registered model name."""
    by_contributor: Annotated[bool, Option("--by-contributor")] = False
    """Stack the gain of each contributor instead."""


class Compare(Verb):
    """Put two versions of a model or a prompt side by side and say what differs."""

    name: Annotated[str, Option(suggest="names")]
    """Registered model or prompt."""
    first: Annotated[str, Option(suggest="versions", metavar="V1")]
    """Version to compare from."""
    second: Annotated[str, Option(suggest="versions", metavar="V2")]
    """Version to compare to."""
    as_json: Annotated[bool, Option("--json")] = False
    """Return JSON text."""


class TokenStatus(Verb):
    """Show how far the registration of a token got."""

    token: Annotated[StoredTokenId, Option(suggest="token_ids")]
    """Token, such as XRAY or MSG-AI."""
    as_json: Annotated[bool, Option("--json")] = False
    """Return JSON text."""


class Overview(Verb):
    """Show where the extension writes, what the current run is and what to do next."""


class Configure(Verb):
    """Show the settings, or change some of them for this kernel."""

    tracking_uri: Annotated[str | None, Option("--tracking-uri", metavar="URI")] = None
    """MLflow store to write to from now on; the same as mlflow.set_tracking_uri."""
    contributor: Annotated[Contributor | None, Option("--contributor", metavar="ADDRESS")] = None
    """Contributor's address for registrations that name none."""
    provenance: Annotated[bool | None, pydantic.Field(strict=False), Option("--provenance", metavar="on|off")] = None
    """Whether registrations record notebook, kernel and git commit."""
