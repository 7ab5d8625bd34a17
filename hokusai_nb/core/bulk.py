"""Many registrations at once, each on its own."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from hokusai_nb.core.twins import given_up
from hokusai_nb.errors import HokusaiError, RegistryError, ValidationError
from hokusai_nb.log import logger
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.records import BulkResult, RegisteredModel
from hokusai_nb.schema.verbs import Register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["register_many", "verb_from_record"]

_FIELDS = {
    "model_uri": "model",
    "uri": "model",
    "name": "name",
    "model_name": "name",
    "token_id": "token",
    "token": "token",
    "benchmark_metric": "metric",
    "metric_name": "metric",
    "metric": "metric",
    "benchmark_value": "value",
    "baseline_value": "value",
    "value": "value",
    "run_id": "run",
    "tags": "tags",
    "contributor": "contributor",
    "force_new": "force_new",
}


def verb_from_record(record: object) -> Register:
    """Return the registration that a mapping asks for.

    Args:
        record: Keys are the arguments of ``register_tokenized_model`` or the short names ``uri``,
            ``name``, ``token_id``, ``metric`` and ``value``.

    Raises:
        ValidationError: It is no mapping, has an unknown key, or a value is wrong.
    """
    if not isinstance(record, Mapping):
        what = f"A record must be a mapping: {quoted(record)}"
        raise ValidationError(
            [Problem(field="record", what=what, hint="Such as {'uri': …, 'name': …, 'token_id': …}.")]
        )
    unknown = [key for key in record if key not in _FIELDS]
    if unknown:
        what = f"A record has no key {quoted(unknown[0])}."
        raise ValidationError([Problem(field="record", what=what, hint=f"Use: {', '.join(_FIELDS)}.")])
    values: dict[str, Any] = {}
    for key, value in record.items():
        if value is not None and _FIELDS[key] in values:
            what = f"A record names the {_FIELDS[key]} twice: {quoted(key)} says it again."
            raise ValidationError([Problem(field=_FIELDS[key], what=what, hint="Leave one of the keys out.")])
        if value is not None:
            values[_FIELDS[key]] = value
    if not values.get("model") and not values.get("run"):
        # Several threads have no current run between them, and many records would mean the same one.
        what = "A record names no model."
        raise ValidationError([Problem(field="uri", what=what, hint="Give its uri, or the run_id of its run.")])
    return Register.parse(values)


def register_many(
    records: Iterable[object], register: Callable[[Register], RegisteredModel], *, max_workers: int, progress: bool
) -> list[BulkResult]:
    """Register each record in a pool of threads and return one result for each, in their order.

    A record that fails harms no other, whatever it fails with, and one that was registered before
    is found again, so that after an interruption the same call registers only what is missing.

    Raises:
        ValidationError: What is given is one record, and no series of them.
    """
    if isinstance(records, (Mapping, str)):
        what = f"Records must be a series of mappings: {quoted(records)}"
        raise ValidationError([Problem(field="records", what=what, hint="Put the one record in a list.")])

    def one(index: int, record: object) -> BulkResult:
        try:
            return BulkResult(index=index, model=register(verb_from_record(record)))
        except HokusaiError as error:
            return BulkResult(index=index, error=error)
        except Exception as error:  # noqa: BLE001 - the others' results must not go with a record that fails oddly
            logger.info("Record %d could not be registered.", index, exc_info=True)
            failure = RegistryError(
                f"Record {index} could not be registered: {type(error).__name__}: {quoted(str(error))}.",
                "This is a fault in the program or in the record; the other records are not affected.",
            )
            failure.__cause__ = error
            return BulkResult(index=index, error=failure)

    pool = ThreadPoolExecutor(max_workers=max_workers, thread_name_prefix="hokusai-register")
    try:
        futures: list[Future[BulkResult]] = [pool.submit(one, *pair) for pair in enumerate(records)]
        for _ in tqdm(as_completed(futures), total=len(futures), desc="Registering", disable=not progress):
            if given_up():
                return []  # nobody hears of it
        return [f.result() for f in futures]
    finally:
        # On an interrupt, or where nobody waits any longer, what has begun is finished and the rest is not begun.
        pool.shutdown(wait=True, cancel_futures=True)
