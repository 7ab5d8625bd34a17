"""Who draws a record: found by name, because what draws lies in a room above the records."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from hokusai_nb.errors import HokusaiError

__all__ = ["drawn"]

GROUP = "hokusai_nb.plots"
OF_PROMPTS = "prompt_"
"""How the name of a renderer begins that draws prompts; all others draw models."""


def drawn(kind: str, /, *facts: object, of: str = "") -> Any:
    """Return what the renderer of a name draws of the facts.

    Args:
        kind: Name in the entry-point group ``hokusai_nb.plots``, without what it begins with.
        facts: What the renderer takes: the record first.
        of: What the names of its kind begin with: `OF_PROMPTS`, or nothing for models.

    Raises:
        HokusaiError: No such renderer is installed.
    """
    found = {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}
    known = sorted(n.removeprefix(of) for n in found if n.startswith(OF_PROMPTS) == (of == OF_PROMPTS))
    if kind not in known:
        what = f"There is no plot {kind!r}."
        raise HokusaiError(what, f"Use one of: {', '.join(known)}." if known else "Install hokusai_nb anew.")
    return found[of + kind].load()(*facts)
