"""The registration form, driven as a front end drives it: by setting values and clicking."""

from __future__ import annotations

import gc
import json
import sqlite3
import threading
import time
from contextlib import closing

import ipywidgets
import pytest

from hokusai_nb.config import configure
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import ConnectionFailedError, HokusaiError, ValidationError
from hokusai_nb.widgets import RegistrationForm
from hokusai_nb.widgets.workspace import Workspace
from tests.widgets.looking import button, html_of, versions

ADDRESS = "0x" + "ab" * 20


# Opening


def test_an_empty_form_tells_nobody_off_and_says_what_is_missing(opened, current):
    current(accuracy=0.91)
    form = opened()
    assert [field.message for field in form.fields.values() if field.problem] == []
    assert 'role="alert"' not in html_of(form)
    assert button(form, "Register").disabled
    assert "Register is disabled: fill in Token, Name, Metric." in html_of(form)


def test_the_fields_are_those_of_the_verb_with_its_help(opened):
    from hokusai_nb.schema.verbs import Register

    form = opened()
    assert list(form.fields) == ["token", "model", "name", "metric", "value", "contributor"]
    for key, field in form.fields.items():
        assert field.input.description == key.capitalize()
        assert field.input.tooltip == Register.model_fields[key].description


def test_what_is_known_is_suggested_the_runs_own_metrics_first(opened, current, registry, trained):
    registry.register_tokenized_model(trained().model_uri, "existing", "OLD-1", "f1", "0.5")
    current(**{"zeta": 0.3, "accuracy": 0.91, "test/auc": 0.5})
    form = opened()
    assert form.fields["token"].input.options == ("OLD-1",)
    assert form.fields["name"].input.options == ("existing",)
    assert form.fields["model"].input.options == ("model",)
    metrics = form.fields["metric"].input.options
    assert set(metrics[:2]) == {"accuracy", "zeta"}
    assert "rmse" in metrics
    assert "test/auc" not in metrics


def test_existing_names_and_new_tokens_are_told_apart(opened, current, registry, trained):
    registry.register_tokenized_model(trained().model_uri, "existing", "OLD-1", "f1", "0.5")
    current(accuracy=0.9)
    form = opened(values={"name": "existing", "token": "old-1"})
    assert form.fields["name"].message == "Exists; its newest version with a token is 1."
    assert form.fields["token"].message == ""
    form.fields["token"].value = "NEW-1"
    assert form.fields["token"].message == "New here: no version carries this token yet."


def test_a_name_without_a_token_is_suggested_and_told_from_one_that_does_not_exist(opened, current):
    import mlflow

    mlflow.MlflowClient().create_registered_model("plain")
    current(accuracy=0.9)
    form = opened(values={"name": "plain"})
    assert form.fields["name"].input.options == ("plain",)
    assert form.fields["name"].message == "Exists; none of its versions has a token yet."
    form.fields["name"].value = "other"
    assert form.fields["name"].message == "New here: no model has this name yet."


# Typing


def test_a_message_follows_every_key_and_the_repair_is_one_click_away(filled):
    token = filled.fields["token"]
    for text in ("m", "ms", "msg", "msg_", "msg_a", "msg_ai"):
        token.value = text
    assert token.message == "Token ID format invalid: 'msg_ai'. Did you mean MSG-AI?"
    assert 'role="alert"' in html_of(filled)
    assert not filled.can_register
    assert "Register is disabled: correct Token." in html_of(filled)
    button(filled, "Use MSG-AI").click()
    assert token.value == "MSG-AI"
    assert filled.can_register
    assert button(filled, "Use ") is None
    assert not button(filled, "Register").disabled


def test_repairing_a_field_without_a_proposal_changes_nothing(filled):
    filled.fields["token"].value = "TICKER"
    filled.fields["token"].repair()
    filled.fields["name"].repair()
    assert (filled.fields["token"].value, filled.fields["name"].value) == ("TICKER", "churn")


