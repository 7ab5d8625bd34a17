"""A file becomes a version, its token becomes registered, and whatever goes wrong is told and leaves no half."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from decimal import Decimal
from pathlib import Path

import mlflow
import pytest
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from hokusai_nb.config import DatabaseConfig, configure
from hokusai_nb.core import token_methods
from hokusai_nb.core.file_registration import register_file
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import (
    BaselineError,
    ConnectionFailedError,
    DatabaseConnectionError,
    DatabaseError,
    MetricValidationError,
    RateLimitError,
    RegistryError,
    RunNotFoundError,
    TokenBusyError,
    TokenNotFoundError,
    TokenStatusError,
    ValidationError,
)
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange
from hokusai_nb.schema.registrations import RegisterFile
from hokusai_nb.schema.tags import KEY_TAG
from hokusai_nb.site.outbox import Outbox
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.conftest import free_port, open_database
from tests.rows import add_prompt, row_counts

ADDRESS = "0x" + "ab" * 20


class Recording(SqlTokenStore):
    """A real store that writes down what it is asked for, and may fail before or after it has done it."""

    def __init__(self, database):
        super().__init__(database)
        self.changes = []
        self.fail_before, self.fail_after, self.fail_renewal = {}, {}, []

    def change(self, token_id, change):
        self.changes.append(change)
        if change.to in self.fail_before:
            raise self.fail_before.pop(change.to)
        made = super().change(token_id, change)
        if change.to in self.fail_after:
            raise self.fail_after.pop(change.to)
        return made

    def renew(self, token_id, *, owner, lease_seconds):
        if self.fail_renewal:
            raise self.fail_renewal.pop()
        super().renew(token_id, owner=owner, lease_seconds=lease_seconds)


@pytest.fixture
def tokens(sqlite_database):
    made = Recording(sqlite_database)
    made.create(NewToken(token_id="XRAY"), by="site")
    return made


@pytest.fixture
def registry(store, tokens):
    return ModelRegistry(store, token_store=tokens)


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "checkpoints" / "final_model.pkl"
    made.parent.mkdir()
    made.write_bytes(b"\x80\x04not to be unpickled")
    return made


@pytest.fixture
def register(registry, path):
    """Register the file for XRAY; arguments replace those of the call."""

    def call(**changes):
        given = {"token_id": "XRAY", "model_path": path, "metric_name": "auroc", "metric_value": "0.85"}
        return registry.register_model(**{**given, "baseline_value": "0.82", **changes})

    return call


def events_of(tokens, token="XRAY"):
    return Counter(e.event.event_type.value for e in tokens.list_events(token).entries)


def steps_of(tokens, token="XRAY"):
    return [step.after.value for step in tokens.history(token)]


def ensure_untouched(store, tokens, before):
    assert row_counts(store) == before
    assert steps_of(tokens) == ["draft"]
    assert events_of(tokens) == {}


# What is made


def test_a_file_becomes_a_version_and_its_token_registered(register, registry, tokens, path, store, capfd):
    made = register(tags={"gpu_type": "A100"}, contributor=ADDRESS)
    assert (made.token_id, made.status, made.model_name, made.version) == ("XRAY", "registered", "hokusai-xray", "1")
    assert (made.metric_value, made.baseline_value, made.improvement) == ("0.85", "0.82", Decimal("0.03"))
    assert (made.performance_source, made.created, made.simulated, made.dry_run) == ("given", True, False, False)
    token = registry.token_status("xray")
    assert (token.model_status, token.mlflow_run_id, token.metric_name) == ("registered", made.mlflow_run_id, "auroc")
    assert steps_of(tokens) == ["draft", "registering", "registered"]
    assert events_of(tokens) == {"model_registered": 1, "token_ready_for_deploy": 1}
    version = mlflow.MlflowClient(store).get_model_version("hokusai-xray", "1")
    assert version.tags == dict(made.tags)
    assert {k: v for k, v in version.tags.items() if k != KEY_TAG} == {
        "hokusai_token_id": "XRAY",
        "benchmark_metric": "auroc",
        "benchmark_value": "0.85",
        "hokusai.baseline_requirement": "0.82",
        "hokusai.performance_source": "given",
        "hokusai.files.name": "final_model.pkl",
        "hokusai.files.bytes": str(path.stat().st_size),
        "hokusai.files.count": "1",
        "hokusai.files.sha256": subprocess.check_output(["sha256sum", path], text=True).split()[0],
        "contributor_address": ADDRESS,
        "gpu_type": "A100",
    }
    assert capfd.readouterr() == ("", "")


def test_the_files_lie_in_a_run_that_says_what_it_is(register, store, path, tmp_path):
    made = register()
    client = mlflow.MlflowClient(store)
    run = client.get_run(made.mlflow_run_id)
    assert client.get_experiment(run.info.experiment_id).name == "hokusai"
    assert (run.info.run_name, run.info.status) == ("XRAY final_model.pkl", "FINISHED")
    assert run.data.metrics == {"auroc": 0.85}
    (tmp_path / "out").mkdir()
    found = mlflow.artifacts.download_artifacts("models:/hokusai-xray/1", dst_path=str(tmp_path / "out"))
    assert Path(found, "final_model.pkl").read_bytes() == path.read_bytes()


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_file_is_never_unpickled(register, path, tmp_path):
    path.write_bytes(pickle.dumps(Bomb()))
    assert register().version == "1"
    assert not (tmp_path / "exploded").exists()


LOADER = """
import pathlib
pathlib.Path("imported").touch()

