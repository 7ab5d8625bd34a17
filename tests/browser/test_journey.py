"""From a trained model to a registered version, as a user goes: in JupyterLab, Notebook 7 and Voila."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import IMPORTS, TOKEN, TRAIN, Watched, outside
from tests.browser.pages import Form
from tests.browser.test_access import HEARD, LISTEN

pytestmark = pytest.mark.slow

VOILA_ASKS = {"all.min.css", "v4-shims.min.css", "latest.min.js"}
"""What Voila's page template itself loads from elsewhere."""


def test_a_model_is_trained_corrected_registered_and_found_in_mlflow(front, server):
    model = f"journey-{type(front).__name__.lower()}"
    first = f"%hokusai_register {model} --token JOURNEY-01 --metric accuracy --value 0.88"
    notebook = front.open(f"{model}.ipynb", IMPORTS, TRAIN, first, "%hokusai_register").run_all()
    form = notebook.form
    form.fill(token="journey_01").says("Token ID format invalid")
    expect(form.button("Register")).to_be_disabled()
    form.use("JOURNEY-01")
    form.fill(name=model, metric="accuracy")
    form.says(re.compile(r"0\.88, improvement \+0\.03"))
    form.has(token="JOURNEY-01", value="0.91").register()
    receipt = notebook.receipt(f"Registered {model} version 2")
    expect(receipt).to_contain_text("+0.03 (version 1")
    _, made = server.versions(model)
    assert made.tags["hokusai_token_id"] == "JOURNEY-01"
    assert made.tags["benchmark_metric"] == "accuracy"
    assert made.tags["benchmark_value"] == "0.91"
    assert made.tags["hokusai.notebook.path"].endswith(f"{model}.ipynb")
    assert made.run_id


def test_tags_are_added_and_removed_by_hand_and_stored(lab, kernel, server):
    notebook = lab.open("tags.ipynb", TRAIN, "%hokusai_register tagged --token TAG-01 --form", kernel=kernel).run_all()
    form = notebook.form
    for row, (key, value) in enumerate([("dataset_version", "2026-01"), ("wrong", "row")]):
        form.button("Add a tag").click()
        form.element.get_by_label("Tag", exact=True).nth(row).fill(key)
        form.element.get_by_label("is", exact=True).nth(row).fill(value)
    form.button("Remove tag").last.click()
    form.fill(metric="f1_score").ready().register()
    notebook.shown("Registered tagged version 1")
    (made,) = server.versions("tagged")
    assert made.tags["dataset_version"] == "2026-01"
    assert made.tags["benchmark_value"] == "0.9"
    assert "wrong" not in made.tags


def test_the_line_that_the_form_shows_registers_the_same_version(lab, kernel, server):
    cells = [TRAIN, "%hokusai_register same --token SAME-01 --metric accuracy --form"]
    form = lab.open("same.ipynb", *cells, kernel=kernel).run_all().form.ready()
    magic_line = form.element.get_by_label("Magic line")
    expect(magic_line).to_have_text("%hokusai_register same --token SAME-01 --metric accuracy")
    line = magic_line.inner_text()
    form.register()
    lab.close()
    notebook = lab.open("line.ipynb", line, kernel=kernel).run_all()
    notebook.shown("Already registered same version 1")
    assert len(server.versions("same")) == 1


def test_the_form_works_in_voila(browser, run_id, server):
    server.write("voila.ipynb", "%load_ext hokusai_nb", f"%hokusai_register --run {run_id} --form")
    watched = Watched()
    with browser.new_context() as context:
        watched.watch(context)
        # Voila's own page asks for fonts and formulas at a CDN; it must do without, and only it may ask.
        context.route(lambda url: bool(outside([url])), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{server.address}/voila/render/voila.ipynb?token={TOKEN}", timeout=60_000)
        form = Form(page.locator(".hokusai-form").first)
        form.fill(token="voila_01", name="voila", metric="accuracy")
        form.use("VOILA-01")
        form.ready()
        page.evaluate(LISTEN)
        form.register()
        expect(page.get_by_text("Registered voila version 1")).to_be_visible()
        page.wait_for_function(HEARD, arg="Registered voila version 1")
        expect(page.locator(".hokusai-again")).to_have_css("display", "none")  # Voila keeps nothing
        expect(page.get_by_role("combobox").or_(page.get_by_role("textbox"))).to_have_count(0)
        assert {urlsplit(url).path.split("/")[-1] for url in watched.outside} <= VOILA_ASKS
    (made,) = server.versions("voila")
    assert made.tags["hokusai_token_id"] == "VOILA-01"