def test_the_value_is_read_from_the_run_and_again_when_the_metric_changes(filled):
    value = filled.fields["value"]
    assert value.value == "0.91"
    assert value.message.startswith("Read from the run.")
    filled.fields["metric"].value = "f1_score"
    assert value.value == "0.9"
    filled.fields["metric"].value = "rmse"
    assert value.value == ""


def test_what_the_user_typed_is_never_overwritten(filled):
    value = filled.fields["value"]
    value.value = "0.5"
    filled.fields["metric"].value = "f1_score"
    assert value.value == "0.5"
    assert "The run measured 0.9." in value.message
    value.value = ""
    filled.fields["metric"].value = "accuracy"
    assert value.value == "0.91"


def test_a_value_of_the_line_stays_although_the_run_measured_another(opened, current):
    current(accuracy=0.91)
    form = opened(values={"metric": "accuracy", "value": "0.7"})
    assert form.fields["value"].value == "0.7"


def test_a_percentage_is_refused_with_its_fraction_as_repair(filled):
    filled.fields["value"].value = "87"
    assert "accuracy must be between 0 and 1: '87'" in filled.fields["value"].message
    filled.fields["value"].repair()
    assert filled.fields["value"].value == "0.87"
    assert filled.can_register


def test_a_metric_that_diverged_is_shown_and_refused(opened, current):
    current(accuracy=float("nan"))
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"})
    assert "must be numeric: 'nan'" in form.fields["value"].message
    assert not form.can_register


def test_an_undeclared_metric_is_a_warning_and_can_be_registered(filled):
    filled.fields["metric"].value = "sharpness"
    filled.fields["value"].value = "3"
    assert "not in the catalogue" in filled.fields["metric"].message
    assert 'class="hokusai-said hokusai-warning" role="status"' in html_of(filled)
    assert filled.can_register


def test_the_last_value_and_the_improvement_stand_below_the_value(filled, registry, trained):
    for value in ("0.93", "0.88"):
        registry.register_tokenized_model(trained().model_uri, "churn", "A-B", "accuracy", value)
    filled.check_again()
    assert filled.wait(20)
    assert filled.fields["value"].message == (
        "Read from the run. Last version 2: accuracy = 0.88, improvement +0.03. Over the best (version 1): -0.02."
    )


def test_an_answer_to_an_older_question_is_never_shown(filled):
    assert filled.wait(20)
    assert "What will be written: churn version 1 (new)" in html_of(filled)
    filled.fields["name"].value = "other"
    assert "What will be written" not in html_of(filled)
    assert filled.wait(20)
    assert "What will be written: other version 1 (new)" in html_of(filled)


def test_the_preview_holds_exactly_the_tags_that_are_then_written(filled):
    import html
    import re

    filled.tags.add("gpu_type", "A100")
    assert filled.wait(20)
    shown = html_of(filled).replace("<wbr>", "")
    cell = r"<th scope='row'[^>]*>(.*?)</th><td[^>]*>(?:<span title=\"(?=.*?…))?(.*?)(?:\".*?)?</td>"
    rows = dict(re.findall(cell, shown))
    rows = {html.unescape(key): html.unescape(value) for key, value in rows.items()}
    filled.submit()
    (version,) = versions("churn")
    assert rows.pop("run") == version.run_id
    assert rows == version.tags
    assert rows["gpu_type"] == "A100"


# Tags


def test_tag_rows_are_added_checked_repaired_and_removed(filled):
    button(filled, "Add a tag").click()
    (row,) = filled.tags.rows
    row.key_input.value = "full_version"
    row.value_input.value = "1.2"
    assert "must be a semantic version" in row.message
    assert "Register is disabled: correct tag full_version." in html_of(filled)
    row.repair()
    assert row.value_input.value == "1.2.0"
    assert filled.can_register
    assert "--tag full_version=1.2.0" in filled.magic_line()
    button(filled, "Remove tag").click()
    assert filled.tags.rows == []
    assert "--tag" not in filled.magic_line()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("benchmark_value", "1", "cannot be set through tags"),
        ("mlflow.prompt.text", "x", "is reserved"),
        ("", "x", "Tag key invalid: ''"),
        ("a\nb", "x", "Tag key invalid"),
        ("k" * 300, "x", "Tag key invalid"),
        ("<b>", "x", "Tag key invalid"),
    ],
)
def test_a_wrong_tag_says_so_in_its_own_row(filled, key, value, message):
    row = filled.tags.add(key, value)
    assert message in row.message
    assert not filled.can_register
    assert button(filled, "Register").disabled


