"""A prompt of ten thousand versions is read, followed, promoted and drawn like one of ten."""

from __future__ import annotations

import mlflow.genai
import pytest
from mlflow.tracking._model_registry.client import ModelRegistryClient

from hokusai_nb.core.prompts import PromptModel
from tests.prompts import FULL
from tests.rows import add_versions

MANY = 10_000


@pytest.fixture
def newest(store):
    """Number of the newest of many versions, all but the first written as the first was."""
    PromptModel("hook", "Hi {name} 1", "1.0.0", metadata=FULL).register()
    client = ModelRegistryClient(store, store)
    (first,) = client.search_model_versions("name = 'hook' AND tag.`mlflow.prompt.is_prompt` = 'true'")
    add_versions(
        store,
        [
            {
                "name": "hook",
                "version": number,
                "source": first.source,
                "tags": {
                    **first.tags,
                    "mlflow.prompt.text": f"Hi {{name}} {number}",
                    "hokusai.prompt.version": f"1.{number - 1}.0",
                    "hokusai.prompt.after": str(number - 1),
                    "hokusai.prompt.parent": f"1.{number - 2}.0",
                },
            }
            for number in range(2, MANY + 1)
        ],
    )
    return f"1.{MANY - 1}.0"


@pytest.mark.slow
def test_ten_thousand_versions_of_a_prompt_are_read_followed_promoted_and_drawn(newest):
    assert PromptModel.load_from_registry("hook").version == newest
    assert PromptModel.load_from_registry("hook", "1.4999.0").template == "Hi {name} 5000"
    made = PromptModel.propose("hook", "Hi {name} again", metadata=FULL).register().promote_to_staging()
    assert made.version == f"1.{MANY - 1}.1"
    assert mlflow.genai.load_prompt("prompts:/hook@staging").version == MANY + 1
    lineage = made.get_lineage()
    assert len(lineage) == MANY + 1
    assert lineage._repr_mimebundle_()["text/plain"].endswith(f"The newest 50 of {MANY + 1:,} versions.")
    assert f"30 of {MANY + 1:,} versions drawn" in lineage.plot().text
