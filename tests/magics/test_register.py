"""``%hokusai_register`` on a line and on a cell, in a shell, on a real store."""

from __future__ import annotations

import json
import re

import pytest

from hokusai_nb.schema.records import RegisteredModel

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")

FIT = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True)
clf = LogisticRegression(max_iter=200).fit(X, y)
"""


@pytest.fixture(autouse=True)
def ready(store, shell):  # noqa: ARG001 - the store is set before the shell is used
    """A shell in which MLflow is imported and writes to the test's store."""
    shell.run_cell("import mlflow").raise_error()
    return shell


def versions(name):
    import mlflow

    return mlflow.MlflowClient().search_model_versions(f"name = '{name}'")


def newest_run():
    import mlflow

    (run,) = mlflow.search_runs(search_all_experiments=True, max_results=1, output_format="list")
    return run


@pytest.fixture
def active(trained):
    """A run with a model, as the last one that this kernel finished."""
    from mlflow.tracking import fluent

    run = trained(accuracy=0.91)
    fluent._last_active_run_id.set(run.run_id)
    return run


# On a line


def test_the_current_runs_model_is_registered_and_the_cell_shows_the_version(active, run):
    made = run("%hokusai_register shell-model --token shell-001 --metric accuracy")
    assert isinstance(made, RegisteredModel)
    bundle = made._repr_mimebundle_()
    assert {"text/html", "text/plain"} <= set(bundle)
    (version,) = versions("shell-model")
    assert version.tags["hokusai_token_id"] == "SHELL-001"
    assert version.tags["benchmark_value"] == "0.91"
    assert version.run_id == active.run_id


@pytest.mark.usefixtures("active")
def test_the_record_can_be_assigned(run, ready):
    run("m = %hokusai_register m --token A-B --metric accuracy")
    assert ready.user_ns["m"].version == "1"


@pytest.mark.usefixtures("active")
def test_a_line_that_is_run_twice_registers_once(run):
    first = run("%hokusai_register m --token A-B --metric accuracy")
    second = run("%hokusai_register m --token A-B --metric accuracy")
    assert (first.created, second.created) == (True, False)
    assert len(versions("m")) == 1


@pytest.mark.usefixtures("active")
def test_other_cells_in_between_make_no_second_registration(run):
    run("%hokusai_register m --token A-B --metric accuracy")
    run("1 + 1")
    run("%hokusai_register m --token A-B --metric accuracy")
    assert len(versions("m")) == 1


def test_an_estimator_that_is_registered_twice_is_registered_once(run):
    run(FIT + "with mlflow.start_run():\n    mlflow.log_metric('accuracy', 0.9)")
    first = run("%hokusai_register m --token A-B --metric accuracy --model clf")
    second = run("%hokusai_register m --token A-B --metric accuracy --model clf")
    assert second.version == first.version
    assert len(versions("m")) == 1


def test_an_estimator_that_was_fitted_anew_to_other_data_is_another_version(run):
    run(FIT + "with mlflow.start_run():\n    mlflow.log_metric('accuracy', 0.9)")
    run("%hokusai_register m --token A-B --metric accuracy --model clf")
    run("clf.fit(X[:120], y[:120])")
    assert run("%hokusai_register m --token A-B --metric accuracy --model clf").version == "2"


@pytest.mark.usefixtures("active")
def test_variables_of_the_calling_function_are_seen(run):
    made = run(
        "name = 'outer'\ndef inner(name, value):\n    return get_ipython().run_line_magic("
        "'hokusai_register', '$name --token A-B --metric accuracy --value {value / 2}')\ninner('two words', 1)"
    )
    assert (made.name, made.benchmark_value) == ("two words", "0.5")