@pytest.mark.parametrize("key", ["token", "value", "model", "contributor", "run", "metric", "tags"])
def test_the_problem_of_a_tag_that_is_called_like_a_field_is_told_in_its_row(filled, key):
    before = {name: field.message for name, field in filled.fields.items()}
    row = filled.tags.add(key, "\0")
    assert row.problem is not None
    assert [field.problem for field in filled.fields.values()] == [None] * 6
    assert {name: field.message for name, field in filled.fields.items() if name != "value"} == {
        name: text for name, text in before.items() if name != "value"
    }
    row.value_input.value = ADDRESS  # what any of them may hold
    assert filled.can_register
    filled.tags.add(key, ADDRESS)
    assert "is given twice" in row.message
    assert [field.problem for field in filled.fields.values()] == [None] * 6
    assert f"Register is disabled: correct tag {key}." in html_of(filled)


def test_a_tag_given_twice_is_refused_and_not_silently_dropped(filled):
    filled.tags.add("gpu_type", "A100")
    filled.tags.add("gpu_type", "H100")
    assert [row.message for row in filled.tags.rows] == ["Tag 'gpu_type' is given twice. Remove one of them."] * 2
    assert not filled.can_register
    filled.tags.remove(filled.tags.rows[0])
    assert filled.can_register
    assert filled.tags.tags == {"gpu_type": "H100"}


def test_an_empty_row_is_no_tag(filled):
    filled.tags.add()
    assert filled.can_register
    assert "tags" not in filled.magic_line()


# The contributor


def test_the_contributor_of_the_settings_is_shown_and_used(opened, current):
    current(accuracy=0.9)
    configure(contributor=ADDRESS)
    try:
        form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"})
        assert form.fields["contributor"].message == f"From the settings: {ADDRESS}"
        assert form.submit().contributor == ADDRESS
    finally:
        configure(contributor=None)


def test_a_broken_contributor_in_the_settings_is_told_at_its_field(opened, current):
    current(accuracy=0.9)
    configure(contributor=ADDRESS[2:])
    try:
        form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"})
        assert "HOKUSAI_CONTRIBUTOR in the settings: Contributor address invalid" in form.fields["contributor"].message
        assert not form.can_register
        form.fields["contributor"].repair()
        assert form.fields["contributor"].value == ADDRESS
        assert form.can_register
    finally:
        configure(contributor=None)


def test_two_different_contributors_contradict_each_other(filled):
    filled.fields["contributor"].value = ADDRESS
    filled.tags.add("contributor_address", "0x" + "cd" * 20)
    assert "name different addresses" in filled.fields["contributor"].message
    assert not filled.can_register


# The model and its run


def test_of_several_models_one_has_to_be_chosen(opened, current, trained):
    import mlflow

    first = current(accuracy=0.9, name="small")
    run = mlflow.MlflowClient().get_run(first.run_id)
    trained(name="large", run=run)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"})
    assert "holds 2 models" in form.fields["model"].message
    assert set(form.fields["model"].input.options) == {"small", "large"}
    assert not form.can_register
    form.fields["model"].value = "small"
    assert form.can_register
    assert form.submit().model_id == first.model_id


def test_of_several_models_one_that_is_called_like_a_variable_is_offered_by_its_uri(opened, current, trained):
    import mlflow

    current(accuracy=0.9, name="small")
    run = mlflow.MlflowClient().get_run(mlflow.last_active_run().info.run_id)
    large = trained(name="large", run=run)
    values = {"token": "A-B", "name": "m", "metric": "accuracy", "value": "0.9"}
    assert opened(values=values).fields["model"].problem.repair == "large"
    form = opened(values=values, workspace=Drawer(large=object()))
    assert f"Choose one: {large.model_uri}, small." in form.fields["model"].message
    form.fields["model"].repair()
    assert form.can_register
    assert form.submit().model_id == large.model_id


