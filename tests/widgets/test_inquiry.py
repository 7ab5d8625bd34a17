"""What a form asks in earnest: once for each thing it says, whatever follows, and never in silence."""

from __future__ import annotations

import logging
import random

import pytest
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import ConnectionFailedError
from hokusai_nb.widgets.workspace import Workspace
from tests.widgets.looking import button, html_of, versions

VALUES = {"token": "A-B", "name": "m", "metric": "accuracy"}
FORCED = {**VALUES, "force_new": True}


@pytest.fixture
def forced(opened, current):
    """A form that makes a new version whatever was registered before, and that version before it."""
    run = current(accuracy=0.91)
    ModelRegistry().register_run_model(run.run_id, "m", "A-B", "accuracy")
    form = opened(values=FORCED)
    assert form.wait(20)
    return form


# At most one version


def test_a_receipt_that_cannot_be_made_leads_to_no_second_version(forced, monkeypatch):
    from hokusai_nb.backends.mlflow import versions as searched

    def fail(*_):
        raise {}["sqlite://me:s3cret@host/db"]

    with monkeypatch.context() as broken:
        broken.setattr(searched, "by_name", fail)
        for _ in range(3):
            button(forced, "Register").click()
    assert "m version 2 is registered. What follows it did not work: KeyError" in html_of(forced)
    assert "s3cret" not in html_of(forced)
    assert 'role="alert"' in html_of(forced)
    assert forced.receipt is None
    button(forced, "Register").click()
    assert "Registered m version 2" in html_of(forced)
    assert len(versions("m")) == 2


def test_a_display_that_cannot_be_replaced_leads_to_no_second_version(forced):
    forced._places.append("no place at all")
    assert [forced.submit().version, forced.submit().version] == ["2", "2"]
    assert "m version 2 is registered. What follows it did not work: " in html_of(forced)
    assert "Registered m version 2" in html_of(forced)
    assert len(versions("m")) == 2


def test_asking_the_registry_again_makes_no_other_form_of_it(forced):
    first = forced.submit()
    forced.check_again()
    assert forced.wait(20)
    assert forced.submit().version == first.version
    assert len(versions("m")) == 2


def test_a_form_that_is_changed_and_changed_back_returns_what_it_made_at_first(forced):
    made = [forced.submit().version]
    for value in ("0.95", "0.91"):
        forced.fields["value"].value = value
        made.append(forced.submit().version)
    assert made == ["2", "3", "2"]
    assert len(versions("m")) == 3


class Holding(Workspace):
    """A notebook with one estimator."""

    def __init__(self, estimator):
        self.estimator = estimator

    def find(self, text):
        return {"clf": self.estimator, "rows": [[0.0]]}.get(text)


ROWS, LABELS = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]


class Restless(DummyClassifier):
    """Is pickled differently each time."""

    def __getstate__(self):
        return {**super().__getstate__(), "stamp_": random.random()}


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("kind", [Restless, lambda: KNeighborsClassifier(1)])
def test_an_estimator_is_registered_once_although_using_it_or_pickling_it_changes_it(opened, current, kind, forced):
    current(accuracy=0.91)
    clf = kind().fit(ROWS, LABELS)
    values = {**VALUES, "model": "clf", "input_example": "rows", "force_new": forced}
    form = opened(values=values, workspace=Holding(clf))
    made = [form.submit().version, form.submit().version]
    clf.predict(ROWS)
    assert [*made, form.submit().version] == ["1", "1", "1"]
    assert len(versions("m")) == 1


@pytest.mark.parametrize("forced", [False, True])
def test_an_estimator_that_was_fitted_again_where_it_is_makes_another_version(opened, current, forced):
    current(accuracy=0.91)
    clf = KNeighborsClassifier(1).fit(ROWS, LABELS)
    form = opened(values={**VALUES, "model": "clf", "force_new": forced}, workspace=Holding(clf))
    assert form.submit().version == "1"
    clf.fit(ROWS[1:], LABELS[1:])
    assert form.submit().version == "2"


def test_another_form_forces_another_version(forced, opened):
    assert forced.submit().version == "2"
    assert opened(values=FORCED).submit().version == "3"


