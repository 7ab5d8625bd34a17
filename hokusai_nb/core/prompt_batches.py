"""Many prompts at once, each on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tqdm.auto import tqdm

from hokusai_nb.core.prompt_cache import current_backend
from hokusai_nb.core.prompt_rules import parse_stage, refused
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import HokusaiError, RegistryError
from hokusai_nb.log import logger
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.prompts import ModelStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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

    Versions of one prompt are registered in the order in which they are given, different prompts side by
    side. Run it again after an interruption: what is registered already is found.

    Args:
        items: Prompts, or mappings of their ``name``, ``template``, ``version``, ``stage`` and ``metadata``.
        allow_breaking: As for `PromptModel.register`.
        max_workers: Prompts under way at one time.
        progress: Show a progress bar.

    Returns:
        One result for each item, in order.
    """
    given = _series(items)
    names: dict[object, list[int]] = {}
    for index, item in enumerate(given):
        names.setdefault(item.name if isinstance(item, PromptModel) else _name_in(item), []).append(index)
    last: dict[int, PromptVersion] = {}

    def one(index: int, after: PromptVersion | None) -> PromptResult:
        prompt = _prompt(given[index])
        warnings = tuple(prompt.validate())
        last[index] = prompt._register(allow_breaking=allow_breaking, after=after)  # noqa: SLF001 - warns nobody
        return PromptResult(index, prompt, warnings=warnings)

    def group(indices: Sequence[int], tick: Callable[[], None]) -> list[PromptResult]:
        results: list[PromptResult] = []
        for place, index in enumerate(indices):
            # What was just made is the newest, unless somebody else registers too, which is noticed.
            before = last.get(indices[place - 1]) if place else None
            after = before if before and before.created else None
            results.append(_safely(index, partial(one, index, after)))
            tick()
        return results

    return _in_pool(list(names.values()), group, len(given), "Registering", max_workers, progress=progress)


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

    Args:
        items: Prompts, pairs of a name and a version, or names: then the version in the stage below.
        to: ``staging`` or ``production``.
        why: The reason, for the history.
        require: Tests and gates that each has to pass first, as for `run_tests`.
        max_workers: Promotions under way at one time.
        progress: Show a progress bar.

    Returns:
        One result for each item, in order.
    """
    stage = parse_stage(to, field="to")
    if stage is ModelStage.DEV:
        what = "Nothing is promoted to dev: every new version begins there."
        raise refused(what, "Promote to staging or production.", field="to")
    given = _series(items)
    requirements = (
        dict(require) if isinstance(require, Mapping) else require if isinstance(require, str) else [*require]
    )

    def one(index: int) -> PromptResult:
        prompt = _registered(given[index], stage)
        move = prompt.promote_to_staging if stage is ModelStage.STAGING else prompt.promote_to_production
        return PromptResult(index, move(why, require=requirements))

    def group(indices: Sequence[int], tick: Callable[[], None]) -> list[PromptResult]:
        results = [_safely(index, partial(one, index)) for index in indices]
        tick()
        return results

    return _in_pool([[i] for i in range(len(given))], group, len(given), "Promoting", max_workers, progress=progress)


async def aregister_prompts(
    items: Iterable[PromptModel | Mapping[str, object]],
    *,
    allow_breaking: bool = False,
    max_workers: int = WORKERS,
    progress: bool = True,
) -> list[PromptResult]:
    """Do what `register_prompts` does, without blocking the event loop."""
    return await asyncio.to_thread(
        register_prompts, items, allow_breaking=allow_breaking, max_workers=max_workers, progress=progress
    )


async def apromote_prompts(
    items: Iterable[PromptModel | str | tuple[str, str]],
    to: ModelStage | str = ModelStage.STAGING,
    *,
    why: str = "",
    require: Requirements = (),
    max_workers: int = WORKERS,
    progress: bool = True,
) -> list[PromptResult]:
    """Do what `promote_prompts` does, without blocking the event loop."""
    return await asyncio.to_thread(
        promote_prompts, items, to, why=why, require=require, max_workers=max_workers, progress=progress
    )


def _series(items: Iterable[T]) -> list[T]:
    if isinstance(items, (str, Mapping, PromptModel)):
        what = f"Prompts must be a series: {quoted(items)}"
        raise refused(what, "Put the one prompt in a list.", field="items")
    return list(items)


def _name_in(item: object) -> object:
    name = item.get("name") if isinstance(item, Mapping) else None
    return name if isinstance(name, str) else None


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
        below = ModelStage.DEV if to is ModelStage.STAGING else ModelStage.STAGING
        return PromptModel.load_from_registry(item, stage=below, refresh=True)
    if isinstance(item, (tuple, list)) and len(item) == len(("name", "version")):
        return PromptModel.load_from_registry(item[0], version=item[1])
    what = f"An item must be a prompt, a name, or a name and a version: {quoted(item)}"
    raise refused(what, "Such as ('persona/hook', '1.2.0').", field="items")


def _safely(index: int, work: Callable[[], PromptResult]) -> PromptResult:
    try:
        return work()
    except HokusaiError as error:
        return PromptResult(index, error=error)
    except Exception as error:  # noqa: BLE001 - the others' results must not go with one that fails oddly
        logger.info("Item %d of a batch failed.", index, exc_info=True)
        failure = RegistryError(
            f"Item {index} failed: {type(error).__name__}: {quoted(str(error))}.",
            "This is a fault in the program or in the item; the others are not affected.",
        )
        failure.__cause__ = error
        return PromptResult(index, error=failure)


def _in_pool(
    groups: Sequence[Sequence[int]],
    work: Callable[[Sequence[int], Callable[[], None]], list[PromptResult]],
    total: int,
    title: str,
    max_workers: int,
    *,
    progress: bool,
) -> list[PromptResult]:
    """Work on groups of items side by side, one after the other inside a group; return results in order."""
    # A SQLite file has one writer at a time, and several that wait for each other take twice as long.
    workers = min(max_workers, 1) if current_backend().registry_uri.startswith("sqlite") else max_workers
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="hokusai-prompts")
    with tqdm(total=total, desc=title, disable=not progress) as bar:

        def tick() -> None:
            bar.update()

        try:
            futures = [pool.submit(work, indices, tick) for indices in groups]
            found = [result for future in futures for result in future.result()]
        finally:
            # On an interrupt what has begun is finished and the rest is not begun.
            pool.shutdown(wait=True, cancel_futures=True)
    return sorted(found, key=lambda result: result.index)