def test_a_model_that_the_run_does_not_hold_is_refused_at_once(filled):
    filled.fields["model"].value = "nope"
    assert "holds no model 'nope'. It holds: model." in filled.fields["model"].message
    assert not filled.can_register


def test_a_model_uri_needs_no_current_run(opened, trained):
    made = trained(accuracy=0.7)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"})
    assert form.fields["model"].message.startswith("There is no current run")
    form.fields["model"].value = made.model_uri
    assert form.can_register
    assert form.wait(20)
    assert form.submit().run_id == made.run_id


def test_a_model_of_another_run_is_not_given_this_runs_value(opened, current, trained):
    other = trained(accuracy=0.7)
    current(accuracy=0.91)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"})
    assert form.fields["value"].value == "0.91"
    form.fields["model"].value = other.model_uri
    assert form.fields["value"].value == ""
    assert form.submit().benchmark_value == "0.7"


def test_without_a_run_the_form_says_what_to_do_and_writes_nothing(opened):
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy", "value": "0.5"})
    with pytest.raises(ValidationError, match="There is no current run"):
        form.submit()
    assert versions("m") == []


def test_a_failed_last_run_is_refused_unless_it_is_named(opened, current):
    import mlflow

    run = current(accuracy=0.9)
    mlflow.MlflowClient().set_terminated(run.run_id, "FAILED")
    values = {"token": "A-B", "name": "m", "metric": "accuracy", "value": "0.9"}
    form = opened(values=values)
    assert "is FAILED" in form.fields["model"].message
    assert not form.can_register
    with pytest.raises(HokusaiError, match="is FAILED"):
        form.submit()
    assert versions("m") == []
    named = opened(values={**values, "run": run.run_id})
    assert named.can_register
    assert f"--run {run.run_id}" in named.magic_line()
    assert named.submit().run_id == run.run_id


def test_a_deleted_run_is_said_and_can_be_looked_for_again(opened, current):
    import mlflow

    run = current(accuracy=0.9)
    client = mlflow.MlflowClient()
    client.delete_run(run.run_id)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"})
    assert "was deleted" in form.fields["model"].message
    assert not form.can_register
    client.restore_run(run.run_id)
    button(form, "Check again").click()
    assert form.wait(20)
    assert form.can_register, form.problems
    assert button(form, "Check again") is None


def test_a_line_that_stays_on_the_screen_names_the_run_where_no_cell_is_followed(opened, current):
    class Plain(Workspace):
        shell = None

    run = current(accuracy=0.91)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"}, workspace=Plain())
    assert "--run" not in form.magic_line()
    assert f"--run {run.run_id}" in html_of(form)
    assert f"--run {run.run_id}" in form._repr_mimebundle_()["text/plain"]


def test_while_the_run_may_measure_again_the_line_says_the_value(opened, current):
    import mlflow

    run = current(accuracy=0.91)
    with mlflow.start_run(run_id=run.run_id):
        form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"})
        mlflow.log_metric("accuracy", 0.95)
        assert form.fields["value"].value == "0.91"
        assert form.magic_line() == "%hokusai_register m --token A-B --metric accuracy --value 0.91"
        assert form.submit().benchmark_value == "0.91"


def test_a_number_given_from_python_is_filled_in_also_zero(opened, current):
    current(accuracy=0.91)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy", "value": 0})
    assert form.fields["value"].value == "0"
    assert form.submit().benchmark_value == "0"


def test_the_run_is_the_one_that_was_current_when_the_form_was_opened(filled, current):
    opened_with = filled._inquiry.run_id
    current(accuracy=0.5)
    assert f"--run {opened_with}" in filled.magic_line()
    assert filled.submit().run_id == opened_with
    (version,) = versions("churn")
    assert version.tags["benchmark_value"] == "0.91"


