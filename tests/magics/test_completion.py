"""Completion offers what fits where the cursor is, at once, whatever state the registry is in."""

from __future__ import annotations

import socket
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter
from sklearn.linear_model import LogisticRegression

from hokusai_nb.core.suggestions import Known
from hokusai_nb.magics import completion
from hokusai_nb.magics.completion import Sources, candidates, match, suggestions_of
from hokusai_nb.magics.references import in_namespace
from hokusai_nb.schema import verbs
from hokusai_nb.schema.line_words import split

KNOWN = Known(
    model_names=("churn", 'it\'s a "model" <script>', "two words", "line\nbreak", "$HOME {x}"),
    token_ids=("MSG-AI", "IMG-001"),
    versions={"churn": ("3", "2", "1"), "two words": ("7",)},
    run_ids=("0123abcd",),
    run_metrics=("val_loss", "accuracy"),
    logged_models=("model",),
)


X = np.array([[0.0], [1.0]])
NAMESPACE = {
    "clf": LogisticRegression().fit(X, [0, 1]),
    "raw": LogisticRegression(),
    "X": X,
    "rows": [1],
    "acc": 0.9,
    "name": "n",
    "np": np,
    "_x": [1],
    "f": len,
}


@pytest.fixture
def at_hand():
    return Sources(NAMESPACE, lambda: KNOWN)


def offered(line, verb=verbs.Register):
    return [text for text, _ in candidates(verb, line, Sources(NAMESPACE, lambda: KNOWN))[1]]


def test_names_come_first_and_options_after_them_on_an_empty_line():
    found = offered("")
    assert found[0] == "churn"
    assert "--token" in found
    assert "--help" in found


def test_an_option_that_was_given_is_not_offered_again_but_a_tag_is():
    found = offered("churn --token MSG-AI --tag a=b --dry-run --")
    assert "--token" not in found
    assert "--dry-run" not in found
    assert {"--tag", "--metric", "--value"} <= set(found)


def test_options_are_matched_by_their_beginning():
    assert offered("churn --m") == ["--metric", "--model"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("churn --token ", ["MSG-AI", "IMG-001"]),
        ("churn --token ms", ["MSG-AI"]),
        ("churn --token=I", ["--token=IMG-001"]),
        ("churn '--token=I", []),
        ("churn --run ", ["0123abcd"]),
        ("churn --tag dataset_", ["dataset_version=", "dataset_size="]),
        ("churn --tag dataset_version=", []),
        ("churn --model ", ["clf", "model"]),
        ("churn --input-example ", ["X", "rows"]),
        ("churn --value $a", ["$acc"]),
        ("churn --value ", []),
        ("chu", ["churn"]),
        ("'tw", ["'two words'"]),
        ('"two w', ['"two words"']),
    ],
)
def test_values_come_from_where_the_option_says(line, expected):
    assert offered(line) == expected


def test_the_runs_own_metrics_come_before_the_catalogue():
    found = offered("churn --metric ")
    assert found[:2] == ["val_loss", "accuracy"]
    assert "rmse" in found
    assert len(found) == len(set(found))


def test_versions_are_those_of_the_model_on_the_line():
    assert offered("churn ", verbs.Compare)[:3] == ["3", "2", "1"]
    assert offered("churn 3 ", verbs.Compare)[:3] == ["3", "2", "1"]
    assert offered("'two words' ", verbs.Compare)[0] == "7"
    assert offered("unknown ", verbs.Compare) == ["--json", "--help"]


def test_on_and_off_are_offered_for_a_switch():
    assert offered("--provenance ", verbs.Configure) == ["on", "off"]


@pytest.mark.parametrize("line", ["churn # --to", "churn {ac", "churn --dry-run ;", "churn a\\"])
def test_nothing_is_offered_in_a_comment_an_expression_or_after_the_end(line):
    assert offered(line) == []


def test_every_hostile_name_is_offered_so_that_the_line_means_just_that_name():
    for mark in ("", "'", '"'):
        names = [split(text).words[0].text(in_namespace({})) for text in offered(mark) if not text.startswith("--")]
        assert names == [n for n in KNOWN.model_names if n.isprintable()]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet="ch --tokenmdlrsv=M'\"\\{}$#; \t", max_size=40) | st.text(),
    st.sampled_from(["Register", "Compare"]),
)
def test_no_unfinished_line_makes_completion_fail_and_its_fragment_ends_the_line(at_hand, line, name):
    fragment, found = candidates(getattr(verbs, name), line, at_hand)
    assert line.endswith(fragment)
    assert all(isinstance(text, str) and kind for text, kind in found)


# In a shell


@pytest.fixture
def known(shell, monkeypatch):
    """A shell whose registry is known already."""
    monkeypatch.setattr(completion, "_known", lambda _: KNOWN)
    return shell


def completed(shell, text, cursor=None):
    """Return what the text becomes with each completion, as a front end puts it together."""
    cursor = len(text) if cursor is None else cursor
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, cursor))
    return [text[: c.start] + c.text + text[c.end :] for c in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%hokusai_register churn --token M", "%hokusai_register churn --token MSG-AI"),
        ("%hokusai_register churn --token=M", "%hokusai_register churn --token=MSG-AI"),
        ("x = %hokusai_register ch", "x = %hokusai_register churn"),
        ("a, b = %hokusai_models --token I", "a, b = %hokusai_models --token IMG-001"),
        ("self.m['k'] = %hokusai_models ch", "self.m['k'] = %hokusai_models churn"),
        ("    %hokusai_lineage ch", "    %hokusai_lineage churn"),
        ("%%hokusai_register churn --met", "%%hokusai_register churn --metric"),
        ("\n%%hokusai_register ch", "\n%%hokusai_register churn"),
        ("y = 1\n%hokusai_lineage ch", "y = 1\n%hokusai_lineage churn"),
        ("%%hokusai_register m\n%hokusai_lineage ch", "%%hokusai_register m\n%hokusai_lineage churn"),
        ("%hokusai_register churn \\\n  --token M", "%hokusai_register churn \\\n  --token MSG-AI"),
        ("%hokusai_lineage 'two", "%hokusai_lineage 'two words'"),
    ],
)
def test_a_magics_line_is_completed_wherever_it_may_stand(known, text, expected):
    assert completed(known, text) == [expected]


