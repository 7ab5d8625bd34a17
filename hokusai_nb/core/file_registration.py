"""The registration of a file for a token: checked first, then made in an order that survives being killed.

Nothing is changed before everything that can be wrong with the request was looked for. Then the token
is held, and each further step finds what an earlier attempt has left and goes on from there: one run,
found by its tag; the files that it lacks; one version, found by the same key; and last one change of
the token's status, which writes the events with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from hokusai_nb.backends.mlflow import creation, model_bytes, model_files, registration_runs, uploads, versions
from hokusai_nb.backends.mlflow.api_schemas import Description, read_description
from hokusai_nb.backends.mlflow.models import MLMODEL
from hokusai_nb.config import settings
from hokusai_nb.core import performance
from hokusai_nb.core.attempts import Attempt, ensure_free
from hokusai_nb.core.improving import best_before, decimal_text
from hokusai_nb.core.provenance import collect
from hokusai_nb.core.tagging import key_of, stated_tags, storable, tags_from_run
from hokusai_nb.errors import HokusaiError, MetricValidationError, TokenBusyError, TokenStatusError
from hokusai_nb.log import logger
from hokusai_nb.schema.lifecycle import RegistrationFacts, Status
from hokusai_nb.schema.problems import raise_for
from hokusai_nb.schema.registrations import SOURCE_TAG, Registration
from hokusai_nb.schema.runs import RunModel
from hokusai_nb.schema.tags import BASELINE_TAG, KEY_TAG, TOKEN_TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.backends.mlflow.model_bytes import ModelFiles
    from hokusai_nb.core.performance import Performance
    from hokusai_nb.schema.lifecycle import Token
    from hokusai_nb.schema.metrics import Metric
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.records import RegisteredModel
    from hokusai_nb.schema.registrations import RegisterFile
    from hokusai_nb.site.store import TokenStore

__all__ = ["register_file"]

DIGEST_TAG = "hokusai.files.sha256"
SIZE_TAG = "hokusai.files.bytes"
COUNT_TAG = "hokusai.files.count"
FILES_TAG = "hokusai.files.name"
MEASURED_TAG = "hokusai.measured_by_run"


@dataclass(frozen=True)
class _Plan:
    """A registration in which nothing is wrong as far as it can be known without writing.

    Attributes:
        verb: What the user asked for.
        name: Registered model name.
        metric: What the benchmark is.
        reached: What the model reached.
        files: What is uploaded.
        described: What its MLmodel says, if it has one.
        stated: Tags that the user's words decide.
        doubts: What was accepted and should be looked at.
    """

    verb: RegisterFile
    name: str
    metric: Metric
    reached: Performance
    files: ModelFiles
    described: Description
    stated: dict[str, str]
    doubts: tuple[Problem, ...]

    @property
    def key(self) -> str:
        """What the same registration is recognised by when it is tried again."""
        return key_of(self.name, f"files {self.files.digest}", self.stated)

    def gained(self) -> Decimal:
        """Return the improvement over the baseline.

        Raises:
            BaselineError: There is none.
        """
        verb = self.verb
        return performance.gain_over_baseline(
            self.metric, verb.metric, value=self.reached.value, baseline=verb.baseline
        )

    def tags(self, model: RunModel) -> dict[str, str]:
        """Return all tags of the version."""
        run = self.reached.run
        return {
            **tags_from_run(run, model),
            **storable(collect()),
            **({MEASURED_TAG: run.run_id} if run else {}),
            **self.about_files(),
            **self.stated,
            SOURCE_TAG: self.reached.source,
            KEY_TAG: self.key,
        }

    def about_files(self) -> dict[str, str]:
        """Return the tags that say what was uploaded."""
        return {
            **storable({FILES_TAG: self.files.name}),
            DIGEST_TAG: self.files.digest,
            SIZE_TAG: str(self.files.size),
            COUNT_TAG: str(len(self.files.files)),
        }


def register_file(
    backend: Backend,
    store: TokenStore,
    verb: RegisterFile,
    *,
    by: str,
    progress: bool = True,
    after: Callable[[], None] | None = None,
) -> Registration:
    """Register a file or a folder for a token, and have the token be registered.

    Where exactly this was done before, that registration is returned, and its events are delivered if whoever
    made it died before it could.

    Args:
        backend: Where to write the model.
        store: Where the token is.
        verb: What the user asked for, validated.
        by: Who asks for it, for the token's history.
        progress: Show progress bars where there is a terminal or a notebook.
        after: Called once the token is registered or failed and its store holds the events.

    Raises:
        TokenNotFoundError: The store knows no such token.
        TokenStatusError: It is neither in draft nor failed; `TokenBusyError` if it is being registered.
        MetricValidationError: The metric is not declared, or a value lies outside its range; the token
            is failed then, as it is after `BaselineError` and what follows it.
        ValidationError: The file cannot be uploaded, or something else is wrong; nothing is changed.
        BaselineError: The model does not reach the baseline.
        RegistryError: MLflow does not take it.
        DatabaseError, ServiceError: The token store fails.
    """
    token = store.get(verb.token)
    logger.debug("Token %s is %s in %s.", token.token_id, token.model_status.value, store.description)
    attempt = Attempt(store, token, by=by, lease_seconds=settings().lease_seconds)
    try:
        ensure_free(token, attempt.claim)
    except TokenStatusError as error:
        return _made_before(backend, token, verb, after, error, progress=progress)
    plan = _validated(backend, verb, attempt, after, progress=progress)
    reached, files = plan.reached, plan.files
    logger.debug("%s = %s (%s), baseline %s.", verb.metric, reached.value, reached.source, verb.baseline)
    logger.debug("%s: %d files, %d bytes, sha256 %s.", files.name, len(files.files), files.size, files.digest)
    if verb.dry_run:
        return _preview(backend, plan, token)
    try:
        with attempt:
            gained = plan.gained()
            made = creation.find_registration(backend, plan.name, plan.key) or _made(
                backend, plan, attempt, by=by, progress=progress
            )
            logger.debug("Version %s of %s in %s.", made.version, made.name, backend.safe_uri)
            token = attempt.complete(_facts(backend, plan, made, gained))
    finally:
        if after is not None:
            after()
    return _answer_of(plan, token, gained, made)


def _validated(
    backend: Backend, verb: RegisterFile, attempt: Attempt, after: Callable[[], None] | None, *, progress: bool
) -> _Plan:
    """Return what is to be done; a metric or a value that is refused fails the token, except in a dry run."""
    try:
        return _plan(backend, verb, progress=progress)
    except MetricValidationError as error:
        if verb.dry_run:
            raise
        refused = error
    try:
        with attempt:
            raise refused
    finally:
        if after is not None:
            after()


def _made_before(
    backend: Backend,
    token: Token,
    verb: RegisterFile,
    after: Callable[[], None] | None,
    refusal: TokenStatusError,
    *,
    progress: bool,
) -> Registration:
    """Return the registration that has left the token as it is, if it was this one.

    Its events are delivered in any case, as far as they wait.

    Raises:
        TokenStatusError: It was another one, or none.
    """
    if verb.dry_run or isinstance(refusal, TokenBusyError):
        raise refusal
    if after is not None:
        after()
    if token.model_status is not Status.REGISTERED:
        raise refusal
    try:
        plan = _plan(backend, verb, progress=progress)
        gained = plan.gained()
    except HokusaiError:
        raise refusal from None
    made = creation.find_registration(backend, plan.name, plan.key)
    if made is None or made.run_id != token.mlflow_run_id:
        raise refusal
    return _answer_of(plan, token, gained, made)


def _plan(backend: Backend, verb: RegisterFile, *, progress: bool) -> _Plan:
    """Return what is to be done, or say what is wrong; nothing is written."""
    metric = performance.declared_metric(verb.metric)
    performance.check_range(verb.metric, verb.baseline, "baseline")
    if verb.value is not None:
        performance.check_range(verb.metric, verb.value, "value")
    root, found = model_files.find_files(verb.path)
    described = read_description(root) if any(f.name == MLMODEL for f in found) else Description()
    name = verb.name or f"hokusai-{verb.token.lower()}"
    creation.ensure_model(backend, name)
    folders = (root, root.parent) if root.is_dir() else (root.parent,)
    reached = performance.measure(backend, verb, folders, described.run_id)
    stated, doubts = stated_tags(verb, reached.value)
    raise_for(doubts)
    with _bar(f"Reading {root.name}", sum(f.size for f in found), progress=progress) as tell:
        files = model_bytes.digest(root, found, tell)
    return _Plan(
        verb=verb,
        name=name,
        metric=metric,
        reached=reached,
        files=files,
        described=described,
        stated={**stated, BASELINE_TAG: verb.baseline},
        doubts=(*verb.warnings(), *doubts, *reached.doubts),
    )


@contextmanager
def _bar(title: str, size: int, *, progress: bool) -> Iterator[Callable[[int], None]]:
    """Yield what is told of each piece of so many bytes; a bar appears if it takes longer than a moment."""
    with tqdm(
        total=size,
        desc=title,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        delay=0.5,
        disable=None if progress else True,
    ) as bar:

        def tell(count: int) -> None:
            bar.update(count)

        yield tell


def _made(backend: Backend, plan: _Plan, attempt: Attempt, *, by: str, progress: bool) -> RegisteredModel:
    """Upload the files and create the version, going on from where an earlier attempt was killed."""
    tags = {"mlflow.user": by, TOKEN_TAG: plan.verb.token, **plan.about_files()}
    logger.debug("Token %s is held; the files go to %s.", plan.verb.token, backend.safe_uri)
    run = registration_runs.obtain(backend, plan.key, f"{plan.verb.token} {plan.files.name}", storable(tags))
    try:
        with _bar(f"Uploading {plan.files.name}", plan.files.size, progress=progress) as tell:
            location = uploads.upload(backend, run, plan.files, tell)
        measured = None if plan.reached.source == "declared" else float(plan.reached.value)
        registration_runs.finish(backend, run, plan.verb.metric, measured)
        model = RunModel(
            name=uploads.FOLDER,
            uri=f"runs:/{run.run_id}/{uploads.FOLDER}",
            source=location,
            location=location,
            run_id=run.run_id,
        )
        attempt.confirm()
        return creation.create(backend, plan.name, model, plan.key, lambda: plan.tags(model), any_run=True)
    except TokenStatusError:
        raise  # whoever has taken the token over goes on with the same run
    except BaseException as error:
        registration_runs.abandon(backend, run, interrupted=not isinstance(error, Exception))
        raise


def _facts(backend: Backend, plan: _Plan, made: RegisteredModel, gained: Decimal) -> RegistrationFacts:
    """Return what the token's store is told; a declared value is no improvement over a measured one."""
    before = best_before(backend, made) if plan.reached.source != "declared" else None
    return RegistrationFacts(
        mlflow_run_id=made.run_id or "",
        model_name=made.name,
        version=made.version,
        metric_name=plan.verb.metric,
        metric_value=plan.reached.value,
        baseline_value=plan.verb.baseline,
        improvement=decimal_text(gained),
        previous_value=before.benchmark_value if before else None,
        previous_version=before.version if before else None,
        contributor_address=made.contributor,
        performance_source=plan.reached.source,
        api_schema=plan.described.api_schema,
    )


