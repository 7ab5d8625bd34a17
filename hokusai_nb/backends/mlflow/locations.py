"""Where artifacts may lie that a client names: nowhere but in MLflow, or the server would read and write it for him."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from google.protobuf.json_format import ParseError
from mlflow.protos.model_registry_pb2 import CreateModelVersion
from mlflow.protos.service_pb2 import CreateExperiment, StartTraceV3
from mlflow.tracing.constant import TraceTagKey
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION
from mlflow.utils.proto_json_utils import parse_dict

from hokusai_nb.backends.mlflow.forwarded_tags import parsed, unreadable
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    FindRun: TypeAlias = Callable[[str], Awaitable[str | None]]
    """Returns where the artifacts of a run lie, by its id; None where there is no such run."""

__all__ = ["ARTIFACT_PATH", "WRITING", "checked", "concerns", "folded", "is_place"]

WRITING = ("POST", "PUT", "PATCH")
ARTIFACT_PATH = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/")
"""Below it a file may be called anything."""
_TRACES = re.compile(r"/mlflow/traces(?:/|$)")
_PROXIED = re.compile(r"mlflow-artifacts:/(?!/)")
_IN_MLFLOW = re.compile(r"(mlflow-artifacts|runs|models):/(?!/)")
_OF_PROMPTS = ("dummy-source", "prompt-template")
_PROMPT = "mlflow.prompt.is_prompt"
_NO_NAME = frozenset("?#%\\")
"""What ends a path, or stands for something else in it."""


def concerns(method: str, path: str) -> bool:
    """Whether a request may name a place for artifacts, by whichever of MLflow's paths."""
    return method in WRITING and _kind(path) is not None


def folded(key: str) -> str:
    """Return a tag's key so that two are equal which any database takes for the same."""
    return unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode().strip().lower()


_PLACES = {folded(key) for key in (MLFLOW_ARTIFACT_LOCATION, TraceTagKey.ARCHIVE_LOCATION)}


def is_place(key: str) -> bool:
    """Whether MLflow keeps by a tag of a trace where its files lie."""
    return folded(key) in _PLACES


def _kind(path: str) -> str | None:
    if ARTIFACT_PATH.match(path):
        return None
    *_, area, action = ["", "", *(part for part in path.split("/") if part)]
    if action == "create" and area in ("experiments", "model-versions"):
        return area
    return "traces" if _TRACES.search(path) else None


async def checked(path: str, body: bytes, find_run: FindRun, roots: Sequence[str] = ()) -> bytes:
    """Return the body to pass on, written anew so that MLflow reads what was checked, and nothing else.

    Args:
        path: Of a request that this `concerns`.
        body: As it came.
        find_run: Tells where the artifacts of the run lie that a version is made from.
        roots: Folders or URIs that this server keeps artifacts below.

    Raises:
        ValidationError: It names a place outside MLflow, or cannot be read.
    """
    content = parsed(body)
    kind = _kind(path)
    if kind == "traces":
        if path.rstrip("/").endswith("/traces"):
            trace_id = str(_message(content, StartTraceV3()).trace.trace_info.trace_id)
            _require(_is_name(trace_id), "trace_id", trace_id)
        for place in _of_traces(content):
            _require(bool(_is_plain(place) and _PROXIED.match(place)), "artifact_location", place)
    elif kind == "experiments":
        asked = _message(content, CreateExperiment())
        place = asked.artifact_location
        _require(not place or bool(_is_plain(place) and _PROXIED.match(place)), "artifact_location", place)
    else:
        version = _message(content, CreateModelVersion())
        _require(await _is_source(version, find_run, roots), "source", version.source)
    return json.dumps(content).encode()


def _message(content: dict[str, Any], message: Any) -> Any:
    try:
        parse_dict(content, message)
    except (ParseError, TypeError, ValueError) as error:
        raise unreadable(str(error)) from error
    return message


async def _is_source(version: Any, find_run: FindRun, roots: Iterable[str]) -> bool:
    """Whether a version may be made from its source; an empty one is left to MLflow, which refuses it."""
    source = str(version.source)
    if not source:
        return True
    if not _is_plain(source):
        return False
    if _IN_MLFLOW.match(source) or any(_is_below(source, root) for root in roots):
        return True
    tags: dict[str, str] = {tag.key: tag.value for tag in version.tags}
    if source in _OF_PROMPTS:
        return tags.get(_PROMPT, "").lower() == "true"
    # A run's artifacts lie where its experiment was given a place, which is checked, or was before this server.
    place = await find_run(version.run_id) if version.run_id else None
    return bool(place) and _is_below(source, str(place))


def _is_plain(place: str) -> bool:
    """Whether a place is what it looks like: no step upwards, however encoded, and no control characters."""
    text = place
    while (decoded := unquote(text)) != text:
        text = decoded
    steps_up = ".." in text.replace("\\", "/").split("/")
    return not steps_up and not any(unicodedata.category(c) == "Cc" for c in text)


def _is_below(place: str, root: str) -> bool:
    start = root.removeprefix("file://").rstrip("/")
    return bool(start) and f"{place.removeprefix('file://')}/".startswith(f"{start}/")


def _is_name(trace_id: str) -> bool:
    """Whether the folder of a trace with this id lies where MLflow puts it."""
    return _is_plain(trace_id) and _NO_NAME.isdisjoint(trace_id)


def _of_traces(content: Any) -> Iterator[str]:
    """Yield each place that a trace is tagged with: a mapping, or a list of names and values, at whatever depth."""
    waiting = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from (str(value) for key, value in item.items() if is_place(key))
            if is_place(str(item.get("key"))):
                yield str(item.get("value"))
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _require(allowed: bool, field: str, place: str) -> None:
    if not allowed:
        what = f"The server keeps no artifacts at {quoted(place)}."
        hint = "Leave the location out, or name one in MLflow: mlflow-artifacts:/…, runs:/… or models:/…"
        raise ValidationError([Problem(field=field, what=what, hint=hint)])
