"""What a form shows and what a registry holds, for tests."""

from __future__ import annotations

from contextlib import contextmanager


def versions(name):
    import mlflow

    return mlflow.MlflowClient().search_model_versions(f"name = '{name}'")


def html_of(form):
    """Return all that a form shows as HTML."""
    found, boxes = [], [form]
    while boxes:
        widget = boxes.pop()
        boxes += getattr(widget, "children", ())
        if type(widget).__name__ == "HTML":
            found.append(widget.value)
    return "\n".join(found)


def button(form, text):
    """Return the visible button that begins with a text."""
    boxes = [form]
    while boxes:
        widget = boxes.pop()
        boxes += getattr(widget, "children", ())
        if (
            type(widget).__name__ == "Button"
            and widget.description.startswith(text)
            and widget.layout.display != "none"
        ):
            return widget
    return None


@contextmanager
def opener(kind):
    """Yield what opens forms of a kind and waits for the registry's facts; all are closed at the end."""
    forms = []

    def make(*args, wait=True, **given):
        form = kind(*args, **given)
        forms.append(form)
        if wait:
            assert form.wait(20)
        return form

    yield make
    for form in forms:
        form.wait(20)
        form.close()
