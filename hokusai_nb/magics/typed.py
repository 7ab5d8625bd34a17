"""The body of a cell as it was typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["as_typed"]


def as_typed(shell: InteractiveShell, cell: str) -> str:
    r"""Return the text below a cell magic's line, as it was typed but for one closing line break.

    IPython adds a line break to a cell that has none, so the last one counts for nothing. It also takes ``>>>`` and
    ``...`` at the beginning of lines for prompts that were copied along, and gives a magic the text without them;
    a template may well hold such lines, so they are taken from what was typed.
    """
    body = next((found for text in _run(shell) if (found := _below(shell, text, cell)) is not None), cell)
    return body.removesuffix("\n")


def _run(shell: InteractiveShell) -> Iterator[str]:
    """Yield what may be the text of the cell that is running: a cell that keeps no history is in the first only."""
    if result := getattr(shell.displayhook, "exec_result", None):
        yield result.info.raw_cell
    if shell.history_manager:
        yield shell.history_manager.input_hist_raw[-1]


def _below(shell: InteractiveShell, typed: str, cell: str) -> str | None:
    """Return what stands below the first line of a text, or None where the text is not that of the cell."""
    head, _, below = typed.lstrip().partition("\n")
    # It may be another cell, or one that calls a magic by Python. Only what becomes the very text that was handed
    # over is the same cell.
    if not head.startswith("%%") or not shell.transform_cell(typed).rstrip().endswith(f", {_ended(cell)!r})"):
        return None
    # The history drops all closing line breaks.
    return below.rstrip("\n") + cell[len(cell.rstrip("\n")) :]


def _ended(cell: str) -> str:
    return cell.rstrip("\n") + "\n"