def test_a_click_that_is_handled_in_another_thread_finds_the_same_run(filled):
    thread = threading.Thread(target=button(filled, "Register").click)
    thread.start()
    thread.join(30)
    assert filled.receipt is not None
    assert [v.run_id for v in versions("churn")] == [filled._inquiry.run_id]


def test_a_metric_that_the_run_lacks_is_told_at_a_value_that_was_never_filled(opened, current):
    current(accuracy=0.91)
    form = opened(values={"token": "A-B", "name": "m", "metric": "recall"})
    assert "has no metric 'recall'" in form.fields["value"].message
    assert "state the value, such as 0.91" in form.fields["value"].message


def test_a_metric_that_the_run_lacks_is_told_at_the_value(filled):
    filled.fields["metric"].value = "recall"
    assert filled.wait(20)
    assert "has no metric 'recall'" in filled.fields["value"].message
    assert "correct" not in filled.fields["value"].message
    assert not filled.can_register
    assert "Register is disabled: fill in Value." in html_of(filled)


# Variables


class Counting(Workspace):
    """Variables that are other objects whenever they are looked up."""

    def __init__(self):
        self.looked_up = []

    def find(self, text):
        from sklearn.dummy import DummyClassifier

        self.looked_up.append(text)
        if text != "clf":
            return None
        return DummyClassifier(strategy="constant", constant=1).fit([[0.0], [1.0]], [0, 1])


def test_a_variable_is_looked_up_when_its_name_is_typed_and_on_registering(opened, current):
    current(accuracy=0.91)
    workspace = Counting()
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"}, workspace=workspace)
    form.fields["model"].value = "clf"
    assert form.wait(20)
    seen = list(workspace.looked_up)
    assert seen.count("clf") == 1
    for text in ("A-C", "A-D"):
        form.fields["token"].value = text
        assert form.wait(20)  # an answer is shown, and asks for no other
    assert "What will be written: m version 1 (new)" in html_of(form)
    assert workspace.looked_up == seen
    form.submit()
    assert workspace.looked_up.count("clf") == 2


# Estimators


class Drawer(Workspace):
    """Variables to name, and a note of each registration."""

    def __init__(self, **held):
        self.held = held
        self.count = 0

    def find(self, text):
        return self.held.get(text)

    def estimators(self):
        return [name for name in self.held if name != "rows"]

    def registered(self):
        self.count += 1


@pytest.fixture
def fitted():
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="constant", constant=1).fit([[0.0], [1.0]], [0, 1])


@pytest.fixture
def bare_run(store):  # noqa: ARG001
    """A finished run with a metric and no model."""
    import mlflow

    with mlflow.start_run() as run:
        mlflow.log_metric("accuracy", 0.8)
    return run.info.run_id


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_a_run_without_a_model_is_repaired_by_the_only_fitted_estimator(opened, bare_run, fitted):
    drawer = Drawer(clf=fitted)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"}, workspace=drawer)
    assert "holds no model. Name a fitted estimator" in form.fields["model"].message
    assert form.fields["model"].input.options == ("clf",)
    form.fields["model"].repair()
    assert form.fields["model"].value == "clf"
    assert form.can_register
    assert "is logged to run" in form.fields["model"].message
    assert form.wait(20)
    assert "What will be written: m version 1 (new)" in html_of(form)
    first = form.submit()
    assert first.run_id == bare_run
    assert drawer.count == 1
    assert form.submit().version == first.version
    again = opened(values={"token": "A-B", "name": "m", "metric": "accuracy", "model": "clf"}, workspace=drawer)
    assert "version 1 (made before: it is not made again)" in html_of(again)
    assert again.submit().version == "1"
    assert len(versions("m")) == 1


def test_a_variable_that_holds_what_log_model_returned_is_its_uri(opened, trained):
    from types import SimpleNamespace

    made = trained(accuracy=0.6)
    drawer = Drawer(info=SimpleNamespace(model_uri=made.model_uri))
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy", "model": "info"}, workspace=drawer)
    assert form.can_register
    assert form.magic_line() == "%hokusai_register m --token A-B --metric accuracy --model info"
    assert "model_uri=info.model_uri," in form.python_call()
    assert form.submit().model_id == made.model_id