@pytest.mark.usefixtures("active")
def test_hostile_names_are_stored_as_they_are_and_shown_escaped(run, ready):
    ready.user_ns["hostile"] = """<script>alert("it's")<-script> %s 😀"""
    made = run("%hokusai_register $hostile --token A-B --metric accuracy --tag note=$hostile")
    assert made.name == ready.user_ns["hostile"]
    assert "<script>" not in made._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("m --token shell_001 --metric accuracy", ["Token ID format invalid: 'shell_001'", "Did you mean SHELL-001?"]),
        ("m --token A-B --metric rmse", ["has no metric 'rmse'", "accuracy"]),
        ("m --token A-B --metric accuracy --value 87", ["between 0 and 1: '87'", "Did you mean 0.87?"]),
        ("m --tok A-B", ["There is no option --tok.", "--token"]),
        ("'m", ["A quote is not closed: '", "Close it"]),
        ("$nope --token A-B --metric accuracy", ["'nope' is not defined", "Run the cell that defines it"]),
        ("m --token A-B --metric accuracy --model nope", ["holds no model 'nope'", "model"]),
        ("m --token A-B --metric accuracy --input-example nope", ["'nope'", "--input-example"]),
    ],
)
@pytest.mark.usefixtures("active")
def test_a_wrong_line_fails_the_cell_with_few_lines_and_writes_nothing(refused, line, expected):
    lines = refused(f"%hokusai_register {line}")
    assert 1 <= len(lines) <= 4
    for part in expected:
        assert part in "\n".join(lines)
    assert not versions("m")


def test_without_a_run_the_error_says_how_to_make_one(refused):
    lines = refused("%hokusai_register m --token A-B --metric accuracy")
    assert lines[0].startswith("NoCurrentRunError: There is no current run")
    assert "%%hokusai_register" in lines[1]


@pytest.mark.parametrize("line", ["%hokusai_register --help", "%hokusai_register x -h"])
def test_called_for_help_it_prints_the_help_and_returns_nothing(ready, capsys, line):
    capsys.readouterr()
    result = ready.run_cell(line)
    assert result.success
    assert result.result is None
    assert capsys.readouterr().out.startswith("%hokusai_register NAME --token TOKEN --metric METRIC")


@pytest.mark.usefixtures("active")
def test_a_dry_run_shows_what_would_be_written_and_writes_nothing(run):
    made = run("%hokusai_register m --token A-B --metric accuracy --dry-run")
    assert made.dry_run
    assert "Would register" in made._repr_mimebundle_()["text/plain"]
    assert not versions("m")


@pytest.mark.usefixtures("active")
def test_json_is_text_that_reads_back(run):
    text = run("%hokusai_register m --token A-B --metric accuracy --json")
    assert json.loads(text)["benchmark_value"] == "0.91"


@pytest.mark.parametrize("ending", [";", " ;", " ; # silent"])
@pytest.mark.usefixtures("active")
def test_a_closing_semicolon_silences_the_receipt_but_not_the_work(run, ending):
    assert run(f"%hokusai_register m --token A-B --metric accuracy{ending}") is None
    assert len(versions("m")) == 1


@pytest.mark.usefixtures("active")
def test_a_line_that_is_no_python_is_registered_all_the_same(run):
    made = run("%hokusai_register 'odd (name' --token A-B --metric accuracy")
    assert made.name == "odd (name"
    assert run(r"%hokusai_register it\'s[ --token A-B --metric accuracy").name == "it's["


def test_an_estimator_named_by_its_variable_is_logged_to_the_run(ready, run):
    run(FIT + "with mlflow.start_run():\n    mlflow.log_metric('accuracy', 0.9)")
    made = run("%hokusai_register m --token A-B --metric accuracy --model clf --input-example X")
    assert made.model_id
    import mlflow

    assert mlflow.pyfunc.load_model(f"models:/{made.model_id}").predict(ready.user_ns["X"]).shape == (150,)


def test_an_estimator_can_be_an_attribute_or_an_item_of_a_variable(run):
    run(FIT + "class box: best_estimator_ = clf\nfound = {'a': clf}")
    run("with mlflow.start_run():\n    mlflow.log_metric('accuracy', 0.9)")
    assert run("%hokusai_register m --token A-B --metric accuracy --model box.best_estimator_").version == "1"
    assert run("%hokusai_register n --token A-B --metric accuracy --model \"found['a']\"").version == "1"


def test_what_log_model_returned_can_be_named(ready, run, active):
    class Info:
        model_uri = active.model_uri

    ready.user_ns["info"] = Info()
    assert run("%hokusai_register m --token A-B --metric accuracy --model info").model_id == active.model_id


def test_a_variable_that_holds_a_uri_stands_for_it(ready, run, active):
    ready.user_ns["uri"] = active.model_uri
    assert run("%hokusai_register m --token A-B --metric accuracy --model uri").model_id == active.model_id


