"""What a saved notebook shows to whoever opens it again, and what running it again does."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import TRAIN
from tests.browser.test_access import HEARD, LISTEN

pytestmark = pytest.mark.slow

DEAD = ("Error displaying widget", "model not found", "Loading widget")


def assert_alive(notebook, *texts):
    """The receipt and both plots are on the page, and no dead widget is."""
    for text in texts:
        notebook.receipt(text)
    expect(notebook.outputs.locator(".vega-embed")).to_have_count(2)
    for words in DEAD:
        expect(notebook.outputs.filter(has_text=words)).to_have_count(0)


def test_a_reopened_notebook_shows_the_receipt_and_the_plots_with_and_without_its_kernel(front, kernel, server):
    model = f"kept-{type(front).__name__.lower()}"
    first = f"%hokusai_register {model} --token KEPT-01 --metric accuracy --value 0.88"
    form = f"%hokusai_register {model} --token KEPT-01 --metric accuracy --form"
    plots = f"%hokusai_improvement {model}", f"%hokusai_lineage {model} --graph"
    notebook = front.open(f"{model}.ipynb", TRAIN, first, form, *plots, kernel=kernel).run_all()
    notebook.form.ready().register()
    receipt = f"Registered {model} version 2"
    assert_alive(notebook, receipt)
    saved = notebook.save()
    assert "widget-view" not in str(saved)
    assert receipt in saved.cells[2].outputs[0].data["text/plain"]
    front.close()
    again = front.open(f"{model}.ipynb", kernel=kernel)
    assert_alive(again, receipt)
    front.close()
    server.detach(again.name)
    assert_alive(front.open(f"{model}.ipynb"), receipt)


# JupyterLab replaces no output of a notebook that was opened anew since its cells ran.


def test_a_form_that_was_left_unfinished_goes_on_when_its_notebook_is_reopened(lab, kernel, server):
    notebook = lab.open("unfinished.ipynb", TRAIN, "%hokusai_register", kernel=kernel).run_all()
    notebook.form.fill(token="OPEN-01", name="unfinished").says("fill in Metric")
    notebook.save()
    lab.close()
    again = lab.open("unfinished.ipynb", kernel=kernel)
    again.form.says("fill in Metric")
    again.form.has(token="OPEN-01").fill(metric="accuracy").ready()
    lab.page.evaluate(LISTEN)
    again.form.register()
    told = again.shown("Registered unfinished version 1").locator(".hokusai-again")
    lab.page.wait_for_function(HEARD, arg="Registered unfinished version 1")
    expect(told).to_be_visible()
    expect(told).to_contain_text("registers nothing twice")
    line = told.locator("pre").inner_text()
    assert line.startswith("%hokusai_register unfinished --token OPEN-01 --metric accuracy --run ")
    again.save()
    lab.close()
    other = lab.open("unfinished-line.ipynb", TRAIN, line, kernel=kernel).run_all()
    other.shown("Already registered unfinished version 1")
    assert len(server.versions("unfinished")) == 1


def test_what_is_kept_of_a_form_never_claims_to_be_true_of_today(lab, kernel, server):
    line = "%hokusai_register dated --token DATED-01 --metric accuracy --form"
    notebook = lab.open("dated.ipynb", TRAIN, line, kernel=kernel).run_all()
    notebook.form.ready()
    expect(notebook.kept).to_contain_text("What will be written: dated version 1")
    notebook.save()
    lab.close()
    again = lab.open("dated.ipynb", kernel=kernel)
    again.form.ready().register()
    again.shown("Registered dated version 1")
    again.save()
    lab.close()
    server.detach(again.name)
    later = lab.open("dated.ipynb")
    expect(later.kept).to_be_visible()
    expect(later.kept).to_contain_text("What was entered or registered later is not in it.")
    assert "What was entered or registered later is not in it." in str(server.read("dated.ipynb").cells[1].outputs)
    assert len(server.versions("dated")) == 1


def test_an_unfinished_form_without_its_kernel_is_its_text_and_its_line_and_no_dead_widget(front, kernel, server):
    name = f"left-{type(front).__name__.lower()}"
    line = "%hokusai_register --token LEFT-01 --form"
    notebook = front.open(f"{name}.ipynb", TRAIN, line, kernel=kernel).run_all()
    notebook.form.fill(metric="accuracy", name=name).ready()
    expect(notebook.kept).to_contain_text(f"{name} --token LEFT-01 --metric accuracy")
    expect(notebook.kept).to_be_hidden()  # where the form lives, it is not there twice
    notebook.save()
    front.close()
    server.detach(notebook.name)
    again = front.open(f"{name}.ipynb")
    line = f"%hokusai_register {name} --token LEFT-01 --metric accuracy"
    expect(again.kept.get_by_text(line)).to_be_visible()
    dead = again.outputs.filter(has_text="Error displaying widget")
    expect(dead).to_have_count(1)
    expect(dead).to_be_hidden()


def test_a_form_in_a_notebook_of_somebody_else_is_its_text_and_its_line(lab, kernel, server):
    notebook = lab.open("mine.ipynb", TRAIN, "%hokusai_register given --token GIVEN-01 --form", kernel=kernel).run_all()
    notebook.form.fill(metric="accuracy").ready()
    expect(notebook.kept).to_contain_text("--metric accuracy")
    saved = notebook.save()
    lab.close()
    saved.cells[0].source += "# from elsewhere, so that JupyterLab does not trust what it shows"
    saved.cells[1].outputs[0].data["text/html"] += " "
    nbformat.write(saved, server.root / "yours.ipynb")
    yours = lab.open("yours.ipynb")
    expect(yours.outputs.get_by_text("%hokusai_register given --token GIVEN-01 --metric accuracy")).to_be_visible()
    for words in DEAD:
        expect(yours.page.get_by_text(words).filter(visible=True)).to_have_count(0)


def test_running_all_cells_twice_registers_nothing_twice(lab, kernel, server):
    line = "%hokusai_register twice-line --token TWICE-01 --metric accuracy --model clf"
    cell = (
        "%%hokusai_register twice-cell --token TWICE-01 --metric accuracy --value 0.9\n"
        "other = LogisticRegression(max_iter=100).fit(X, y)"
    )
    form = "%hokusai_register twice-form --token TWICE-01 --metric accuracy --form"
    notebook = lab.open("twice.ipynb", TRAIN, line, form, cell, kernel=kernel).run_all()
    notebook.form.ready().register()
    notebook.receipt("Registered twice-form version 1")
    notebook.run_all()
    notebook.shown("Already registered twice-line version 1")
    notebook.shown("Already registered twice-cell version 1")
    assert [len(server.versions(f"twice-{kind}")) for kind in ("line", "cell", "form")] == [1, 1, 1]


def test_a_form_that_is_shown_twice_becomes_the_receipt_in_both_places(lab, kernel, server):
    cells = [TRAIN, "form = %hokusai_register both --token BOTH-01 --metric accuracy --form", "form", "form"]
    notebook = lab.open("both.ipynb", *cells, kernel=kernel).run_all()
    expect(notebook.forms).to_have_count(2)
    notebook.form.ready().register()
    notebook.receipt("Registered both version 1")
    expect(notebook.outputs.filter(has_text="Registered both version 1")).to_have_count(2)
    saved = notebook.save()
    for cell in saved.cells[2:]:
        assert "Registered both version 1" in cell.outputs[0].data["text/plain"]
    assert len(server.versions("both")) == 1
