"""The prompt form, driven as a front end drives it: by setting values and clicking."""

from __future__ import annotations

import html
import threading
import time

import ipywidgets
import pytest

from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ConnectionFailedError, HokusaiWarning, ModelValidationError
from hokusai_nb.schema.prompt_verbs import EditPrompt
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.widgets import PromptForm
from tests.conftest import free_port
from tests.prompts import FULL
from tests.widgets.looking import button, html_of, opener


def versions(name):
    return [v.version for v in PromptModel.list(name)]


@pytest.fixture
def seeded(store):  # noqa: ARG001 - the store is set before anything is registered
    """Two versions of one prompt, the first of them in production."""
    first = PromptModel("hook", "Hi {name}", "1.0.0", metadata=FULL).register()
    first.promote_to_staging().promote_to_production()
    return PromptModel("hook", "Hi {name}, {cta}", "1.1.0", metadata=FULL).register()


@pytest.fixture
def opened(store):  # noqa: ARG001
    """Open prompt forms that are closed after the test."""
    with opener(PromptForm) as make:
        yield make


# Opening


def test_an_empty_form_tells_nobody_off_and_says_what_is_missing(opened):
    form = opened()
    assert [field.message for field in form.fields.values() if field.problem] == []
    assert 'role="alert"' not in html_of(form)
    assert button(form, "Register").disabled
    assert "Register is disabled: fill in Name, Template." in html_of(form)


def test_a_prompt_that_exists_is_opened_as_it_is_registered(opened, seeded):
    form = opened("hook")
    assert form.fields["template"].value == seeded.template
    assert form.metadata.metadata == FULL
    assert form.fields["name"].message == "Its newest version is 1.1.0; 1.0.0 in production."
    assert form.fields["name"].input.options == ("hook",)
    assert "Nothing differs from 1.1.0" in html_of(form)


@pytest.mark.usefixtures("seeded")
def test_without_a_template_a_version_is_the_one_to_begin_with_and_with_one_the_one_to_register(opened):
    form = opened("hook", "", "1.0.0")
    assert (form.fields["template"].value, form.fields["version"].value) == ("Hi {name}", "")
    assert opened("hook", "", "production").fields["template"].value == "Hi {name}"
    assert opened("hook", "Ho {name}", "3.0.0").version == "3.0.0"
    assert opened("hook", "", "2.0.0").fields["version"].value == "2.0.0"


@pytest.mark.usefixtures("seeded")
def test_what_somebody_has_written_is_never_overwritten(opened):
    form = opened("", "My {own} text")
    form.fields["name"].value = "hook"
    assert form.wait(20)
    assert form.fields["template"].value == "My {own} text"
    given = opened("hook", metadata={"ticket": 17})
    assert given.fields["template"].value == "Hi {name}, {cta}"
    assert given.metadata.metadata == {"ticket": 17}


def test_until_the_registry_answers_nobody_is_asked_for_a_template(opened, seeded):
    form = opened("hook", wait=False)
    assert form.fields["template"].value == ""
    shown = html_of(form)
    assert "Asking the registry for the text of this prompt" in shown
    assert "fill in" not in shown
    assert form.wait(20)
    assert form.fields["template"].value == seeded.template


def test_who_types_before_the_registered_text_is_there_can_have_it(opened, seeded):
    form = opened("hook", wait=False)
    form.fields["template"].value = "My"
    assert form.wait(20)
    assert form.fields["template"].value == "My"
    button(form, "Load the text of 1.1.0").click()
    assert form.wait(20)
    assert form.fields["template"].value == seeded.template
    assert "Nothing differs from 1.1.0" in html_of(form)
    form.fields["template"].value = "Mine {name}, {cta}"
    assert button(form, "Load the text") is None


# Typing


@pytest.mark.parametrize(
    ("template", "message", "caret"),
    [
        ("Hello {name", "expected '}' before end of string (line 1, column 7)", "Hello {name\n      ^"),
        ("a\nb {}", "a field without a name (line 2, column 4)", "b {}\n   ^"),
        ("{x!q}", "unknown conversion 'q' (line 1, column 1)", "{x!q}\n^"),
    ],
)
def test_a_broken_template_is_told_with_its_place_and_a_caret(opened, template, message, caret):
    form = opened("hook")
    form.fields["template"].value = template
    assert message in form.fields["template"].message
    assert form.fields["template"].message.endswith(caret)
    assert f">{html.escape(caret)}</pre>" in html_of(form)
    assert not form.can_register
    assert "Register is disabled: correct Template." in html_of(form)


