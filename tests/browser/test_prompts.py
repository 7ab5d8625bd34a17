"""The prompt form in a real JupyterLab: from a broken template to a version in production."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import TOKEN, Watched, outside
from tests.browser.pages import Form
from tests.browser.test_access import FOCUSED, SIDEWAYS, nameless, on, serious, tab_to
from tests.browser.test_hostile import IMAGE, SCRIPT
from tests.browser.test_journey import VOILA_ASKS
from tests.browser.test_reopening import DEAD

pytestmark = pytest.mark.slow

OPEN = "from hokusai_nb.widgets import PromptForm\nPromptForm({!r})"
SEED = """from hokusai_nb.core.prompts import PromptModel
full = {{"author": {author!r}, "purpose": "hooks", "tested_on": "threads", "performance_metrics": 0.07}}
PromptModel({name!r}, {template!r}, "1.0.0", metadata=full).register();"""


def seed(name, template="Hi {name}", author="content-team"):
    return SEED.format(name=name, template=template, author=author)


def prompts(server, name):
    """Return the versions of a prompt and its aliases, as MLflow itself finds them."""
    import mlflow

    client = mlflow.MlflowClient(server.store)
    stored = name.replace("/", ".")
    found = client.search_model_versions(f"name = '{stored}' AND tag.`mlflow.prompt.is_prompt` = 'true'")
    (prompt,) = client.search_registered_models(f"name = '{stored}' AND tag.`mlflow.prompt.is_prompt` = 'true'")
    return sorted(v.tags["hokusai.prompt.version"] for v in found), {
        stage: int(number) for stage, number in prompt.aliases.items()
    }


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_broken_template_is_repaired_rendered_registered_promoted_and_there_when_reopened(lab, kernel, server, theme):
    name = f"journey/{theme.lower()}"
    lab.theme(theme)
    try:
        notebook = lab.open(f"prompt-{theme}.ipynb", seed(name), OPEN.format(name), kernel=kernel).run_all()
        form, page = notebook.form, lab.page
        template = form.field("Template")
        expect(template).to_have_value("Hi {name}")
        template.fill("Hi {name\nfor {price:.2f}")
        form.says("line 1, column 4")
        expect(form.element.locator(".hokusai-caret")).to_have_text("Hi {name\n   ^")
        expect(form.button("Register")).to_be_disabled()
        assert serious(page, ".hokusai-form") == []
        template.fill("Hi {name}\nfor {price:.2f}")
        expect(form.element.locator(".hokusai-word")).to_have_text(["name", "price"])
        form.field("{name}").fill("Ada")
        form.field("{price}").fill("cheap")
        form.says("needs a number")
        assert serious(page, ".hokusai-form") == []
        assert nameless(form.element) == []
        form.field("{price}").fill("3")
        expect(form.element.get_by_label("Rendered")).to_have_text("Hi Ada\nfor 3.00")
        form.says("This change is minor: price is new")
        form.says("What will be registered")
        form.register()
        form.says(f"Registered {name} 1.1.0").says("In dev")
        expect(form.button("Promote to staging")).to_be_focused()
        assert serious(page, ".hokusai-form") == []
        assert nameless(form.element) == []
        form.field("Why").fill("it converts")
        form.button("Promote to staging").click()
        form.says("In staging")
        notebook.save()
        lab.close()
        again = lab.open(f"prompt-{theme}.ipynb", kernel=kernel)  # the form is alive, and goes on
        again.form.button("Promote to production").click()
        expect(again.forms.get_by_role("button")).to_have_count(0)
        assert prompts(server, name) == (["1.0.0", "1.1.0"], {"production": 2})
    finally:
        lab.theme("Light")


def test_a_saved_receipt_is_there_without_a_kernel_before_and_after_the_last_stage(lab, server):
    cells = "%load_ext hokusai_nb", OPEN.format("kept/hook")
    notebook = lab.open("prompt-kept.ipynb", *cells).run_all()
    form = notebook.form
    form.field("Template").fill("Hi {name}")
    form.says("The first version is 1.0.0").register()
    form.button("Promote to staging").click()
    form.says("In staging")
    notebook.save()
    lab.close()
    again = lab.open("prompt-kept.ipynb", kernel=notebook.kernel)
    again.form.says("In staging")
    lab.close()
    server.shut_down(notebook.kernel)
    dead = lab.open("prompt-kept.ipynb")
    receipt = dead.shown("Registered kept/hook 1.0.0")
    expect(receipt).to_contain_text("%hokusai_promote kept/hook 1.0.0 --to production")
    for words in DEAD:
        expect(dead.outputs.filter(has_text=words).filter(visible=True)).to_have_count(0)


def test_in_production_the_receipt_takes_the_place_of_the_form_and_no_widget_is_saved(lab, kernel, server):
    notebook = lab.open("prompt-final.ipynb", OPEN.format("final"), kernel=kernel).run_all()
    form = notebook.form
    form.field("Template").fill("Hi {name}")
    form.says("The first version is 1.0.0").register()
    form.button("Promote to staging").click()
    form.says("In staging").button("Promote to production").click()
    receipt = notebook.receipt("Registered final 1.0.0")
    expect(receipt).to_contain_text("%hokusai_rollback final --stage production")
    assert serious(lab.page, ".jp-OutputArea-output .hokusai") == []
    saved = notebook.save()
    assert "widget-view" not in str(saved)
    assert "To production" in saved.cells[0].outputs[0].data["text/plain"]
    assert prompts(server, "final") == (["1.0.0"], {"production": 1})


def test_a_prompt_is_written_registered_and_promoted_with_the_keyboard_alone(lab, kernel, server):
    notebook = lab.open("prompt-keys.ipynb", OPEN.format(""), kernel=kernel).run_all()
    form, page = notebook.form, lab.page
    form.says("fill in Name, Template")
    tab_to(page, FOCUSED)
    assert page.evaluate(on("Name"))
    page.keyboard.type("typed")
    tab_to(page, on("Template"), 2)
    page.keyboard.type("Hi {who}")
    form.says("New here").says("The first version is 1.0.0")
    tab_to(page, on("{who}"), 2)
    page.keyboard.type("Ada")
    expect(form.element.get_by_label("Rendered")).to_have_text("Hi Ada")
    tab_to(page, on("Register"), 12)
    page.keyboard.press("Enter")
    form.says("Registered typed 1.0.0")
    page.wait_for_function(on("Promote to staging"))
    page.keyboard.press("Enter")
    page.wait_for_function(on("Promote to production"))
    page.keyboard.press("Enter")
    expect(notebook.receipt("Registered typed 1.0.0")).to_contain_text("To production")
    assert prompts(server, "typed") == (["1.0.0"], {"production": 1})


def test_notebook_7_shows_registers_and_promotes(notebook_7, kernel, server):
    cells = seed("seven", "Hi {name} {cta}"), "%hokusai_prompt seven --form"
    notebook = notebook_7.open("prompt-seven.ipynb", *cells, kernel=kernel).run_all()
    form = notebook.form
    expect(form.field("Template")).to_have_value("Hi {name} {cta}")
    form.field("Template").fill("Hi {name}")
    form.field("{name}").fill("Ada")
    form.says("This change is major: cta is removed").register()
    form.says("Registered seven 2.0.0").button("Promote to staging").click()
    form.says("In staging").button("Promote to production").click()
    notebook.receipt("Registered seven 2.0.0")
    assert "To production" in notebook.save().cells[1].outputs[0].data["text/plain"]
    assert prompts(server, "seven") == (["1.0.0", "2.0.0"], {"production": 2})


def test_voila_shows_registers_and_promotes(browser, server):
    server.write("prompt-voila.ipynb", "%load_ext hokusai_nb\n%hokusai_prompt prompt-voila --form")
    watched = Watched()
    with browser.new_context() as context:
        watched.watch(context)
        # Voila's own page asks for fonts and formulas at a CDN; it must do without, and only it may ask.
        context.route(lambda url: bool(outside([url])), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{server.address}/voila/render/prompt-voila.ipynb?token={TOKEN}", timeout=60_000)
        form = Form(page.locator(".hokusai-form").first)
        form.says("fill in Template").field("Template").fill("Hi {name}")
        form.says("The first version is 1.0.0").register()
        form.says("Registered prompt-voila 1.0.0").button("Promote to staging").click()
        form.says("In staging").button("Promote to production").click()
        expect(page.get_by_text("To production", exact=True)).to_be_visible()
        expect(page.get_by_role("button").or_(page.get_by_role("textbox"))).to_have_count(0)
        assert {urlsplit(url).path.split("/")[-1] for url in watched.outside} <= VOILA_ASKS
    assert prompts(server, "prompt-voila") == (["1.0.0"], {"production": 1})


def test_the_form_and_the_receipt_fit_a_narrow_pane(lab, kernel):
    cells = seed("narrow/hook", "Hi {customer_first_name} {customer_last_name} {cta}"), OPEN.format("narrow/hook")
    notebook = lab.open("prompt-narrow.ipynb", *cells, kernel=kernel).run_all()
    notebook.forms.first.evaluate("e => { e.closest('.jp-Notebook').style.maxWidth = '420px' }")
    form = notebook.form.says("Nothing differs")
    form.field("Template").fill("Hi {customer_first_name} {customer_last_name}")
    form.says("This change is major")
    assert form.element.evaluate(SIDEWAYS) == []
    step, value = form.element.get_by_label("Version step"), form.field("is").first
    assert step.evaluate("e => e.clientWidth") > 200  # all of “As the change warrants (major → 2.0.0)”
    assert value.evaluate("e => e.clientWidth") > 80
    first, last = (form.field(f"{{customer_{name}_name}}") for name in ("first", "last"))
    names = [one.evaluate("e => e.labels[0].scrollWidth <= e.labels[0].clientWidth") for one in (first, last)]
    assert names == [True, True]
    form.register()
    form.says("Registered narrow/hook 2.0.0")
    assert form.element.evaluate(SIDEWAYS) == []


def test_markup_in_a_prompt_is_shown_and_never_runs(lab, kernel):
    cells = seed("hostile", f"{SCRIPT}{IMAGE} {{x}}", author=IMAGE), OPEN.format("hostile")
    notebook = lab.open("prompt-hostile.ipynb", *cells, kernel=kernel).run_all()
    form = notebook.form
    expect(form.field("Template")).to_have_value(f"{SCRIPT}{IMAGE} {{x}}")
    form.field("{x}").fill(IMAGE)
    form.field("Template").fill(f"{SCRIPT}{IMAGE} {{x}}\n{IMAGE}")
    form.says("What will be registered").register()
    form.says("Registered hostile 1.0.1")
    form.button("Promote to staging").click()
    form.says("In staging")
    notebook.save()
    assert notebook.outputs.locator("img[src=x], svg[onload]").count() == 0
    assert lab.page.evaluate("window.pwned") is None
