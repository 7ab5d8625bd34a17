"""What every form does alike: it keeps what failed in sight, and leaves no widget behind."""

from __future__ import annotations

import threading

import ipywidgets
import pytest

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import ConnectionFailedError
from hokusai_nb.widgets import RegistrationForm
from hokusai_nb.widgets.workspace import Workspace
from tests.widgets.looking import button, html_of

VALUES = {"token": "A-B", "name": "m", "metric": "accuracy"}


def open_widgets():
    return ipywidgets.Widget.get_manager_state()["state"].keys()


# No widget is left


def used(form):
    """Make the form show everything it can: a repair, a tag with one, a removed tag."""
    assert form.wait(20)
    form.fields["token"].value = "msg_ai"
    form.tags.add("full_version", "1")
    form.tags.remove(form.tags.add("gpu_type", "A100"))
    form.fields["token"].repair()
    form.tags.rows[0].repair()
    return form


def test_a_closed_form_leaves_no_widget_open(current, store):  # noqa: ARG001
    current(accuracy=0.91)
    before = set(open_widgets())
    form = used(RegistrationForm(values=VALUES))
    assert len(open_widgets()) > len(before) + 40
    form.close()
    assert set(open_widgets()) == before
    form.close()


def test_after_success_only_the_receipt_is_open_and_it_is_closed_with_the_form(current, store):  # noqa: ARG001
    current(accuracy=0.91)
    before = set(open_widgets())
    form = used(RegistrationForm(values=VALUES))
    button(form, "Register").click()
    assert len(open_widgets()) == len(before) + 5  # the form and the receipt, each with its layout, and one style
    form.fields["value"].value = "0.95"
    form.submit()
    assert len(open_widgets()) == len(before) + 5
    form.fields["token"].value = "x_y"
    form.tags.add("gpu_type", "H100")
    form.close()
    assert set(open_widgets()) == before


def test_a_closed_form_still_says_what_it_holds_as_text(current, store):  # noqa: ARG001
    current(accuracy=0.91)
    form = RegistrationForm(values=VALUES)
    assert form.wait(20)
    form.close()
    bundle = form._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "What will be written: m version 1 (new)" in bundle["text/plain"]
    assert form.submit().version == "1"
    assert form._repr_mimebundle_()["text/plain"].startswith("Registered m version 1")


# What failed stays in sight


class Slow(Workspace):
    """A notebook that takes its time to say what it holds."""

    def __init__(self):
        self.looked = threading.Event()

    def estimators(self):
        self.looked.wait(30)
        return ()


@pytest.fixture
def failed(opened, current):
    """A form that could not register, while it is still being told what there is."""
    current(accuracy=0.91)
    place = Slow()
    form = opened(
        registry=ModelRegistry("http://127.0.0.1:9"), values={**VALUES, "value": "0.9"}, workspace=place, wait=False
    )
    with pytest.raises(ConnectionFailedError):
        form.submit()
    assert 'role="alert"' in html_of(form)
    place.looked.set()
    assert form.wait(20)
    return form


def test_what_failed_is_still_said_when_the_answers_come_in(failed):
    assert 'role="alert"' in html_of(failed)
    assert "127.0.0.1:9" in failed.failure
    assert failed.failure.split(chr(10))[0] in html_of(failed)


@pytest.mark.parametrize(
    "go_on",
    [
        lambda form: setattr(form.fields["name"], "value", "other"),
        lambda form: form.tags.add("gpu_type", "A100"),
        lambda form: button(form, "Check again").click(),
    ],
    ids=["typing", "a tag", "checking again"],
)
def test_what_failed_is_gone_once_somebody_goes_on(failed, go_on):
    go_on(failed)
    assert 'role="alert"' not in html_of(failed)
