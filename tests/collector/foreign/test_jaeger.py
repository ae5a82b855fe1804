"""Jaeger's Thrift and protobuf: what real clients wrote, what becomes of each field, and what is refused."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.errors import BadRequestError
from collector.foreign import jaeger_proto, jaeger_thrift
from collector.foreign.jaeger_proto import MESSAGES
from collector.foreign.thrift import MAX_LEVELS
from collector.foreign.translated import Translated
from collector.refusals import TooLargeError

DATA = Path(__file__).parent / "data"
THRIFT = (DATA / "jaeger_thrift_batch.bin").read_bytes()
PROTO = (DATA / "jaeger_post_spans.bin").read_bytes()
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
Translate = Callable[..., Translated]


def translated(
    translate: Translate, body: bytes, limit_bytes: int = 1 << 20, memory_bytes: int = 1 << 24
) -> Translated:
    return translate(body, limit_bytes=limit_bytes, memory_bytes=memory_bytes)


def spans_of(translate: Translate, body: bytes) -> dict[str, tuple[dict[str, Any], Any, Span]]:
    """Resource, scope and span by the span's name."""
    request = ExportTraceServiceRequest.FromString(translated(translate, body).body)
    return {
        span.name: (values(of_resource.resource.attributes), of_scope.scope, span)
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    }


def values(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def test_what_the_go_exporter_wrote_in_thrift() -> None:
    spans = spans_of(jaeger_thrift.translate, THRIFT)
    assert spans.keys() == {"POST /orders", "SELECT", "enqueue"}
    for resource, scope, _ in spans.values():
        assert resource == {"service.name": "checkout", "service.namespace": "shop", "process.pid": 4711}
        assert (scope.name, scope.version) == ("shop.checkout", "1.2.3")
    order, select, enqueue = (spans[name][2] for name in ("POST /orders", "SELECT", "enqueue"))
    assert (order.kind, select.kind, enqueue.kind) == (
        Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_PRODUCER,
    )  # fmt: skip
    assert not order.parent_span_id
    assert (select.trace_id, select.parent_span_id) == (order.trace_id, order.span_id)
    (link,) = select.links
    assert (link.trace_id, link.span_id) == (enqueue.trace_id, enqueue.span_id)
    assert values(link.attributes) == {"opentracing.ref_type": "follows_from"}
    assert values(order.attributes) == {
        "http.method": "POST", "http.status_code": 500, "retried": True, "share": 0.25,
    }  # fmt: skip
    assert (order.status.code, order.status.message) == (Status.STATUS_CODE_ERROR, "no stock")
    assert [(event.name, values(event.attributes)) for event in select.events] == [("waited", {"ms": 12})]
    assert order.start_time_unix_nano < select.start_time_unix_nano < select.end_time_unix_nano


def test_what_a_go_client_sent_over_grpc() -> None:
    spans = spans_of(jaeger_proto.translate, PROTO)
    (resource, _, order), (_, scope, select), (other, _, enqueue) = (
        spans[name] for name in ("POST /orders", "SELECT", "enqueue")
    )
    assert resource == {
        "service.name": "checkout", "service.namespace": "shop", "host.name": "node-1", "host.ip": "10.1.2.3",
        "jaeger.version": "Go-2.30.0", "pid": 4711,
    }  # fmt: skip
    assert other == {"service.name": "mailer"}, "a span's own process"
    assert order.trace_id.hex() == TRACE_ID
    assert order.end_time_unix_nano - order.start_time_unix_nano == 1_500_000
    assert values(order.attributes) == {
        "http.status_code": 500, "share": 0.25, "raw": b"\0\1\xfe",
        "jaeger.warnings": "clock skew adjustment disabled",
    }  # fmt: skip
    assert order.status.code == Status.STATUS_CODE_ERROR
    (event,) = order.events
    assert (event.name, values(event.attributes)) == ("exception", {"exception.message": "no stock"})
    assert event.time_unix_nano - order.start_time_unix_nano == 1_000_000
    assert (select.parent_span_id, select.flags) == (order.span_id, 1)
    assert (scope.name, select.status.code) == ("shop.db", Status.STATUS_CODE_OK)
    assert values(select.attributes) == {"jaeger.debug": True}
    (link,) = select.links
    assert (link.trace_id.hex(), link.span_id.hex()) == (16 * "0" + "1122334455667788", 14 * "0" + "99")
    assert (enqueue.trace_id.hex(), enqueue.parent_span_id) == (16 * "0" + "1122334455667788", b"")


@pytest.mark.parametrize(
    ("translate", "body"), [(jaeger_thrift.translate, THRIFT), (jaeger_proto.translate, PROTO)]
)
def test_the_same_bytes_become_the_same_bytes(translate: Translate, body: bytes) -> None:
    assert translated(translate, body) == translated(translate, body)


@pytest.mark.parametrize(
    ("references", "parent", "links"),
    [
        ([], "", []),
        ([(TRACE_ID, "01", 0)], "01", []),
        ([(TRACE_ID, "01", 1)], "01", []),
        ([(TRACE_ID, "01", 1), (TRACE_ID, "02", 0)], "02", ["01"]),
        ([(TRACE_ID, "01", 0), (TRACE_ID, "02", 0)], "01", ["02"]),
        ([(32 * "7", "01", 0)], "", ["01"]),
    ],
)
def test_of_all_references_one_may_be_the_parent(
    references: list[tuple[str, str, int]], parent: str, links: list[str]
) -> None:
    request = MESSAGES["PostSpansRequest"]()
    span = request.batch.spans.add(trace_id=bytes.fromhex(TRACE_ID), span_id=b"12345678", operation_name="a")
    for trace_id, span_id, kind in references:
        span.references.add(
            trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id).rjust(8, b"\0"), ref_type=kind
        )
    ((_, _, found),) = spans_of(jaeger_proto.translate, request.SerializeToString()).values()
    assert found.parent_span_id.hex() == (parent and parent.rjust(16, "0"))
    assert [link.span_id.hex()[-2:] for link in found.links] == links


