"""``%%hokusai_prompt``, ``%hokusai_prompt`` and ``%hokusai_prompts``: prompts are written, shown and listed."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hokusai_nb.core.prompt_drafts import Draft, draft
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.magics.completion import suggestions_of
from hokusai_nb.magics.typed import as_typed
from hokusai_nb.schema.display import as_json
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.prompt_card import Sample, waiting
from hokusai_nb.schema.prompt_verbs import EditPrompt, Prompts
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.schema.versioning import check_version
from hokusai_nb.widgets.prompt_values import render_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.magics.calling import Call
    from hokusai_nb.schema.display import JsonText
    from hokusai_nb.schema.prompts import PromptList

__all__ = ["prompt", "prompt_cell", "prompts"]

_VARIABLE = re.compile(r"[^\W\d]\w*")
_OF_A_CELL = {"bump": "--bump", "meta": "--meta", "register_it": "--register", "allow_breaking": "--allow-breaking"}


def prompt(call: Call) -> PromptModel | Any:
    """Show a registered prompt, or open the editor where the line leaves that to it."""
    if call.request.is_bare or call.request.names("form"):
        return _form(call)
    verb = _verb(call)
    for field, flag in _OF_A_CELL.items():
        if call.request.names(field):
            hint = f"Write %%hokusai_prompt {verb.name} … with the template below it."
            call.request.refuse(f"{flag} is for a cell, which holds the template.", hint)
    found = _found(verb)
    sample = _sample(found, verb.render) if verb.render else None
    before = found.get_parent_version()
    return Draft(found, before.record if before else None).show_with(sample, with_template=True)


def prompt_cell(call: Call) -> PromptModel | Any:
    """Check a template and show what it would be registered as; register it if asked to."""
    if call.request.names("form"):
        return _form(call)
    verb = _verb(call)
    template = as_typed(call.shell, call.cell)
    made = draft(verb.name, template, verb.version, verb.bump, verb.meta, allow_breaking=verb.allow_breaking)
    sample = _sample(made.model, verb.render)
    if verb.register_it:
        try:
            made.register(allow_breaking=verb.allow_breaking)
        except ModelValidationError as error:
            raise ModelValidationError(_as_typed(error)) from None
        suggestions_of(call.shell).invalidate()
    refusal = ModelValidationError(_as_typed(made.refusal)) if made.refusal else None
    return replace(made, refusal=refusal).show_with(sample)


def _verb(call: Call) -> EditPrompt:
    """Return what the line asks for.

    Raises:
        ModelValidationError: A word that follows the pairs of an option would be the version, and is none.
    """
    verb = call.verb(EditPrompt)
    problems = [] if verb.version is None or verb.version in tuple(ModelStage) else check_version(verb.version)
    if problems and (verb.meta or verb.render):
        hint = "Or put a value with spaces in quotes, such as 'purpose=to say hello'."
        raise ModelValidationError([p.model_copy(update={"hint": f"{p.hint} {hint}".strip()}) for p in problems])
    return verb


def _as_typed(error: ModelValidationError) -> list[Problem]:
    """Return the problems with what Python calls an argument named as the line does."""
    found = (problem for problem in error.problems if isinstance(problem, Problem))
    return [p.model_copy(update={"hint": p.hint.replace("allow_breaking=True", "--allow-breaking")}) for p in found]


def prompts(call: Call) -> PromptList | JsonText:
    """List registered prompts."""
    verb = call.verb(Prompts)
    found = PromptModel.list(verb.prefix)
    return as_json(found) if verb.as_json else found


def _form(call: Call) -> Any:
    from hokusai_nb.magics.prompt_forms import open_prompt  # noqa: PLC0415 - imports ipywidgets

    return open_prompt(call)


def _found(verb: EditPrompt) -> PromptModel:
    """Return the registered version that a line names, by number or by stage."""
    if verb.version in tuple(ModelStage):
        return PromptModel.load_from_registry(verb.name, stage=verb.version, refresh=True)
    return PromptModel.load_from_registry(verb.name, verb.version, refresh=verb.version is None)


def _sample(model: PromptModel, texts: Mapping[str, str]) -> Sample:
    """Return the template rendered with the values of the line.

    Raises:
        ModelValidationError: A value does not fit its field, or another client's text is no template.
    """
    template = model.record.parsed
    rendered = render_texts(template, texts)
    if rendered.problems:
        raise ModelValidationError(list(rendered.problems.values()))
    shown = (waiting(_VARIABLE.findall(text)[0]) if waits else text for text, waits in rendered.parts)
    return Sample(
        text="".join(shown) + ("…" if rendered.cut else ""),
        missing=tuple(name for name in template.variables if not texts.get(name)),
        unknown=tuple(name for name in texts if name not in template.variables),
    )
