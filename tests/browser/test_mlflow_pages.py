"""MLflow's own pages show what is registered here: a prompt among the prompts, with its stage and its text."""

from __future__ import annotations

import mlflow
import pytest
from playwright.sync_api import expect

from hokusai_nb import PromptModel
from tests.conftest import mlflow_server
from tests.prompts import FULL

pytestmark = pytest.mark.slow


@pytest.fixture
def pages(tmp_path, migrated_database):
    """Address of a server of its own, which MLflow is set to."""
    with mlflow_server(tmp_path, migrated_database) as (address, _):
        mlflow.set_tracking_uri(address)
        yield address
        mlflow.set_tracking_uri(None)


def test_a_prompt_is_a_prompt_on_mlflows_pages_with_its_stage_its_metadata_and_its_text(context, pages):
    PromptModel("persona/hook", "Hi {name}, {cta}", "1.0.0", metadata=FULL).register().promote_to_staging()
    page = context.new_page()
    try:
        page.goto(f"{pages}/#/prompts")
        page.get_by_role("link", name="persona.hook").click()
        expect(page.get_by_text("Hi {name}, {cta}").first).to_be_visible()
        expect(page.get_by_text("staging").first).to_be_visible()
        expect(page.get_by_text(FULL["purpose"]).first).to_be_visible()
        expect(page.get_by_text("Version 1.0.0").first).to_be_visible()
    finally:
        page.close()