def _preview(backend: Backend, plan: _Plan, token: Token) -> Registration:
    """Return what would be made; nothing is written.

    Raises:
        BaselineError: The model does not reach the baseline.
    """
    gained = plan.gained()
    before = creation.find_registration(backend, plan.name, plan.key)
    newest = versions.latest(backend, plan.name)
    return _answer(
        plan,
        token,
        gained,
        model_name=plan.name,
        version=before.version if before else str(int(newest.version) + 1 if newest else 1),
        mlflow_run_id=None,
        tags=plan.tags(RunModel(name=uploads.FOLDER, uri="", source="", location="", run_id=None)),
        created=before is None,
        dry_run=True,
        simulated=backend.simulated or token.simulated,
    )


def _answer(plan: _Plan, token: Token, gained: Decimal, **made: Any) -> Registration:
    return Registration(
        token_id=token.token_id,
        status=token.model_status,
        metric_name=plan.verb.metric,
        metric_value=plan.reached.value,
        baseline_value=plan.verb.baseline,
        improvement=gained,
        performance_source=plan.reached.source,
        warnings=plan.doubts,
        **made,
    )


def _answer_of(plan: _Plan, token: Token, gained: Decimal, made: RegisteredModel) -> Registration:
    return _answer(
        plan,
        token,
        gained,
        model_name=made.name,
        version=made.version,
        mlflow_run_id=made.run_id,
        tags=made.tags,
        created=made.created,
        simulated=made.simulated or token.simulated,
        url=made.url,
    )