class Model:
    def predict(self, model_input, params=None):
        return [2 * value for value in model_input["a"]]

def _load_pyfunc(path):
    return Model()
"""


@pytest.fixture
def mlflow_model(tmp_path):
    """A folder that stock MLflow has saved, with code of its own and a signature."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    (tmp_path / "doubling.py").write_text(LOADER)
    (tmp_path / "data.txt").write_text("d")
    signature = ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("double")]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow would like an example of the input
        mlflow.pyfunc.save_model(
            tmp_path / "model",
            loader_module="doubling",
            data_path=str(tmp_path / "data.txt"),
            code_paths=[str(tmp_path / "doubling.py")],
            pip_requirements=[],
            signature=signature,
        )
    return tmp_path / "model"


def test_a_folder_with_an_mlmodel_is_registered_as_that_model_without_importing_it(
    register, tokens, mlflow_model, tmp_path, monkeypatch
):
    import pandas as pd

    register(model_path=mlflow_model)
    assert "doubling" not in sys.modules
    assert not (tmp_path / "imported").exists()
    assert tokens.changes[-1].facts.api_schema == {
        "inputSchema": {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
        "outputSchema": {"type": "number"},
    }
    monkeypatch.setattr(sys, "path", list(sys.path))
    model = mlflow.pyfunc.load_model("models:/hokusai-xray/1")
    assert model.predict(pd.DataFrame({"a": [1.0, 2.5]})) == [2.0, 5.0]
    sys.modules.pop("doubling")


def test_a_folder_whose_mlmodel_is_none_is_refused_before_anything_is_written(register, store, tokens, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("- no\n- mapping\n")
    before = row_counts(store)
    with pytest.raises(ValidationError, match="does not describe an MLflow model"):
        register(model_path=tmp_path / "model")
    ensure_untouched(store, tokens, before)


def test_the_asynchronous_twins_do_the_same(registry, path):
    async def both():
        made = await registry.aregister_model("XRAY", path, "auroc", 0.85, 0.82)
        return made, await registry.atoken_status("XRAY")

    made, token = asyncio.run(both())
    assert (made.version, token.model_status) == ("1", "registered")


def test_a_name_of_ones_own_and_text_values_are_kept(register):
    made = register(model_name="chest x-ray", metric_name="roc_auc", metric_value="0.850", baseline_value=0.82)
    assert (made.model_name, made.metric_name, made.metric_value) == ("chest x-ray", "roc_auc", "0.850")
    assert made.tags["benchmark_metric"] == "roc_auc"


def test_the_contributor_of_the_settings_is_taken_where_none_is_given(register):
    configure(contributor=ADDRESS)
    try:
        assert register().tags["contributor_address"] == ADDRESS
    finally:
        configure(contributor=None)


def test_further_tags_of_a_ticker_that_the_store_confirmed_can_be_changed(register, registry):
    register()
    assert registry.update_model_tags("hokusai-xray", 1, {"gpu_type": "H100"}).tags["gpu_type"] == "H100"
    with pytest.raises(ValidationError, match="Token ID format invalid: 'ZULU'"):
        registry.update_model_tags("hokusai-xray", 1, {"hokusai_token_id": "ZULU"})


# What is refused before anything is written


def test_an_unknown_token_is_not_found(register, registry, store, tokens):
    before = row_counts(store)
    with pytest.raises(TokenNotFoundError, match="Token not found: 'NO-SUCH'"):
        register(token_id="NO-SUCH")
    with pytest.raises(TokenNotFoundError, match="Token not found"):
        registry.token_status("NO-SUCH")
    with pytest.raises(ValidationError, match="Token ID format invalid"):
        registry.token_status("no such")
    ensure_untouched(store, tokens, before)


def test_a_registered_token_is_not_registered_again(register, store):
    register()
    before = row_counts(store)
    for changes in (
        {"metric_value": "0.86"},
        {"metric_name": "nonsense"},
        {"model_path": "gone.bin"},
        {"dry_run": True},
    ):
        with pytest.raises(TokenStatusError, match="Token is not in Draft status: XRAY is registered"):
            register(**changes)
    assert row_counts(store) == before


@pytest.mark.parametrize("changes", [{}, {"metric_value": "0.86"}], ids=["same", "other"])
def test_what_a_registration_that_was_killed_at_the_end_did_not_tell_is_told_by_the_next(
    registry, register, tokens, path, changes
):
    given = {"token": "XRAY", "path": str(path), "metric": "auroc", "value": "0.85", "baseline": "0.82"}
    tokens.destinations = (Destination(handler="console"),)
    made = register_file(registry.backend, tokens, RegisterFile.parse(given), by="me")  # nobody delivers
    assert Outbox(tokens.database).pending().pending == 2
    if changes:
        with pytest.raises(TokenStatusError):
            register(**changes)
    else:
        assert register() == made.model_copy(update={"created": False})
    assert Outbox(tokens.database).pending().pending == 0
    assert steps_of(tokens) == ["draft", "registering", "registered"]
    assert events_of(tokens) == {"model_registered": 1, "token_ready_for_deploy": 1}


@pytest.mark.parametrize(
    ("changes", "what", "hint"),
    [
        ({"metric_name": "aurok"}, "Metric Validation Failed: Metric aurok is not in the", "Close to it: auroc"),
        ({"metric_name": "nonsense_of_mine"}, "Metric Validation Failed", "The catalogue has: accuracy, auroc"),
        ({"metric_name": "Area Under"}, "Metric Validation Failed: Metric name invalid", "register_metric"),
        ({"baseline_value": "82"}, "Metric Validation Failed: baseline: auroc must be between 0 and 1: '82'", "0.82"),
        ({"metric_value": 85}, "Metric Validation Failed: value: auroc must be between 0 and 1: '85'", "0.85"),
    ],
)
def test_a_metric_that_is_not_declared_or_a_value_out_of_range_fails_the_token(
    register, store, tokens, changes, what, hint
):
    before = row_counts(store)
    with pytest.raises(MetricValidationError):
        register(dry_run=True, **changes)
    ensure_untouched(store, tokens, before)
    with pytest.raises(MetricValidationError) as caught:
        register(**changes)
    assert caught.value.what.startswith(what)
    assert hint in caught.value.hint
    assert row_counts(store) == before
    assert steps_of(tokens) == ["draft", "registering", "failed"]
    assert events_of(tokens) == {"model_validation_failed": 1}
    assert tokens.history("XRAY")[-1].reason.startswith("Metric Validation Failed")
    assert register().status == "registered"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model_path": "gone.bin"}, "There is no model at 'gone.bin'."),
        ({"model_path": ""}, "path"),
        ({"model_path": None}, "path is missing."),
        ({"baseline_value": None}, "baseline is missing."),
        ({"baseline_value": "a lot"}, "Metric Validation Failed: baseline: Benchmark value must be numeric: 'a lot'"),
        ({"metric_value": "a lot"}, "Metric Validation Failed: value: Benchmark value must be numeric: 'a lot'"),
        ({"metric_name": None}, "metric_name is missing."),
        ({"contributor": "somebody"}, "contributor"),
        ({"tags": {"hokusai.mine": "x"}}, "Tag 'hokusai.mine' cannot be set: the prefix hokusai. is reserved."),
        ({"tags": {"hokusai.baseline_requirement": "0.1"}}, "Tag hokusai.baseline_requirement cannot be set"),
        ({"model_name": "a/b"}, "Model name invalid: 'a/b'"),
        ({"run_id": "0" * 32}, "Run '00000000000000000000000000000000' does not exist"),
    ],
)
def test_whatever_else_is_wrong_is_told_before_anything_is_written(register, store, tokens, changes, what):
    before = row_counts(store)
    with pytest.raises((ValidationError, RunNotFoundError)) as caught:
        register(**changes)
    assert caught.value.what.startswith(what) or what in {p.field for p in caught.value.problems}
    ensure_untouched(store, tokens, before)