def test_variables_are_listed_as_words_and_get_an_input_each_as_they_are_typed(opened):
    form = opened("hook", "Hi {name}, {price:.2f}")
    assert form.fields["template"].message == "Variables: name, price."
    assert '<span class="hokusai-word">price</span>' in html_of(form)
    assert [field.input.description for field in form.values.values()] == ["{name}", "{price}"]
    form.fields["template"].value = "always"
    assert form.fields["template"].message == "No variables: it is always the same text."
    assert form.values == {}


def test_what_was_typed_for_a_variable_outlives_a_broken_template_a_new_name_and_its_removal(opened):
    form = opened("hook", "Hi {a} {b}")
    form.values["a"].value = "Ada"
    form.fields["template"].value = "Hi {a} {b"
    assert form.values["a"].value == "Ada"
    form.fields["template"].value = "Hi {aa} {b}"
    assert form.values["aa"].value == "Ada"
    form.fields["template"].value = "Hi"
    form.fields["template"].value = "Hi {b} {aa}"
    assert form.rendered == "Hi {b} Ada"


def test_a_value_is_rendered_on_every_key_and_one_that_its_field_refuses_is_told_there(opened):
    form = opened("hook", "Hi {name}: {price:.2f}")
    form.values["name"].value = "Ada"
    assert form.rendered == "Hi Ada: {price:.2f}"
    form.values["price"].value = "cheap"
    assert form.values["price"].message == "{price:.2f} needs a number: 'cheap'. Type one, such as 3.14."
    assert form.rendered == "Hi Ada: {price:.2f}"
    assert form.can_register  # a sample is not registered
    form.values["price"].value = "3"
    assert form.values["price"].message == ""
    assert form.rendered == "Hi Ada: 3.00"


def test_a_template_of_many_variables_gets_a_bounded_number_of_inputs(opened):
    form = opened("hook", " ".join(f"{{v{n}}}" for n in range(400)))
    assert len(form.values) == 24
    assert "and 376 more" in html_of(form)


def test_metadata_keeps_its_types_and_what_is_wrong_is_told_in_its_row(opened):
    form = opened("hook", "x", metadata={"target": 0.06, "ticket": "17", "tested": True})
    assert form.metadata.metadata == {"target": 0.06, "ticket": "17", "tested": True}
    row = form.metadata.add("hokusai.prompt.version", "9.9.9")
    assert "reserved" in row.message
    assert "correct Metadata" in html_of(form)
    row.key_input.value = "target"
    assert "is given twice" in row.message
    form.metadata.remove(row)
    assert form.can_register


def test_a_broken_template_leaves_below_it_what_there_was_before(opened, seeded):  # noqa: ARG001
    form = opened("hook", "Ho {name}, {cta}", metadata=FULL)
    form.values["name"].value = "Ada"
    assert form.wait(20)
    form.fields["template"].value = "Ho {name, {cta}"
    shown = html_of(form)
    assert "Rendered, before the mistake" in shown
    assert "Ho Ada, " in shown
    assert ">+Ho {name}, {cta}</span>" in shown
    assert form.rendered == ""
    form.fields["template"].value = ""
    assert "Ho Ada, " not in html_of(form)
    assert ">+Ho {name}" not in html_of(form)


def test_a_cell_and_a_call_are_offered_only_where_they_would_work(opened):
    form = opened()
    assert "The same as a cell" not in html_of(form)
    assert form.magic_line() == "%%hokusai_prompt NAME\nHello {name}!"
    assert "fill in and run a cell such as this one" in form._repr_mimebundle_()["text/plain"]
    form.fields["name"].value = "hook"
    form.fields["template"].value = "Hi {name"
    assert "The same as a cell" not in html_of(form)
    form.fields["template"].value = "Hi {name}"
    assert form.wait(20)
    assert "The same as a cell" in html_of(form)


