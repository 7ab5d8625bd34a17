"""What a saved notebook shows to whoever opens it again, and what running it again does."""

from __future__ import annotations

import pytest

from tests.browser.jupyter import IMPORTS, TRAIN

pytestmark = pytest.mark.slow

DEAD = ("Error displaying widget", "model not found", "Loading widget")


def assert_alive(notebook, *texts):
    """The receipt and both plots are on the page, and no dead widget is."""
    for text in texts:
        notebook.shown(text)
    notebook.outputs.locator(".vega-embed").nth(1).wait_for()
    everything = "\n".join(notebook.outputs.all_inner_texts())
    assert not [words for words in DEAD if words in everything]
    assert notebook.outputs.locator(".vega-embed").count() == 2


def test_a_reopened_notebook_shows_the_receipt_and_the_plots_with_and_without_its_kernel(front, server):
    model = f"kept-{type(front).__name__.lower()}"
    first = f"%hokusai_register {model} --token KEPT-01 --metric accuracy --value 0.88"
    form = f"%hokusai_register {model} --token KEPT-01 --metric accuracy --form"
    plots = f"%hokusai_improvement {model}", f"%hokusai_lineage {model} --graph"
    notebook = front.open(f"{model}.ipynb", IMPORTS, TRAIN, first, form, *plots).run_all()
    notebook.form.ready().register()
    receipt = f"Registered {model} version 2"
    assert_alive(notebook, receipt)
    saved = notebook.save()
    assert "widget-view" not in str(saved)
    assert receipt in saved.cells[3].outputs[0].data["text/plain"]
    front.close()
    again = front.open(f"{model}.ipynb")
    assert_alive(again, receipt)
    front.close()
    server.shut_down(notebook.kernel)
    assert_alive(front.open(f"{model}.ipynb"), receipt)


def test_a_form_that_was_left_unfinished_goes_on_when_its_notebook_is_reopened(lab, kernel, server):
    notebook = lab.open("unfinished.ipynb", TRAIN, "%hokusai_register", kernel=kernel).run_all()
    notebook.form.fill(token="OPEN-01", name="unfinished").says("fill in Metric")
    notebook.save()
    lab.close()
    again = lab.open("unfinished.ipynb", kernel=kernel)
    again.form.says("fill in Metric")
    assert again.form.field("Token").input_value() == "OPEN-01"
    again.form.fill(metric="accuracy").ready().register()
    again.shown("Registered unfinished version 1")
    assert len(server.versions("unfinished")) == 1


def test_running_all_cells_twice_registers_nothing_twice(lab, kernel, server):
    line = "%hokusai_register twice-line --token TWICE-01 --metric accuracy --model clf"
    cell = (
        "%%hokusai_register twice-cell --token TWICE-01 --metric accuracy --value 0.9\n"
        "other = LogisticRegression(max_iter=100).fit(X, y)"
    )
    form = "%hokusai_register twice-form --token TWICE-01 --metric accuracy --form"
    notebook = lab.open("twice.ipynb", TRAIN, line, form, cell, kernel=kernel).run_all()
    notebook.form.ready().register()
    notebook.shown("Registered twice-form version 1")
    notebook.run_all()
    notebook.shown("Already registered twice-line version 1")
    notebook.shown("Already registered twice-cell version 1")
    assert [len(server.versions(f"twice-{kind}")) for kind in ("line", "cell", "form")] == [1, 1, 1]


def test_a_form_that_is_shown_twice_becomes_the_receipt_in_both_places(lab, kernel, server):
    cells = [TRAIN, "form = %hokusai_register both --token BOTH-01 --metric accuracy --form", "form", "form"]
    notebook = lab.open("both.ipynb", *cells, kernel=kernel).run_all()
    notebook.forms.nth(1).wait_for()
    notebook.form.ready().register()
    notebook.outputs.filter(has_text="Registered both version 1").nth(1).wait_for()
    notebook.forms.first.wait_for(state="detached")  # first the form shows the receipt, then its output becomes it
    saved = notebook.save()
    for cell in saved.cells[2:]:
        assert "Registered both version 1" in cell.outputs[0].data["text/plain"]
    assert len(server.versions("both")) == 1