def test_a_variable_that_holds_text_does_not_hide_a_logged_model_of_that_name(active, run, ready):
    ready.user_ns["model"] = "just text"
    assert run("%hokusai_register m --token A-B --metric accuracy --model model").model_id == active.model_id


@pytest.mark.usefixtures("active")
def test_a_registration_records_where_it_was_made_and_can_be_told_not_to(run):
    made = run("%hokusai_register m --token A-B --metric accuracy")
    assert re.fullmatch(r"[0-9a-f]{64}", made.tags["hokusai.notebook.history_digest"])
    assert "CPython" in made.tags["hokusai.notebook.kernel"]
    run("%hokusai_config --provenance off")
    made = run("%hokusai_register n --token A-B --metric accuracy")
    assert not [key for key in made.tags if key.startswith("hokusai.notebook.")]


@pytest.mark.usefixtures("active")
def test_the_store_that_mlflow_is_set_to_now_is_written_to(run, tmp_path, migrated_database):
    import shutil

    import mlflow

    run("%hokusai_register m --token A-B --metric accuracy")
    shutil.copy(migrated_database, tmp_path / "other.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
    assert len(run("%hokusai_models")) == 0


# On a cell


def test_a_cell_is_run_inside_a_run_and_the_estimator_it_leaves_is_registered(ready, run):
    made = run(
        "%%hokusai_register iris --token IRIS-1 --metric accuracy\n"
        f"{FIT}mlflow.log_metric('accuracy', clf.score(X, y))\nassert mlflow.active_run()"
    )
    assert made.run_id == newest_run().info.run_id
    assert newest_run().info.status == "FINISHED"
    assert made.benchmark_value == repr(newest_run().data.metrics["accuracy"])
    assert "clf" in ready.user_ns


def test_a_cell_that_logs_its_model_registers_that_one(ready, run):
    made = run(
        "%%hokusai_register iris --token IRIS-1 --metric accuracy\n"
        f"{FIT}mlflow.log_metric('accuracy', 0.9)\n"
        "info = mlflow.sklearn.log_model(clf, name='mine', pip_requirements=['scikit-learn'])"
    )
    assert made.model_id == ready.user_ns["info"].model_id


def test_values_of_the_line_are_read_after_the_cell_has_run(ready, run):
    ready.user_ns["acc"] = 0.1
    made = run(
        f"%%hokusai_register $name --token A-B --metric accuracy --value {{acc}}\n{FIT}acc = 0.75\nname = 'late'"
    )
    assert (made.name, made.benchmark_value) == ("late", "0.75")


@pytest.mark.parametrize(
    "logging", ["", "mlflow.sklearn.log_model(clf, name='mine', pip_requirements=['scikit-learn'])"]
)
def test_a_cell_that_is_run_twice_and_makes_the_same_model_registers_once(run, logging):
    cell = f"%%hokusai_register m --token A-B --metric accuracy\n{FIT}mlflow.log_metric('accuracy', 0.9)\n{logging}"
    assert [run(cell).created for _ in range(2)] == [True, False]
    assert len(versions("m")) == 1
    other = run(cell.replace("max_iter=200", "max_iter=200, C=2"))
    assert other.version == "2"


def test_a_cell_that_starts_its_own_run_registers_from_that_one_however_often_it_is_run(ready, run):
    cell = (
        "%%hokusai_register own --token A-B --metric accuracy\n"
        f"{FIT}with mlflow.start_run(run_name='mine') as mine:\n    mlflow.log_metric('accuracy', 0.9)"
    )
    made = run(cell)
    assert made.run_id == ready.user_ns["mine"].info.run_id
    assert run(cell).version == made.version


def test_a_cell_that_leaves_its_run_open_can_be_run_again(run):
    import mlflow

    body = f"{FIT}mlflow.start_run()\nmlflow.log_metric('accuracy', 0.9)"
    cell = f"%%hokusai_register own --token A-B --metric accuracy\n{body}"
    for _ in range(2):
        run(cell)
        assert mlflow.active_run() is None
        assert newest_run().info.status == "FINISHED"


def test_a_run_that_is_already_active_is_used_and_stays_active(run):
    import mlflow

    with mlflow.start_run() as outer:
        made = run(f"%%hokusai_register m --token A-B --metric accuracy\n{FIT}mlflow.log_metric('accuracy', 0.9)")
        assert made.run_id == outer.info.run_id
        assert mlflow.active_run().info.run_id == outer.info.run_id
        again = run("%%hokusai_register n --token A-B --metric accuracy\nclf = LogisticRegression(C=2).fit(X, y)")
        assert again.model_id != made.model_id, "the model of the cell before was taken"


def test_in_an_active_run_with_models_the_one_that_the_cell_logged_is_meant(ready, run):
    import mlflow

    log = "mlflow.sklearn.log_model(clf, name='{}', pip_requirements=['scikit-learn'])"
    with mlflow.start_run():
        mlflow.log_metric("accuracy", 0.9)
        run(FIT + log.format("before"))
        made = run(f"%%hokusai_register m --token A-B --metric accuracy\nlater = {log.format('later')}")
        assert made.model_id == ready.user_ns["later"].model_id


def test_a_cell_that_only_might_have_started_a_run_is_told_so(refused):
    lines = refused("%%hokusai_register m --token A-B --metric accuracy\nif False:\n    mlflow.start_run()")
    assert lines[0] == "NoCurrentRunError: The cell calls start_run, but no run was started."


def test_a_failing_cell_fails_as_itself_marks_the_run_and_registers_nothing(ready, capsys):
    capsys.readouterr()
    result = ready.run_cell(
        "%%hokusai_register m --token A-B --metric accuracy\ndef broken():\n    return 1 / 0\nbroken()",
        store_history=True,
    )
    shown = capsys.readouterr().out
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert shown.count("ZeroDivisionError: division by zero") == 1
    assert shown.count("return 1 / 0") == 2
    assert "hokusai_nb" not in shown
    assert "run_cell_magic" not in shown
    assert newest_run().info.status == "FAILED"
    assert not versions("m")


def test_after_a_failed_cell_the_corrected_one_works(ready, run):
    import mlflow

    assert not ready.run_cell("%%hokusai_register m --token A-B --metric accuracy\nraise KeyError('x')").success
    assert mlflow.active_run() is None
    assert (
        run(f"%%hokusai_register m --token A-B --metric accuracy\n{FIT}mlflow.log_metric('accuracy', 0.9)").version
        == "1"
    )


def test_an_interrupted_cell_marks_its_run_failed(ready):
    result = ready.run_cell("%%hokusai_register m --token A-B --metric accuracy\nraise KeyboardInterrupt")
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert newest_run().info.status == "FAILED"


@pytest.mark.parametrize("body", ["x = = 1", "x = 1\nreturn x"])
def test_a_syntax_error_in_the_cell_starts_no_run(ready, body):
    import mlflow

    result = ready.run_cell(f"%%hokusai_register m --token A-B --metric accuracy\n{body}")
    assert isinstance(result.error_in_exec, SyntaxError)
    assert mlflow.search_runs(search_all_experiments=True, output_format="list") == []


@pytest.mark.parametrize(
    "line",
    [
        "m --token a_b --metric accuracy",
        "m --token A-B --metric accuracy --vlaue {x}",
        "m --token a_b --metric accuracy --value {x}",
        "m --token A-B --metric accuracy --run abc",
        "m --token A-B",
        "",
    ],
)
def test_a_wrong_line_is_refused_before_the_cell_runs(ready, refused, line):
    assert len(refused(f"%%hokusai_register {line}\nran = True")) <= 4
    assert "ran" not in ready.user_ns


def test_a_cell_that_leaves_several_estimators_asks_which(refused):
    lines = refused(
        "%%hokusai_register m --token A-B --metric accuracy --value 0.9\n"
        f"{FIT}other = LogisticRegression(C=2, max_iter=200).fit(X, y)\nscaler = type('S', (), {{}})()"
    )
    assert "2 fitted estimators: clf, other" in lines[0]
    assert "--model other" in lines[1]


def test_the_estimator_is_chosen_by_name_from_several(run):
    made = run(
        "%%hokusai_register m --token A-B --metric accuracy --value 0.9 --model other\n"
        f"{FIT}other = LogisticRegression(C=2, max_iter=200).fit(X, y)"
    )
    assert made.version == "1"


def test_one_estimator_under_two_names_is_one_and_old_or_unfitted_ones_do_not_count(run):
    run(FIT + "old = clf")
    made = run(
        "%%hokusai_register m --token A-B --metric accuracy --value 0.9\n"
        "new = LogisticRegression(C=3, max_iter=200).fit(X, y)\nsame = new\nplain = LogisticRegression()"
    )
    assert made.version == "1"


def test_a_cell_that_fits_an_estimator_of_an_earlier_cell_can_be_run_again(run):
    run(FIT + "late = LogisticRegression(C=5, max_iter=200)")
    cell = "%%hokusai_register m --token A-B --metric accuracy --value 0.9\nlate.fit(X, y);"
    assert [run(cell).created for _ in range(2)] == [True, False]


def test_a_new_estimator_is_new_even_if_it_lies_where_an_old_one_lay(run):
    run(FIT)
    for _ in range(3):
        made = run(
            "%%hokusai_register m --token A-B --metric accuracy --value 0.9\n"
            "for C in (2, 3, 4, 5):\n    clf = LogisticRegression(C=C, max_iter=200).fit(X, y)"
        )
        assert made.version == "1"


def test_a_cell_that_leaves_no_model_says_so(refused):
    lines = refused("%%hokusai_register m --token A-B --metric accuracy --value 0.9\nx = 1")
    assert lines[0].startswith("NoModelError:")


def test_the_cells_last_expression_is_shown_unless_a_semicolon_hides_it(run, capsys):
    head = "%%hokusai_register m --token A-B --metric accuracy --value 0.9 --dry-run"
    capsys.readouterr()
    run(f"{head}\n{FIT}'the last ' + 'value'")
    assert "the last value" in capsys.readouterr().out
    run(f"{head}\n{FIT}'the last ' + 'value';")
    assert "the last value" not in capsys.readouterr().out


def test_a_cell_may_hold_magics_and_shell_lines(ready, run):
    body = f"{FIT}listed = %hokusai_models\n!echo '(' from a shell"
    run(f"%%hokusai_register m --token A-B --metric accuracy --value 0.9 ;\n{body}")
    assert len(ready.user_ns["listed"]) == 0


def test_a_magic_that_fails_inside_the_cell_is_reported_once(refused):
    lines = refused("%%hokusai_register m --token A-B --metric accuracy\n%hokusai_models --zzz")
    assert lines == [
        "UsageError: There is no option --zzz.",
        "  There are: --token, --json. See %hokusai_models --help.",
    ]
    assert newest_run().info.status == "FAILED"


# What a cell may do


def test_a_cell_that_calls_a_function_that_starts_a_run_is_told_what_to_do(run, refused):
    run(FIT + "def train():\n    with mlflow.start_run():\n        return clf\n")
    said = " ".join(refused("%%hokusai_register own --token OWN-1 --metric accuracy --value 0.9\nmodel = train()"))
    assert "starts a run of its own" in said
    assert "nested=True" in said
    assert newest_run().info.status == "FAILED"
    assert versions("own") == []


def test_a_cell_that_awaits_is_refused_before_anything_runs(run, refused):
    run("before = 1")
    said = " ".join(
        refused("%%hokusai_register own --token OWN-1 --metric accuracy --value 0.9\nbefore = 2\nawait before")
    )
    assert "cannot await" in said
    assert run("before") == 1


def test_the_current_run_of_another_store_is_said_to_be_there(active, run, refused, tmp_path):  # noqa: ARG001 - it is the current one
    run(f"mlflow.set_tracking_uri('sqlite:///{tmp_path}/other.db')")
    said = " ".join(refused("%hokusai_register shell-model --token SHELL-001 --metric accuracy"))
    assert "is not in sqlite:" in said
    assert "made in another store" in said


def test_a_registration_from_python_records_the_notebook_too_until_the_extension_is_unloaded(active, run):
    call = "ModelRegistry().register_run_model({!r}, {!r}, 'PY-001', 'accuracy').tags"
    run("from hokusai_nb import ModelRegistry")
    recorded = run(call.format(active.run_id, "loaded"))
    assert re.fullmatch(r"[0-9a-f]{64}", recorded["hokusai.notebook.history_digest"])
    run("%unload_ext hokusai_nb")
    assert not [key for key in run(call.format(active.run_id, "unloaded")) if key.startswith("hokusai.notebook.")]