def test_what_the_editor_does_not_show_is_named_and_spelled_out_below(opened, seeded):  # noqa: ARG001
    form = opened("hook", "Hi {name}, {cta} \u202elive\u202c", metadata=FULL)
    form.values["cta"].value = "\x1b[31m👩\u200d🔬"
    assert form.wait(20)
    assert r"The editor does not show \u202e, \u202c" in html_of(form)
    shown = form._board._rendered_box.value + form._board._diff_box.value
    assert "\\x1b[31m👩\u200d🔬" in shown
    assert shown.count(r"\u202elive\u202c") == 2  # rendered, and compared
    assert not set(shown) & set("\u202e\u202c\x1b")
    form.fields["template"].value = "Hi {name}"
    assert "The editor does not show" not in form.fields["template"]._said.value
    form.fields["template"].value = "Hi {name}, {cta} \u202elive\u202c"
    form.submit()
    bundle = form._repr_mimebundle_()
    assert all(
        r"\u202elive\u202c" in text and "\u202e" not in text for text in (bundle["text/html"], bundle["text/plain"])
    )


def test_a_long_name_of_a_variable_stands_above_its_input_and_a_short_one_beside(opened):
    form = opened("hook", "{customer_first_name} {cta}")
    assert ["hokusai-above" in field._dom_classes for field in form.values.values()] == [True, False]
    form.fields["template"].value = "{customer} {cta}"
    assert "hokusai-above" not in form.values["customer"]._dom_classes


# The step


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("template", "step", "version", "why"),
    [
        ("Hi {name}! {cta}", "patch", "1.1.1", "callers go on passing the same variables."),
        ("Hi {name}, {cta} {tag}", "minor", "1.2.0", "tag is new, and callers have to pass it."),
        ("Hi {name}", "major", "2.0.0", "cta is removed or renamed, and callers still pass it."),
    ],
)
def test_the_step_that_a_change_warrants_is_explained_with_the_version_that_follows(
    opened, template, step, version, why
):
    form = opened("hook", template)
    assert form.fields["bump"].message == f"This change is {step}: {why}"
    assert form.fields["bump"].input.options[0][0] == f"As the change warrants ({step} → {version})"
    assert form.version == version


@pytest.mark.usefixtures("seeded")
def test_a_step_that_is_too_small_is_refused_with_its_reason_unless_that_is_allowed(opened):
    form = opened("hook", "Hi {name}", bump="patch", metadata=FULL)
    assert "A patch step is too small: this change is major, because cta is removed" in form.fields["bump"].message
    assert "Register is disabled: the step is too small, major is needed." in html_of(form)
    with pytest.raises(ModelValidationError, match="too small"):
        form.submit()
    form.fields["bump"].repair()
    assert (form.fields["bump"].value, form.version, form.can_register) == ("major", "2.0.0", True)
    form.fields["bump"].value = "patch"
    form.allow_breaking.value = True
    assert form.can_register
    assert "--allow-breaking" in form.magic_line()
    assert "allow_breaking=True" in form.python_call()
    assert form.submit().version == "1.1.1"


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("version", "message", "repair"),
    [
        ("1.0", "Invalid version format", "1.0.0"),
        ("1.0.0", "registered already, with other content", "1.1.1"),
        ("1.0.5", "not above 1.1.0", "1.1.1"),
    ],
)
def test_a_version_that_cannot_be_registered_is_told_at_its_field(opened, version, message, repair):
    form = opened("hook", "Ho {name}, {cta}", version)
    assert message in form.fields["version"].message
    assert form.fields["version"].problem.repair == repair
    assert not form.can_register


# Comparing


@pytest.mark.usefixtures("seeded")
def test_the_text_is_compared_with_any_earlier_version(opened):
    form = opened("hook", "Hello {cta}")
    assert form.compare.input.options == (("1.1.0", "1.1.0"), ("1.0.0 (production)", "1.0.0"))
    shown = html_of(form)
    assert "Variables removed: name." in shown
    assert ">-Hi {name}, {cta}</span>" in shown
    assert ">+Hello {cta}</span>" in shown
    form.compare.value = "1.0.0"
    assert form.wait(20)
    assert "Variables added: cta." in html_of(form)