@pytest.mark.slow
@pytest.mark.parametrize("spoilt", ["drop", "drop first"])
def test_a_forced_version_that_was_never_confirmed_is_found_by_the_next_click(store, proxy, unique, opened, spoilt):  # noqa: ARG001
    import mlflow

    from tests.conftest import train

    mlflow.set_tracking_uri(proxy.address)
    name, run = unique("form"), train(proxy.address, accuracy=0.91)
    registry = ModelRegistry(proxy.address)
    registry.register_run_model(run.run_id, name, "A-B", "accuracy")
    form = opened(registry=registry, run_id=run.run_id, values={**FORCED, "name": name})
    assert form.wait(20)
    down = []

    def spoil(_, path):
        if path.endswith("model-versions/create"):
            down.append(path)
        return spoilt if down[:1] == [path] else "drop" if down else None

    proxy.spoil = spoil
    with pytest.raises(ConnectionFailedError):
        form.submit()
    proxy.spoil = lambda *_: None
    made = form.submit()
    assert made.version == "2"
    assert [v.version for v in registry.get_model_lineage(name)] == ["1", "2"]
    assert form.submit().version == "2"
    assert "version 2" in html_of(form)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_an_estimators_version_that_was_never_confirmed_is_found_by_the_next_click(store, proxy, unique, opened):  # noqa: ARG001
    import mlflow

    from tests.conftest import train

    mlflow.set_tracking_uri(proxy.address)
    name, run = unique("form"), train(proxy.address, accuracy=0.91)
    registry = ModelRegistry(proxy.address)
    clf = Restless().fit(ROWS, LABELS)
    values = {**VALUES, "name": name, "model": "clf"}
    form = opened(registry=registry, run_id=run.run_id, values=values, workspace=Holding(clf))
    down = []

    def spoil(_, path):
        if path.endswith("model-versions/create"):
            down.append(path)
        return "drop" if down else None

    registry.register_run_model(run.run_id, name, "A-C", "accuracy")
    proxy.spoil = spoil
    with pytest.raises(ConnectionFailedError):
        form.submit()
    proxy.spoil = lambda *_: None
    assert form.submit().version == "2"
    assert [v.version for v in registry.get_model_lineage(name)] == ["1", "2"]


def test_an_interrupt_while_the_receipt_is_made_leaves_a_form_that_goes_on(forced, monkeypatch):
    from hokusai_nb.backends.mlflow import versions as searched

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(searched, "by_name", interrupt)
        with pytest.raises(KeyboardInterrupt):
            forced.submit()
    assert "m version 2 is registered. What follows it did not work: KeyboardInterrupt" in html_of(forced)
    assert not button(forced, "Register").disabled
    button(forced, "Register").click()
    assert "Registered m version 2" in html_of(forced)
    assert len(versions("m")) == 2


# Never in silence


class Quitting(Workspace):
    """A notebook with an object whose own code ends the program."""

    def find(self, text):
        return self if text == "clf" else None

    def estimators(self):
        return ("clf",)

    def fit(self):
        pass

    def predict(self):
        pass

    def __getattr__(self, name):
        raise (AttributeError if name in ("model_uri", "_initialised") else SystemExit)(name)


def test_an_estimator_that_ends_the_program_is_said_and_the_form_goes_on(opened, current, caplog):
    current(accuracy=0.91)
    with caplog.at_level(logging.CRITICAL, logger="hokusai_nb"):
        form = opened(workspace=Quitting(), values=VALUES)
        form.fields["model"].value = "clf"
        assert form.wait(20)
    assert "Not checked against the registry: SystemExit" in html_of(form)
    form.fields["model"].value = ""
    assert form.wait(20)
    assert "What will be written: m version 1 (new)" in html_of(form)


class Unlisted(Workspace):
    """A notebook whose variables cannot even be looked at."""

    def estimators(self):
        raise RecursionError


def test_facts_that_cannot_be_loaded_are_said_to_be_missing(opened, current, caplog):
    current(accuracy=0.91)
    with caplog.at_level(logging.CRITICAL, logger="hokusai_nb"):
        form = opened(workspace=Unlisted(), values={**VALUES, "value": "0.9"})
        assert form._inquiry.facts.trouble == "RecursionError: "
        assert form.submit().version == "1"


def test_a_run_that_was_seen_stays_known_while_the_server_is_away(filled):
    import dataclasses

    facts = filled._inquiry.facts
    filled._inquiry._take_facts(None, dataclasses.replace(facts, run=None, models=(), trouble="It is away."))
    assert filled.fields["value"].value == "0.91"
    assert filled._inquiry.facts.trouble == "It is away."
