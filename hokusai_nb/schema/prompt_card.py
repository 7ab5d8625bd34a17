"""A prompt as it is worked on: its variables, a rendered sample, and what changed since the last version."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from markupsafe import Markup

from hokusai_nb.schema.display import (
    SIMULATED,
    Link,
    Shown,
    barred,
    card,
    diff_lines,
    markup_table,
    plain_table,
    printable,
    shortened,
    text_block,
)
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.prompt_comparison import compare_prompts
from hokusai_nb.schema.prompts import SHOWN_TEMPLATE, PromptVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PromptCard", "Sample", "author_of", "waiting"]

CHIPS = 60
_CHIP = Markup(
    "<span style='display:inline-block;padding:0 .6em;margin:.1em .35em .1em 0;border-radius:1em;"
    "border:1px solid rgba(128,128,128,.5);background-color:rgba(128,128,128,.15)'><code>{}</code></span>"
)
# As plain as the chips, for a notebook that is not trusted; read well on light and on dark.
_REFUSAL = Markup(
    "<div style='font-weight:600;white-space:pre-line;margin:.25em 0;padding:.3em .6em;"
    "border-left:3px solid #e5534b;background-color:rgba(229,83,75,.15)'>{}</div>"
)
_HEAD = Markup("<div style='font-weight:600;margin:.5em 0 0'>{}</div>")


def waiting(name: str) -> str:
    """Return what stands in a sample for a variable that has no value."""
    return f"\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}{name}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"


def author_of(prompt: PromptVersion) -> str:
    """Return who wrote a version, and where that is taken from if nobody said it; empty where it is not known."""
    if "author" in prompt.metadata:
        return str(prompt.metadata["author"])
    return f"{prompt.author} (taken from the login)" if prompt.author else ""


class Sample(Shown, frozen=True):
    """A template with the values that there are; a name in single angle quotes stands for one that there is not."""

    text: str
    missing: tuple[str, ...] = ()
    """Variables without a value."""
    unknown: tuple[str, ...] = ()
    """Values that no variable asks for."""

    @property
    def notes(self) -> list[str]:
        """What to know of it."""
        told = []
        if self.missing:
            shown = ", ".join(waiting(name) for name in self.missing)
            told.append(f"No value was given for {', '.join(self.missing)}: the sample shows {shown}.")
        if self.unknown:
            told.append(f"Warning: the template has no variable {', '.join(self.unknown)}.")
        return told

    def _grid(self) -> tuple[Markup, str]:
        return card("Sample", text_block(self.text), notes=self.notes), "\n".join([*barred(self.text), *self.notes])


class PromptCard(Shown, frozen=True):
    """What is shown of a prompt beside what it holds.

    Everything but the prompt is as it was when the card was made; `shown` puts the prompt in as it is by now.
    """

    prompt: PromptVersion
    sample: Sample | None = None
    last: PromptVersion | None = None
    """The registered version that it is compared with."""
    reason: str = ""
    """Why the step from it is what it is; goes on from the words before it."""
    problems: tuple[Problem, ...] = ()
    """What would refuse it, and what should be looked at."""
    unchecked: str = ""
    """What could not be asked, and so is not known; empty where the registry answered."""
    with_template: bool = False
    """Whether the template itself is shown."""

    def shown(self, prompt: PromptVersion, /) -> PromptCard:
        """Return the card with the prompt as it is by now."""
        # What would have refused its registration did not, once it is registered.
        left = tuple(p for p in self.problems if p.severity == "warning") if prompt.registered else self.problems
        return self.model_copy(update={"prompt": prompt, "problems": left})

    @property
    def title(self) -> str:
        """Name, version and whether it is registered."""
        one = self.prompt
        state = "registered" if one.registered else "not registered"
        if one.registered and not one.created:
            state = "registered already"
        elif self.unchecked and not one.registered:
            state = "not checked with the registry"
        elif self._refusals():
            state = "would be refused"
        return f"Prompt {one.name} {one.version} ({state})"

    @cached_property
    def diff(self) -> str:
        """The unified diff from the last version; empty where there is none, or the texts are equal."""
        if self.last is None:
            return ""
        text: str = compare_prompts(self.last, self.prompt)["template_diff"]["text_diff"]
        return shortened(text, SHOWN_TEMPLATE)

    def _rows(self) -> list[tuple[str, object]]:
        one = self.prompt
        rows: list[tuple[str, object]] = [("Stage", one.stage.value)] if one.registered else []
        if self.last:
            step = compare_prompts(self.last, one)["version_step"] or "–"
            rows.append(("Step", f"{step}, from {self.last.version}{self.reason}"))
        elif not one.registered and not self.unchecked:
            rows.append(("Step", "the first version"))
        rows += [("Author", shortened(author_of(one)))] if author_of(one) else []
        rows += [(shortened(key), shortened(value)) for key, value in one.metadata.items() if key != "author"]
        rows += [("MLflow", Link(one.url))] if one.url else []
        return rows

    def _notes(self) -> list[str]:
        notes = [SIMULATED] if self.prompt.simulated else []
        notes += [self.unchecked] if self.unchecked else []
        warnings = [p for p in (*self.problems, *self.prompt.warnings) if p.severity == "warning"]
        return [*notes, *(f"Warning: {problem.sentence}" for problem in warnings)]

    def _refusals(self) -> list[str]:
        refused = (p for p in (*self.problems, *self.prompt.warnings) if p.severity != "warning")
        return [f"It would not be registered: {problem.sentence}" for problem in refused]

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Yield the heading and the text of what is shown in several lines."""
        if self.with_template:
            yield "Template", self.prompt.template
        if self.sample:
            yield "Sample", self.sample.text

    def _html_(self) -> Markup:
        parts = [_REFUSAL.format(shortened(refusal)) for refusal in self._refusals()]
        parts += [_chips(self.prompt.variables), markup_table(self._rows())]
        for head, text in self._texts():
            parts.append(_HEAD.format(head) + text_block(shortened(text, SHOWN_TEMPLATE)))
        parts += [Markup("<div class='hokusai-note'>{}</div>").format(note) for note in self._sample_notes()]
        if self.last:
            lines = diff_lines(self.diff) if self.diff else "The texts are equal."
            parts.append(_HEAD.format(f"Changes from {self.last.version}") + text_block(lines))
        return card(shortened(self.title), *parts, notes=[shortened(note) for note in self._notes()])

    def _text_(self) -> str:
        variables = " ".join(f"[{name}]" for name in self.prompt.variables[:CHIPS]) or "none"
        rows = [("Variables", shortened(variables)), *((label, shortened(value)) for label, value in self._rows())]
        lines = [printable(shortened(self.title)), *(printable(shortened(refusal)) for refusal in self._refusals())]
        lines.append(plain_table(rows))
        for head, text in self._texts():
            lines += [head, *barred(shortened(text, SHOWN_TEMPLATE))]
        lines += [printable(note) for note in self._sample_notes()]
        if self.last:
            lines += [f"Changes from {printable(self.last.version)}"]
            lines += barred(self.diff or "The texts are equal.")
        lines += [printable(shortened(note)) for note in self._notes()]
        return "\n".join(lines)

    def _sample_notes(self) -> list[str]:
        return [shortened(note) for note in self.sample.notes] if self.sample else []

    def _grid(self) -> tuple[Markup, str]:
        return self._html_(), self._text_()


def _chips(names: Iterable[str]) -> Markup:
    every = tuple(names)
    chips = Markup().join(_CHIP.format(name) for name in every[:CHIPS])
    more = f" … and {len(every) - CHIPS:,} more" if len(every) > CHIPS else ""
    said = chips + more if every else Markup("none")
    return Markup("<div style='margin:.25em 0'><span style='font-weight:600'>Variables</span> {}</div>").format(said)