@pytest.mark.usefixtures("seeded")
def test_a_version_that_comes_later_is_the_one_to_compare_with_unless_another_was_chosen(opened):
    forms = [opened("hook", "Ho {name}, {cta}", metadata=FULL) for _ in range(2)]
    forms[1].compare.value = "1.0.0"
    PromptModel("hook", "Hi {name}, {cta}. Theirs", "1.1.1", metadata=FULL).register()
    for form in forms:
        form.check_again()
        assert form.wait(20)
        assert "1.1.1 was registered after this form was opened." in form.compare.message
    assert [form.compare.value for form in forms] == ["1.1.1", "1.0.0"]
    assert ">-Hi {name}, {cta}. Theirs</span>" in html_of(forms[0])
    assert "This is not the newest version, which is 1.1.1." in forms[1].compare.message
    forms[1].fields["name"].value = "other"
    forms[1].fields["name"].value = "hook"
    assert forms[1].wait(20)
    assert forms[1].compare.value == "1.0.0"


# Registering and promoting


def test_a_form_registers_promotes_and_says_so_each_time(opened):
    form = opened("a/b", "Hi {name}", metadata=FULL)
    button(form, "Register").click()
    assert form.model.version == "1.0.0"
    assert button(form, "Register") is None
    assert button(form, "Promote to production").disabled
    assert "production comes after staging" in html_of(form)
    assert "%hokusai_promote a/b 1.0.0 --to staging" in form._repr_mimebundle_()["text/plain"]
    button(form, "Promote to staging").click()
    assert form.model.stage is ModelStage.STAGING
    assert form.promote("production", "it converts").stage is ModelStage.PRODUCTION
    bundle = form._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "it converts" in bundle["text/plain"]
    assert [c.to_stage for c in form.model.get_history()] == [ModelStage.STAGING, ModelStage.PRODUCTION]


def test_the_same_form_twice_is_the_same_version_also_when_it_is_opened_again(opened):
    form = opened("hook", "Hi {name}", metadata=FULL)
    made = form.submit()
    assert form.submit() is made
    again = opened("hook", "Hi {name}", metadata=FULL, bump="minor")
    assert again.submit().version == "1.0.0"
    assert again.receipt._text_().startswith("Already registered hook 1.0.0")
    assert versions("hook") == ["1.0.0"]


