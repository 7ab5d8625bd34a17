"""The magics, light to load: each imports what it does when it is first used."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from hokusai_nb.schema.verbs import Verb

__all__ = ["MAGICS", "Magic", "MagicSpec", "load", "unload"]

MATCHER = "hokusai_nb.args"
FORMS = "hokusai_nb.widgets.workspace"


@dataclass(frozen=True)
class MagicSpec:
    """What a magic does and where that is written.

    Attributes:
        verb: Name of the verb in `hokusai_nb.schema.verbs`, or ``module:Name`` below `hokusai_nb.schema`.
        line: ``module:function`` below this package that a line calls.
        cell: The same for a cell; empty where the magic takes none.
        body: What the help says of the cell.
    """

    verb: str
    line: str
    cell: str = ""
    body: str = "runs the cell inside a run first."

    @property
    def kinds(self) -> tuple[Literal["line", "cell"], ...]:
        """The kinds of magic it is."""
        return ("line", "cell") if self.cell else ("line",)

    def read_as(self) -> type[Verb]:
        """Return what a line of the magic is read as."""
        module, _, name = self.verb.rpartition(":")
        found: type[Verb] = getattr(importlib.import_module(f"hokusai_nb.schema.{module or 'verbs'}"), name)
        return found


MAGICS: Mapping[str, MagicSpec] = {
    "hokusai": MagicSpec("Overview", "status:overview"),
    "hokusai_register": MagicSpec("Register", "register:register", cell="register:register_cell"),
    "hokusai_models": MagicSpec("Models", "show:models"),
    "hokusai_lineage": MagicSpec("ShowLineage", "show:lineage"),
    "hokusai_improvement": MagicSpec("Improvement", "show:improvement"),
    "hokusai_compare": MagicSpec("Compare", "show:compare"),
    "hokusai_prompt": MagicSpec(
        "prompt_verbs:EditPrompt",
        "prompts:prompt",
        cell="prompts:prompt_cell",
        body="takes the rest, as typed but for one line break at its end.",
    ),
    "hokusai_prompts": MagicSpec("prompt_verbs:Prompts", "prompts:prompts"),
    "hokusai_promote": MagicSpec("prompt_verbs:Promote", "promotion:promote"),
    "hokusai_rollback": MagicSpec("prompt_verbs:Rollback", "promotion:rollback"),
    "hokusai_status": MagicSpec("TokenStatus", "status:token_status"),
    "hokusai_config": MagicSpec("Configure", "status:config"),
}


class Magic:
    """One magic in one shell.

    The attributes are those that IPython looks for. It is not told that the output can be
    silenced: it would read our lines as Python to find the ``;`` and fail on an unbalanced
    bracket after the work was done. We find the ``;`` ourselves.
    """

    _ipython_magic_no_var_expand = True
    needs_local_scope = True

    def __init__(self, shell: InteractiveShell, name: str, spec: MagicSpec) -> None:
        self.shell = shell
        self.name = name
        self.spec = spec
        self.__name__ = self.__qualname__ = name

    @property
    def verb(self) -> type[Verb]:
        """What a line of this magic is read as."""
        return self.spec.read_as()

    @property
    def __doc__(self) -> str:  # type: ignore[override]  # read when asked for, so that loading imports nothing
        """The same help as ``--help`` prints."""
        from hokusai_nb.magics.parsing import help_text  # noqa: PLC0415 - imports the schema

        return help_text(self.verb, self.name, self.spec.kinds, self.spec.body)

    def __call__(self, line: str, cell: str | None = None, *, local_ns: Mapping[str, Any] | None = None) -> Any:
        """Do what the line says and return what the cell shows."""
        from hokusai_nb.magics.calling import call  # noqa: PLC0415 - imports the schema

        return call(self, line, cell, local_ns or {})


def load(shell: InteractiveShell) -> None:
    """Add the magics and their completion to a shell, in place of any that are there."""
    from IPython.core.completer import context_matcher  # noqa: PLC0415 - a shell has it loaded

    from hokusai_nb.core.provenance import set_collector  # noqa: PLC0415 - only a shell needs it

    unload(shell)
    for name, spec in MAGICS.items():
        kind = "line_cell" if spec.cell else "line"
        shell.magics_manager.register_function(Magic(shell, name, spec), magic_kind=kind, magic_name=name)

    @context_matcher(identifier=MATCHER, priority=100)  # type: ignore[untyped-decorator]  # IPython's has no types
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        # IPython asks at every key, and few of them are about us.
        if "%hokusai" not in context.full_text:
            return {"completions": []}
        from hokusai_nb.magics.completion import match  # noqa: PLC0415 - imports the schema

        return match(shell, context)

    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(matcher)

    def notebook_tags() -> Mapping[str, str]:
        from hokusai_nb.magics import provenance  # noqa: PLC0415 - imports the schema

        return provenance.notebook_tags(shell)

    set_collector(notebook_tags)
    if forms := sys.modules.get(FORMS):
        forms.resume(shell)  # loading again has paused those that are open


def unload(shell: InteractiveShell) -> None:
    """Remove every magic, matcher and callback of ours; a user's own magic of the same name stays."""
    from hokusai_nb.core.provenance import set_collector  # noqa: PLC0415 - only a shell needs it

    set_collector(None)
    # Told by its module: after a reload of this one, the class is another.
    for table in shell.magics_manager.magics.values():
        for name in [name for name, magic in table.items() if type(magic).__module__ == __name__]:
            del table[name]
    for callback in [c for c in shell.events.callbacks["post_run_cell"] if type(c).__module__ == FORMS]:
        callback.pause()  # type: ignore[attr-defined]  # IPython knows it as a callable
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", None) != MATCHER]
