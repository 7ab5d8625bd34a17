from __future__ import annotations

import gzip
import json
import zlib

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hokusai_nb.backends.mlflow import spans
from hokusai_nb.backends.mlflow.spans import checked_spans, concerns_spans
from hokusai_nb.errors import ValidationError

JSON, PROTOBUF = "application/json", "application/x-protobuf"
TAG = "mlflow.traceTag."


def request_of(*keys, of_resource=()):
    request = ExportTraceServiceRequest()
    sender = request.resource_spans.add()
    for key in of_resource:
        sender.resource.attributes.add(key=key).value.string_value = "/etc"
    span = sender.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, parent_span_id=b"p" * 8, name="n")
    for key in keys:
        span.attributes.add(key=key).value.string_value = "/etc"
    return request


def check(request):
    return checked_spans(request.SerializeToString(), PROTOBUF, "")


@pytest.mark.parametrize(
    "key",
    [
        *(f"{TAG}mlflow.artifactLocation", f"{TAG}mlflow.trace.archiveLocation", f"{TAG}mlflow.trace.spansLocation"),
        *(f"{TAG}MLFLOW.artifactLocation", f"{TAG} mlflow.artifactLocation ", f"{TAG}mlflöw.artifactLocation"),
        *(f"{TAG}mlflow.anything", "mlflow.artifactLocation", "mlflow.trace.archiveLocation"),
    ],
)
def test_no_span_sets_what_mlflow_keeps_for_itself(key):
    with pytest.raises(ValidationError, match="cannot set"):
        check(request_of("kept", key))


@pytest.mark.parametrize("key", [f"{TAG}team", f"{TAG}my.mlflow.x", "mlflow.spanInputs", "mlflow.traceTag", "größe"])
def test_any_other_attribute_passes(key):
    assert ExportTraceServiceRequest.FromString(check(request_of(key))) == request_of(key)


def test_neither_does_what_sends_it():
    assert check(request_of(of_resource=["service.name", "mlflow.version"]))
    with pytest.raises(ValidationError, match="cannot set"):
        check(request_of(of_resource=["mlflow.artifactLocation"]))


def test_json_has_its_ids_in_hexadecimal():
    link = {"traceId": b"l".hex() * 16, "spanId": b"k".hex() * 8}
    span = {"traceId": b"t".hex() * 16, "spanId": b"s".hex() * 8, "parentSpanId": "", "links": [link], "unknown": 1}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    (read,) = ExportTraceServiceRequest.FromString(checked_spans(body, JSON, "")).resource_spans[0].scope_spans[0].spans
    assert (read.trace_id, read.span_id, read.parent_span_id) == (b"t" * 16, b"s" * 8, b"")
    assert (read.links[0].trace_id, read.links[0].span_id) == (b"l" * 16, b"k" * 8)


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        (b"{", JSON, ""),
        (b"[]", JSON, ""),
        (b'{"resourceSpans": 1}', JSON, ""),
        (b'{"resourceSpans": [], "resourceSpans": []}', JSON, ""),
        (b'{"a": {"traceId": "xyz"}}', JSON, ""),
        (b'{"a":' * 100_000, JSON, ""),
        (b"\xff\xff", PROTOBUF, ""),
        (b"", "", ""),
        (b"", "text/plain", ""),
        (b"", PROTOBUF, "br"),
        (b"", PROTOBUF, "gzip, gzip"),
        (b"x", PROTOBUF, "gzip"),
        (gzip.compress(b"abc")[:-4], PROTOBUF, "gzip"),
        (b"x", PROTOBUF, "deflate"),
    ],
)
def test_what_cannot_be_read_is_refused(body, content_type, encoding):
    with pytest.raises(ValidationError, match="cannot be read"):
        checked_spans(body, content_type, encoding)


@pytest.mark.parametrize(("pack", "encoding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
def test_a_small_body_that_holds_very_much_is_refused(monkeypatch, pack, encoding):
    monkeypatch.setattr(spans, "MOST", 1 << 20)
    with pytest.raises(ValidationError, match="more than 1,048,576 bytes"):
        checked_spans(pack(b"\0" * (8 << 20)), PROTOBUF, encoding)


def test_a_file_may_be_called_like_a_place_for_spans():
    assert concerns_spans("POST", "/v1/traces")
    assert not concerns_spans("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/v1/traces")
    assert not concerns_spans("GET", "/v1/traces")
