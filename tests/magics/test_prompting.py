"""The form's questions in a terminal: through a real ``ipython`` behind a pseudo terminal, and in this process."""

from __future__ import annotations

import builtins
import os
import shutil
import sys

import pytest

from hokusai_nb.errors import ValidationError
from hokusai_nb.magics.prompting import ask, can_ask
from hokusai_nb.schema.lifecycle import Status
from tests.conftest import train
from tests.tokens import create_token

# In this process: the person is a list of answers.


@pytest.fixture
def form(store, trained):  # noqa: ARG001
    from mlflow.tracking import fluent

    from hokusai_nb.widgets import RegistrationForm

    fluent._last_active_run_id.set(trained(accuracy=0.91).run_id)
    made = RegistrationForm(values={"name": "m"})
    yield made
    made.wait(20)
    made.close()


@pytest.fixture
def answers(monkeypatch):
    """Give the answers, one for each question; return the questions that were asked."""

    def give(*given):
        left, asked = list(given), []

        def answer(prompt=""):
            asked.append(prompt)
            found = left.pop(0)
            if isinstance(found, type):
                raise found
            return found

        monkeypatch.setattr(builtins, "input", answer)
        return asked

    return give


def versions(name):
    import mlflow

    return mlflow.MlflowClient().search_model_versions(f"name = '{name}'")


def test_the_same_questions_are_asked_and_enter_keeps_what_stands_in_brackets(form, answers, capsys):
    asked = answers("msg_ai", "y", "", "", "accuracy", "", "", "gpu_type=A100", "", "y")
    receipt = ask(form)
    assert receipt.version == "1"
    labels = [question.split("[")[0].strip(": ?") for question in asked]
    assert labels == [
        *("Token", "Use MSG-AI", "Model", "Name", "Metric", "Value", "Contributor"),
        *("Tag KEY=VALUE (Enter for none)", "Tag KEY=VALUE (Enter for none)", "Register"),
    ]
    assert "Value [0.91]: " in asked
    printed = capsys.readouterr().out
    assert "Token ID format invalid: 'msg_ai'. Did you mean MSG-AI?" in printed
    assert "What will be written: m version 1 (new)" in printed
    assert "%hokusai_register m --token MSG-AI --metric accuracy --tag gpu_type=A100" in printed
    (version,) = versions("m")
    assert (version.tags["benchmark_value"], version.tags["gpu_type"]) == ("0.91", "A100")


def test_a_token_that_is_not_in_draft_is_said_before_it_is_registered(tokens, form, answers, capsys):
    create_token(tokens, "DONE-1", Status.REGISTERED)
    answers("DONE-1", "", "", "accuracy", "", "", "", "y")
    assert ask(form).version == "1"
    assert "Token is not in Draft status: DONE-1 is registered." in capsys.readouterr().out


def test_a_required_answer_is_asked_for_until_it_is_given(form, answers, capsys):
    asked = answers("", "nonsense!", "no_no", "n", "A-B", "", "", "accuracy", "", "", "", "")
    assert ask(form).version == "1"
    assert len([question for question in asked if question.startswith("Token")]) == 4
    assert "Token is missing." in capsys.readouterr().out


def test_a_wrong_tag_is_told_and_left_out(form, answers, capsys):
    answers("A-B", "", "", "accuracy", "", "", "benchmark_value=1", "", "")
    assert ask(form).version == "1"
    assert "cannot be set through tags" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("after", "leave"), [*((n, KeyboardInterrupt) for n in range(8)), (0, EOFError), (7, EOFError)]
)
def test_leaving_at_any_question_writes_nothing(form, answers, capsys, after, leave):
    answers(*["A-B", "", "", "accuracy", "", "", "", ""][:after], leave)
    assert ask(form) is None
    assert "Nothing was registered." in capsys.readouterr().out
    assert versions("m") == []


def test_declining_writes_nothing(form, answers):
    answers("A-B", "", "", "accuracy", "", "", "", "n")
    assert ask(form) is None
    assert versions("m") == []


def test_a_value_that_the_run_lacks_is_asked_for(form, answers):
    answers("A-B", "", "", "recall", "0.4", "", "", "")
    assert ask(form).model.benchmark_value == "0.4"


def test_what_only_the_registry_refuses_is_raised_before_anything_is_written(form, answers):
    import mlflow

    mlflow.MlflowClient().register_prompt("m", "Hello")
    answers("A-B", "", "", "accuracy", "", "", "")
    with pytest.raises(ValidationError, match="'m' is the name of a prompt"):
        ask(form)
    assert versions("m") == []


def test_what_a_repair_makes_is_checked_like_any_answer(store, trained, answers, capsys):  # noqa: ARG001
    from mlflow.tracking import fluent

    from hokusai_nb.widgets import RegistrationForm

    fluent._last_active_run_id.set(trained(accuracy=0.91).run_id)
    theirs = "0x" + "cd" * 20
    form = RegistrationForm(values={"name": "m", "token": "A-B", "tags": {"contributor_address": theirs}})
    asked = answers("", "", "", "accuracy", "", "ab" * 20, "y", theirs, "", "")
    assert ask(form).model.contributor == theirs
    assert sum(question.startswith("Contributor") for question in asked) == 2
    assert "name different addresses" in capsys.readouterr().out
    form.close()


@pytest.fixture
def form_without_run(store):  # noqa: ARG001
    from hokusai_nb.widgets import RegistrationForm

    made = RegistrationForm(values={"name": "m"})
    yield made
    made.wait(20)
    made.close()


