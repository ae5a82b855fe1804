"""Zipkin v2 JSON: what becomes of each field, and what is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.errors import BadRequestError
from collector.foreign.translated import Translated
from collector.foreign.zipkin import translate
from collector.refusals import TooLargeError

ASCEND = (Path(__file__).parent / "data" / "zipkin_ascend.json").read_bytes()
ONE: dict[str, Any] = {
    "traceId": "463ac35c9f6413ad48485a3953bb6124",
    "id": "a2fb4a1d1a96d312",
    "timestamp": 1_000_000,
    "localEndpoint": {"serviceName": "shop"},
}


def translated(body: bytes | Any, limit_bytes: int = 1 << 20, memory_bytes: int = 1 << 24) -> Translated:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return translate(data, limit_bytes=limit_bytes, memory_bytes=memory_bytes)


def request_of(body: bytes | Any) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(translated(body).body)


def spans_of(body: bytes | Any) -> list[tuple[str, Span]]:
    """Every span with its service."""
    found = []
    for of_resource in request_of(body).resource_spans:
        service = values(of_resource.resource.attributes).get("service.name", "")
        found += [(service, span) for scope in of_resource.scope_spans for span in scope.spans]
    return found


def values(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def one(**changed: Any) -> Span:
    ((_, span),) = spans_of([ONE | changed])
    return span


def test_a_recorded_trace_hangs_together() -> None:
    spans = spans_of(ASCEND)
    assert sorted(service for service, _ in spans) == sorted(
        3 * ["mobile-gateway"] + 3 * ["content-service"] + 2 * ["auth-service"]
    )
    ids = {span.span_id: (service, span.name) for service, span in spans}
    assert len(ids) == len(spans), "an id for each"
    parents = {(service, span.name, span.kind): ids.get(span.parent_span_id) for service, span in spans}
    assert parents == {
        ("mobile-gateway", "get", Span.SPAN_KIND_SERVER): None,
        ("mobile-gateway", "get", Span.SPAN_KIND_CLIENT): ("mobile-gateway", "get"),
        ("content-service", "get /content/personal", Span.SPAN_KIND_SERVER): ("mobile-gateway", "get"),
        ("content-service", "get", Span.SPAN_KIND_CLIENT): ("content-service", "get /content/personal"),
        ("content-service", "hystrix", Span.SPAN_KIND_INTERNAL): ("content-service", "get /content/personal"),
        ("auth-service", "http:/parent/auth-service/v1/authentications/", Span.SPAN_KIND_SERVER): (
            "mobile-gateway",
            "get",
        ),
        ("auth-service", "extend-token-life", Span.SPAN_KIND_INTERNAL): (
            "auth-service",
            "http:/parent/auth-service/v1/authentications/",
        ),
    }
    (root,) = (span for _, span in spans if not span.parent_span_id)
    assert root.trace_id.hex() == "0000000000000000ef86c83c0a05a6d6"
    assert root.start_time_unix_nano == 1531282088533035000
    assert root.end_time_unix_nano - root.start_time_unix_nano == 38793000
    assert values(root.attributes) == {
        "http.method": "GET",
        "http.path": "/mobile-gateway/content/personal",
        "network.local.address": "172.17.0.13",
        "network.peer.address": "110.170.201.178",
        "network.peer.port": 39308,
    }


def test_the_same_bytes_become_the_same_bytes() -> None:
    assert translated(ASCEND) == translated(ASCEND)


def test_ids_are_padded_from_the_left() -> None:
    span = one(traceId="1", id="2", parentId="3")
    assert (span.trace_id.hex(), span.span_id.hex()) == (31 * "0" + "1", 15 * "0" + "2")
    assert span.parent_span_id.hex() == 15 * "0" + "3"
    assert one(parentId=ONE["id"]).parent_span_id == b"", "its own parent"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(None, 1), ("CLIENT", 3), ("SERVER", 2), ("PRODUCER", 4), ("CONSUMER", 5), ("client", 3)],
)
def test_kinds(kind: str | None, expected: int) -> None:
    assert one(kind=kind).kind == expected


@pytest.mark.parametrize(
    ("tags", "code", "message", "left"),
    [
        ({"error": "no stock"}, Status.STATUS_CODE_ERROR, "no stock", {}),
        ({"error": ""}, Status.STATUS_CODE_ERROR, "", {}),
        ({"error": "true"}, Status.STATUS_CODE_ERROR, "", {}),
        ({"error": "false"}, Status.STATUS_CODE_UNSET, "", {"error": "false"}),
        ({"otel.status_code": "OK"}, Status.STATUS_CODE_OK, "", {}),
        ({"otel.status_code": "ERROR", "error": "gone"}, Status.STATUS_CODE_ERROR, "gone", {}),
        ({"otel.status_code": "ERROR", "otel.status_description": "x"}, Status.STATUS_CODE_ERROR, "x", {}),
        ({"otel.status_code": "??"}, Status.STATUS_CODE_UNSET, "", {"otel.status_code": "??"}),
    ],
)
def test_status(tags: dict[str, str], code: int, message: str, left: dict[str, str]) -> None:
    span = one(tags=tags)
    assert (span.status.code, span.status.message, values(span.attributes)) == (code, message, left)


def test_what_is_about_the_process_goes_to_the_resource_and_the_scope() -> None:
    tags = {
        "k8s.pod.name": "shop-1", "service.name": "not this", "otel.library.name": "lib",
        "otel.library.version": "2", "w3c.tracestate": "a=b", "n": 3, "part": 0.5, "is": True,
    }  # fmt: skip
    request = request_of([ONE | {"tags": tags}, ONE | {"id": "1"}])
    first, second = request.resource_spans
    assert values(first.resource.attributes) == {"k8s.pod.name": "shop-1", "service.name": "shop"}
    (scope,) = first.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("lib", "2")
    assert values(scope.spans[0].attributes) == {"n": 3, "part": 0.5, "is": True}
    assert scope.spans[0].trace_state == "a=b"
    assert values(second.resource.attributes) == {"service.name": "shop"}


def test_annotations_and_endpoints() -> None:
    annotations = [
        {"timestamp": 1_000_002, "value": "ws"},
        {"timestamp": 1_000_001, "value": '{"waited": {"ms": 12, "why": ["a"]}}'},
        {"timestamp": 1_000_003, "value": '{"not an event": 1}'},
    ]
    remote = {"serviceName": "db", "ipv6": "::1", "port": 5432}
    span = one(annotations=annotations, remoteEndpoint=remote, debug=True, timestamp=None)
    assert span.start_time_unix_nano == span.end_time_unix_nano == 1_000_001_000
    assert [(event.name, event.time_unix_nano, values(event.attributes)) for event in span.events] == [
        ("ws", 1_000_002_000, {}),
        ("waited", 1_000_001_000, {"ms": 12, "why": '["a"]'}),
        ('{"not an event": 1}', 1_000_003_000, {}),
    ]
    assert values(span.attributes) == {
        "peer.service": "db", "network.peer.address": "::1", "network.peer.port": 5432, "zipkin.debug": True,
    }  # fmt: skip


def test_a_span_without_a_time_is_refused_by_itself() -> None:
    result = translated([{**ONE, "timestamp": None, "name": "late"}, ONE])
    assert result.refused == 1
    assert result.reason == (
        "1 of 2 spans refused: 1 without timestamp and annotations (first: span 'late' of service 'shop')"
    )
    assert len(ExportTraceServiceRequest.FromString(result.body).resource_spans) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "the body is not Zipkin v2 JSON: the body: expected a list, got an object"),
        ([None], "the body is not Zipkin v2 JSON: [0]: expected an object, got null"),
        ([ONE, {}], "[1].traceId: expected an id of 1 to 32 hexadecimal digits, got null"),
        ([ONE | {"id": "xyz"}], "[0].id: expected an id of 1 to 16 hexadecimal digits, got the text 'xyz'"),
        ([ONE | {"id": 17 * "1"}], "[0].id: expected an id of 1 to 16"),
        ([ONE | {"traceId": "0x1"}], "[0].traceId: expected an id"),
        (
            [ONE | {"kind": "BOTH"}],
            "[0].kind: expected CLIENT, SERVER, PRODUCER or CONSUMER, got the text 'BOTH'",
        ),
        ([ONE | {"timestamp": "now"}], "[0].timestamp: expected a whole number, got the text 'now'"),
        ([ONE | {"timestamp": -1}], "[0].timestamp: expected a whole number, got the number -1"),
        ([ONE | {"duration": 1.5}], "[0].duration: expected a whole number, got the number 1.5"),
        ([ONE | {"duration": True}], "[0].duration: expected a whole number, got true"),
        ([ONE | {"tags": ["a"]}], "[0].tags: expected an object, got a list"),
        ([ONE | {"tags": {"a": {}}}], "[0].tags.a: expected a text, got an object"),
        ([ONE | {"annotations": [7]}], "[0].annotations[0]: expected an object, got the number 7"),
        ([ONE | {"localEndpoint": "shop"}], "[0].localEndpoint: expected an object, got the text 'shop'"),
        ([ONE | {"localEndpoint": {"serviceName": 1}}], "[0].localEndpoint.serviceName: expected a text"),
        ([ONE | {"shared": "yes"}], "[0].shared: expected true or false, got the text 'yes'"),
        (b"[{", "the body is not Zipkin v2 JSON: unexpected end of data"),
        (b"[" * 5000, "the body is not Zipkin v2 JSON:"),
        (b'["\xff"]', "the body is not Zipkin v2 JSON:"),
    ],
)
def test_what_is_wrong_is_named(body: Any, told: str) -> None:
    with pytest.raises(BadRequestError) as error:
        translated(body)
    assert told in str(error.value)


def test_what_takes_too_much_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLargeError, match="too many values"):
        translated(b"[" + b"{}," * 100_000 + b"{}]")
    with pytest.raises(TooLargeError, match="more than 100 bytes as OTLP"):
        translated([ONE, ONE], limit_bytes=100)


def test_times_beyond_otlp_stay_numbers_of_it() -> None:
    span = one(timestamp=(1 << 64) - 1, duration=(1 << 64) - 1)
    assert span.start_time_unix_nano == span.end_time_unix_nano == (1 << 64) - 1


SCALARS = st.none() | st.booleans() | st.integers(-5, 1 << 70) | st.floats() | st.text(max_size=20)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "traceId", "id", "parentId", "kind", "name", "timestamp", "duration", "localEndpoint", "remoteEndpoint",
    "annotations", "tags", "debug", "shared",
]  # fmt: skip
ODD_SPANS = st.dictionaries(st.sampled_from(FIELDS), ANY_JSON, max_size=3).map(lambda odd: ONE | odd)


@given(st.lists(ODD_SPANS, max_size=3) | ANY_JSON)
def test_any_json_is_translated_or_refused_with_a_reason(body: Any) -> None:
    with contextlib.suppress(BadRequestError):
        result = translated(body)
        assert result == translated(body)
        ExportTraceServiceRequest.FromString(result.body)


@given(st.binary(max_size=200) | st.binary(max_size=30).map(lambda junk: ASCEND[:300] + junk))
def test_any_bytes(body: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        translated(body)
