"""Other protocols over HTTP: what is asked before a body is read, what is stored, what senders are told."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from ingest.signals import Signal

DATA = Path(__file__).parent / "data"
ASCEND = (DATA / "zipkin_ascend.json").read_bytes()
THRIFT = (DATA / "jaeger_thrift_batch.bin").read_bytes()
JSON = "application/json"
ZIPKIN = "/api/v2/spans"
JAEGER = "/api/traces"
X_THRIFT = "application/x-thrift"


def spans_of(body: bytes) -> list[dict[str, Any]]:
    """Each span with its resource's and its own attributes."""
    return [
        {
            "span": span,
            **{
                pair.key: pair.value.string_value
                for pair in (*resource.resource.attributes, *span.attributes)
            },
        }
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", None])
async def test_zipkin_is_stored_and_answered_as_by_zipkin(collector: Any, kind: str | None) -> None:
    reply = await collector.post(ZIPKIN, ASCEND, kind)
    assert (reply.status_code, reply.content) == (202, b"")
    assert collector.stored == [(Signal.TRACES, "default", 8)]
    assert collector.count("items_accepted_total", signal="traces") == 8
    assert collector.count("requests_total", signal="traces", transport="http", code="200") == 1


async def test_credentials_in_tags_are_not_kept(collector: Any) -> None:
    spans = json.loads(ASCEND)
    spans[0]["tags"] = {"http.request.header.cookie": "hunter2", "authorization": "hunter2", "seen": "kept"}
    assert (await collector.post(ZIPKIN, json.dumps(spans).encode(), JSON)).status_code == 202
    (body,) = collector.bodies()
    assert b"kept" in body
    assert b"hunter2" not in body


async def test_what_is_sent_again_is_stored_once(collector: Any) -> None:
    for body, headers in ((ASCEND, {}), (gzip.compress(ASCEND), {"content_encoding": "gzip"})):
        assert (await collector.post(ZIPKIN, body, JSON, **headers)).status_code == 202
    assert collector.stored == [(Signal.TRACES, "default", 8)]


async def test_the_real_exporter_of_opentelemetry(collector: Any) -> None:
    exporter = ZipkinExporter(endpoint=collector.server.http_url + ZIPKIN)
    provider = TracerProvider(resource=Resource({"service.name": "shop", "k8s.pod.name": "shop-1"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("lib", "3")

    def work() -> None:
        with tracer.start_as_current_span("order", kind=SpanKind.SERVER, attributes={"n": 1}) as span:
            span.add_event("waited", {"ms": 12})
            span.set_status(Status(StatusCode.ERROR, "no stock"))

    await asyncio.to_thread(work)
    provider.shutdown()
    (found,) = (span for body in collector.bodies() for span in spans_of(body))
    assert (found["service.name"], found["k8s.pod.name"], found["n"]) == ("shop", "shop-1", "1")
    span = found["span"]
    assert (span.name, span.kind, span.status.code, span.status.message) == ("order", 2, 2, "no stock")
    assert [event.name for event in span.events] == ["waited"]


async def test_a_part_that_is_refused_is_told_and_counted(collector: Any, now_us: int) -> None:
    good = {"traceId": "1", "id": "2", "timestamp": now_us}
    ahead = {"traceId": "1", "id": "3", "timestamp": now_us + 10**11, "name": "ahead"}
    body = json.dumps([good, ahead, {"traceId": "1", "id": "4"}]).encode()
    for _ in range(2):
        reply = await collector.post(ZIPKIN, body, JSON)
        assert reply.status_code == 202
        assert "without timestamp and annotations" in reply.text
        assert "outside the accepted time window" in reply.text
    assert collector.stored == [(Signal.TRACES, "default", 1)]
    assert collector.count("items_refused_total", signal="traces", reason="check") == 2
    assert collector.count("items_received_total", signal="traces") == 3


@pytest.mark.parametrize(("path", "kind"), [(ZIPKIN, JSON), (JAEGER, X_THRIFT)])
async def test_who_may_not_send_is_told_before_the_body_is_read(collector: Any, path: str, kind: str) -> None:
    for token, status in (("Basic x", 401), ("Bearer nothing", 403)):
        reply = await collector.post(path, b"whatever this is", kind, authorization=token)
        assert reply.status_code == status
    assert not collector.stored


@pytest.mark.parametrize(
    ("path", "body", "kind", "items"), [(ZIPKIN, ASCEND, JSON, 8), (JAEGER, THRIFT, X_THRIFT, 3)]
)
async def test_spans_are_the_tenants(collector: Any, path: str, body: bytes, kind: str, items: int) -> None:
    reply = await collector.post(path, body, kind, authorization="Bearer traces")
    assert reply.status_code == 202
    assert collector.stored == [(Signal.TRACES, "traces", items)]


@pytest.mark.parametrize("kind", [X_THRIFT, "application/vnd.apache.thrift.binary"])
async def test_jaegers_thrift_is_stored_once(collector: Any, kind: str) -> None:
    for _ in range(2):
        reply = await collector.post(JAEGER, THRIFT, kind)
        assert (reply.status_code, reply.content) == (202, b"")
    assert collector.stored == [(Signal.TRACES, "default", 3)]


@pytest.mark.parametrize(
    ("path", "kind", "body", "status", "told"),
    [
        (ZIPKIN, JSON, b"{}", 400, "the body: expected a list, got an object"),
        (ZIPKIN, JSON, b'[{"traceId": "1"}]', 400, "[0].id: expected an id"),
        (JAEGER, X_THRIFT, b"[]", 400, "not a Thrift Batch of Jaeger: it ends too early"),
        (JAEGER, JSON, b"[]", 415, "application/x-thrift or application/vnd.apache.thrift.binary"),
        (ZIPKIN, "text/plain", b"[]", 415, "the content type must be application/json"),
        (ZIPKIN, JSON, b"[" + b"{}," * 100_000 + b"{}]", 413, "too many values"),
        (ZIPKIN, JSON, b" " * (1 << 20) + b"[]", 413, "larger than 1048576 bytes"),
    ],
)
async def test_what_cannot_be_read_is_told(
    collector: Any, path: str, kind: str, body: bytes, status: int, told: str
) -> None:
    reply = await collector.post(path, body, kind)
    assert reply.status_code == status
    assert told in reply.text
    assert reply.headers["content-type"].startswith("text/plain")
    assert not collector.stored


async def test_a_bomb_is_not_unpacked(collector: Any) -> None:
    bomb = gzip.compress(b"[" + b" " * (1 << 25))
    reply = await collector.post(ZIPKIN, bomb, JSON, content_encoding="gzip")
    assert (reply.status_code, "after decompression" in reply.text) == (413, True)


@pytest.mark.parametrize("path", [ZIPKIN, JAEGER])
async def test_other_methods(collector: Any, path: str) -> None:
    reply = await collector.http.get(path)
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


async def test_an_empty_list_is_a_success_without_anything_to_store(collector: Any) -> None:
    assert (await collector.post(ZIPKIN, b"[]", JSON)).status_code == 202
    assert not collector.stored


async def test_the_address_of_each_is_told(collector: Any) -> None:
    reply = await collector.post("/api/v3/spans", b"", JSON)
    assert reply.status_code == 404
    assert "Prometheus remote write at /api/v1/write, Zipkin at /api/v2/spans" in reply.text