@pytest.mark.usefixtures("bare_run")
def test_an_estimator_that_cannot_be_logged_is_told_at_the_model(opened):
    from sklearn.dummy import DummyClassifier

    form = opened(
        values={"token": "A-B", "name": "m", "metric": "accuracy", "model": "raw"},
        workspace=Drawer(raw=DummyClassifier()),
    )
    assert "is not fitted" in form.fields["model"].message
    assert not form.can_register


# Registering


def test_success_shows_a_receipt_everywhere_and_registers_once(filled):
    click = button(filled, "Register").click
    click()
    click()
    click()
    (version,) = versions("churn")
    assert version.tags["benchmark_value"] == "0.91"
    assert "Registered churn version 1" in html_of(filled)
    assert len(filled.children) == 1
    assert filled.receipt.version == "1"
    assert "Registered churn version 1" in filled._repr_mimebundle_()["text/plain"]


def test_submitting_again_returns_the_version_it_made_even_where_a_new_one_is_forced(opened, current):
    current(accuracy=0.91)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy", "force_new": True})
    assert "--force-new" in form.magic_line()
    assert (form.submit().version, form.submit().version) == ("1", "1")
    assert len(versions("m")) == 1


def test_a_changed_form_registers_another_version_and_hands_out_its_receipt(filled):
    assert filled.submit().version == "1"
    filled.fields["value"].value = "0.95"
    assert filled.submit().version == "2"
    assert "Registered churn version 2" in html_of(filled)
    assert "+0.04 (version 1)" in filled.receipt._text_()