def test_without_a_current_run_every_question_is_asked_and_nothing_written(form_without_run, answers, capsys):
    asked = answers("A-B", "", "", "accuracy", "0.5", "", "")
    with pytest.raises(ValidationError, match="There is no current run to take the model from"):
        ask(form_without_run)
    assert len(asked) == 7
    assert "give a model URI" in capsys.readouterr().out
    assert versions("m") == []


def test_without_a_current_run_a_model_uri_answers_the_question(form_without_run, answers, trained):
    made = trained(accuracy=0.7)
    answers("A-B", made.model_uri, "", "accuracy", "", "", "", "y")
    receipt = ask(form_without_run)
    assert (receipt.model.run_id, receipt.model.benchmark_value) == (made.run_id, "0.7")


def test_hostile_names_cannot_steer_the_terminal(form, answers, capsys, registry, trained):
    registry.register_tokenized_model(trained().model_uri, "\x1b[2Jm", "A-B", "f1", "0.5")
    form.check_again()
    answers("A-B", "", "", "accuracy", "", "", "", "")
    ask(form)
    assert "\x1b" not in capsys.readouterr().out


def test_only_a_terminal_with_a_person_is_asked(bare_shell):
    assert not can_ask(bare_shell)


# In a real terminal


@pytest.fixture(scope="module")
def ipython(tmp_path_factory, migrated_database):
    """An ``ipython`` in a pseudo terminal, with the extension, on a store of its own that holds a run."""
    import mlflow
    import pexpect

    tmp_path = tmp_path_factory.mktemp("terminal")
    shutil.copy(migrated_database, tmp_path / "mlflow.db")
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(store)
    client.create_experiment("tests", artifact_location=(tmp_path / "artifacts").as_uri())
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HOKUSAI_"))}
    env |= {"MLFLOW_TRACKING_URI": store, "MLFLOW_DISABLE_TELEMETRY": "true", "IPYTHONDIR": str(tmp_path / "ipython")}
    env |= {"TERM": "dumb", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "NO_COLOR": "1"}
    flags = ["-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit", "--colors=nocolor"]
    child = pexpect.spawn(
        sys.executable, flags, env=env, cwd=str(tmp_path), encoding="utf-8", timeout=60, use_poll=True
    )
    child.setecho(state=False)
    child.expect(r"In \[1\]: ")
    child.sendline("%load_ext hokusai_nb")
    child.expect(r"In \[2\]: ")
    child.run_id = train(store, accuracy=0.91).run_id
    child.versions = lambda name: client.search_model_versions(f"name = '{name}'")
    yield child
    child.close(force=True)


@pytest.fixture
def terminal(ipython):
    """The terminal that the tests share, which knows the ``number`` of its next line."""
    ipython.sendline("'ready'")
    ipython.expect(r"Out\[(\d+)\]: 'ready'")
    ipython.number = int(ipython.match[1]) + 1
    ipython.expect(rf"In \[{ipython.number}\]: ")
    return ipython


@pytest.mark.slow
def test_in_a_real_terminal_the_questions_lead_to_a_version(terminal):
    terminal.sendline(f"r = %hokusai_register shell --run {terminal.run_id} --form")
    for question, answer in [
        (r"Token: ", "term_001"),
        (r"Use TERM-001\? \[Y/n\] ", "y"),
        (r"Model: ", ""),
        (r"Name \[shell\]: ", ""),
        (r"Metric: ", "accuracy"),
        (r"Value \[0.91\]: ", ""),
        (r"Contributor: ", ""),
        (r"Tag KEY=VALUE \(Enter for none\): ", ""),
        (r"version 1 \(new\).*Register\? \[Y/n\] ", "y"),
    ]:
        terminal.expect(question)
        terminal.sendline(answer)
    terminal.expect(rf"In \[{terminal.number + 1}\]: ")
    terminal.sendline("print(r)")
    terminal.expect(rf"In \[{terminal.number + 2}\]: ")
    (version,) = terminal.versions("shell")
    assert version.tags["hokusai_token_id"] == "TERM-001"


@pytest.mark.slow
def test_in_a_real_terminal_a_form_is_printed_once_whatever_is_typed_into_it(terminal):
    for number, line in enumerate(
        [
            "from hokusai_nb.widgets import RegistrationForm as F",
            f"form = F(run_id={terminal.run_id!r}, values={{'token': 'A-B'}})",
            "form",
            "form.fields['name'].value = 'churn'; form.fields['metric'].value = 'accuracy'",
            "form.wait(30), form._keeper.wait(30)",
        ],
        start=terminal.number + 1,
    ):
        terminal.sendline(line)
        terminal.expect(rf"In \[{number}\]: ")
        printed = terminal.before
        assert printed.count("Register a model under a token") == (line == "form"), printed
    assert "(True, True)" in printed


@pytest.mark.slow
def test_in_a_real_terminal_ctrl_c_leaves_and_the_prompt_comes_back(terminal):
    terminal.sendline(f"%hokusai_register left --token A-B --metric accuracy --run {terminal.run_id} --form")
    terminal.expect(r"Token \[A-B\]: ")
    terminal.sendintr()
    terminal.expect("Nothing was registered.")
    terminal.expect(rf"In \[{terminal.number + 1}\]: ")
    terminal.sendline("6 * 7")
    terminal.expect("42")
    assert terminal.versions("left") == []
