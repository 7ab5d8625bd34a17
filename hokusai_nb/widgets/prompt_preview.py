"""What the prompt form shows below its fields: the rendered text, what differs, what will be registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from hokusai_nb.schema.display import diff_lines, markup_table, shortened, visible
from hokusai_nb.schema.lines import word
from hokusai_nb.schema.prompt_metadata import encode_metadata, thawed_json
from hokusai_nb.schema.prompts import ModelStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hokusai_nb.schema.prompt_comparison import PromptComparison
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.widgets.prompt_state import PromptState
    from hokusai_nb.widgets.prompt_values import Rendered

__all__ = [
    "cell_of",
    "changes",
    "code_html",
    "diff_html",
    "plan_html",
    "planned_title",
    "python_of",
    "rendered_html",
    "versions_to_choose",
]

MOST_DIFF = 200
"""Lines of a diff that are shown."""
EXAMPLE = "Hello {name}!"
_HEADING = Markup("<div class='hokusai-heading'>{}</div>")
_PRE = Markup("<pre tabindex='0' aria-label='{}'>{}</pre>")
_WAITS = Markup('<span class="hokusai-waits">{}</span>')


# The same in other words


def cell_of(state: PromptState, *, version: str = "", samples: Mapping[str, str] | None = None) -> str:
    """Return the cell that asks for the same; where the name or the text is missing, one to be filled in.

    Args:
        state: What stands in the form.
        version: The version to name; the one that would follow if left out.
        samples: Values to render, by variable.
    """
    entered = state.entered
    version = version or state.version
    words = [word(entered.name)] if entered.name else ["NAME"]
    words += [word(version)] if version and entered.name else []
    words += [f"--bump {entered.bump}"] if entered.bump and not version else []
    if not any(p.field.startswith("metadata") for p in state.problems):
        words += [f"--meta {word(f'{key}={text}')}" for key, text in encode_metadata(entered.metadata).items()]
    words += [f"--render {word(f'{name}={text}')}" for name, text in (samples or {}).items() if text]
    words += ["--allow-breaking"] if entered.allow_breaking and state.breaks else []
    words += ["--register"] if entered.name and entered.template else []
    # The last line break of a cell counts for nothing.
    body = entered.template + "\n" * entered.template.endswith("\n")
    return "\n".join([" ".join(["%%hokusai_prompt", *words]), body or EXAMPLE])


def python_of(state: PromptState) -> str:
    """Return the Python that asks for the same."""
    entered = state.entered
    metadata = f"    metadata={thawed_json(entered.metadata)!r},\n" if entered.metadata else ""
    call = f"register({'allow_breaking=True' if entered.allow_breaking and state.breaks else ''})"
    head = "from hokusai_nb import PromptModel\n\nprompt = PromptModel"
    if state.version:
        version = f"    {state.version!r},\n"
    else:
        head, version = f"{head}.propose", f"    bump={entered.bump!r},\n" if entered.bump else ""
    return f"{head}(\n    {entered.name!r},\n{_literal(entered.template)}{version}{metadata})\nprompt.{call}"


def _literal(text: str) -> str:
    """Return a text as Python writes it, a line of source for each of its lines."""
    lines = text.splitlines(keepends=True) or [""]
    if len(lines) == 1:
        return f"    {lines[0]!r},\n"
    return "".join(["    (\n", *(f"        {line!r}\n" for line in lines), "    ),\n"])


def code_html(cell: str, python: str) -> str:
    """Return the cell and the call that ask for the same; the cell is to be copied, and stays as it is."""
    parts = [_HEADING.format("The same as a cell"), _PRE.format("Magic cell", cell)]
    parts += [_HEADING.format("and in Python"), _PRE.format("Python call", python)]
    return str(Markup().join(parts))


# What would come of it


def rendered_html(rendered: Rendered | None, *, before: bool = False) -> str:
    """Return the rendered text; fields that wait for a value stand out as they are written.

    Args:
        rendered: What there is to show.
        before: Whether the template is no longer valid, so that this is how it was.
    """
    if rendered is None:
        return ""
    head = "Rendered, before the mistake" if before else "Rendered"
    parts = Markup().join(_WAITS.format(text) if waits else Markup("{}").format(text) for text, waits in rendered.parts)
    rest = Markup("<div class='hokusai-said hokusai-note'>The rest is not shown.</div>") if rendered.cut else Markup()
    return str(visible(_HEADING.format(head) + _PRE.format("Rendered", parts) + rest))


def planned_title(state: PromptState) -> str:
    """Return what will be registered, in a line; empty where that is not known."""
    if not state.version or state.problems or state.known is None or state.trouble:
        return ""
    how = "registered before: it is not made again" if state.same_as else "new"
    return f"What will be registered: {state.entered.name} {state.version} ({how})"


def plan_html(state: PromptState) -> str:
    """Return what will be registered."""
    title = planned_title(state)
    if not title:
        return ""
    newest = state.known.newest if state.known else None
    rows = [("Variables", ", ".join(state.variables or ()) or "none")]
    if newest and not state.same_as:
        rows.append(("Made from", newest.version))
    rows += list(encode_metadata(state.entered.metadata).items())
    table = markup_table([(shortened(a), shortened(b)) for a, b in rows])
    return str(visible(_HEADING.format(shortened(title))) + table)


def changes(comparison: PromptComparison) -> Iterator[str]:
    """Return what differs beside the text, a sentence for each kind."""
    template, metadata = comparison["template_diff"], comparison["metadata_diff"]
    listed = {
        "Variables added": ", ".join(template["variables_added"]),
        "Variables removed": ", ".join(template["variables_removed"]),
        "Metadata added": ", ".join(f"{key} = {value}" for key, value in metadata["added"].items()),
        "Metadata removed": ", ".join(metadata["removed"]),
        "Metadata changed": ", ".join(f"{k}: {v['from']} → {v['to']}" for k, v in metadata["changed"].items()),
    }
    return (f"{kind}: {text}." for kind, text in listed.items() if text)


def diff_html(comparison: PromptComparison | None) -> str:
    """Return what differs from an earlier version."""
    if comparison is None:
        return ""
    text = comparison["template_diff"]["text_diff"]
    said = Markup().join(
        Markup('<div class="hokusai-said hokusai-note">{}</div>').format(shortened(line))
        for line in [*changes(comparison), *(() if text else ("The texts are equal.",))]
    )
    said = visible(said)
    if not text:
        return str(said)
    lines = text.split("\n")
    shown = diff_lines("\n".join(shortened(line) for line in lines[:MOST_DIFF]))
    more = f"\n… and {len(lines) - MOST_DIFF:,} more lines." if len(lines) > MOST_DIFF else ""
    return str(said + _PRE.format("Differences", shown + more))


def versions_to_choose(versions: tuple[PromptVersion, ...]) -> list[tuple[str, str]]:
    """Return earlier versions to compare with, newest first, as label and value."""
    return [
        (v.version if v.stage is ModelStage.DEV else f"{v.version} ({v.stage.value})", v.version)
        for v in reversed(versions)
    ]