def test_many_threads_that_submit_at_once_make_one_version(opened):
    form = opened("hook", "Hi {name}", metadata=FULL)
    threads = [threading.Thread(target=form.submit) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert versions("hook") == ["1.0.0"]


def test_a_changed_form_registers_the_next_version_although_its_receipt_is_shown(opened):
    form = opened("hook", "Hi {name}", metadata=FULL)
    form.submit()
    form.fields["template"].value = "Hi {name}, {cta}"
    assert form.submit().version == "1.1.0"
    assert "Made from  1.0.0" in form.receipt._text_()
    assert versions("hook") == ["1.0.0", "1.1.0"]


@pytest.mark.usefixtures("seeded")
def test_who_was_overtaken_is_told_what_was_registered_meanwhile(opened):
    form = opened("hook", "Hey {name}, {cta}", metadata=FULL)
    assert form.version == "1.1.1"
    PromptModel("hook", "Other {name}, {cta}", "1.1.1", metadata=FULL).register()
    with pytest.raises(ModelValidationError, match="registered already"):
        form.submit()
    assert "registered already" in form.failure
    assert form.wait(20)
    assert form.version == "1.1.2"
    assert form.submit().version == "1.1.2"


def test_nothing_is_promoted_before_it_is_registered_and_no_stage_is_skipped(opened):
    form = opened("hook", "Hi", metadata=FULL)
    with pytest.raises(ModelValidationError, match="Model must be registered before promotion"):
        form.promote("staging")
    form.submit()
    with pytest.raises(ModelValidationError, match="Cannot promote directly from dev to production"):
        form.promote("production")
    assert "Cannot promote directly" in html_of(form)
    with pytest.raises(ModelValidationError, match="There is no stage"):
        form.promote("live")
    assert not button(form, "Promote to staging").disabled


def test_the_name_of_a_model_is_refused_at_the_name(opened):
    import mlflow

    mlflow.MlflowClient().create_registered_model("taken")
    form = opened("taken", "Hi", metadata=FULL)
    with pytest.raises(ModelValidationError, match="is the name of a model"):
        form.submit()
    assert form.wait(20)
    assert "is the name of a model" in form.fields["name"].message
    assert not form.can_register


def test_an_invalid_form_raises_and_writes_nothing(opened):
    form = opened("hook", "Hi {name")
    with pytest.raises(ModelValidationError, match="Invalid template format"):
        form.submit()
    assert versions("") == []


def test_missing_recommended_metadata_is_said_and_warns_nobody(opened, recwarn):
    form = opened("hook", "Hi", metadata={"author": "me"})
    assert "Recommended metadata is missing: purpose, tested_on, performance_metrics." in html_of(form)
    form.submit()
    assert not [w for w in recwarn if issubclass(w.category, HokusaiWarning)]


# The same in other words


def test_the_cell_and_the_python_make_the_same_version(opened):
    from hokusai_nb.magics.parsing import parse

    template = 'Hi "{name}",\nit\'s {{5}} $ {cta}'
    form = opened("a/b", template, metadata={"target": 0.06, "note": "it's $5 {x}"})
    form.values["name"].value = "A da"
    line, _, body = form.magic_line().partition("\n")
    assert body == template
    verb = parse(EditPrompt, line.removeprefix("%%hokusai_prompt "), {}, "hokusai_prompt")
    assert (verb.name, verb.version, dict(verb.meta)) == ("a/b", "1.0.0", {"target": 0.06, "note": "it's $5 {x}"})
    assert dict(verb.render) == {"name": "A da"}
    assert verb.register_it
    scope = {"__name__": "user"}
    with pytest.warns(HokusaiWarning):
        exec(form.python_call(), scope)
    assert scope["prompt"].template == template
    assert form.submit().version == "1.0.0"
    assert versions("a/b") == ["1.0.0"]


# Where something is missing


def test_without_a_server_the_form_checks_what_it_can_and_says_what_it_could_not(store, monkeypatch):  # noqa: ARG001
    import mlflow

    mlflow.set_tracking_uri(f"http://127.0.0.1:{free_port()}")
    form = PromptForm("hook", "Hi {name")
    try:
        assert "Invalid template format" in form.fields["template"].message
        began = time.monotonic()
        form.fields["template"].value = "Hi {name}"
        assert time.monotonic() - began < 1
        assert form.wait(20)
        assert "Not checked against the registry" in html_of(form)
        assert button(form, "Check again") is not None
        with pytest.raises(ConnectionFailedError):
            form.submit()
        assert "127.0.0.1" in form.failure
        form.values["name"].value = "Ada"
        assert form.failure == ""
        assert "--bump" not in form.magic_line()
    finally:
        form.close()


def test_hostile_prompts_are_only_ever_text(opened):
    script = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    PromptModel("evil", f"{script} {{x}}", "1.0.0", metadata={**FULL, "author": script}).register()
    form = opened("evil")
    form.values["x"].value = script
    form.fields["template"].value = f"{script} {{x}} {{y}}{script}"
    assert form.wait(20)
    shown = html_of(form) + form._repr_mimebundle_()["text/html"]
    form.submit()
    shown += html_of(form) + form._repr_mimebundle_()["text/html"]
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    assert "<img" not in shown


def test_a_closed_form_leaves_no_widget_open(store):  # noqa: ARG001
    def living():
        return set(ipywidgets.Widget.get_manager_state()["state"])

    before = living()
    for steps in ((), ("staging",), ("staging", "production")):
        form = PromptForm("hook", "Hi {a} {b:d}", metadata=FULL)
        form.values["b"].value = "x"
        form.fields["template"].value = "Hi {a}"
        form.metadata.remove(form.metadata.add("x", "1"))
        assert form.wait(20)
        form.submit()
        for stage in steps:
            form.promote(stage)
        form.close()
        assert living() == before


def test_an_exception_in_a_handler_is_shown_and_not_lost(opened, monkeypatch):
    form = opened("hook", "Hi")
    monkeypatch.setattr(form._board, "show", lambda *_: 1 / 0)
    form.fields["template"].value = "Ho"
    assert "ZeroDivisionError" in html_of(form)
