"""Spans that a client sends by OpenTelemetry's protocol, from which MLflow takes tags of traces too."""

from __future__ import annotations

import base64
import gzip
import io
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from mlflow.tracing.constant import SpanAttributeKey
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hokusai_nb.backends.mlflow.forwarded_tags import parsed, unreadable
from hokusai_nb.backends.mlflow.locations import ARTIFACT_PATH, WRITING, folded, is_place
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

__all__ = ["CONTENT_TYPE", "MOST", "checked_spans", "concerns_spans"]

CONTENT_TYPE = "application/x-protobuf"
MOST = 32 * 2**20
"""Bytes of spans at once, unpacked."""
_JSON = "application/json"
_IDS = ("traceId", "spanId", "parentSpanId")
"""Hexadecimal in this protocol's JSON, where protobuf's own has base64."""
_RESERVED = "mlflow."


def concerns_spans(method: str, path: str) -> bool:
    """Whether a request sends spans, by whichever path."""
    parts = [part for part in path.lower().split("/") if part]
    return method in WRITING and parts[-2:] == ["v1", "traces"] and not ARTIFACT_PATH.match(path)


def checked_spans(body: bytes, content_type: str, encoding: str) -> bytes:
    """Return the spans as protobuf, unpacked and written anew, so that MLflow reads what was checked.

    Args:
        body: As it came.
        content_type: What it is said to be: protobuf or JSON.
        encoding: How it is packed: ``gzip``, ``deflate`` or not at all.

    Raises:
        ValidationError: It cannot be read, or would set what MLflow keeps of a trace for itself.
    """
    request = _read(_unpacked(body, encoding.lower()), content_type.partition(";")[0].strip().lower())
    for key in _attributes(request):
        if _is_reserved(key):
            what = f"A span cannot set {quoted(key)}: MLflow keeps by it where it finds a trace."
            raise ValidationError([Problem(field="attributes", what=what, hint="Give the tag another name.")])
    return request.SerializeToString()


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Return the body as it was before it was packed; a small one may hold very much.

    Raises:
        ValidationError: It is too large, broken, or packed in a way that MLflow does not know.
    """
    try:
        if encoding == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
                body = file.read(MOST + 1)
        elif encoding == "deflate":
            body = _inflated(body)
        elif encoding:
            reason = f"nothing here unpacks {quoted(encoding)}"
            raise unreadable(reason)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(str(error)) from error
    if len(body) > MOST:
        what = f"The spans have more than {MOST:,} bytes."
        raise ValidationError([Problem(field="body", what=what, hint="Send fewer at once.")])
    return body


def _inflated(body: bytes) -> bytes:
    """Return what is packed with zlib's head, or, as some clients send it, without.

    Raises:
        zlib.error: It is neither, or not whole.
    """
    for wbits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        reader = zlib.decompressobj(wbits)
        with suppress(zlib.error):
            found = reader.decompress(body, MOST + 1)
            if reader.eof or len(found) > MOST:
                return found
    reason = "it is not packed as it says"
    raise zlib.error(reason)


def _read(body: bytes, content_type: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    try:
        if content_type == _JSON:
            ParseDict(_with_ids(parsed(body)), request, ignore_unknown_fields=True)
        elif content_type == CONTENT_TYPE:
            request.ParseFromString(body)
        else:
            reason = f"spans are {CONTENT_TYPE} or {_JSON}"
            raise unreadable(reason)
    except (DecodeError, ParseError, RecursionError, TypeError, ValueError) as error:
        raise unreadable(str(error)) from error
    request.DiscardUnknownFields()
    return request


def _with_ids(item: Any) -> Any:
    """Return JSON with its ids as protobuf's JSON has them."""
    if isinstance(item, list):
        return [_with_ids(value) for value in item]
    if not isinstance(item, dict):
        return item
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in _IDS and isinstance(value, str)
        else _with_ids(value)
        for key, value in item.items()
    }


def _attributes(request: ExportTraceServiceRequest) -> Iterator[str]:
    """Yield each attribute's name, of spans and of what sends them."""

    def keys(attributes: Iterable[KeyValue]) -> Iterator[str]:
        return (attribute.key for attribute in attributes)

    for sender in request.resource_spans:
        yield from keys(sender.resource.attributes)
        for scope in sender.scope_spans:
            for span in scope.spans:
                yield from keys(span.attributes)


def _is_reserved(key: str) -> bool:
    """Whether MLflow would make of an attribute a tag that it reads itself; its own client sends none."""
    prefix = SpanAttributeKey.TRACE_TAG_PREFIX
    return is_place(key) or (key.startswith(prefix) and folded(key.removeprefix(prefix)).startswith(_RESERVED))
