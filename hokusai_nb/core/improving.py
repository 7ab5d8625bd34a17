"""Versions that are better than every one before them, and the event that tells of it.

One thread tells, and reads the versions of a model once for all that were registered meanwhile: a server
that is asked for fifty registrations at once would otherwise do little else than read versions.
"""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from hokusai_nb.backends.mlflow import versions
from hokusai_nb.config import settings
from hokusai_nb.core.lineage import gain
from hokusai_nb.errors import HokusaiError, TokenNotFoundError
from hokusai_nb.log import logger
from hokusai_nb.schema.events import metric_improved
from hokusai_nb.schema.lifecycle import RegistrationFacts, utc_now
from hokusai_nb.schema.tags import KEY_TAG
from hokusai_nb.schema.values import ARITHMETIC, MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.records import RegisteredModel
    from hokusai_nb.site.store import TokenStore

__all__ = ["best_before", "decimal_text", "is_store_configured", "tell_of_improvement"]

PATIENCE_SECONDS = 0.5
"""How long a registration waits for its event to be written; what takes longer goes on in the background."""


class _Registered(NamedTuple):
    """A version that is yet to be judged, and what finds the store that is told of it."""

    backend: Backend
    model: RegisteredModel
    find_store: Callable[[], TokenStore]


class _Teller:
    """The thread that judges and tells; it lives as long as there is something to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Registered] = []
        self._thread: threading.Thread | None = None

    def begin(self, registered: _Registered) -> threading.Thread | None:
        """Have a version be told of; return the thread if nothing else was waiting for it."""
        with self._lock:
            self._waiting.append(registered)
            if self._thread is not None and self._thread.is_alive():  # of a process that was forked, it is not
                return None
            self._thread = threading.Thread(target=self._run, name="hokusai-improvement")
            self._thread.start()
            return self._thread

    def join(self) -> None:
        """Wait until everything is told."""
        if (thread := self._thread) is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting, []
                if not batch:
                    self._thread = None
                    return
            _tell(batch)


_teller = _Teller()


def best_before(backend: Backend, model: RegisteredModel) -> RegisteredModel | None:
    """Return the best earlier version of a model's metric if the model is better than that, else None.

    Values that are only declared do not count, on neither side.
    """
    return _best_before(model, versions.without_aliases(backend, model.name))


def _best_before(model: RegisteredModel, known: Iterable[RegisteredModel]) -> RegisteredModel | None:
    earlier = [v for v in known if int(v.version) < int(model.version)]
    gains = [(over, v) for v in earlier if (over := gain(model, v)) is not None]
    # The best is the one that is hardest to beat; of equals, the first.
    least, best = min(gains, key=lambda pair: pair[0], default=(ARITHMETIC.create_decimal(0), None))
    return best if least > 0 else None


def decimal_text(value: Decimal) -> str:
    """Return a difference as decimal text; one of more digits than a text may have is rounded.

    >>> from decimal import Decimal
    >>> decimal_text(Decimal("0.030")), decimal_text(Decimal("1e300") + Decimal(1))
    ('0.030', '1.0000000000000000e+300')
    """
    text = format(value, "f")
    return text if len(text) <= MAX_LENGTH else format(value, ".16e")


def is_store_configured() -> bool:
    """Whether the user said where tokens are: by a database or an API key, and not by default."""
    found = settings()
    try:
        return found.api_key is not None or found.database is not None
    except HokusaiError:
        return True  # half a description is one, and what is wrong with it is told when it is opened


def tell_of_improvement(backend: Backend, model: RegisteredModel, find_store: Callable[[], TokenStore]) -> None:
    """Publish ``metric_improved`` once if a registered version is better than every one before it.

    The version is registered, whatever becomes of this: an error is logged as a warning, and a
    slow store is not waited for. The process does not end before it is done.

    Args:
        backend: Where the version is.
        model: The version.
        find_store: Returns the token store.
    """
    if (thread := _teller.begin(_Registered(backend, model, find_store))) is not None:
        thread.join(PATIENCE_SECONDS)


def _tell(batch: Iterable[_Registered]) -> None:
    models: dict[tuple[Backend, str], list[_Registered]] = defaultdict(list)
    for registered in batch:
        models[registered.backend, registered.model.name].append(registered)
    dead: dict[str, HokusaiError] = {}
    for (backend, name), alike in models.items():
        try:
            known = versions.without_aliases(backend, name)
        except HokusaiError as error:
            for registered in alike:
                _warn(registered.model, error)
            continue
        for registered in alike:
            _tell_of(registered, known, dead)


def _tell_of(registered: _Registered, known: Iterable[RegisteredModel], dead: dict[str, HokusaiError]) -> None:
    """Tell of a version if it is an improvement.

    Args:
        registered: The version.
        known: All versions of its model.
        dead: Stores that could not be reached a moment ago, which are not waited for again.
    """
    model = registered.model
    where = ""
    try:
        before = _best_before(model, known)
        if before is None or model.token_id is None:
            return
        store = registered.find_store()
        where = store.description
        if where in dead:
            _warn(model, dead[where])
            return
        store.get(model.token_id)
        key = uuid.uuid5(uuid.NAMESPACE_DNS, f"metric_improved:{model.name}:{model.version}:{model.tags.get(KEY_TAG)}")
        store.publish(metric_improved(model.token_id, _facts(model, before), utc_now()), key=str(key))
    except TokenNotFoundError:
        logger.debug("The token store does not know %s, and is not told of its model.", model.token_id)
    except HokusaiError as error:
        if isinstance(error, ConnectionError):
            dead[where] = error
        _warn(model, error)
    except Exception:  # noqa: BLE001 - a store may be anybody's, and nobody waits for this thread who could be told
        logger.warning("The event metric_improved could not be written.", exc_info=True)


def _warn(model: RegisteredModel, error: HokusaiError) -> None:
    what = "Version %s of %s is registered, but the event metric_improved could not be written: %s"
    logger.warning(what, model.version, model.name, error.what)


def _facts(model: RegisteredModel, before: RegisteredModel) -> RegistrationFacts:
    return RegistrationFacts(
        mlflow_run_id=model.run_id or "",
        model_name=model.name,
        version=model.version,
        metric_name=model.benchmark_metric or "",
        metric_value=model.benchmark_value or "",
        baseline_value=before.benchmark_value or "",
        improvement=decimal_text(gain(model, before) or ARITHMETIC.create_decimal(0)),
        previous_value=before.benchmark_value,
        previous_version=before.version,
        contributor_address=model.contributor,
    )
