"""The magics as a front end meets them: through a real ipykernel."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.slow

TRAIN = """
with mlflow.start_run() as run:
    clf = LogisticRegression(max_iter=200).fit(X, y)
    mlflow.log_metric("accuracy", 0.91)
    info = mlflow.sklearn.log_model(clf, name="model", pip_requirements=["scikit-learn"])
"""


@pytest.fixture(scope="module")
def trained_kernel(kernel):
    """The kernel, with a finished run that holds a model."""
    kernel.shown(TRAIN)
    return kernel


def versions(kernel, name):
    _, printed = kernel.shown(f"print(len(mlflow.MlflowClient().search_model_versions(\"name = '{name}'\")))")
    return int(printed)


def test_registering_shows_one_card_as_html_and_as_text(trained_kernel):
    bundles, printed = trained_kernel.shown("%hokusai_register shown --token SHOW-01 --metric accuracy")
    (bundle,) = bundles
    assert "Registered shown version 1" in bundle["text/plain"]
    assert "SHOW-01" in bundle["text/html"]
    assert printed == ""


def test_the_record_is_a_value_like_any_other(trained_kernel):
    bundles, _ = trained_kernel.shown("m = %hokusai_register value --token A-B --metric accuracy")
    assert bundles == []
    _, printed = trained_kernel.shown("print(m.name, m.version, m.tags['benchmark_value'])")
    assert printed == "value 1 0.91\n"


def test_running_a_cell_twice_registers_once(trained_kernel):
    for state in ("Registered", "Already registered"):
        bundles, _ = trained_kernel.shown("%hokusai_register twice --token A-B --metric accuracy")
        assert bundles[0]["text/plain"].startswith(f"{state} twice version 1")
    assert versions(trained_kernel, "twice") == 1


def test_a_cell_magic_runs_the_cell_in_a_run_and_registers_its_model_once(kernel):
    cell = (
        "%%hokusai_register cell --token A-B --metric accuracy --value {accuracy:.4f}\n"
        "mine = LogisticRegression(max_iter=200).fit(X, y)\naccuracy = mine.score(X, y)\nassert mlflow.active_run()"
    )
    bundles, _ = kernel.shown(cell)
    assert "accuracy = 0.9733" in bundles[-1]["text/plain"]
    bundles, _ = kernel.shown(cell)
    assert bundles[-1]["text/plain"].startswith("Already registered")
    assert versions(kernel, "cell") == 1


def test_a_failing_cell_shows_the_users_own_traceback_once_and_keeps_its_error(kernel):
    reply, errors = kernel.refused("%%hokusai_register nothing --token A-B --metric accuracy\n{}['missing']")
    assert (reply["ename"], reply["evalue"]) == ("KeyError", "'missing'")
    (error,) = errors
    shown = "\n".join(error["traceback"])
    assert "{}['missing']" in plain(shown)
    assert "hokusai_nb" not in shown
    assert "run_cell_magic" not in shown
    assert versions(kernel, "nothing") == 0
    bundles, _ = kernel.shown("%hokusai")
    assert "FAILED" in bundles[0]["text/plain"]
    kernel.shown(TRAIN)


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("code", "name", "first"),
    [
        ("%hokusai_register m --token shell_001 --metric accuracy", "ValidationError", "Token ID format invalid"),
        ("%hokusai_register m --tokn A-B", "UsageError", "There is no option --tokn."),
        ("x = %hokusai_lineage", "ValidationError", "NAME is missing."),
        ("%hokusai_lineage nope", "ModelNotFoundError", "Model 'nope' does not exist"),
        ("%%hokusai_register m --token a_b --metric accuracy\nnever = 1", "ValidationError", "Token ID format"),
        ("%hokusai_models $nope", "UsageError", "$nope cannot be read"),
    ],
)
def test_a_magic_called_wrongly_fails_the_cell_with_few_lines_and_no_stack(trained_kernel, code, name, first):
    reply, errors = trained_kernel.refused(code)
    assert reply["ename"] == name
    assert first in reply["evalue"]
    (error,) = errors
    lines = "\n".join(error["traceback"]).splitlines()
    assert 1 <= len(lines) <= 4
    assert lines[0].startswith(f"{name}: ")
    _, printed = trained_kernel.shown("print('never' in globals())")
    assert printed == "False\n"


def test_a_closing_semicolon_silences_the_output(trained_kernel):
    assert trained_kernel.shown("%hokusai_models ;") == ([], "")


@pytest.mark.parametrize("code", ["%hokusai_register --help", "%hokusai_lineage -h"])
def test_help_is_printed_in_the_cell(kernel, code):
    bundles, printed = kernel.shown(code)
    assert bundles == []
    assert printed.startswith(code.split()[0])
    assert "--json" in printed


@pytest.mark.parametrize("code", ["%hokusai_register", "%%hokusai_register", "%hokusai_compare", "%hokusai"])
def test_inspecting_a_magic_shows_its_help(kernel, code):
    found = plain(kernel.inspect(code))
    assert f"{code.lstrip('%')}" in found
    assert "Show this help." in found


def test_a_question_mark_shows_the_help_in_the_pager(kernel):
    reply, _ = kernel.execute("%hokusai_register?")
    (page,) = reply["payload"]
    assert "--token TOKEN" in plain(page["data"]["text/plain"])


def test_the_magics_are_listed(kernel):
    bundles, _ = kernel.shown("%lsmagic")
    assert "%hokusai_improvement" in bundles[0]["text/plain"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("%hokusai_register m --met", "%hokusai_register m --metric"),
        ("x = %hokusai_register m --metric acc", "x = %hokusai_register m --metric accuracy"),
        ("a, b = %hokusai_compare m --js", "a, b = %hokusai_compare m --json"),
        ("%%hokusai_register m --tok", "%%hokusai_register m --token"),
        ("%hokusai_register m --model cl", "%hokusai_register m --model clf"),
        ("%hokusai_register m --tag dataset_v", "%hokusai_register m --tag dataset_version="),
        ("y = 2\n%hokusai_models --js", "y = 2\n%hokusai_models --json"),
    ],
)
def test_completion_answers_what_fits(trained_kernel, code, expected):
    assert trained_kernel.complete(code)[1] == [expected]


def test_completion_in_the_middle_of_a_line_replaces_only_the_word(trained_kernel):
    code = "%hokusai_register m --met accuracy --token A-B"
    made = trained_kernel.complete(code, code.index("--met") + 5)[1]
    assert made == ["%hokusai_register m --metric accuracy --token A-B"]


def test_completion_in_the_body_of_a_cell_is_pythons(kernel):
    code = "%%hokusai_register m --token A-B\nLogisticRegr"
    assert kernel.complete(code)[1] == ["%%hokusai_register m --token A-B\nLogisticRegression"]
    assert "--metric" not in kernel.complete("%%hokusai_register m --token A-B\n--me")[0]


def test_what_the_kernel_registered_is_offered_soon_after(trained_kernel):
    trained_kernel.shown("%hokusai_register 'fresh one' --token FRESH-01 --metric accuracy")
    assert "'fresh one'" in trained_kernel.complete_until("%hokusai_lineage ", "'fresh one'")
    assert trained_kernel.complete("%hokusai_models --token FR")[0] == ["FRESH-01"]
    assert trained_kernel.complete("%hokusai_compare 'fresh one' ")[0][0] == "1"
    assert trained_kernel.complete("%hokusai_register m --model ")[0][-1] == "model"


def test_hostile_variables_are_one_value_each(trained_kernel):
    trained_kernel.shown("evil = '--force-new <script>alert(1)<-script> $x {1*0} # ;'")
    bundles, _ = trained_kernel.shown("%hokusai_register $evil --token A-B --metric accuracy")
    assert "--force-new <script>" in bundles[0]["text/plain"]
    assert "<script>" not in bundles[0]["text/html"]


def test_provenance_names_the_kernel(trained_kernel):
    _, printed = trained_kernel.shown(
        "p = %hokusai_register provenance --token A-B --metric accuracy\nprint(p.tags['hokusai.notebook.kernel'])"
    )
    assert re.fullmatch(r"CPython \d+\.\d+\.\d+\S*, ipykernel \d\S*\n", printed)


def test_reloading_keeps_everything_working_and_unloading_ends_it(trained_kernel):
    trained_kernel.shown("%reload_ext hokusai_nb\n%load_ext hokusai_nb\nn = %hokusai_models")
    trained_kernel.shown("%unload_ext hokusai_nb")
    reply, _ = trained_kernel.execute("%hokusai_models")
    assert reply["status"] == "error"
    assert trained_kernel.complete("%hokusai_models --js")[0] == []
    trained_kernel.shown("%load_ext hokusai_nb")
    assert trained_kernel.complete("%hokusai_models --js")[0] == ["--json"]


def test_a_token_is_shown_completed_and_warned_of(trained_kernel):
    setup = (
        "import os\n"
        "os.environ.update(HOKUSAI_DB_TYPE='sqlite', HOKUSAI_DB_NAME='tokens.db')\n"
        "from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange\n"
        "from hokusai_nb.site.opening import open_store\n"
        "for name in ('XRAY', 'KERNEL-1'):\n"
        "    open_store().create(NewToken(token_id=name), by='test')\n"
        "gone = open_store().change('KERNEL-1', TokenChange(to=Status.ARCHIVED, by='test'))"
    )
    trained_kernel.shown(setup)
    try:
        ((bundle,), printed) = trained_kernel.shown("%hokusai_status KERNEL-1")
        assert bundle["text/plain"].startswith("Token KERNEL-1\nStatus   archived\n")
        assert "archived" in bundle["text/html"]
        assert printed == ""
        assert "XRAY" in trained_kernel.complete_until("%hokusai_status X", "XRAY")
        assert trained_kernel.complete_until("%hokusai_register m --token KER", "KERNEL-1") == ["KERNEL-1"]
        ((card,), _) = trained_kernel.shown("%hokusai_register warned --token KERNEL-1 --metric accuracy --value 0.9")
        assert "Warning: Token is not in Draft status: KERNEL-1 is archived." in card["text/plain"]
        reply, (error,) = trained_kernel.refused("%hokusai_status NO-SUCH")
        assert (reply["ename"], len(error["traceback"])) == ("TokenNotFoundError", 2)
    finally:
        trained_kernel.shown("for name in ('TYPE', 'NAME'):\n    del os.environ[f'HOKUSAI_DB_{name}']")
