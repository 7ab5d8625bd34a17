"""What a registration would write, found out in the background while the form is filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from markupsafe import Markup

from hokusai_nb.core.receipts import receipt_for
from hokusai_nb.errors import (
    AmbiguousModelError,
    HokusaiError,
    NoCurrentRunError,
    NoModelError,
    NotFoundError,
    ValidationError,
)
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.display import markup_table, shortened, signed, tag_rows
from hokusai_nb.widgets.facts import problem_of

if TYPE_CHECKING:
    from hokusai_nb.core.registry import ModelRegistry
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.receipt import Receipt
    from hokusai_nb.schema.records import RegisteredModel
    from hokusai_nb.schema.verbs import Register

__all__ = ["Preview", "Question", "explained", "look_ahead", "planned_title", "preview_html"]

_BREAK = Markup("<wbr>")
_DIGEST = re.compile(r"(?:0x)?[0-9a-fA-F]{64,}")
# What is wrong with the model or its run, not with the registry.
_NO_MODEL = (AmbiguousModelError, NoCurrentRunError, NoModelError, NotFoundError)


@dataclass(frozen=True)
class Question:
    """A registration that is valid by the schema: two are the same if they register the same.

    Attributes:
        verb: What is asked for.
        estimator: What is to be logged first; it may be anything and is not compared, its id is.
        serial: Told apart by it, a question is asked again although it is the same.
    """

    verb: Register
    estimator: object = field(default=None, compare=False)
    estimator_id: int = 0
    serial: int = 0


@dataclass(frozen=True)
class Preview:
    """What the registry answers to a question.

    Attributes:
        planned: The version that would be made, and what it would gain; None where it cannot be told.
        problems: What the registry knows to be wrong, such as a metric that the run does not have.
        trouble: Why the registry could not be asked; empty where it answered.
    """

    planned: Receipt | None = None
    problems: tuple[Problem, ...] = ()
    trouble: str = ""

    @property
    def gains(self) -> str:
        """The last version's value and the resulting improvement, in a sentence."""
        receipt = self.planned
        if receipt is None:
            return ""
        if receipt.trouble:
            return f"The versions before it could not be read: {receipt.trouble}"
        if receipt.last is None:
            return "The first version: it becomes the baseline."
        over = "" if receipt.over_last is None else f", improvement {signed(receipt.over_last)}"
        best = ""
        if receipt.best not in (None, receipt.last):
            best = f" Over the best (version {receipt.best}): {signed(receipt.over_best)}."
        return f"Last {receipt.last_in_words}{over}.{best}"


def look_ahead(registry: ModelRegistry, question: Question) -> Preview:
    """Return what the registration would write; what keeps it from being told is in the answer, not raised."""
    try:
        verb = question.verb.model_copy(update={"dry_run": True})
        model = registry.register(verb, estimator=question.estimator)
        return Preview(planned=receipt_for(registry.backend, model))
    except Exception as error:  # noqa: BLE001 - an estimator's own code may fail in any way
        return explained(error)


def explained(error: Exception) -> Preview:
    """Return an error as an answer: as problems where the form can be mended, as trouble where it cannot."""
    if isinstance(error, ValidationError):
        return Preview(problems=cast("tuple[Problem, ...]", error.problems))
    if isinstance(error, _NO_MODEL):
        return Preview(problems=(problem_of(error, "model"),))
    if isinstance(error, HokusaiError):
        return Preview(trouble=f"{error.what} {error.hint}".strip())
    logger.debug("A registration failed.", exc_info=error)
    return Preview(trouble=redact(f"{type(error).__name__}: {error}"))


def planned_title(model: RegisteredModel) -> str:
    """Return what will be written, in a line."""
    what = "new" if model.created else "made before: it is not made again"
    return f"What will be written: {model.name} version {model.version} ({what})"


def _seen(text: str) -> str | Markup:
    """Return a tag's text as it is shown: of a digest, which nobody reads, the two ends; the rest on pointing at it."""
    if not _DIGEST.fullmatch(text):
        return shortened(text)
    return Markup('<span title="{}">{}…{}</span>').format(text, text[:12], text[-6:])


def preview_html(line: str, python: str, preview: Preview | None) -> str:
    """Return what will be written, and the line and the call that ask for the same."""
    code = Markup("<div class='hokusai-heading'>{title}</div><pre tabindex='0' aria-label='{label}'>{text}</pre>")
    parts = [
        code.format(title="The same as a line", label="Magic line", text=line),
        code.format(title="and in Python", label="Python call", text=python),
    ]
    if preview and preview.planned:
        model, title = preview.planned.model, planned_title(preview.planned.model)
        tags = [("run", model.run_id or "–"), *tag_rows(model.tags)]
        cells = [(_BREAK.join(re.split(r"(?<=[._])", key)), _seen(text)) for key, text in tags]
        table = markup_table(cells)
        parts.insert(0, Markup("<div class='hokusai-heading'>{}</div>{}").format(shortened(title), table))
    return str(Markup().join(parts))