def test_the_name_of_a_prompt_is_refused(register, store, tokens):
    add_prompt(store, "hokusai-xray")
    before = row_counts(store)
    with pytest.raises(ValidationError, match="is the name of a prompt"):
        register()
    ensure_untouched(store, tokens, before)


def test_a_dry_run_checks_everything_and_writes_nothing(register, store, tokens):
    before = row_counts(store)
    made = register(dry_run=True)
    assert (made.dry_run, made.version, made.mlflow_run_id, made.status) == (True, "1", None, "draft")
    assert made.tags["benchmark_value"] == "0.85"
    assert "Would register hokusai-xray version 1" in made._text_()
    with pytest.raises(BaselineError):
        register(dry_run=True, metric_value="0.5")
    ensure_untouched(store, tokens, before)


# The baseline


@pytest.mark.parametrize(
    ("metric", "value", "baseline", "said"),
    [
        ("reply_rate", "0.12", "0.134", "0.12 is below 0.134 (reply_rate, higher is better)."),
        ("rmse", "0.2", "0.15", "0.2 is above 0.15 (rmse, lower is better)."),
        ("auc", "0.8199999999999999999", "0.82", "0.8199999999999999999 is below 0.82 (auc, higher is better)."),
    ],
)
def test_a_model_that_does_not_reach_its_baseline_fails_the_token_and_leaves_nothing_else(
    register, store, tokens, metric, value, baseline, said
):
    before = row_counts(store)
    with pytest.raises(BaselineError) as caught:
        register(metric_name=metric, metric_value=value, baseline_value=baseline)
    assert caught.value.what == f"Model performance does not meet baseline: {said}"
    assert row_counts(store) == before
    assert steps_of(tokens) == ["draft", "registering", "failed"]
    assert tokens.history("XRAY")[-1].reason == caught.value.what
    assert events_of(tokens) == {"model_validation_failed": 1}
    made = register(metric_name=metric, metric_value=baseline, baseline_value=baseline)
    assert made.improvement == 0
    assert steps_of(tokens) == ["draft", "registering", "failed", "registering", "registered"]


