"""Everything that stands in the prompt form: its inputs, what is said below them, and the previews."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from hokusai_nb.schema.prompt_metadata import encode_metadata
from hokusai_nb.schema.templates import parse_template
from hokusai_nb.widgets.fields import INDENT, Field, close_all, said, saying
from hokusai_nb.widgets.prompt_fields import Choice, MetadataRows, TemplateField, TextField, ValueRows, ticked
from hokusai_nb.widgets.prompt_preview import (
    cell_of,
    code_html,
    diff_html,
    plan_html,
    python_of,
    rendered_html,
    versions_to_choose,
)
from hokusai_nb.widgets.prompt_state import BUMPS, Entered
from hokusai_nb.widgets.prompt_values import Rendered, render_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from hokusai_nb.schema.prompt_comparison import PromptComparison
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.widgets.prompt_state import PromptState

__all__ = ["Board"]

_HELP = {
    "name": "Words joined by slashes, such as persona/entrepreneur/hook.",
    "template": "A Python format string; each {name} in it is a variable.",
    "bump": "How much the version says that callers have to change.",
    "version": "Semantic version to register; the one that follows if left out.",
    "compare": "Earlier version that the text is compared with.",
}


class Board:
    """The inputs of the form and what they show.

    Args:
        entered: What stands in them at first.
        changed: Called with the key of an input after every change by hand or by code.
        load: Called to have the registered text put in place of what somebody has written.

    Attributes:
        fields: Inputs by key: ``name``, ``template``, ``bump`` and ``version``.
        values: The inputs of the variables.
        metadata: The rows of metadata.
        allow_breaking: The box that accepts a step which says too little.
        compare: Chooses the earlier version to compare with.
        rendered: The template with the values that there are; None while it is not valid.
    """

    def __init__(self, entered: Entered, changed: Callable[[str], None], load: Callable[[], None]) -> None:
        name = Field("name", value=entered.name, placeholder="persona/entrepreneur/hook", tooltip=_HELP["name"])
        template = TemplateField(value=entered.template, tooltip=_HELP["template"])
        steps = [("As the change warrants", ""), *((bump, bump) for bump in BUMPS)]
        bump = Choice("bump", label="Version step", options=steps, tooltip=_HELP["bump"])
        bump.value = entered.bump
        after = "the one that follows"
        version = TextField("version", value=entered.version, placeholder=after, tooltip=_HELP["version"])
        self.fields: dict[str, Field | Choice] = {f.key: f for f in (name, template, bump, version)}
        self._template = template
        self._name = name
        self.values = ValueRows(entered.texts, lambda: changed("values"))
        self.metadata = MetadataRows(encode_metadata(entered.metadata), lambda: changed("metadata"))
        self.allow_breaking = ticked("Allow a breaking change")
        self.allow_breaking.value = entered.allow_breaking
        self.compare = Choice("compare", label="Compare with", options=[], tooltip=_HELP["compare"])
        self.rendered: Rendered | None = None
        self._compared_name = self._at_first = ""
        self._last_rendered: Rendered | None = None
        self._rendered_box, self._diff_box, self._advice = widgets.HTML(), widgets.HTML(), saying()
        self.preview = widgets.HTML()
        layout = {"width": "auto", "margin": INDENT, "align_self": "flex-start", "display": "none"}
        self._load = widgets.Button(layout=layout)
        self._load.on_click(lambda _: load())
        for key, one in {**self.fields, "compare": self.compare}.items():
            one.input.observe(lambda _, key=key: changed(key), "value")
        self.allow_breaking.observe(lambda _: changed("allow_breaking"), "value")

    @property
    def parts(self) -> tuple[widgets.Widget, ...]:
        """The inputs and what stands between them, in order."""
        step = (self.fields["bump"], self.allow_breaking, self.fields["version"])
        text = (self._name, self._template, self._load, self.values, self._rendered_box)
        return (*text, self.metadata, self._advice, *step, self.compare, self._diff_box)

    def entered(self) -> Entered:
        """Return what was put in."""
        return Entered(
            name=self.fields["name"].value,
            template=self.fields["template"].value,
            version=self.fields["version"].value.strip(),
            bump=self.fields["bump"].value,
            metadata=self.metadata.metadata,
            allow_breaking=bool(self.allow_breaking.value),
            texts=self.values.texts,
            problems=tuple(self.metadata.problems()),
        )

    def fill(self, version: PromptVersion, *, but: Container[str] = ()) -> None:
        """Put in the text and the metadata of a registered version, but for what somebody has entered."""
        if "template" not in but:
            self.fields["template"].value = version.template
        if "metadata" not in but:
            self.metadata.replace(encode_metadata(version.metadata))

    def suggest(self, names: Sequence[str]) -> None:
        """Offer the names of the prompts that there are."""
        self._name.suggest(names)

    def show(self, state: PromptState, touched: set[str]) -> None:
        """Show what is wrong with each input and what would come of them.

        Args:
            state: What there is to show.
            touched: Inputs that somebody has been at: nobody is told off for the others. A choice of a version to
                compare with is forgotten where the name is another.
        """
        entered = state.entered
        asked = {key for key in self.fields if getattr(entered, key) or key in touched}
        name, bump, version = (state.shown_at(key) for key in ("name", "bump", "version"))
        self._name.show(name if "name" in asked else None, state.name_note())
        wrong = state.shown_at("template") if "template" in asked else None
        self._template.show_template(wrong, state.variables)
        step = self.fields["bump"]
        assert isinstance(step, Choice)
        step.offer(state.steps())
        step.show(bump, state.step_note())
        self.fields["version"].show(version)
        self.allow_breaking.layout.display = None if state.breaks or entered.allow_breaking else "none"
        self.metadata.show(state.problems)
        self._advice.value = said("note", state.advice()) if entered.template or entered.metadata else ""
        self._show_values(state)
        self._offer_versions(state, touched)

    def _show_values(self, state: PromptState) -> None:
        """Follow the variables of a valid template; what came of the last valid one stays while it is broken."""
        if state.variables is None:
            self.rendered = None
            last = self._last_rendered if state.entered.template.strip() else None
            self._rendered_box.value = rendered_html(last, before=True)
            return
        self.values.follow(state.variables)
        self.rendered = self._last_rendered = render_texts(parse_template(state.entered.template), self.values.texts)
        self.values.show(self.rendered.problems)
        self._rendered_box.value = rendered_html(self.rendered)

    def offer_text(self, version: PromptVersion | None) -> None:
        """Offer to put in the text of a registered version; None offers nothing."""
        self._load.description = f"Load the text of {version.version}" if version else ""
        self._load.layout.display = None if version else "none"

    def _offer_versions(self, state: PromptState, touched: set[str]) -> None:
        """Compare with the newest version, also with one that comes later, unless somebody has chosen another."""
        known = state.known
        newest = known.newest.version if known and known.newest else ""
        if known is not None and not known.trouble and known.name != self._compared_name:
            self._compared_name, self._at_first = known.name, newest
            touched.discard("compare")
        if known is None or not newest:
            self.compare.layout.display = "none"
            self._diff_box.value = ""
            return
        self.compare.layout.display = None
        self.compare.offer(versions_to_choose(known.versions))
        if "compare" not in touched:
            self.compare.value = newest
        since = "" if newest == self._at_first else f"{newest} was registered after this form was opened. "
        behind = "" if self.compare.value == newest else f"This is not the newest version, which is {newest}."
        self.compare.show(None, f"{since}{behind}".strip())

    def to_compare(self, state: PromptState) -> tuple[PromptVersion, PromptVersion] | None:
        """Return the two versions that are to be compared; None where there is nothing to compare."""
        earlier = state.known.version(self.compare.value) if state.known else None
        if earlier is None or state.variables is None or any(p.field.startswith("metadata") for p in state.problems):
            return None
        return earlier, state.wanted(state.version or "this text")

    def show_comparison(self, comparison: PromptComparison | None) -> None:
        """Show what differs."""
        self._diff_box.value = diff_html(comparison)

    def samples(self) -> Mapping[str, str]:
        """Return the values that can be rendered, by variable."""
        wrong = self.rendered.problems if self.rendered else {}
        return {name: text for name, text in self.values.texts.items() if text and name not in wrong}

    def cell(self, state: PromptState) -> str:
        """Return the cell that asks for the same."""
        return cell_of(state, samples=self.samples())

    def show_preview(self, state: PromptState) -> None:
        """Show what will be registered, and the cell and the call that ask for the same."""
        code = "" if state.problems else code_html(self.cell(state), python_of(state))
        self.preview.value = plan_html(state) + code

    def close(self) -> None:
        """Close every input, also after the receipt has taken their place."""
        for part in (*self.parts, self.preview):
            close_all(part)
