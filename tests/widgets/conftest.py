"""Forms on a real store, and the run they are about."""

from __future__ import annotations

import pytest

from tests.widgets.looking import opener


@pytest.fixture
def current(trained):
    """Make a run with a model the last one that this kernel finished: ``current(accuracy=0.91)``."""
    from mlflow.tracking import fluent

    def make(**given):
        run = trained(**given)
        fluent._last_active_run_id.set(run.run_id)
        return run

    return make


@pytest.fixture
def opened(store):  # noqa: ARG001 - the store is set before a form is made
    """Open forms that are closed after the test: ``opened(values={…})`` waits for the facts."""
    from hokusai_nb.widgets import RegistrationForm

    with opener(RegistrationForm) as make:
        yield make


@pytest.fixture
def filled(opened, current):
    """A form that is ready to register ``churn`` under A-B by the accuracy of a new run."""
    current(accuracy=0.91, f1_score=0.9)
    form = opened(values={"token": "A-B", "name": "churn", "metric": "accuracy"})
    assert form.can_register
    return form
