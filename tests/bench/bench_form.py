"""The registration form in the kernel: how long it takes to make, and what a key costs, against a plain Text."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path

from tests.bench.figures import Row, in_turns

FORMS = 15
KEYS = 60
WORDS = ("m", "ms", "msg", "msg_", "msg_a", "msg_ai", "MSG-AI")
"""What is typed, key by key: wrong most of the time, so that messages come and go."""


def prepared(folder: Path):
    """Point MLflow at a store with a current run that has a metric; return what makes a form."""
    import mlflow

    database = folder / "form.db"
    shutil.copy(os.environ["BENCH_DATABASE"], database)
    mlflow.set_tracking_uri(f"sqlite:///{database}")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("bench", artifact_location=folder.as_uri()))
    with mlflow.start_run():
        mlflow.log_metric("accuracy", 0.9)
    from hokusai_nb.widgets import RegistrationForm

    return RegistrationForm


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


def measure() -> list[Row]:
    import ipywidgets

    with tempfile.TemporaryDirectory() as name:
        make = prepared(Path(name))
        made = []

        def one_form() -> None:
            made.append(make())

        def one_text() -> None:
            text = ipywidgets.Text()
            text.observe(lambda change: change["new"], "value")

        form_ms, text_ms = in_turns([(one_form, one_text)] * FORMS)
        for form in made:
            assert form.wait(60)
        form = make(values={"name": "m", "metric": "accuracy"})
        assert form.wait(60)
        assert form.fields["value"].value == "0.9"
        text, said = ipywidgets.Text(), ipywidgets.HTML()
        text.observe(lambda change: setattr(said, "value", change["new"]), "value")
        for widget in (*everything_in(form), text, said):
            widget.comm = Connected(widget.model_id)
        words = itertools.cycle(WORDS)

        def key_in_form() -> None:
            form.fields["token"].value = next(words)

        others = itertools.cycle(WORDS)

        def key_in_text() -> None:
            text.value = next(others)

        key_ms, plain_ms = in_turns([(key_in_form, key_in_text)] * KEYS)
        assert form.fields["token"].input.comm.sent > KEYS
        form.close()
    note = "a plain ipywidgets.Text with a callback"
    return [
        Row("open the registration form", form_ms, text_ms, limit=150.0, note=note),
        Row("one key in the form, in the kernel", key_ms, plain_ms, limit=2.0, note=f"{note} that shows the text"),
    ]
