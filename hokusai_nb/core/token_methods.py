"""What the registry does for tokens: the registration of a file, and a token's status."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hokusai_nb.config import settings
from hokusai_nb.core.attempts import acting_user
from hokusai_nb.core.callers import stated, warned
from hokusai_nb.core.file_registration import register_file
from hokusai_nb.core.improving import is_store_configured
from hokusai_nb.core.token_report import token_report
from hokusai_nb.core.twins import twin
from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.registrations import RegisterFile, Registration
from hokusai_nb.site.opening import has_default_file, open_store, outbox_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.token_reports import TokenReport
    from hokusai_nb.site.store import TokenStore

__all__ = ["TokenMethods"]

DELIVERY_SECONDS = 5.0
"""How long a registration waits for its events to be delivered; a worker delivers what is left."""
_LATER = "Nothing is lost; deliver what is due with: hokusai events deliver (--watch waits for what is not)"


class TokenMethods:
    """The part of `ModelRegistry` that needs a token store.

    Attributes:
        backend: Where models are.
    """

    backend: Backend
    _token_store: TokenStore | None

    @property
    def token_store(self) -> TokenStore:
        """Where tokens and events are: the store that was given, or the one that the settings name."""
        return self._token_store or open_store()

    @property
    def names_token_store(self) -> bool:
        """Whether there is a token store to ask: one that somebody named, or the user's own file is there.

        Who never made a token has no such file, and none is made for asking.
        """
        return self.is_token_store_named or has_default_file()

    @property
    def is_token_store_named(self) -> bool:
        """Whether somebody said where tokens are: an argument, the settings or mock mode, and not the default."""
        try:
            return self._token_store is not None or is_store_configured() or settings().mock_mode
        except HokusaiError:
            return True  # what is wrong with a setting is told when the store is opened

    def register_model(
        self,
        token_id: str,
        model_path: str | os.PathLike[str],
        metric_name: str,
        metric_value: object = None,
        baseline_value: object = None,
        *,
        run_id: str | None = None,
        model_name: str | None = None,
        contributor: str | None = None,
        tags: Mapping[str, object] | None = None,
        dry_run: bool = False,
        progress: bool = True,
    ) -> Registration:
        """Register a file or a folder for a token of the site, and have the token be registered.

        The file is uploaded as it is: it is never unpickled, imported or executed. A folder with an
        ``MLmodel`` file becomes that MLflow model. The same call after an interruption goes on from
        where it was; nothing is made twice.

        Args:
            token_id: Token in draft, such as ``XRAY`` or ``MSG-AI``.
            model_path: File or folder.
            metric_name: Metric of the catalogue, such as ``auroc``.
            metric_value: What the model reached, in the metric's own unit. If left out: the metric
                of the run, of ``metrics.json`` in the folder or beside the file, or of the run that
                the ``MLmodel`` names; if there is none, the baseline is recorded as a declared value.
            baseline_value: What it has to reach, in the same unit; required.
            run_id: MLflow run that measured it.
            model_name: Registered model name; ``hokusai-`` and the token in lower case if left out.
            contributor: Contributor's Ethereum address.
            tags: Further tags.
            dry_run: Check everything, write nothing.
            progress: Show progress bars where there is a terminal or a notebook.

        Raises:
            TokenNotFoundError: There is no such token.
            TokenStatusError: It is neither in draft nor failed.
            MetricValidationError: The metric is not declared, or a value lies outside its range.
            ValidationError: Some other argument is wrong, or the file cannot be uploaded.
            BaselineError: The model does not reach the baseline; the token is failed then.
            DatabaseError, ServiceError: The token store fails.
        """
        given = {
            "token": token_id,
            "path": os.fspath(model_path) if isinstance(model_path, os.PathLike) else model_path,
            "metric": stated("metric_name", metric_name),
            "value": metric_value,
            "baseline": baseline_value,
            "run": run_id,
            "name": model_name,
            "contributor": contributor,
            "tags": tags,
            "dry_run": dry_run,
        }
        verb = RegisterFile.parse({key: value for key, value in given.items() if value is not None})
        return warned(self.register_file(verb, progress=progress))

    def register_file(self, verb: RegisterFile, *, by: str | None = None, progress: bool = True) -> Registration:
        """Do what a command asks for, and have its events be delivered; the errors are those of `register_model`.

        Args:
            verb: The registration.
            by: Who asks for it; the user of this process if left out.
            progress: Show progress bars where there is a terminal or a notebook.
        """
        store = self.token_store
        undelivered: list[Problem] = []
        try:
            made = register_file(
                self.backend,
                store,
                verb,
                by=by or acting_user(),
                progress=progress,
                after=lambda: undelivered.extend(_deliver(store, verb.token)),
            )
        except BaseException:
            for problem in undelivered:
                logger.warning("%s", problem.sentence)
            raise
        return made.model_copy(update={"warnings": (*made.warnings, *undelivered)}) if undelivered else made

    def token_status(self, token_id: str) -> TokenReport:
        """Return a token as its store knows it, with the reason of its last step and the model it was registered with.

        Raises:
            ValidationError: It is no token ID.
            TokenNotFoundError: There is no such token.
            DatabaseError, ServiceError: The token store fails.
        """
        return token_report(self.token_store, token_id)

    aregister_model = twin(register_model)
    aregister_file = twin(register_file)
    atoken_status = twin(token_status)


def _deliver(store: TokenStore, token_id: str) -> list[Problem]:
    """Deliver a token's events now, and return what was not; it lies in the outbox and nothing is lost."""
    outbox = outbox_of(store)
    if outbox is None:
        return []
    try:
        report = outbox.deliver(token_id=token_id, within=DELIVERY_SECONDS)
    except HokusaiError as error:
        return [_undelivered(f"The events of {token_id} wait to be delivered: {error.what}", _LATER)]
    except Exception as error:  # noqa: BLE001 - a handler may be anybody's, and what was registered stays so
        logger.debug("The events of %s could not be delivered.", token_id, exc_info=True)
        why = redact(f"{type(error).__name__}: {error}")
        return [_undelivered(f"The events of {token_id} wait to be delivered: {why}", _LATER)]
    found = []
    if report.left:
        found.append(_undelivered(f"{_counted(report.left)} of {token_id}'s events did not succeed yet.", _LATER))
    if report.dead:
        what = f"{_counted(report.dead)} of {token_id}'s events failed for good."
        found.append(_undelivered(what, "Try again with: hokusai events retry --all; then: hokusai events deliver"))
    return found


def _undelivered(what: str, hint: str) -> Problem:
    return Problem(field="events", what=what, hint=hint, severity="warning")


def _counted(deliveries: int) -> str:
    return "1 delivery" if deliveries == 1 else f"{deliveries:,} deliveries"