# Failures on the way


def test_a_store_that_refuses_the_files_fails_the_token_and_the_run(register, store, tokens, tmp_path):
    client = mlflow.MlflowClient(store)
    (tmp_path / "taken").write_text("a file where a folder should be")
    client.create_experiment("hokusai", artifact_location=str(tmp_path / "taken"))
    with pytest.raises(RegistryError, match="cannot be written"):
        register()
    assert steps_of(tokens) == ["draft", "registering", "failed"]
    assert "cannot be written" in tokens.history("XRAY")[-1].reason
    (run,) = client.search_runs([client.get_experiment_by_name("hokusai").experiment_id])
    assert run.info.status == "FAILED"
    (tmp_path / "taken").unlink()
    assert register().mlflow_run_id == run.info.run_id
    assert client.get_run(run.info.run_id).info.status == "FINISHED"


def test_a_deleted_experiment_is_told_with_how_to_restore_it(register, store):
    client = mlflow.MlflowClient(store)
    client.delete_experiment(client.create_experiment("hokusai"))
    with pytest.raises(RegistryError, match="was deleted") as caught:
        register()
    assert caught.value.hint.startswith("Restore it: mlflow experiments restore --experiment-id ")


class Slow(LocalArtifactRepository):
    """A store as a plugin of MLflow brings it, during whose work something happens."""

    happens = staticmethod(lambda: None)

    def __init__(self, artifact_uri, tracking_uri=None, registry_uri=None):
        super().__init__(artifact_uri.replace("slow:", "file:"), tracking_uri, registry_uri)

    def log_artifact_from_stream(self, *args, **kwargs):
        type(self).happens()
        super().log_artifact_from_stream(*args, **kwargs)


