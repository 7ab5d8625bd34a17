"""Whether a request that is passed on to an MLflow server elsewhere would break a version's tags."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from google.protobuf.json_format import ParseError
from mlflow.protos.model_registry_pb2 import CreateModelVersion, DeleteModelVersionTag, SetModelVersionTag
from mlflow.utils.proto_json_utils import parse_dict

from hokusai_nb.backends.mlflow.tag_guard import refuse
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hokusai_nb.backends.mlflow.forwarding import Headers, Upstream
    from hokusai_nb.backends.mlflow.tag_guard import Confirm

__all__ = ["TagCheck", "parsed", "unreadable"]

_MESSAGES = {"create": CreateModelVersion, "set-tag": SetModelVersionTag, "delete-tag": DeleteModelVersionTag}
_READING = ("GET", "HEAD", "OPTIONS")


def _action(path: str) -> str | None:
    area, _, action = path.rstrip("/").rpartition("/")
    return action if area.endswith("/model-versions") and action in _MESSAGES else None


class TagCheck:
    """Checks such requests before they are passed on.

    Two changes of one version wait for each other here, so that each sees what the other left. A
    change that does not come through this process is not waited for.
    """

    def __init__(self, upstream: Upstream, confirm: Confirm | None = None) -> None:
        self._upstream = upstream
        self._confirm = confirm
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def concerns(self, method: str, path: str) -> bool:
        """Whether a request makes a version or changes its tags, by whichever of MLflow's paths."""
        return method not in _READING and _action(path) is not None

    @asynccontextmanager
    async def passing(self, path: str, headers: Headers, body: bytes) -> AsyncIterator[bytes]:
        """Yield the body to pass on, and keep others from the version until the block ends.

        The body is written anew, so that the server behind reads what was checked, and nothing else.

        Raises:
            ValidationError: The request would break the tag schema, or cannot be read.
        """
        action = _action(path)
        assert action is not None
        content = parsed(body)
        asked = _MESSAGES[action]()
        try:
            parse_dict(content, asked)
        except (ParseError, TypeError, ValueError) as error:
            raise unreadable(str(error)) from error
        again = json.dumps(content).encode()
        if isinstance(asked, CreateModelVersion):
            await self._refuse({tag.key: tag.value for tag in asked.tags})
            yield again
            return
        async with self._turn(asked.name, asked.version):
            before = await self._upstream.tags_of_version(asked.name, asked.version, headers)
            if before is not None:
                after = {key: value for key, value in before.items() if key != asked.key}
                if isinstance(asked, SetModelVersionTag):
                    after[asked.key] = asked.value
                await self._refuse(after, before)
            yield again

    def _turn(self, name: str, version: str) -> asyncio.Lock:
        number = version.strip().lstrip("0")  # MLflow takes "07" for 7
        return self._turns.setdefault((name, number), asyncio.Lock())

    async def _refuse(self, after: dict[str, str], before: dict[str, str] | None = None) -> None:
        # A token store may be a database elsewhere.
        await asyncio.to_thread(refuse, after, before, confirm=self._confirm)


def parsed(body: bytes) -> dict[str, Any]:
    """Return the body as MLflow reads it; older clients send JSON within JSON.

    Raises:
        ValidationError: It is no JSON object, or one that two readers could read differently.
    """
    try:
        content = json.loads(body or b"{}", object_pairs_hook=_object)
        if isinstance(content, str):
            content = json.loads(content, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise unreadable(str(error)) from error
    if isinstance(content, dict):
        return content
    found = f"it is {type(content).__name__}, and no object"
    raise unreadable(found)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        reason = "an object has a name twice"
        raise ValueError(reason)
    return found


def unreadable(reason: str) -> ValidationError:
    """Return the error for a body that cannot be read."""
    first = reason.splitlines()[0] if reason else "no reason given"
    return ValidationError([Problem(field="body", what=f"The request cannot be read: {first}.", hint="Send JSON.")])
