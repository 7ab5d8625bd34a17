"""Where a form is shown: an output in which it lives, and one that is there when it does not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from markupsafe import Markup

from hokusai_nb.schema.display import grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hokusai_nb.schema.display import Shown

__all__ = ["Place", "hand_out", "static_form"]

_LIVE = "application/vnd.jupyter.widget-view+json"
_HEARD_SECONDS = 0.15
"""What is put into a live region sooner after it became one is not read out."""

# JupyterLab saves no widget's state and shows a saved form as an error, although there is HTML beside it.
# So the HTML is an output of its own: it is hidden where the form lives, and the error is hidden where the
# form does not live. Where a site drops styles, the HTML is seen and the other output is empty. The
# HTML takes no room at first, so that it does not flash before the form is there.
_KEPT = Markup(
    "<style>"
    "body:has(.hokusai-live-{id}) .hokusai-kept-{id}{{display:none}}"
    ".jp-OutputArea-child:has(.hokusai-kept)+.jp-OutputArea-child:not(:has(.hokusai-form)){{display:none}}"
    "@keyframes hokusai-kept{{0%,100%{{max-height:0;overflow:hidden}}}}"
    ".hokusai-kept{{animation:hokusai-kept 1s}}"
    "</style>"
    '<div class="hokusai-kept hokusai-kept-{id}">{html}</div>'
)
_AS_OF = "So the form stood when it was last shown or kept here. What was entered or registered later is not in it."
# The place becomes a live region before there is something in it to be read out. The keyboard goes
# there if it is in the form, which is about to vanish.
_AWAIT = Markup(
    "<script>(() => {"
    "const place = document.currentScript.closest('.jp-OutputArea-output');"
    "if (!place) return;"
    "place.setAttribute('role', 'status');"
    "place.tabIndex = -1;"
    "const form = place.closest('.jp-OutputArea-child').nextElementSibling;"
    "if (form?.contains(document.activeElement)) place.focus();"
    "})()</script>"
)


class Place:
    """One place where a form is shown.

    Args:
        form_id: Tells the form from others; it lives in an element of the class ``hokusai-live-`` and this.
        bundle: The live form, with HTML and text for where it cannot live.
    """

    def __init__(self, form_id: str, bundle: Mapping[str, Any]) -> None:
        self._id = form_id
        self._static = _texts(bundle)
        # A terminal would print an empty line for the second output.
        self._lives = _LIVE in bundle and InteractiveShell.instance().has_trait("kernel")
        self._kept = display(self._saved(), raw=True, display_id=True)
        self._live = None
        if self._lives:
            self._live = display({_LIVE: bundle[_LIVE], "text/plain": ""}, raw=True, display_id=True)

    @property
    def lives(self) -> bool:
        """Whether the form can be used here, and not only be read."""
        return self._lives

    def keep(self, bundle: Mapping[str, Any]) -> None:
        """Save this as what the form says now."""
        if self._lives and _texts(bundle) != self._static:  # a terminal would print it anew
            self._static = _texts(bundle)
            self._kept.update(self._saved(), raw=True)

    def await_receipt(self) -> None:
        """Prepare the place for those who hear the page or use no mouse."""
        if self._lives:
            self._kept.update(self._saved(_AWAIT), raw=True)

    def show(self, receipt: Shown) -> None:
        """Show the receipt, and the form no more."""
        self._kept.update(receipt)
        if self._live is not None:
            self._live.update({"text/html": "", "text/plain": ""}, raw=True)

    def _saved(self, script: str = "") -> dict[str, str]:
        if not self._lives:
            return self._static
        html = _KEPT.format(id=self._id, html=Markup(self._static["text/html"]))  # noqa: S704 - escaped where it was made
        return {**self._static, "text/html": f"{html}{script}"}


def static_form(title: str, rows: Sequence[Sequence[object]], notes: Sequence[str], *, line: str) -> tuple[Markup, str]:
    """Return what stands in a form as HTML and as text, and the line that asks for the same, whole, to be copied."""
    html, text = grid(title, rows, notes=[_AS_OF, *notes])
    style = "margin:.25em 0;padding:.4em .6em;white-space:pre-wrap;overflow-wrap:anywhere;user-select:all"
    return html + Markup('<pre style="{}">{}</pre>').format(style, line), f"{text}\n{line}"


def hand_out(receipt: Shown, places: Sequence[Place]) -> None:
    """Show a receipt in all the places of a form, so that it is heard, too."""
    for place in places:
        place.await_receipt()
    if places:
        time.sleep(_HEARD_SECONDS)
    for place in places:
        place.show(receipt)


def _texts(bundle: Mapping[str, Any]) -> dict[str, str]:
    return {key: data for key, data in bundle.items() if key.startswith("text/")}
