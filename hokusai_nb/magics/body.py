"""The body of a cell magic, run as the cell would run without the magic."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from IPython.core.displayhook import DisplayHook

from hokusai_nb.schema.line_words import refuse

if TYPE_CHECKING:
    from types import CodeType, TracebackType

    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Body"]


class Body:
    """Code of a cell, compiled: a syntax error shows before anything is run.

    Attributes:
        starts_run: Whether it calls ``start_run`` itself; a run around it would be in its way.
        fits: Variables on which it calls ``fit``.
    """

    def __init__(self, shell: InteractiveShell, cell: str) -> None:
        self._shell = shell
        source = shell.transform_cell(cell)
        self._file = shell.compile.cache(source, shell.displayhook.prompt_count, raw_code=cell)
        tree = shell.transform_ast(shell.compile.ast_parse(source, filename=self._file))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self.starts_run = any(_starts_run(node) for node in calls)
        self.fits = {name for node in calls if (name := _fitted(node))}
        silent = DisplayHook.semicolon_at_end_of_expression(source)
        # The display hook is called for what is compiled as if typed at a prompt.
        last = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) and not silent else []
        self._steps = [self._compiled(tree, "exec"), self._compiled(ast.Interactive(last), "single")]

    def _compiled(self, tree: ast.Module | ast.Interactive, mode: str) -> CodeType:
        try:
            # typeshed knows compile of text only; codeop's passes a tree on to Python's own.
            return self._shell.compile(tree, self._file, mode)  # type: ignore[arg-type]
        except SyntaxError as error:
            if "outside" in error.msg and ("await" in error.msg or "async" in error.msg):
                refuse("A cell below a cell magic cannot await.", "Await in a cell of its own, before this one.")
            raise

    def run(self) -> None:
        """Run it in the user's namespace; the last expression is shown, unless ``;`` follows it.

        Whatever it raises is raised on, and shows as the user's own traceback.
        """
        try:
            for code in self._steps:
                exec(code, self._shell.user_global_ns, self._shell.user_ns)  # noqa: S102 - the user's own cell
        except BaseException as error:
            self._show_only_the_users_frames(error)
            raise

    def _show_only_the_users_frames(self, error: BaseException) -> None:
        """Have IPython leave out the frames of the magic, above those of the cell."""
        if hasattr(error, "_render_traceback_"):
            return
        trace: TracebackType | None = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != self._file:
            trace = trace.tb_next
        if trace is None:
            return
        shell = self._shell

        def render() -> list[str]:
            lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, trace, tb_offset=0)
            return lines

        error._render_traceback_ = render  # type: ignore[attr-defined]


def _starts_run(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name == "start_run" and not any(k.arg == "nested" for k in call.keywords)


def _fitted(call: ast.Call) -> str:
    """Return the variable in ``variable.fit(…)`` and its kin, else an empty text."""
    match call.func:
        case ast.Attribute(value=ast.Name(id=name), attr="fit" | "partial_fit" | "fit_predict"):
            return name
    return ""