@pytest.fixture
def while_uploading(store, tmp_path, monkeypatch):
    """Have a function be called while the file is uploaded."""
    monkeypatch.setitem(artifact_repository_registry._artifact_repository_registry._registry, "slow", Slow)
    mlflow.MlflowClient(store).create_experiment("hokusai", artifact_location=f"slow://{tmp_path}/slow")

    def happens(function):
        monkeypatch.setattr(Slow, "happens", staticmethod(function))

    return happens


def test_an_interrupt_lets_go_of_the_token_at_once(register, tokens, while_uploading):
    while_uploading(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        register()
    assert steps_of(tokens) == ["draft", "registering", "failed"]
    assert tokens.history("XRAY")[-1].reason == "interrupted"
    while_uploading(lambda: None)
    assert register().version == "1"


def test_an_error_of_the_program_fails_the_token_without_its_words(register, tokens, while_uploading):
    def stumble():
        msg = "s3cret"
        raise AssertionError(msg)

    while_uploading(stumble)
    with pytest.raises(RegistryError):
        register()
    assert steps_of(tokens)[-1] == "failed"


def test_the_lease_is_renewed_as_long_as_the_work_takes(register, tokens, while_uploading):
    configure(lease_seconds=3)
    held = []

    def work():
        for _ in range(4):
            time.sleep(1.2)
            held.append(tokens.get("XRAY").is_held(dt.datetime.now(dt.UTC)))

    while_uploading(work)
    try:
        register()
    finally:
        configure(lease_seconds=None)
    assert held == [True] * 4


def test_a_renewal_that_fails_for_a_moment_is_told_and_costs_nothing(register, tokens, while_uploading, caplog):
    configure(lease_seconds=0.6)
    tokens.fail_renewal = [DatabaseError("Database Connection Failed: for a moment.")]
    while_uploading(lambda: time.sleep(1))
    try:
        assert register().status == "registered"
    finally:
        configure(lease_seconds=None)
    assert "The lease of XRAY could not be renewed: Database Connection Failed: for a moment." in caplog.messages


def test_a_lease_that_is_lost_is_told_while_the_work_goes_on(register, tokens, while_uploading, caplog):
    configure(lease_seconds=0.6)
    tokens.fail_renewal = [TokenStatusError("The registration of XRAY does not hold it any more.")]
    while_uploading(lambda: time.sleep(0.5))
    try:
        assert register().status == "registered"  # the last step found that it holds it all the same
    finally:
        configure(lease_seconds=None)
    assert "The registration of XRAY does not hold it any more." in caplog.messages


def test_events_that_cannot_be_delivered_wait_and_the_registration_stands(register, tokens):
    class Forgetful(Recording):
        def change(self, token_id, change):
            made = super().change(token_id, change)
            if change.to is Status.REGISTERED:
                with self.database.transaction() as connection:
                    connection.exec_driver_sql("ALTER TABLE event_deliveries RENAME TO hidden")
            return made

    tokens.__class__ = Forgetful
    with pytest.warns(match="The events of XRAY wait to be delivered: Database Error"):
        assert register().status == "registered"
    assert events_of_database(tokens) == 2


@pytest.fixture
def dead_webhook(tokens, monkeypatch):
    """The store's events go to an address where nobody listens."""
    monkeypatch.setenv("HOKUSAI_WEBHOOK_ALLOW_PRIVATE", "true")
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_SECRET", "whsec_" + "A" * 32)
    url = f"http://127.0.0.1:{free_port()}/"
    tokens.destinations = (Destination(handler="webhook", target=url),)
    return url


@pytest.mark.usefixtures("dead_webhook")
def test_a_webhook_that_is_away_is_a_warning_of_the_record_that_says_what_to_do(register):
    with pytest.warns(match="hokusai events deliver"):
        made = register()
    assert made.status == "registered"
    (warning,) = made.warnings
    assert (warning.field, warning.what) == ("events", "2 deliveries of XRAY's events did not succeed yet.")
    assert "Warning: 2 deliveries of XRAY's events did not succeed yet." in made._text_()


@pytest.mark.usefixtures("dead_webhook")
def test_of_a_registration_that_fails_the_webhook_that_is_away_is_logged(register, caplog):
    with pytest.raises(BaselineError):
        register(metric_value="0.1")
    assert "1 delivery of XRAY's events did not succeed yet." in caplog.text


def test_deliveries_that_are_given_up_are_a_warning_that_says_how_to_try_again(register, dead_webhook, monkeypatch):
    assert dead_webhook
    monkeypatch.delenv("HOKUSAI_WEBHOOK_ALLOW_PRIVATE")  # so that the address is refused for good
    monkeypatch.setattr(token_methods, "outbox_of", lambda store: Outbox(store.database, tries=1))
    with pytest.warns(match="hokusai events deliver"):
        made = register()
    (warning,) = [w for w in made.warnings if "for good" in w.what]
    assert "hokusai events retry --all" in warning.hint


def events_of_database(tokens):
    with tokens.database.reading() as connection:
        return connection.exec_driver_sql("SELECT COUNT(*) FROM events").scalar()


def test_who_was_taken_over_makes_no_version_and_leaves_the_token_alone(register, tokens, store, while_uploading):
    taken = TokenChange(to=Status.REGISTERING, by="other", owner="other", lease_seconds=60)

    def take_over():
        tokens.renew("XRAY", owner=tokens.get("XRAY").owner, lease_seconds=0.001)
        time.sleep(0.01)
        SqlTokenStore.change(tokens, "XRAY", taken)

    while_uploading(take_over)
    with pytest.raises(TokenStatusError, match="does not hold it any more"):
        register()
    assert tokens.get("XRAY").owner == "other"
    assert mlflow.MlflowClient(store).search_model_versions() == []


def test_of_two_registrations_at_once_exactly_one_wins(registry, path, tokens):
    start, won, lost = threading.Barrier(4), [], []

    def attempt():
        start.wait()
        try:
            won.append(registry.register_model("XRAY", path, "auroc", "0.85", "0.82"))
        except TokenStatusError as error:
            lost.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made.created for made in won) == 1  # whoever looks after that finds it made
    assert len(won) + len(lost) == 4
    assert events_of(tokens) == {"model_registered": 1, "token_ready_for_deploy": 1}