# --- Thrift by hand


def field(kind: int, number: int, data: bytes) -> bytes:
    return struct.pack(">bh", kind, number) + data


def text(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


def listed(*items: bytes, kind: int = 12, count: int | None = None) -> bytes:
    return struct.pack(">bi", kind, len(items) if count is None else count) + b"".join(items)


PROCESS = field(12, 1, field(11, 1, text(b"shop")) + b"\0")
SPAN = (
    field(10, 1, struct.pack(">q", 5)) + field(10, 2, struct.pack(">q", 0))
    + field(10, 3, struct.pack(">q", -6)) + field(10, 4, struct.pack(">q", 0)) + field(11, 5, text(b"a"))
    + field(8, 7, struct.pack(">i", 0)) + field(10, 8, struct.pack(">q", 7))
    + field(10, 9, struct.pack(">q", 2))
)  # fmt: skip


def batch(*spans: bytes, more: bytes = b"") -> bytes:
    return PROCESS + field(15, 2, listed(*spans)) + more + b"\0"


def test_numbers_are_ids_whatever_their_sign() -> None:
    ((_, _, span),) = spans_of(jaeger_thrift.translate, batch(SPAN + b"\0")).values()
    assert (span.trace_id.hex(), span.span_id.hex()) == (31 * "0" + "5", 15 * "f" + "a")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (7000, 9000)


def test_what_is_not_known_is_skipped() -> None:
    inner = field(13, 1, struct.pack(">bbi", 11, 8, 1) + text(b"k") + struct.pack(">i", 1)) + field(
        14, 2, listed(b"\1", kind=2)
    ) + field(6, 3, b"\0\1") + field(3, 4, b"\1") + field(4, 5, bytes(8)) + b"\0"  # fmt: skip
    assert len(spans_of(jaeger_thrift.translate, batch(SPAN + b"\0", more=field(12, 9, inner)))) == 1


NESTED = b"\x0c\0\x09" * (MAX_LEVELS + 2)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "it ends too early, at byte 0"),
        (b"\0", "Batch.process is missing, at byte 1"),
        (PROCESS + b"\0", "Batch.spans is missing"),
        (batch(b"\0"), "Span.traceIdLow is missing"),
        (batch(SPAN + b"\0") + b"x", "there is something behind its end"),
        (field(8, 1, bytes(4)), "Batch.process is of type 8 and not 12, at byte 3"),
        (PROCESS + field(15, 2, listed(count=1 << 30)), "a length of 1073741824 is more than there is"),
        (PROCESS + field(15, 2, listed(count=-1)), "a length of -1 is more than there is"),
        (PROCESS + field(15, 2, listed(bytes(4), kind=8)), "spans is a list of type 8 and not of Span"),
        (PROCESS + field(1, 9, b""), "1 is no type"),
        (NESTED, f"it is nested more than {MAX_LEVELS} levels deep"),
        (b'{"spans": []}', "123 is no type, at byte 3"),
    ],
)
def test_what_is_no_batch_is_told_with_its_place(body: bytes, told: str) -> None:
    with pytest.raises(BadRequestError) as error:
        translated(jaeger_thrift.translate, body)
    assert str(error.value).startswith("the body is not a Thrift Batch of Jaeger: ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    "unknown",
    [
        field(15, 9, listed(*[b"\0"] * 1000)),
        field(12, 9, field(3, 1, b"\1") * 1000 + b"\0"),
        field(15, 9, listed(*[bytes(4)] * 1000, kind=11)),
        field(13, 9, struct.pack(">bbi", 2, 2, 1000) + bytes(2000)),
    ],
    ids=["structs", "fields", "texts", "pairs"],
)
def test_what_is_skipped_costs_what_is_read_costs(unknown: bytes) -> None:
    """A byte of it takes as long; 64 MiB of them took minutes."""
    body = batch(SPAN + b"\0", more=unknown)
    assert spans_of(jaeger_thrift.translate, body)
    with pytest.raises(TooLargeError, match="too many parts"):
        translated(jaeger_thrift.translate, body, memory_bytes=400_000)
    at_once = field(15, 9, listed(bytes(8 * 1000), kind=10, count=1000))
    assert translated(jaeger_thrift.translate, batch(SPAN + b"\0", more=at_once), memory_bytes=400_000).body


