"""How forms look, and how they are heard.

Jupyter's theme variables only, so that they follow light and dark themes.
"""

from __future__ import annotations

from markupsafe import Markup

__all__ = ["SAYS", "STYLE"]

SAYS = "hokusai-says"
"""Class of the places for messages."""

# A screen reader reads out only what is put into a place that has been a live region before, and no widget
# can say of itself that it is one. A message in such a place needs no role of its own: it would be read twice.
# The receipt comes together with its place; it is put there once more if it stays, as it does in Voila.
_HEAR = """
const form = this.closest('.hokusai-form');
if (!form || 'hears' in form.dataset) return;
form.dataset.hears = '';
const hear = () => form.querySelectorAll('.hokusai-says').forEach(place => {
    place.querySelectorAll('[role]').forEach(said => said.removeAttribute('role'));
    if (place.hasAttribute('role')) return;
    place.setAttribute('role', 'status');
    if (!place.matches('.hokusai-receipt')) return;
    setTimeout(() => {
        const words = place.querySelector('.widget-html-content');
        words.replaceChildren(...[...words.children].map(said => said.cloneNode(true)));
    }, 500);
});
hear();
new MutationObserver(hear).observe(form, {childList: true, subtree: true, attributeFilter: ['class']});
"""

STYLE = Markup(
    '<style onload="{}">'
    ".hokusai-form{{padding:.5em .75em;border:1px solid var(--jp-border-color1,#bdbdbd);border-radius:4px;"
    "max-width:46em;color:var(--jp-ui-font-color1,#212121);background:var(--jp-layout-color1,#fff)}}"
    ".hokusai-form .hokusai-field{{margin:0 0 .15em;container-type:inline-size}}"
    ".hokusai-form .hokusai-row>.widget-text{{min-width:0}}"
    ".hokusai-form .widget-html-content{{line-height:1.45}}"
    ".hokusai-form h3{{margin:.1em 0 .4em;font-size:var(--jp-ui-font-size2,15px);font-weight:600}}"
    ".hokusai-form .hokusai-said{{margin:0 0 .1em calc(7em + 8px);font-size:var(--jp-ui-font-size1,13px);"
    "overflow-wrap:anywhere}}"
    # Mixed with the text's colour: no error colour of a theme reads well on light and on dark alike.
    ".hokusai-form .hokusai-error{{color:#b71c1c;font-weight:500;"
    "color:color-mix(in srgb,var(--jp-error-color1,#b71c1c) 65%,var(--jp-ui-font-color0,#000))}}"
    ".hokusai-form .hokusai-warning{{color:var(--jp-ui-font-color1,#212121);"
    "border-left:3px solid var(--jp-warn-color1,#f57c00);padding-left:.5em}}"
    ".hokusai-form .hokusai-note{{color:var(--jp-ui-font-color1,#212121);opacity:.82}}"
    ".hokusai-form pre{{margin:.2em 0;padding:.4em .6em;background:var(--jp-layout-color2,#eee);"
    "color:var(--jp-ui-font-color1,#212121);white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal;user-select:all;"
    "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)}}"
    ".hokusai-form pre[aria-label='Python call']{{word-break:break-all}}"
    ".hokusai-form .hokusai-act{{margin-top:.5em;border-top:1px solid var(--jp-border-color2,#e0e0e0);"
    "padding-top:.5em}}"
    ".hokusai-form .hokusai-beside{{outline:none}}"
    ".hokusai-form .hokusai-act:has(.hokusai-beside:focus-visible){{outline:2px solid var(--jp-brand-color1,#1976d2)}}"
    ".hokusai-form .hokusai-act .hokusai-said{{margin:0 0 0 .6em}}"
    ".hokusai-form table{{border-collapse:collapse;margin:.2em 0 .6em;table-layout:fixed;width:100%}}"
    ".hokusai-form th{{text-align:left!important;font-weight:400;padding:.1em .8em .1em 0;width:36%;"
    "color:var(--jp-ui-font-color1,#212121);opacity:.82;vertical-align:top;overflow-wrap:anywhere}}"
    ".hokusai-form td{{text-align:left!important;padding:.1em 0;overflow-wrap:anywhere}}"
    ".hokusai-form .hokusai-heading{{font-weight:600;margin-top:.4em}}"
    ".hokusai-form textarea{{font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);"
    "line-height:1.4;height:auto!important;resize:vertical}}"
    ".hokusai-form .hokusai-word{{display:inline-block;margin:.1em .35em .1em 0;padding:0 .45em;border-radius:3px;"
    "border:1px solid var(--jp-border-color1,#bdbdbd);background:var(--jp-layout-color2,#eee);opacity:1;"
    "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)}}"
    # The caret stands below its character only where no line is broken.
    ".hokusai-form pre.hokusai-caret{{white-space:pre;overflow-wrap:normal;overflow-x:auto;"
    "border-left:3px solid var(--jp-error-color1,#b71c1c)}}"
    # The arrow that ipywidgets draws is black.
    "[data-jp-theme-light='false'] .hokusai-form select{{background-image:url(\"data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath fill='%23ddd' "
    "d='M5.2 5.9 9 9.7l3.8-3.8 1.2 1.2-5 5-5-5z'/%3E%3C/svg%3E\")}}"
    # The keyboard waits on this button; the receipt above it is to be seen, too.
    ".hokusai-form .hokusai-promote{{scroll-margin-top:30em}}"
    ".hokusai-form pre[aria-label='Differences'],.hokusai-form pre[aria-label='Rendered']"
    "{{max-height:18em;overflow-y:auto}}"
    ".hokusai-form .hokusai-waits{{opacity:.8;font-style:italic;text-decoration:underline dotted}}"
    ".hokusai-form .widget-html,.hokusai-form .widget-html-content{{max-width:100%;overflow-x:hidden}}"
    ".hokusai-form .widget-html-content{{width:100%}}"
    ".hokusai-form.jupyter-widgets-disconnected::before"
    '{{content:"The kernel is gone, so this form no longer answers. Run its cell again.";'
    "display:block;margin:0 0 .5em;font:inherit;font-weight:600;"
    "color:color-mix(in srgb,var(--jp-error-color1,#b71c1c) 65%,var(--jp-ui-font-color0,#000))}}"
    # The message says it once for all; nothing below it can be used any more.
    ".hokusai-form .jupyter-widgets-disconnected::before{{content:none;display:none}}"
    ".hokusai-form.jupyter-widgets-disconnected>*{{opacity:.6;pointer-events:none}}"
    "@media (max-width:36em){{.hokusai-form .hokusai-said{{margin-left:0}}}}"
    # A name that is longer than the labels are wide stands above its input.
    ".hokusai-form .hokusai-above>.widget-text{{flex-flow:row wrap;height:auto}}"
    ".hokusai-form .hokusai-above>.widget-text>.widget-label{{width:calc(100% - 7em - 8px)!important;"
    "max-width:none;text-align:left;height:auto;line-height:1.6;white-space:normal;overflow-wrap:anywhere}}"
    ".hokusai-form .hokusai-above>.widget-text>*{{margin-left:calc(7em + 8px)}}"
    # In a narrow pane each input of a row has a line of its own, below those of the fields.
    "@container (max-width:34em){{.hokusai-row{{flex-flow:row wrap!important}}"
    ".hokusai-row>.widget-combobox{{flex-basis:100%!important}}"
    ".hokusai-row>.widget-text .widget-label{{width:7em!important}}}}"
    "@container (max-width:26em){{.hokusai-choice>.widget-dropdown{{flex-flow:row wrap;height:auto}}"
    ".hokusai-choice>.widget-dropdown>.widget-label{{width:100%!important;text-align:left}}"
    ".hokusai-choice>.widget-dropdown>select{{min-height:28px}}"
    ".hokusai-choice>.hokusai-says .hokusai-said{{margin-left:0!important}}"
    ".hokusai-form .hokusai-above>.widget-text>.widget-label{{width:100%!important}}"
    ".hokusai-form .hokusai-above>.widget-text>*{{margin-left:0}}}}"
    "</style>"
).format(_HEAR)
