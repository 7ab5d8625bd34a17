"""The form for those who use no mouse, hear the page, or read it in the dark and on a narrow screen."""

from __future__ import annotations

import re

import pytest
from axe_core_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from tests.browser.jupyter import TRAIN

pytestmark = pytest.mark.slow

FOCUSED = "() => document.activeElement.closest('.hokusai-form') !== null"
CONTROLS = re.compile(r"^\s*- (button|checkbox|combobox|link|listbox|spinbutton|textbox)\b(.*)$", re.MULTILINE)


def serious(page, selector):
    """Return what axe-core finds to be serious or critical in what the selector matches."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("async (selector) => await axe.run({include: [[selector]]})", selector)
    return [
        f"{violation['id']}: {node['html'][:120]} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def nameless(element):
    """Return the controls without an accessible name, as the browser's accessibility tree has them."""
    return [role + rest for role, rest in CONTROLS.findall(element.aria_snapshot()) if not rest.startswith(' "')]


def tab_to(page, is_there, most=40):
    """Press Tab until the focus is where it is wanted."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(is_there):
            return
    focused = page.evaluate("() => document.activeElement.outerHTML.slice(0, 200)")
    pytest.fail(f"{most} times Tab led to {focused}, not to {is_there}")


# What is put into a live region is read out only if it was one before.
LISTEN = """() => {
    window.heard = [];
    new MutationObserver(changes => {
        for (const {target, addedNodes} of changes) {
            const before = target.closest('[role=status], [role=alert]');
            if (before && addedNodes.length) window.heard.push(target.textContent);
        }
    }).observe(document.body, {childList: true, subtree: true});
}"""
# What is wider than its place: it is cut off, or the page scrolls.
SIDEWAYS = """e => [e, ...e.querySelectorAll('*')].filter(
    x => x.scrollWidth > x.clientWidth + 1 && x.clientWidth > 0 && getComputedStyle(x).display !== 'inline'
        && x.tagName !== 'INPUT' && getComputedStyle(x).textOverflow !== 'ellipsis'
).map(x => x.outerHTML.slice(0, 150))"""
HEARD = "words => window.heard.some(text => text.includes(words))"


def on(label):
    """Return JavaScript that says whether the focus is on a control of this name."""
    return f"""() => {{
        const e = document.activeElement;
        const names = [e.textContent, e.ariaLabel, ...[...(e.labels ?? [])].map(l => l.textContent)];
        return e.closest('.hokusai-form') !== null && names.some(n => n?.trim() === {label!r});
    }}"""


def test_a_model_is_registered_with_the_keyboard_alone(lab, kernel, server):
    notebook = lab.open("keys.ipynb", TRAIN, "%hokusai_register", kernel=kernel).run_all()
    form, page = notebook.form, lab.page
    form.says("Register is disabled")
    tab_to(page, FOCUSED)
    assert page.evaluate(on("Token"))
    page.keyboard.type("keys_01")
    form.button("Use KEYS-01").wait_for()
    tab_to(page, on("Use KEYS-01"), 1)
    page.keyboard.press("Enter")
    page.wait_for_function(on("Token"))  # the button is gone, and the focus is not lost with it
    form.has(token="KEYS-01")
    for label, text in (("Name", "keys"), ("Metric", "accuracy")):
        tab_to(page, on(label), 3)
        page.keyboard.type(text)
    form.ready()
    tab_to(page, on("Register"), 8)
    page.keyboard.press("Enter")
    notebook.shown("Registered keys version 1")
    assert len(server.versions("keys")) == 1


def test_the_receipt_is_heard_and_takes_the_keyboard_from_the_form(front, kernel, server):
    model = f"heard-{type(front).__name__.lower()}"
    line = f"%hokusai_register {model} --token HEARD-01 --metric accuracy --form"
    notebook = front.open(f"{model}.ipynb", TRAIN, line, kernel=kernel).run_all()
    form, page = notebook.form.ready(), front.page
    page.evaluate(LISTEN)
    form.button("Register").press("Enter")
    receipt = notebook.receipt(f"Registered {model} version 1")
    page.wait_for_function(HEARD, arg=f"Registered {model} version 1")
    expect(receipt).to_be_focused()
    expect(receipt).to_have_attribute("role", "status")
    saved = notebook.save()
    assert "<script" not in str(saved.cells[1].outputs)
    assert len(server.versions(model)) == 1


def test_who_types_elsewhere_meanwhile_keeps_the_keyboard(lab, kernel):
    cells = [
        TRAIN,
        "form = %hokusai_register elsewhere --token ELSE-01 --metric accuracy --form\nform",
        "form.submit();",
    ]
    notebook = lab.open("elsewhere.ipynb", *cells, kernel=kernel).run_all()
    notebook.receipt("Registered elsewhere version 1")
    assert not lab.page.evaluate("() => document.activeElement.matches('.jp-OutputArea-output')")


def test_rows_of_tags_are_added_and_removed_with_the_keyboard_alone(lab, kernel):
    form = lab.open("rows.ipynb", TRAIN, "%hokusai_register", kernel=kernel).run_all().form
    page, keys, values = lab.page, form.field("Tag"), form.field("is")
    form.button("Add a tag").press("Enter")
    expect(keys).to_be_focused()
    page.keyboard.type("first")
    form.button("Add a tag").press("Enter")
    expect(keys.nth(1)).to_be_focused()
    page.keyboard.type("second")
    tab_to(page, on("is"), 1)
    page.keyboard.type("2")
    expect(values.nth(1)).to_have_value("2")
    form.button("Remove tag").first.press("Enter")
    expect(keys).to_have_count(1)
    expect(keys).to_have_value("second")
    expect(keys).to_be_focused()
    form.button("Remove tag").press("Enter")
    expect(form.button("Add a tag")).to_be_focused()


@pytest.mark.parametrize("width", [420, 800])
def test_a_row_of_a_tag_is_one_line_where_it_fits_and_two_where_it_does_not(lab, kernel, width):
    notebook = lab.open(f"row-{width}.ipynb", TRAIN, "%hokusai_register", kernel=kernel).run_all()
    notebook.forms.first.evaluate("(e, width) => { e.closest('.jp-Notebook').style.maxWidth = `${width}px` }", width)
    form = notebook.form
    form.button("Add a tag").click()
    expect(form.field("Tag")).to_be_focused()
    places = [found.bounding_box() for found in (form.field("Tag"), form.field("is"), form.button("Remove tag"))]
    key, value, remove = places
    middle = [box["y"] + box["height"] / 2 for box in places]
    assert abs(middle[1] - middle[2]) < 2
    if width == 800:
        assert abs(middle[0] - middle[1]) < 2
        assert key["x"] + key["width"] < value["x"]
    else:
        assert key["y"] + key["height"] < value["y"]
        assert abs(key["x"] - value["x"]) < 2
    assert value["x"] + value["width"] < remove["x"]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_serious_in_the_form_the_receipt_and_the_cards(lab, kernel, theme):
    model = f"axe-{theme.lower()}"
    line = f"%hokusai_register {model} --token AXE-01 --metric accuracy --value 0.88"
    cells = [TRAIN, line, "%hokusai_register", "%hokusai_models", f"%hokusai_lineage {model}", "%hokusai"]
    lab.theme(theme)
    try:
        notebook = lab.open(f"{model}.ipynb", *cells, kernel=kernel).run_all()
        form, page = notebook.form, lab.page
        form.says("Register is disabled")
        assert serious(page, ".hokusai-form") == []
        form.fill(token="axe_01", name=model, metric="accuracy").has(value="0.91")  # it is read from the run
        form.fill(value="87", contributor="0x12")
        form.button("Add a tag").click()
        form.element.get_by_label("Tag").last.fill("dataset version")
        form.says("Token ID format invalid").says("0.87")
        assert serious(page, ".hokusai-form") == []
        assert nameless(form.element) == []
        form.button("Remove tag").click()
        form.use("AXE-01")
        form.fill(value="0.91", contributor="").ready()
        assert serious(page, ".hokusai-form") == []
        form.register()
        notebook.receipt(f"Registered {model} version 2")
        assert serious(page, ".jp-OutputArea-output .hokusai") == []
    finally:
        lab.theme("Light")


def test_messages_progress_and_gains_are_heard(front, kernel, server):
    model = f"told-{type(front).__name__.lower()}"
    first = f"%hokusai_register {model} --token TOLD-01 --metric accuracy --value 0.88"
    notebook = front.open(f"{model}.ipynb", TRAIN, first, "%hokusai_register", kernel=kernel).run_all()
    form, page = notebook.form.says("fill in Token, Name, Metric"), front.page
    page.evaluate(LISTEN)

    def heard(words):
        page.wait_for_function(HEARD, arg=words)

    form.fill(token="told_01")
    heard("Token ID format invalid")
    heard("Register is disabled: fill in Name, Metric")
    form.use("TOLD-01")
    form.fill(name=model, metric="accuracy")
    heard("0.88, improvement +0.03")
    heard("Ready.")
    form.button("Add a tag").click()
    form.element.get_by_label("Tag", exact=True).fill("full_version")
    form.element.get_by_label("is", exact=True).fill("1")
    heard("semantic version")
    heard("correct tag full_version")
    form.button("Remove tag").click()
    form.ready().register()
    heard("Registering …")
    heard(f"Registered {model} version 2")
    assert len(server.versions(model)) == 2


def test_each_message_is_announced_once(lab, kernel):
    notebook = lab.open("said.ipynb", TRAIN, "%hokusai_register --metric accuracy --form", kernel=kernel).run_all()
    form = notebook.form
    places, wrong = form.element.get_by_role("status"), form.element.locator(".hokusai-error")
    expect(places.filter(has_text="Register is disabled")).to_be_visible()
    expect(wrong).to_have_count(0)  # nobody is told off for an empty field
    form.fill(token="said_01")
    expect(places.filter(has_text="Token ID format invalid")).to_be_visible()
    expect(wrong).to_have_count(1)
    expect(form.element.get_by_role("alert")).to_have_count(0)  # within its place it would be read twice
    form.use("SAID-01")
    expect(wrong).to_have_count(0)
    form.fill(name="said")
    expect(places.filter(has_text="first version")).to_be_visible()


@pytest.mark.parametrize("width", [420, 1600])
def test_the_form_and_the_receipt_fit_a_narrow_and_a_wide_pane(lab, kernel, width):
    line = f"%hokusai_register fits-{width} --token FITS-01 --metric accuracy --form"
    notebook = lab.open(f"fits-{width}.ipynb", TRAIN, line, kernel=kernel).run_all()
    notebook.forms.first.evaluate("(e, width) => { e.closest('.jp-Notebook').style.maxWidth = `${width}px` }", width)
    form = notebook.form.ready()
    form.fill(token="fits_01_" + "LONG" * 12).says("Token ID format invalid")
    assert form.element.evaluate(SIDEWAYS) == []
    assert form.element.evaluate(
        "e => e.getBoundingClientRect().right <= e.closest('.jp-Notebook').getBoundingClientRect().right"
    )
    form.fill(token="FITS-01").ready().register()
    receipt = notebook.receipt(f"Registered fits-{width} version 1")
    assert receipt.locator(".hokusai").evaluate(SIDEWAYS) == []
