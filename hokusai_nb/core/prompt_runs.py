"""Runs that used a prompt: tagging one, and finding those of a lineage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import prompt_runs
from hokusai_nb.core.current_run import current_run
from hokusai_nb.core.prompt_cache import CACHE, current_backend
from hokusai_nb.core.prompt_rules import refused

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.prompt_runs import PromptRun
    from hokusai_nb.schema.prompts import PromptVersion

__all__ = ["RunsOf", "tag_run"]


def tag_run(backend: Backend, prompt: PromptVersion, run_id: str | None) -> str:
    """Tag a run with a version of a prompt, and return its id.

    Args:
        backend: Where both are.
        prompt: The version.
        run_id: The run; the active one, or else the last that ended here, if left out.

    Raises:
        ModelValidationError: The version is not registered.
        NoCurrentRunError: No run is named, and there is no current one.
        RunNotFoundError: The run that is named does not exist.
    """
    known = prompt if prompt.registered else CACHE.version(backend, prompt.name, prompt.version)
    if known is None or known.mlflow_version is None:
        what = f"Model must be registered before a run is tagged with it: {prompt.name} {prompt.version}"
        raise refused(what, "Call register() first.", field="version")
    run = current_run(backend, run_id)
    prompt_runs.tag_run(backend, run.run_id, known.name, known.version, known.mlflow_version)
    return run.run_id


@dataclass(frozen=True)
class RunsOf:
    """Finds the runs of a prompt's versions when it is called."""

    backend: Backend | None
    """The store in force if None, as after unpickling: a pickle holds no address."""
    name: str
    numbers: tuple[tuple[int, str], ...]
    """MLflow's numbers and the semantic versions."""

    @classmethod
    def versions(cls, backend: Backend, name: str, found: list[PromptVersion]) -> RunsOf:
        """Return the finder for some versions of a prompt."""
        return cls(backend, name, tuple((v.mlflow_version, v.version) for v in found if v.mlflow_version is not None))

    def __call__(self) -> tuple[PromptRun, ...]:
        """Ask MLflow now."""
        return tuple(prompt_runs.find_runs(self.backend or current_backend(), self.name, dict(self.numbers)))

    def __reduce__(self) -> tuple[type[RunsOf], tuple[None, str, tuple[tuple[int, str], ...]]]:
        return RunsOf, (None, self.name, self.numbers)
