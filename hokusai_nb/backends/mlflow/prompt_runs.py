"""Which runs used which version of a prompt: two tags of a run, one of ours and one of MLflow's.

Ours, ``hokusai.prompt``, names a version of each prompt as ``name@1.2.0``, with spaces between several.
MLflow's, ``mlflow.linkedPrompts``, is a list in JSON of its own names and numbers; it is what MLflow's
pages go by, and ``mlflow.genai.load_prompt`` writes it. Ours counts where both are there: MLflow adds to its
list and never takes away.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from mlflow.entities import RunTag, ViewType
from mlflow.tracing.constant import TraceTagKey

from hokusai_nb.backends.mlflow import runs, search
from hokusai_nb.schema.prompt_names import stored_name
from hokusai_nb.schema.prompt_runs import PromptRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = ["find_runs", "tag_run"]

RUN_TAG = "hokusai.prompt"
LINKED = TraceTagKey.LINKED_PROMPTS
PAGE = 1000
# Both tags are read and written whole, so two threads that tag one run must take turns.
_tagging = threading.Lock()


def tag_run(backend: Backend, run_id: str, name: str, version: str, number: int) -> None:
    """Note that a run used a version of a prompt; what it used of other prompts stays noted.

    Args:
        backend: Where the run is.
        run_id: The run; it exists.
        name: The prompt.
        version: Semantic version, which takes the place of another one of the same prompt.
        number: MLflow's number of that version.
    """
    with _tagging, backend.calling() as client:
        tags = client.get_run(run_id).data.tags
        used = [word for word in tags.get(RUN_TAG, "").split() if word.partition("@")[0] != name]
        wanted = {RUN_TAG: " ".join([*used, f"{name}@{version}"])}
        links = _links(tags.get(LINKED, "[]"))
        if links is not None:  # what cannot be read is another client's, and stays
            mine = {"name": stored_name(name), "version": str(number)}
            wanted[LINKED] = json.dumps([*(link for link in links if link != mine), mine])
        client.log_batch(run_id, tags=[RunTag(key, text) for key, text in wanted.items()])


def find_runs(backend: Backend, name: str, versions: Mapping[int, str]) -> list[PromptRun]:
    """Return the runs that used one version of a prompt, oldest first.

    A run that is linked to several versions and tagged with none of them belongs to none.

    Args:
        backend: Where to look.
        name: The prompt.
        versions: Its semantic versions by MLflow's number; runs of others are left out.
    """
    ours = search.containing(search.tag(RUN_TAG), f"{name}@")
    links = search.containing(search.tag(LINKED), f'"{stored_name(name)}"')
    found: dict[str, PromptRun] = {}
    with backend.calling() as client:
        experiments = runs.experiment_ids(client)
        for condition in (ours, links):
            for run in _search(client, experiments, condition):
                version = _version(run.data.tags, name, versions)
                if version is not None:
                    found[run.info.run_id] = _record(run, version)
    return sorted(found.values(), key=lambda run: (run.started is not None, run.started, run.run_id))


def _search(client: MlflowClient, experiments: list[str], condition: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs(experiments, condition, ViewType.ACTIVE_ONLY, PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _version(tags: Mapping[str, str], name: str, versions: Mapping[int, str]) -> str | None:
    """Return the version of a prompt that a run's tags name; None where they name none or several."""
    said = {word.partition("@")[2] for word in tags.get(RUN_TAG, "").split() if word.partition("@")[0] == name}
    if not said:
        numbers = {str(number): version for number, version in versions.items()}
        links = _links(tags.get(LINKED, "[]")) or []
        said = {numbers.get(link["version"], "") for link in links if link["name"] == stored_name(name)}
    version = said.pop() if len(said) == 1 else None
    return version if version in versions.values() else None


def _links(text: str) -> list[dict[str, str]] | None:
    """Return the links of MLflow's tag; None where it holds anything else."""
    try:
        links = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(links, list):
        return None
    if not all(isinstance(link, dict) and isinstance(link.get("name"), str) and "version" in link for link in links):
        return None
    return [{"name": link["name"], "version": str(link["version"])} for link in links]


def _record(run: Run, version: str) -> PromptRun:
    return PromptRun(
        run_id=run.info.run_id,
        name=run.info.run_name or run.info.run_id,
        version=version,
        started=runs.moment(run.info.start_time),
        metrics=dict(run.data.metrics),
    )