def test_a_dead_mlflow_is_told_within_five_seconds_and_leaves_the_token_in_draft(tokens, path):
    registry, began = ModelRegistry(f"http://127.0.0.1:{free_port()}", token_store=tokens), time.monotonic()
    with pytest.raises(ConnectionFailedError, match="Failed to connect to MLflow"):
        registry.register_model("XRAY", path, "auroc", 0.85, 0.82)
    assert time.monotonic() - began < 5
    assert steps_of(tokens) == ["draft"]


def test_a_dead_token_store_is_told_and_leaves_mlflow_as_it_was(store, path):
    before = row_counts(store)
    config = DatabaseConfig(host="127.0.0.1", port=free_port(), database="x", username="u", password="s3cret")
    for database in open_database(config):
        registry = ModelRegistry(store, token_store=SqlTokenStore(database))
        with pytest.raises(DatabaseConnectionError, match="Database Connection Failed") as caught:
            registry.register_model("XRAY", path, "auroc", 0.85, 0.82)
    assert "s3cret" not in str(caught.value)
    assert row_counts(store) == before


@pytest.mark.slow
def test_a_server_that_breaks_every_upload_fails_the_token_and_the_next_attempt_goes_on(tokens, path, proxy, unique):
    token = unique("X").upper()
    tokens.create(NewToken(token_id=token), by="site")
    registry = ModelRegistry(proxy.address, token_store=tokens)
    proxy.spoil = lambda method, _: "drop" if method == "PUT" else None
    with pytest.raises(ConnectionFailedError):
        registry.register_model(token, path, "auroc", 0.85, 0.82)
    assert steps_of(tokens, token) == ["draft", "registering", "failed"]
    proxy.spoil = lambda *_: None
    proxy.requests.clear()
    made = registry.register_model(token, path, "auroc", 0.85, 0.82)
    assert (made.version, made.created) == ("1", True)
    assert proxy.count("runs/create") == 0
    assert "/#/models/" in made.url


