from __future__ import annotations

import pytest

from hokusai_nb.core import provenance


@pytest.fixture(autouse=True)
def _none_left():
    yield
    provenance.set_collector(None)


def test_outside_a_notebook_there_is_nothing_to_record():
    assert provenance.collect() == {}


def test_a_registration_records_what_the_collector_says_at_that_time(registry, trained):
    made = trained(accuracy=0.9)
    cell = iter("ab")
    provenance.set_collector(lambda: {"hokusai.notebook.path": f"{next(cell)}.ipynb"})
    first = registry.register_run_model(made.run_id, "m", "MSG-AI", "accuracy")
    again = registry.register_run_model(made.run_id, "m", "MSG-AI", "accuracy")
    assert (first.notebook, again.notebook, again.created) == ("a.ipynb", "a.ipynb", False)
