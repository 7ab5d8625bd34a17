"""A registry that holds markup: the page shows it and runs none of it."""

from __future__ import annotations

import shutil

import mlflow
import pytest
from playwright.sync_api import expect

from tests.conftest import train

pytestmark = pytest.mark.slow

SCRIPT = "<script>window.pwned=1</script>"
IMAGE = "<img src=x onerror='window.pwned=1;alert(1)'>"
QUOTES = "\"'`${window.pwned=1}</pre></style><svg onload=window.pwned=1>\nsecond line"
# MLflow forbids a slash in a model's name, so no element can be closed in one.
HOSTILE = "a <img src=x onerror='window.pwned=1;alert(1)'> <svg onload=window.pwned=1> \"` end"
OFFERED = "name => [...document.querySelectorAll('.hokusai-form datalist option')].some(o => o.value === name)"


@pytest.fixture
def hostile_store(server, migrated_database):
    """A store whose names, tags and runs are all markup."""
    shutil.copy(migrated_database, server.root / "hostile.db")
    uri = f"sqlite:///{server.root / 'hostile.db'}"
    mlflow.set_tracking_uri(uri)  # where MLflow looks for the model that a version is made of
    client = mlflow.MlflowClient()
    client.create_experiment("tests", artifact_location=(server.root / "hostile").as_uri())
    for version, accuracy in enumerate((0.5, 0.6, 0.7), start=1):
        made = train(uri, name="model", accuracy=accuracy, **{"val accuracy": 0.3})
        client.set_tag(made.run_id, "mlflow.runName", HOSTILE)
        if version == 1:
            client.create_registered_model(HOSTILE)
        tags = {
            "hokusai_token_id": f"{SCRIPT}{version}",
            "benchmark_metric": "accuracy",
            "benchmark_value": str(accuracy),
            "contributor": IMAGE,
            "dataset_version": QUOTES,
        }
        client.create_model_version(HOSTILE, made.model_uri, made.run_id, tags=tags)
        client.set_registered_model_alias(HOSTILE, "best", str(version))
    mlflow.set_tracking_uri(None)
    return uri, made.run_id


def test_markup_from_a_registry_is_shown_and_never_runs(lab, kernel, server, hostile_store):
    uri, run_id = hostile_store
    cells = [
        f"mlflow.set_tracking_uri({uri!r})",
        f"%hokusai_register --run {run_id} --token HOSTILE-01 --metric accuracy --value 0.91 --form",
        f"name = {HOSTILE!r}",
        "%hokusai",
        "%hokusai_models",
        "%hokusai_lineage $name",
        "%hokusai_lineage $name --graph",
        "%hokusai_improvement $name",
        "%hokusai_improvement $name --by-contributor",
        "%hokusai_compare $name 1 2",
    ]
    try:
        notebook = lab.open("hostile.ipynb", *cells, kernel=kernel).run_all()
        form, page = notebook.form, lab.page
        form.says("holds:")  # the run, whose name is markup
        form.fill(name=HOSTILE).ready()
        page.wait_for_function(OFFERED, arg=HOSTILE)
        notebook.shown(SCRIPT)  # a token of a version that somebody else registered
        form.fill(token=SCRIPT).says(SCRIPT)
        form.fill(token="HOSTILE-01").button("Add a tag").click()
        form.element.get_by_label("Tag").last.fill("note")
        form.element.get_by_label("is", exact=True).last.fill(IMAGE)
        form.ready().says("What will be written").register()
        notebook.receipt(f"Registered {HOSTILE} version 4")
        expect(notebook.outputs.locator(".vega-embed")).to_have_count(3)
        for mark in notebook.outputs.locator(".vega-embed").all():
            mark.hover()
        assert notebook.outputs.locator("img[src=x], svg[onload]").count() == 0
        assert page.evaluate("window.pwned") is None
        made = mlflow.MlflowClient(uri).get_model_version(HOSTILE, "4")
        assert made.tags["note"] == IMAGE
    finally:
        lab.open("reset.ipynb", f"mlflow.set_tracking_uri({server.store!r})", kernel=kernel).run_all()
