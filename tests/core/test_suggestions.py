"""What completion knows of a registry is loaded behind its back, one load at a time."""

from __future__ import annotations

import threading
import time

import pytest

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.core.suggestions import Known, Suggestions, load_suggestions, store_exists
from hokusai_nb.errors import ConnectionFailedError
from tests.tokens import create_token

KNOWN = Known(uri="a", model_names=("m",))


class Loads:
    """A loader that waits for leave, and counts."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.leave = threading.Event()

    def __call__(self, run_id):
        self.asked.append(run_id)
        assert self.leave.wait(10)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_first_question_is_answered_at_once_with_nothing_and_the_next_with_what_was_loaded():
    loads = Loads(KNOWN)
    suggestions = Suggestions(loads)
    assert suggestions.current() == Known()
    loads.leave.set()
    assert suggestions.wait(10)
    assert suggestions.current() == KNOWN


def test_many_questions_start_one_load():
    loads = Loads(KNOWN)
    suggestions = Suggestions(loads)
    for _ in range(50):
        suggestions.current()
    loads.leave.set()
    suggestions.wait(10)
    assert loads.asked == [None]


def test_an_answer_is_renewed_when_it_is_old_or_something_was_written():
    newer = Known(uri="a", model_names=("m", "n"))
    newest = Known(uri="a", model_names=("m", "n", "o"))
    loads = Loads(KNOWN, newer, newest)
    loads.leave.set()
    suggestions = Suggestions(loads, ttl=0.2)
    for expected in (KNOWN, newer):
        suggestions.current()
        suggestions.wait(10)
        assert suggestions.current() == expected
        time.sleep(0.25)
    fresh = Suggestions(Loads(), ttl=1000)
    fresh._load = lambda _: newest
    fresh.current()
    fresh.wait(10)
    fresh._load = lambda _: KNOWN
    assert fresh.current() == newest
    fresh.invalidate()
    assert fresh.current() == newest, "what is known is shown until it is renewed"
    fresh.wait(10)
    assert fresh.current() == KNOWN
    suggestions.wait(10)


def test_a_registry_that_fails_suggests_nothing_and_says_why_in_the_log(caplog):
    caplog.set_level("DEBUG", "hokusai_nb")
    loads = Loads(ConnectionFailedError("it is down"), KNOWN)
    loads.leave.set()
    suggestions = Suggestions(loads, ttl=1000)
    suggestions.current()
    suggestions.wait(10)
    assert suggestions.current().model_names == ()
    assert "it is down" in caplog.text
    assert loads.asked == [None], "a dead server is not asked at every key"


def test_names_of_another_store_are_not_shown():
    loads = Loads(KNOWN, Known(uri="b", model_names=("other",)))
    loads.leave.set()
    suggestions = Suggestions(loads, ttl=1000)
    suggestions.current("a")
    suggestions.wait(10)
    assert suggestions.current("a") == KNOWN
    assert suggestions.current("b") == Known()
    suggestions.wait(10)
    assert suggestions.current("b").model_names == ("other",)


def test_another_current_run_has_its_metrics_loaded():
    loads = Loads(KNOWN, KNOWN)
    loads.leave.set()
    suggestions = Suggestions(loads, ttl=1000)
    for run_id in (None, None, "r1", "r1"):
        suggestions.current("a", run_id)
        suggestions.wait(10)
    assert loads.asked == [None, "r1"]


def test_what_a_registry_holds_is_read(registry, trained):
    runs = [trained(accuracy=value, **{"val/loss": 1.0, "my_score": 2.0}) for value in (0.8, 0.9)]
    for run in runs:
        registry.register_run_model(run.run_id, "it's", "MSG-AI", "accuracy")
    registry.register_run_model(runs[0].run_id, "other", "IMG-001", "accuracy")
    known = load_suggestions(registry, runs[1].run_id)
    assert known.model_names == ("it's", "other")
    assert known.token_ids == ("IMG-001", "MSG-AI")
    assert known.versions == {"it's": ("2", "1"), "other": ("1",)}
    assert set(known.run_ids) == {run.run_id for run in runs}
    assert set(known.run_metrics) == {"accuracy", "my_score"}, "a name that no tag can hold is not offered"
    assert known.logged_models == ("model",)


def test_models_without_a_token_are_known_by_name_and_prompts_are_not(registry, trained):
    import mlflow

    client = mlflow.MlflowClient()
    client.create_registered_model("empty")
    client.create_registered_model("plain")
    client.create_model_version("plain", trained().model_uri)
    mlflow.genai.register_prompt("a-prompt", "Say {{ what }}.")
    registry.register_run_model(trained(accuracy=0.5).run_id, "ours", "MSG-AI", "accuracy")
    known = load_suggestions(registry)
    assert known.model_names == ("empty", "ours", "plain")
    assert known.versions == {"ours": ("1",)}


def test_without_a_current_run_metrics_come_from_recent_ones(registry, trained):
    trained(accuracy=0.5)
    assert load_suggestions(registry).run_metrics == ("accuracy",)
    assert load_suggestions(registry).logged_models == ()


@pytest.mark.parametrize(
    ("uri", "exists"),
    [
        ("sqlite:///{here}/here.db", True),
        ("sqlite:///{here}/gone.db", False),
        ("sqlite:///here.db", True),
        ("sqlite:///gone.db", False),
        ("{here}", True),
        ("file://{here}/gone", False),
        ("http://127.0.0.1:1", True),
        ("postgresql://u:p@host/db", True),
    ],
)
def test_a_file_that_is_not_there_is_known_without_making_it(tmp_path, monkeypatch, uri, exists):
    (tmp_path / "here.db").touch()
    monkeypatch.chdir(tmp_path)
    assert store_exists(uri.format(here=tmp_path)) is exists
    assert [p.name for p in tmp_path.iterdir()] == ["here.db"]


def test_a_store_that_is_not_there_is_not_made_by_asking(tmp_path):
    uri = f"sqlite:///{tmp_path / 'new.db'}"
    assert load_suggestions(ModelRegistry(uri)) == Known(uri=uri)
    assert list(tmp_path.iterdir()) == []


# The token store


def test_tokens_of_the_token_store_are_suggested_beside_those_of_versions(registry, trained, tokens, monkeypatch):
    with monkeypatch.context() as alone:
        for name in ("HOKUSAI_DB_TYPE", "HOKUSAI_DB_NAME"):
            alone.delenv(name)
        registry.register_run_model(trained(accuracy=0.9).run_id, "m", "MSG-AI", "accuracy")
    assert load_suggestions(registry).token_ids == ("MSG-AI",), "a store that is not there yet has none"
    for token_id in ("XRAY", "MSG-AI", "AUDIO-1"):
        create_token(tokens, token_id)
    assert load_suggestions(registry).token_ids == ("AUDIO-1", "MSG-AI", "XRAY")


def test_tokens_are_suggested_where_there_is_no_registry_yet(tmp_path, tokens):
    create_token(tokens, "XRAY")
    uri = f"sqlite:///{tmp_path / 'new.db'}"
    assert load_suggestions(ModelRegistry(uri)) == Known(uri=uri, token_ids=("XRAY",))
    assert not (tmp_path / "new.db").exists()


def test_a_token_store_that_fails_takes_no_suggestion_of_the_registry_away(registry, trained, monkeypatch, tmp_path):
    registry.register_run_model(trained(accuracy=0.9).run_id, "m", "MSG-AI", "accuracy")
    (tmp_path / "tokens.db").write_text("no database at all, and longer than a header of one would be\n" * 20)
    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", str(tmp_path / "tokens.db"))
    known = load_suggestions(registry)
    assert (known.model_names, known.token_ids) == (("m",), ("MSG-AI",))