@pytest.fixture
def at_hokusai(api, monkeypatch, tmp_path):
    """All that a user of the site has set: an API key, and here where the site is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOKUSAI_API_ENDPOINT", api.url)
    monkeypatch.setenv("HOKUSAI_API_KEY", api.keys["register"])
    return api


@pytest.mark.slow
def test_with_an_api_key_alone_the_model_and_the_token_are_the_sites(at_hokusai, mlflow_model, unique):
    token = unique("X").upper()
    assert at_hokusai.ask("POST", "/api/v1/tokens", {"token_id": token}).status == 201
    made = ModelRegistry().register_model(token, mlflow_model, "auroc", 0.85, 0.82)
    assert (made.version, made.status) == ("1", "registered")
    history = at_hokusai.ask("GET", f"/api/v1/tokens/{token}/history").json()["entries"]
    assert [(step["after"], step["by"]) for step in history[1:]] == [
        ("registering", "register-key"),
        ("registered", "register-key"),
    ]
    events = at_hokusai.ask("GET", f"/api/v1/events?token_id={token}").json()["entries"]
    assert sorted(e["event"]["event_type"] for e in events) == ["model_registered", "token_ready_for_deploy"]
    client = mlflow.MlflowClient(at_hokusai.mlflow)
    stored = {f.path for f in client.list_artifacts(made.mlflow_run_id, "model")}
    assert "model/MLmodel" in stored
    assert not ModelRegistry().register_model(token, mlflow_model, "auroc", 0.85, 0.82).created
    with pytest.raises(TokenStatusError, match="Token is not in Draft status"):
        ModelRegistry().register_model(token, mlflow_model, "auroc", 0.86, 0.82)


# Tokens that somebody holds


def test_a_token_that_another_machine_holds_is_busy_until_its_lease_lapses(register, tokens):
    tokens.change("XRAY", TokenChange(to=Status.REGISTERING, by="x", owner="elsewhere b s 1 2 n", lease_seconds=0.7))
    until = tokens.get("XRAY").lease_until
    with pytest.raises(TokenBusyError, match="Token is not in Draft status: XRAY is being registered") as caught:
        register()
    assert f"until {until:%H:%M:%S} UTC" in caught.value.hint
    time.sleep(0.7)
    assert register().version == "1"
    assert steps_of(tokens) == ["draft", "registering", "registering", "registered"]


def test_a_token_that_a_dead_process_of_this_machine_holds_is_taken_over_at_once(register, tokens):
    line = [sys.executable, "-c", "from hokusai_nb.core.attempts import new_owner; print(new_owner())"]
    owner = subprocess.check_output(line, text=True).strip()
    tokens.change("XRAY", TokenChange(to=Status.REGISTERING, by="x", owner=owner, lease_seconds=600))
    assert register(dry_run=True).version == "1"
    assert register().version == "1"
    assert tokens.history("XRAY")[2].reason == "The process that was registering it has ended."


# Trying again


def test_after_a_database_that_failed_at_the_end_the_same_version_is_found_again(register, tokens, store):
    tokens.fail_before = {Status.REGISTERED: DatabaseError("gone")}
    with pytest.raises(DatabaseError):
        register()
    assert steps_of(tokens)[-1] == "failed"
    again = register()
    assert (again.version, again.created) == ("1", False)
    client = mlflow.MlflowClient(store)
    assert len(client.search_model_versions()) == len(
        client.search_runs([client.get_experiment_by_name("hokusai").experiment_id])
    )
    assert events_of(tokens)["model_registered"] == 1


def test_an_answer_that_was_lost_after_the_last_step_is_asked_for_again(register, tokens):
    tokens.fail_after = {Status.REGISTERED: DatabaseConnectionError("Database Connection Failed: gone.")}
    assert register().status == "registered"
    assert steps_of(tokens) == ["draft", "registering", "registered"]
    assert events_of(tokens) == {"model_registered": 1, "token_ready_for_deploy": 1}


def test_a_token_that_cannot_even_be_failed_is_said_beside_the_first_error(register, tokens):
    tokens.fail_before = {Status.FAILED: DatabaseError("Database Connection Failed: gone.")}
    with pytest.raises(BaselineError) as caught:
        register(metric_value="0.1")
    assert "could not be marked as failed: Database Connection Failed" in caught.value.__notes__[0]
    # This process knows that the attempt is over, so that the lease need not be waited for.
    assert register().version == "1"


def test_a_store_that_was_asked_too_often_is_waited_for_to_the_end(register, tokens):
    tokens.fail_before = {Status.FAILED: RateLimitError("Too many requests.", retry_after=0.01)}
    with pytest.raises(BaselineError) as caught:
        register(metric_value="0.5")
    assert not hasattr(caught.value, "__notes__")
    assert tokens.get("XRAY").model_status is Status.FAILED
    tokens.fail_before = {Status.REGISTERED: RateLimitError("Too many requests.", retry_after=0.01)}
    assert register().status == "registered"


def test_another_value_or_another_file_is_another_version(register, tokens, path):
    tokens.fail_before = {Status.REGISTERED: DatabaseError("gone")}
    with pytest.raises(DatabaseError):
        register()
    path.write_bytes(b"other")
    tokens.fail_before = {Status.REGISTERED: DatabaseError("gone")}
    with pytest.raises(DatabaseError):
        register()
    assert register(metric_value="0.86").version == "3"


# Better than before


def test_a_version_that_beats_every_earlier_one_is_told_with_what_it_beat(register, tokens):
    register(model_name="shared", contributor=ADDRESS)
    for token, value in (("AAA", "0.84"), ("BBB", "0.9")):
        tokens.create(NewToken(token_id=token), by="site")
        register(token_id=token, model_name="shared", metric_value=value)
    assert "metric_improved" not in events_of(tokens, "AAA")
    (event,) = [e.event for e in tokens.list_events("BBB").entries if e.event.event_type == "metric_improved"]
    assert event.payload["previous_version"] == "1"
    assert (event.payload["previous_value"], event.payload["metric_value"]) == (0.85, 0.9)


def test_a_value_that_is_only_declared_improves_nothing(register, tokens):
    register(model_name="shared", metric_value="0.7", baseline_value="0.7")
    tokens.create(NewToken(token_id="AAA"), by="site")
    made = register(token_id="AAA", model_name="shared", metric_value=None, baseline_value="0.9")
    assert made.performance_source == "declared"
    assert "metric_improved" not in events_of(tokens, "AAA")


def test_a_value_that_is_only_declared_is_no_measure_for_those_that_come_after(register, tokens, registry):
    register(model_name="shared", metric_value="0.91")
    for token, changes in {
        "AAA": {"metric_value": None, "baseline_value": "0.95"},
        "BBB": {"metric_value": "0.93"},
    }.items():
        tokens.create(NewToken(token_id=token), by="site")
        register(token_id=token, model_name="shared", **changes)
    (event,) = [e.event for e in tokens.list_events("BBB").entries if e.event.event_type == "metric_improved"]
    assert (event.payload["previous_version"], event.payload["previous_value"]) == ("1", 0.91)
    lineage = registry.get_model_lineage("shared")
    assert [(e.improvement, e.improvement_over_best, e.is_best) for e in lineage] == [
        (None, None, True),
        (None, None, False),
        (Decimal("0.02"), Decimal("0.02"), True),
    ]
    assert (lineage.baseline.version, lineage.best.version) == ("1", "3")


# Where the value is found


@pytest.mark.parametrize(
    ("inside", "beside", "value"),
    [(None, "0.84", "0.84"), ("0.86", "0.84", "0.86"), (None, None, "0.82")],
    ids=["beside", "both", "neither"],
)
def test_the_metrics_of_a_folder_are_inside_or_else_beside_it(register, tmp_path, inside, beside, value):
    folder = tmp_path / "out" / "model"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w")
    for place, figure in ((folder, inside), (folder.parent, beside)):
        if figure:
            (place / "metrics.json").write_text(f'{{"auroc": {figure}}}')
    made = register(model_path=folder, metric_value=None)
    assert made.metric_value == value
    assert made.performance_source == made.tags["hokusai.performance_source"]
    assert made.performance_source == ("metrics.json" if inside or beside else "declared")


# Progress


def test_progress_is_shown_on_a_terminal_and_nowhere_else(monkeypatch, capfd):
    import fcntl
    import pty
    import struct
    import termios

    from hokusai_nb.core.file_registration import _bar

    def work():
        with _bar("Uploading x", 2000, progress=True) as tell:
            time.sleep(0.6)
            tell(1000)

    work()
    assert capfd.readouterr() == ("", "")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        work()
        shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "Uploading x" in shown
    assert "1.95k" in shown
