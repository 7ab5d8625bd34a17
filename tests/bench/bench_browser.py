"""From a key to the message it causes, in JupyterLab: our form against a plain text field with a callback.

Both stand on one page and are typed into in turns; the time is taken by the page, from the input's
event to the change of what is shown.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench.figures import Row
from tests.bench.stores import MIGRATED
from tests.browser.jupyter import IMPORTS, TRAIN, chromium, find_browser, jupyter
from tests.browser.pages import Front

KEYS = 80
TARGET_MS = 150
PLAIN = """\
import ipywidgets
text, shown = ipywidgets.Text(description="Plain"), ipywidgets.HTML()
text.observe(lambda change: setattr(shown, "value", f"'{change['new']}' is seen."), "value")
ipywidgets.VBox([text, shown])
"""
# Both messages hold the value in quotes, so that an older message is not taken for the answer.
WATCH = """input => {
    const box = input.closest('.widget-vbox');
    input.taken = [];
    input.addEventListener('input', () => { input.since = performance.now() }, true);
    new MutationObserver(() => {
        if (input.since && box.textContent.includes(`'${input.value}'`)) {
            input.taken.push(performance.now() - input.since);
            input.since = 0;
        }
    }).observe(box, {childList: true, subtree: true, characterData: true});
}"""
ANSWERED = "([input, count]) => input.taken.length >= count"


def typed(page, inputs):
    """Type into the inputs in turns; return the milliseconds of each key, by input."""
    handles = [field.element_handle() for field in inputs]
    for field, handle in zip(inputs, handles, strict=True):
        field.fill("a_")  # no token: the message changes with each key
        handle.evaluate(WATCH)
    page.wait_for_timeout(1000)
    for turn in range(1, KEYS + 1):
        for handle in handles if turn % 2 else reversed(handles):
            handle.focus()
            page.keyboard.press("Backspace" if turn % 20 > 10 else "b")
            page.wait_for_function(ANSWERED, arg=[handle, turn], timeout=10_000)
            page.wait_for_timeout(40)  # somebody who types 25 keys a second
    return [handle.evaluate("input => input.taken") for handle in handles]


def percentile_95(values):
    return statistics.quantiles(values, n=20)[-1]


def measure() -> list[Row]:
    if find_browser() is None:
        message = "NO BROWSER: install Debian's chromium to measure the form in it."
        if os.environ.get("CI"):
            raise FileNotFoundError(message)
        print(message, file=sys.stderr)
        return []
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyter(Path(folder), Path(os.environ[MIGRATED])) as server,
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 1100, "height": 1400})
        notebook = Front(server, page).start().open("bench.ipynb", IMPORTS, TRAIN, PLAIN, "%hokusai_register")
        form = notebook.run_all().form
        form.says("fill in")
        ours, peer = typed(page, [form.field("Token"), notebook.outputs.get_by_label("Plain")])
    what = "key to message in JupyterLab"
    note = f"ipywidgets.Text with a callback; {KEYS} keys each"
    return [
        Row(f"{what}, median", statistics.median(ours), statistics.median(peer), note=note),
        Row(f"{what}, 95th percentile", percentile_95(ours), percentile_95(peer), limit=TARGET_MS, note=note),
    ]