def test_many_threads_that_submit_at_once_make_one_version(filled):
    made = []
    threads = [threading.Thread(target=lambda: made.append(filled.submit().version)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert made == ["1"] * 4
    assert len(versions("churn")) == 1


def test_an_invalid_form_raises_and_writes_nothing(filled):
    filled.fields["token"].value = "not a token!"
    with pytest.raises(ValidationError, match="Token ID format invalid"):
        filled.submit()
    assert versions("churn") == []
    assert filled.receipt is None


def test_what_the_registry_refuses_on_registering_is_shown_at_its_field(filled):
    import mlflow

    assert filled.wait(20)
    mlflow.MlflowClient().delete_run(filled._inquiry.run_id)
    button(filled, "Register").click()
    assert "was deleted" in filled.fields["model"].message
    assert 'role="alert"' in html_of(filled)
    assert versions("churn") == []


def test_progress_is_said_while_the_registry_works(filled):
    said = []
    filled._status.observe(lambda change: said.append(change["new"]), "value")
    filled.submit()
    assert any("Registering …" in text for text in said)


def test_a_version_whose_gain_cannot_be_told_is_registered_all_the_same(filled, monkeypatch):
    from hokusai_nb.backends.mlflow import versions as searched
    from hokusai_nb.errors import RegistryError

    assert filled.wait(20)

    def refuse(*_):
        what = "The server went away."
        raise RegistryError(what)

    monkeypatch.setattr(searched, "by_name", refuse)
    assert filled.submit().version == "1"
    assert "The versions before it could not be read: The server went away." in html_of(filled)


# Handlers, secrets and markup


def test_an_exception_in_a_handler_is_shown_and_not_lost(opened, current):
    class Broken(Drawer):
        def registered(self):
            return {}["sqlite://me:s3cret@host/db"]

    current(accuracy=0.9)
    form = opened(values={"token": "A-B", "name": "m", "metric": "accuracy"}, workspace=Broken())
    button(form, "Register").click()
    assert "What follows it did not work: KeyError: &#39;sqlite://***@host/db&#39;" in html_of(form)
    assert "Registered m version 1" in html_of(form)


def test_no_secret_is_in_any_widgets_state(store, current, monkeypatch):
    monkeypatch.setenv("HOKUSAI_API_KEY", "key-5up3r-s3cret")
    current(accuracy=0.91)
    registry = ModelRegistry("http://me:pa55word@127.0.0.1:9/mlflow")
    form = RegistrationForm(registry, values={"token": "A-B", "name": "m", "metric": "accuracy", "value": "0.9"})
    assert form.wait(20)
    with pytest.raises(ConnectionFailedError):
        form.submit()
    state = json.dumps(ipywidgets.Widget.get_manager_state(), default=str)
    assert "127.0.0.1:9" in state
    assert "pa55word" not in state
    assert "5up3r" not in state
    bundle = json.dumps(form._repr_mimebundle_(), default=str)
    assert "pa55word" not in bundle
    assert store.startswith("sqlite")


HOSTILE = "<img src=x onerror=alert(1)>'\"{x}$y"


def test_hostile_names_and_tags_are_only_ever_text(opened, current, registry, trained):
    import mlflow

    registry.register_tokenized_model(trained().model_uri, HOSTILE.replace("/", ""), "A-B", "f1", "0.5")
    run = current(accuracy=0.91, bold=1.0, params={"preprocessing": "<script>alert(2)</script>"})
    mlflow.MlflowClient().update_run(run.run_id, name="<svg onload=alert(3)>")
    with closing(sqlite3.connect("mlflow.db")) as database, database:  # MLflow's client would refuse the name
        database.execute("UPDATE latest_metrics SET key = '<b>bold' WHERE key = 'bold'")
    form = opened(values={"token": "A-B", "name": HOSTILE, "tags": {"note": "<script>"}})
    assert form.fields["metric"].message == "The run has accuracy, <b>bold."
    form.fields["token"].value = "<script>alert(4)"
    shown = html_of(form)
    form.fields["token"].value = "A-B"
    form.fields["metric"].value = "accuracy"
    assert form.wait(20)
    shown += html_of(form)
    form.submit()
    shown += html_of(form) + form._repr_mimebundle_()["text/html"]
    for tag in ("<img", "<script", "<svg", "<b>"):
        assert tag not in shown.lower()
    assert "&lt;script&gt;" in shown


# Where there is no server


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "hanging"])
def test_without_a_server_the_form_opens_checks_and_gives_up_in_time(uri, current, silent_server):
    current(accuracy=0.91)
    registry = ModelRegistry(silent_server if uri == "hanging" else uri)
    RegistrationForm(registry).close()
    began = time.monotonic()
    form = RegistrationForm(registry, values={"token": "msg_ai", "name": "m", "metric": "accuracy", "value": "0.9"})
    assert time.monotonic() - began < 0.5
    began = time.monotonic()
    form.fields["token"].repair()
    assert form.fields["token"].value == "MSG-AI"
    assert time.monotonic() - began < 0.2
    assert form.wait(15)
    assert "Not checked against the registry:" in html_of(form)
    assert form.can_register
    assert button(form, "Check again") is not None
    began = time.monotonic()
    with pytest.raises(ConnectionFailedError):
        form.submit()
    assert time.monotonic() - began < 5.5
    assert 'role="alert"' in html_of(form)
    assert not button(form, "Register").disabled
    form.close()


@pytest.fixture
def silent_server():
    """Address of a server that takes connections and never answers."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


# Threads


def test_fifty_forms_leave_no_thread_behind(opened, current):
    current(accuracy=0.9)
    before = threading.active_count()
    forms = [opened(wait=False) for _ in range(50)]
    for form in forms[::2]:
        form.close()
    for form in forms:
        assert form.wait(60)
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_a_form_closed_while_it_asks_is_told_nothing(current, store):  # noqa: ARG001
    current(accuracy=0.9)
    form = RegistrationForm(values={"token": "A-B", "name": "m", "metric": "accuracy"})
    before = html_of(form)
    form.close()
    form.wait(20)
    assert html_of(form) == before
    gc.collect()


def test_typing_while_answers_arrive_neither_deadlocks_nor_mixes_them(filled):
    for i in range(60):
        filled.fields["name"].value = f"m{i}"
        if i % 15 == 0:
            filled.check_again()
            time.sleep(0.3)
    assert filled.wait(30)
    assert "What will be written: m59 version 1 (new)" in html_of(filled)