def test_memory_and_size_are_bounded() -> None:
    with pytest.raises(TooLargeError, match="too many parts"):
        translated(jaeger_thrift.translate, batch(*[SPAN + b"\0"] * 1000), memory_bytes=300_000)
    with pytest.raises(TooLargeError, match="more than 100 bytes as OTLP"):
        translated(jaeger_thrift.translate, THRIFT, limit_bytes=100)
    spans = b"\x0a\0" * 10_000
    request = b"\x0a" + b"\xa0\x9c\x01" + spans
    with pytest.raises(TooLargeError, match="too many parts"):
        translated(jaeger_proto.translate, request, memory_bytes=10_000_000)
    with pytest.raises(TooLargeError, match="larger than the 16666 bytes"):
        translated(jaeger_proto.translate, request, memory_bytes=1_000_000)


@pytest.mark.parametrize("body", [b"\x0a\x05", b"\x08\x01\x0b", b"\x0a\x04\x0a\x02\x1a\xff"])
def test_what_is_no_request_in_protobuf_is_told(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="not a valid PostSpansRequest"):
        translated(jaeger_proto.translate, body)


@pytest.mark.parametrize(
    ("translate", "body"), [(jaeger_thrift.translate, THRIFT), (jaeger_proto.translate, PROTO)]
)
def test_every_truncation_is_refused_or_read(translate: Translate, body: bytes) -> None:
    refused = 0
    for size in range(len(body)):
        try:
            translated(translate, body[:size])
        except BadRequestError:
            refused += 1
    assert refused > len(body) // 2


@given(st.data())
@pytest.mark.parametrize(
    ("translate", "body"), [(jaeger_thrift.translate, THRIFT), (jaeger_proto.translate, PROTO)]
)
def test_damage_is_refused_or_read(translate: Translate, body: bytes, data: Any) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    damaged = body[:at] + data.draw(st.binary(max_size=9)) + body[at + data.draw(st.integers(0, 9)) :]
    with contextlib.suppress(BadRequestError, TooLargeError):
        result = translated(translate, damaged)
        ExportTraceServiceRequest.FromString(result.body)


@given(st.binary(max_size=300))
@pytest.mark.parametrize("translate", [jaeger_thrift.translate, jaeger_proto.translate])
def test_any_bytes(translate: Translate, body: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        translated(translate, body)
