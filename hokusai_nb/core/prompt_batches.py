"""Many prompts at once, each on its own."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from tqdm.auto import tqdm

from hokusai_nb.core.prompt_cache import current_backend
from hokusai_nb.core.prompt_rules import parse_stage, refused
from hokusai_nb.core.prompt_tests import kept
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.core.twins import given_up, twin
from hokusai_nb.core.user_code import message_of
from hokusai_nb.errors import HokusaiError, ModelNotFoundError, RegistryError
from hokusai_nb.log import logger
from hokusai_nb.schema.problems import plain, quoted
from hokusai_nb.schema.prompts import ModelStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hokusai_nb.core.prompt_tests import Requirements
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.prompts import PromptVersion

__all__ = ["PromptResult", "apromote_prompts", "aregister_prompts", "promote_prompts", "register_prompts"]

T = TypeVar("T")
WORKERS = 4
_FIELDS = ("name", "template", "version", "stage", "metadata")


@dataclass(frozen=True)
class PromptResult:
    """What became of one item of a batch."""

    index: int
    """Position in the items that were given."""
    prompt: PromptModel | None = None
    error: HokusaiError | None = None
    warnings: tuple[Problem, ...] = ()
    """What was accepted and should be looked at."""
    moved: bool = False
    """Whether a promotion changed its stage; not where it had come as far already."""

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.error is None


def register_prompts(
    items: Iterable[PromptModel | Mapping[str, object]],
    *,
    allow_breaking: bool = False,
    max_workers: int = WORKERS,
    progress: bool = True,
) -> list[PromptResult]:
    """Register many versions; a bad one harms no other.

    Versions of one prompt are registered in the order in which they are given, different prompts side
    by side. When it is interrupted, or its twin cancelled, what is under way is finished and nothing further
    is begun. Run it again then: what is registered already is found.

    Args:
        items: Prompts, or mappings of their ``name``, ``template``, ``version``, ``stage`` and ``metadata``.
        allow_breaking: As for `PromptModel.register`.
        max_workers: Prompts under way at one time.
        progress: Show a progress bar.

    Returns:
        One result for each item, in order.
    """
    work = _Registering(_series(items), allow_breaking=allow_breaking)
    return _in_pool(work, "Registering", max_workers, progress=progress)


def promote_prompts(
    items: Iterable[PromptModel | str | tuple[str, str]],
    to: ModelStage | str = ModelStage.STAGING,
    *,
    why: str = "",
    require: Requirements = (),
    max_workers: int = WORKERS,
    progress: bool = True,
) -> list[PromptResult]:
    """Promote many versions by one stage; one that cannot be harms no other.

    Versions of one prompt are promoted in the order in which they are given, one that is given twice once;
    different prompts side by side. When it is interrupted, or its twin cancelled, what is under way is
    finished and nothing further is begun.

    Args:
        items: Prompts, pairs of a name and a version, or names: to staging the newest version, to production the
            one in staging, as they are before anything is moved; one that has come as far already stays there.
        to: ``staging`` or ``production``.
        why: The reason, for the history.
        require: Tests and gates that each has to pass first, as for `run_tests`.
        max_workers: Prompts under way at one time.
        progress: Show a progress bar.

    Returns:
        One result for each item, in order.
    """
    stage = parse_stage(to, field="to")
    if stage is ModelStage.DEV:
        what = "Nothing is promoted to dev: every new version begins there."
        raise refused(what, "Promote to staging or production.", field="to")
    work = _Promoting(_series(items), stage, why, kept(require))
    return _in_pool(work, "Promoting", max_workers, progress=progress)


aregister_prompts = twin(register_prompts)
apromote_prompts = twin(promote_prompts)


# What is done with the items of one name


class _Work(Protocol):
    @property
    def given(self) -> Sequence[object]:
        """The items of the batch."""

    def through(self, indices: Sequence[int]) -> Iterator[PromptResult]:
        """Do what is to be done with some of the items, one after the other."""


@dataclass(frozen=True)
class _Registering:
    given: Sequence[object]
    allow_breaking: bool

    def through(self, indices: Sequence[int]) -> Iterator[PromptResult]:
        after: PromptVersion | None = None
        for index in indices:
            made: list[PromptVersion] = []
            yield _safely(index, partial(self.one, index, after, made))
            # What was just made is the newest, unless somebody else registers too, which is noticed.
            after = made[0] if made and made[0].created else None

    def one(self, index: int, after: PromptVersion | None, made: list[PromptVersion]) -> PromptResult:
        prompt = _prompt(self.given[index])
        warnings = tuple(prompt.validate())
        record = prompt._register(allow_breaking=self.allow_breaking, after=after)  # noqa: SLF001 - warns nobody
        made.append(record)
        return PromptResult(index, prompt, warnings=warnings)


@dataclass(frozen=True)
class _Promoting:
    given: Sequence[object]
    to: ModelStage
    why: str
    require: Requirements

    def through(self, indices: Sequence[int]) -> Iterator[PromptResult]:
        found: dict[str, list[PromptResult]] = {}
        for index in indices:
            result = _safely(index, partial(self.find, index))
            if result.prompt is None:
                yield result
            else:
                found.setdefault(result.prompt.version, []).append(result)
        # The second of the same version comes right after the first, and finds it where it is wanted.
        for result in (one for same in found.values() for one in same):
            assert result.prompt is not None
            yield _safely(result.index, partial(self.move, result.prompt, result.index))

    def find(self, index: int) -> PromptResult:
        return PromptResult(index, _registered(self.given[index], self.to))

    def move(self, prompt: PromptModel, index: int) -> PromptResult:
        if isinstance(self.given[index], str) and prompt.stage is ModelStage.PRODUCTION:
            return PromptResult(index, prompt)  # the newest has come as far already
        before = prompt.stage
        promote = prompt.promote_to_staging if self.to is ModelStage.STAGING else prompt.promote_to_production
        done = promote(self.why, require=self.require)
        return PromptResult(index, done, moved=before is not self.to)


# What is given


def _series(items: Iterable[T]) -> list[T]:
    if isinstance(items, (str, Mapping, PromptModel)) or not isinstance(items, Iterable):
        what = f"Prompts must be a series: {quoted(items)}"
        raise refused(what, "Put the one prompt in a list.", field="items")
    return list(items)


def _by_name(items: Sequence[object]) -> list[list[int]]:
    """Return the places of the items of each name; those without one are together."""
    groups: dict[str | None, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(_name_in(item), []).append(index)
    return list(groups.values())


def _name_in(item: object) -> str | None:
    try:
        if isinstance(item, Mapping):
            name = item.get("name")
        elif isinstance(item, (tuple, list)):
            name = item[0]
        else:
            name = item.name if isinstance(item, PromptModel) else item
    except (Exception, SystemExit):  # noqa: BLE001 - the item's own code; what is wrong is said in its result
        return None
    return plain(name) if isinstance(name, str) else None


def _prompt(item: object) -> PromptModel:
    if isinstance(item, PromptModel):
        return item
    if not isinstance(item, Mapping):
        what = f"An item must be a prompt or a mapping: {quoted(item)}"
        raise refused(what, "Such as {'name': …, 'template': …, 'version': …}.", field="items")
    if unknown := [key for key in item if key not in _FIELDS]:
        what = f"An item has no key {quoted(unknown[0])}."
        raise refused(what, f"Use: {', '.join(_FIELDS)}.", field="items")
    given = {"name": None, "template": None, "version": None, **item}
    return PromptModel(**given)


def _registered(item: object, to: ModelStage) -> PromptModel:
    if isinstance(item, PromptModel):
        return item
    if isinstance(item, str):
        newest = PromptModel.load_from_registry(item, refresh=True)
        return newest if to is ModelStage.STAGING else _in_staging(item) or newest
    if isinstance(item, (tuple, list)) and len(item) == len(("name", "version")):
        return PromptModel.load_from_registry(item[0], version=item[1])
    what = f"An item must be a prompt, a name, or a name and a version: {quoted(item)}"
    raise refused(what, "Such as ('persona/hook', '1.2.0').", field="items")


def _in_staging(name: str) -> PromptModel | None:
    try:
        return PromptModel.load_from_registry(name, stage=ModelStage.STAGING)
    except ModelNotFoundError:
        return None


# How it is done


def _safely(index: int, work: Callable[[], PromptResult]) -> PromptResult:
    try:
        return work()
    except HokusaiError as error:
        return PromptResult(index, error=error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - others' results must not go with one that fails oddly
        logger.info("Item %d of a batch failed.", index, exc_info=True)
        failure = RegistryError(
            f"Item {index} failed: {type(error).__name__}: {quoted(message_of(error))}.",
            "This is a fault in the program or in the item; the others are not affected.",
        )
        failure.__cause__ = error
        return PromptResult(index, error=failure)


def _in_pool(work: _Work, title: str, max_workers: int, *, progress: bool) -> list[PromptResult]:
    """Work on the items of different names side by side, on those of one in turn; return results in order.

    Raises:
        ModelValidationError: ``max_workers`` is no number of them.
    """
    if type(max_workers) is not int or max_workers < 1:
        what = f"max_workers must be a whole number from 1: {quoted(max_workers)}"
        raise refused(what, f"{WORKERS} is usual.", field="max_workers")
    # A SQLite file has one writer at a time, and several that wait for each other take twice as long.
    workers = 1 if current_backend().registry_uri.startswith("sqlite") else max_workers
    stopped = threading.Event()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="hokusai-prompts")
    with tqdm(total=len(work.given), desc=title, disable=not progress) as bar:

        def through(indices: Sequence[int]) -> list[PromptResult]:
            results: list[PromptResult] = []
            rest = work.through(indices)
            while not (stopped.is_set() or given_up()) and (result := next(rest, None)):
                results.append(result)
                bar.update()
            return results

        try:
            groups = _by_name(work.given)
            futures = [pool.submit(contextvars.copy_context().run, through, indices) for indices in groups]
            found = [result for future in futures for result in future.result()]
        finally:
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return sorted(found, key=lambda result: result.index)
