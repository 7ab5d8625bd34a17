"""The form for those who use no mouse, hear the page, or read it in the dark and on a narrow screen."""

from __future__ import annotations

import re

import pytest
from axe_core_python.base import AXE_SCRIPT

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
    assert form.field("Token").input_value() == "KEYS-01"
    for label, text in (("Name", "keys"), ("Metric", "accuracy")):
        tab_to(page, on(label), 3)
        page.keyboard.type(text)
    form.ready()
    tab_to(page, on("Register"), 8)
    page.keyboard.press("Enter")
    notebook.shown("Registered keys version 1")
    assert len(server.versions("keys")) == 1


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_serious_in_the_form_the_receipt_and_the_cards(lab, kernel, theme):
    model = f"axe-{theme.lower()}"
    line = f"%hokusai_register {model} --token AXE-01 --metric accuracy --value 0.88"
    cells = [TRAIN, line, "%hokusai_register", "%hokusai_models", f"%hokusai_lineage {model}", "%hokusai"]
    lab.theme(theme)
    try:
        notebook = lab.open(f"{model}.ipynb", *cells, kernel=kernel).run_all()
        form, page = notebook.form, lab.page
        assert serious(page, ".hokusai-form") == []
        form.fill(token="axe_01", name=model, metric="accuracy", value="87", contributor="0x12")
        form.button("Add a tag").click()
        form.element.get_by_label("Tag").last.fill("dataset version")
        form.says("Token ID format invalid").says("0.87")
        assert serious(page, ".hokusai-form") == []
        assert nameless(form.element) == []
        form.button("Remove tag").click()
        form.button("Use AXE-01").click()
        form.fill(value="0.91", contributor="").ready()
        assert serious(page, ".hokusai-form") == []
        form.register()
        notebook.shown(f"Registered {model} version 2")
        assert serious(page, ".jp-OutputArea-output .hokusai") == []
    finally:
        lab.theme("Light")


def test_each_message_is_announced(lab, kernel):
    notebook = lab.open("said.ipynb", TRAIN, "%hokusai_register --metric accuracy --form", kernel=kernel).run_all()
    form = notebook.form
    assert form.element.get_by_role("alert").count() == 0  # nobody is told off for an empty field
    form.element.get_by_role("status").filter(has_text="Register is disabled").wait_for()
    form.fill(token="said_01")
    form.element.get_by_role("alert").filter(has_text="Token ID format invalid").wait_for()
    form.button("Use SAID-01").click()
    form.element.get_by_role("alert").wait_for(state="detached")
    form.fill(name="said")
    form.element.get_by_role("status").filter(has_text="first version").wait_for()


@pytest.mark.parametrize("width", [420, 1600])
def test_the_form_and_the_receipt_fit_a_narrow_and_a_wide_pane(lab, kernel, width):
    line = f"%hokusai_register fits-{width} --token FITS-01 --metric accuracy --form"
    notebook = lab.open(f"fits-{width}.ipynb", TRAIN, line, kernel=kernel).run_all()
    notebook.forms.first.evaluate("(e, width) => { e.closest('.jp-Notebook').style.maxWidth = `${width}px` }", width)
    form = notebook.form.ready()
    form.fill(token="fits_01_" + "LONG" * 12).says("Token ID format invalid")
    sideways = """e => [e, ...e.querySelectorAll('*')].filter(
        x => x.scrollWidth > x.clientWidth + 1 && x.clientWidth > 0 && getComputedStyle(x).display !== 'inline'
            && x.tagName !== 'INPUT' && getComputedStyle(x).textOverflow !== 'ellipsis'
    ).map(x => x.outerHTML.slice(0, 150))"""
    assert form.element.evaluate(sideways) == []
    assert form.element.evaluate(
        "e => e.getBoundingClientRect().right <= e.closest('.jp-Notebook').getBoundingClientRect().right"
    )
    form.fill(token="FITS-01").ready().register()
    receipt = notebook.shown(f"Registered fits-{width} version 1")
    assert receipt.locator(".hokusai").evaluate(sideways) == []