def test_the_middle_of_a_line_is_completed_and_the_rest_stays(known):
    text = "%hokusai_register churn --token M --metric accuracy"
    cursor = text.index("M --metric") + 1
    assert completed(known, text, cursor) == ["%hokusai_register churn --token MSG-AI --metric accuracy"]


@pytest.mark.parametrize(
    "text",
    [
        "%%hokusai_register churn\nname = '--to",
        "%%hokusai_register churn\n--to",
        "x = 5 %hokusai_models --to",
        "print('%hokusai_models --to",
        "%%hokusai_models --to",
        "y = 1\n%%hokusai_register --to",
        "%hokusai_nothing --to",
        "%time --to",
    ],
)
def test_what_is_not_our_line_is_left_alone(known, text):
    assert not any("--token" in made for made in completed(known, text))


def test_other_matchers_are_silent_where_we_answer_and_speak_where_we_do_not(known):
    assert all("--t" in made for made in completed(known, "%hokusai_register churn --t"))
    context = SimpleNamespace(full_text="%hokusai_register churn --value 0", cursor_position=33, cursor_line=0)
    assert match(known, context) == {"completions": [], "suppress": False, "ordered": True}


def test_a_failing_matcher_is_an_empty_answer_and_a_line_in_the_log(shell, monkeypatch, caplog):
    caplog.set_level("DEBUG", "hokusai_nb")
    monkeypatch.setattr(completion, "_known", lambda _: 1 / 0)
    context = SimpleNamespace(full_text="%hokusai_lineage c", cursor_position=18, cursor_line=0)
    assert match(shell, context)["completions"] == []
    assert "Completion failed." in caplog.text


def test_a_variable_that_fails_every_question_does_no_harm(known):
    class Rude:
        def __getattribute__(self, name):
            raise RuntimeError(name)

        def __len__(self):
            raise RuntimeError

    Rude.__module__ = "sklearn.rude"
    known.user_ns["rude"] = Rude()
    known.user_ns["clf"] = NAMESPACE["clf"]
    assert completed(known, "%hokusai_register m --model c") == ["%hokusai_register m --model clf"]


def test_completion_imports_no_mlflow_on_the_main_thread_and_names_come_with_the_next_question(tmp_path):
    import subprocess
    import textwrap

    code = textwrap.dedent(
        """
        import builtins, sys, threading, time
        from IPython.core.interactiveshell import InteractiveShell
        from IPython.core.completer import provisionalcompleter
        shell = InteractiveShell()
        shell.run_line_magic("load_ext", "hokusai_nb")
        on_main = []
        real = builtins.__import__
        def watched(name, *args, **kwargs):
            if name.partition(".")[0] == "mlflow" and threading.current_thread() is threading.main_thread():
                on_main.append(name)
            return real(name, *args, **kwargs)
        builtins.__import__ = watched
        def ask(text):
            with provisionalcompleter():
                return [c.text for c in shell.Completer.completions(text, len(text))]
        started = time.monotonic()
        assert "--token" in ask("%hokusai_register m --to"), ask("%hokusai_register m --to")
        assert ask("%hokusai_register m --metric acc") == ["accuracy"]
        ask("%hokusai_lineage ")
        print("seconds", time.monotonic() - started)
        from hokusai_nb.magics.completion import suggestions_of
        assert suggestions_of(shell).wait(60)
        assert "mlflow" in sys.modules
        assert not on_main, on_main
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.db")) == [], "asking made a store"


def test_what_was_registered_is_offered_after_a_moment(shell, registry, trained):
    run = trained(accuracy=0.9, my_own_score=0.5)
    registry.register_run_model(run.run_id, "fresh-model", "FRESH-01", "accuracy")
    suggestions_of(shell).invalidate()
    completed(shell, "%hokusai_lineage fre")
    assert suggestions_of(shell).wait(30)
    assert completed(shell, "%hokusai_lineage fre") == ["%hokusai_lineage fresh-model"]
    assert completed(shell, "%hokusai_models --token F") == ["%hokusai_models --token FRESH-01"]
    assert completed(shell, "%hokusai_compare fresh-model ")[0] == "%hokusai_compare fresh-model 1"
    assert completed(shell, f"%hokusai_register m --run {run.run_id[:6]}") == [
        f"%hokusai_register m --run {run.run_id}"
    ]
    assert completed(shell, "%hokusai_register m --metric my") == ["%hokusai_register m --metric my_own_score"]


@pytest.mark.usefixtures("store")
def test_a_server_that_never_answers_does_not_hold_up_a_key(shell):
    import mlflow

    with socket.create_server(("127.0.0.1", 0)) as silent:
        mlflow.set_tracking_uri(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert "%hokusai_lineage --json" in completed(shell, "%hokusai_lineage --")
        for _ in range(20):
            completed(shell, "%hokusai_lineage ch")
        assert time.monotonic() - started < 2
        assert sum(t.name == "hokusai-suggestions" for t in threading.enumerate()) <= 1
    assert suggestions_of(shell).wait(60)
