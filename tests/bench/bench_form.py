"""The forms in the kernel: how long they take to make, and what a key costs, against a plain input."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path

import ipywidgets
import mlflow

from tests.bench.figures import Row, in_turns
from tests.prompts import FULL

FORMS = 15
KEYS = 60
WORDS = ("m", "ms", "msg", "msg_", "msg_a", "msg_ai", "MSG-AI")
"""What is typed, key by key: wrong most of the time, so that messages come and go."""


def prepare(folder: Path):
    """Point MLflow at a store with a current run that has a metric."""
    database = folder / "form.db"
    shutil.copy(os.environ["BENCH_DATABASE"], database)
    mlflow.set_tracking_uri(f"sqlite:///{database}")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("bench", artifact_location=folder.as_uri()))
    with mlflow.start_run():
        mlflow.log_metric("accuracy", 0.9)


class Connected:
    """Stands for the channel to a browser: what is sent is written as JSON, as a kernel does, and counted."""

    def __init__(self, comm_id):
        self.comm_id = comm_id
        self.kernel = self  # a comm without one sends nothing
        self.sent = 0

    def open(self, *args, **kwargs):
        del args, kwargs

    def on_msg(self, callback):
        del callback

    def close(self, *args, **kwargs):
        del args, kwargs

    def send(self, data=None, **kwargs):
        del kwargs
        self.sent += len(json.dumps(data, default=str))


def everything_in(widget):
    """Yield a widget and all that it holds."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything_in(child)


def opened(make, plain):
    """Return what it takes to open a form, and a plain input that calls back."""
    made = []

    def one_plain() -> None:
        plain().observe(lambda change: change["new"], "value")

    taken = in_turns([(lambda: made.append(make()), one_plain)] * FORMS)
    for form in made:
        assert form.wait(60)
        form.close()
    return taken


def typed(form, field, plain, words):
    """Return what a key costs in a form that is shown, and in a plain input that shows its text again."""
    text, said = plain(), ipywidgets.HTML()
    text.observe(lambda change: setattr(said, "value", change["new"]), "value")
    for widget in (*everything_in(form), text, said):
        widget.comm = Connected(widget.model_id)
    mine, others = itertools.cycle(words), itertools.cycle(words)

    def key_in_form() -> None:
        form.fields[field].value = next(mine)

    def key_in_text() -> None:
        text.value = next(others)

    taken = in_turns([(key_in_form, key_in_text)] * KEYS)
    assert form.fields[field].input.comm.sent > KEYS
    return taken


def registration() -> list[Row]:
    """The registration form; the keys spell a token."""
    from hokusai_nb.widgets import RegistrationForm

    note = "a plain ipywidgets.Text with a callback"
    rows = [Row("open the registration form", *opened(RegistrationForm, ipywidgets.Text), limit=150.0, note=note)]
    form = RegistrationForm(values={"name": "m", "metric": "accuracy"})
    assert form.wait(60)
    assert form.fields["value"].value == "0.9"
    taken = typed(form, "token", ipywidgets.Text, WORDS)
    form.close()
    return [*rows, Row("one key in the form, in the kernel", *taken, limit=2.0, note=f"{note} that shows the text")]


def prompt() -> list[Row]:
    """The form of a registered prompt of 2 KB; the keys write another variable at its end."""
    from hokusai_nb import PromptModel
    from hokusai_nb.widgets import PromptForm

    text = ("Write for {audience} in the voice of {persona[name]}, {count:d} lines of it. " * 28)[:2000]
    text = text.rpartition("{")[0]
    PromptModel("bench/form", text, "1.0.0", metadata=FULL).register()
    note = "a plain ipywidgets.Textarea with a callback"

    def make() -> PromptForm:
        return PromptForm("bench/form")

    rows = [Row("open the prompt form", *opened(make, ipywidgets.Textarea), limit=150.0, note=note)]
    form = make()
    assert form.wait(60)
    assert form.fields["template"].value == text
    added = " for {name}"
    words = [text + added[:end] for end in range(len(added) + 1)]
    taken = typed(form, "template", ipywidgets.Textarea, words)
    form.close()
    name = "one key in a prompt of 2 KB, in the kernel"
    return [*rows, Row(name, *taken, limit=10.0, note=f"{note} that shows the text")]


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        return [*registration(), *prompt()]
