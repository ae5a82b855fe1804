"""Plain attributes become two lists of strings on the way into the store, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from ingest.signals import Signal
from ingest.store import plain as module
from ingest.store.plain import KEYS, SIZE, VALUES, plain
from ingest.store.plain_pairs import SEPARATOR

REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
BETWEEN = chr(SEPARATOR)
TEXTS = st.one_of(
    st.text(max_size=20), st.just(f"a{BETWEEN}b"), st.text(min_size=120, max_size=140), st.just("long" * 5000)
)
PLAIN = st.one_of(
    st.builds(AnyValue, string_value=TEXTS),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.just(AnyValue()),
)
OTHERS = st.one_of(
    st.builds(AnyValue, double_value=st.floats()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=9)),
    st.builds(lambda one: AnyValue(array_value={"values": [one]}), PLAIN),
    st.builds(lambda key, one: AnyValue(kvlist_value={"values": [{"key": key, "value": one}]}), TEXTS, PLAIN),
)
ATTRIBUTES = st.lists(st.builds(KeyValue, key=TEXTS, value=st.one_of(PLAIN, PLAIN, OTHERS)), max_size=5)


def span(draw: st.DrawFn, scope: Any) -> None:
    made = scope.spans.add(name=draw(TEXTS), start_time_unix_nano=draw(st.integers(0, 2**64 - 1)), flags=7)
    made.attributes.extend(draw(ATTRIBUTES))
    made.events.add(name="e").attributes.extend(draw(ATTRIBUTES))
    made.links.add(trace_id=b"t" * 16).attributes.extend(draw(ATTRIBUTES))
    made.status.message = draw(TEXTS)


def record(draw: st.DrawFn, scope: Any) -> None:
    made = scope.log_records.add(severity_number=9, body=draw(st.one_of(PLAIN, OTHERS)))
    made.attributes.extend(draw(ATTRIBUTES))


def metric(draw: st.DrawFn, scope: Any) -> None:
    made = scope.metrics.add(name=draw(TEXTS))
    kind = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram", "summary"]))
    for _ in range(draw(st.integers(1, 2))):
        point = getattr(made, kind).data_points.add(time_unix_nano=draw(st.integers(0, 2**63)))
        point.attributes.extend(draw(ATTRIBUTES))
        if kind != "summary":
            point.exemplars.add().filtered_attributes.extend(draw(ATTRIBUTES))


@st.composite
def requests(draw: st.DrawFn, signal: Signal) -> Message:
    request: Any = REQUESTS[signal]()
    of = "spans" if signal is Signal.TRACES else signal.value
    for _ in range(draw(st.integers(0, 2))):
        entry = getattr(request, f"resource_{of}").add()
        entry.resource.attributes.extend(draw(ATTRIBUTES))
        entry.schema_url = draw(TEXTS)
        for _ in range(draw(st.integers(0, 2))):
            scopes = {
                Signal.TRACES: "scope_spans",
                Signal.METRICS: "scope_metrics",
                Signal.LOGS: "scope_logs",
            }
            scope = getattr(entry, scopes[signal]).add()
            scope.scope.attributes.extend(draw(ATTRIBUTES))
            for _ in range(draw(st.integers(0, 3))):
                {Signal.TRACES: span, Signal.METRICS: metric, Signal.LOGS: record}[signal](draw, scope)
    return request


def owners(message: Any) -> Iterator[Any]:
    """Every message with attributes that are rewritten."""
    kind = message.DESCRIPTOR.name
    if kind in ("Event", "Link", "Exemplar", "AnyValue", "KeyValue"):
        return
    if "attributes" in message.DESCRIPTOR.fields_by_name:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                yield from owners(each)


def text_of(value: AnyValue) -> str | None:
    """What a plain value is as text, None for the others."""
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind in ("string_value", "int_value"):
        return str(getattr(value, kind))
    return "" if kind is None else None


def is_plain(attribute: KeyValue) -> bool:
    """Whether it is to move."""
    text = text_of(attribute.value)
    return attribute.key != "" and text is not None and BETWEEN not in attribute.key + text


def pairs(message: Message) -> list[tuple[str, str]]:
    """What stands in `text_keys` and `text_values`."""
    lists = {unknown.field_number: unknown.data for unknown in UnknownFieldSet(message)}
    assert lists.keys() <= {KEYS, VALUES, SIZE}
    if KEYS not in lists:
        assert VALUES not in lists
        return []
    keys, values = (lists[number].decode().split(BETWEEN) for number in (KEYS, VALUES))
    return list(zip(keys, values, strict=True))


def sizes(message: Message) -> list[int]:
    """What stands in `size_bytes`."""
    return [unknown.data for unknown in UnknownFieldSet(message) if unknown.field_number == SIZE]


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_plain_attributes_move_and_nothing_else_does(signal: Signal, data: st.DataObject) -> None:
    before: Any = data.draw(requests(signal))
    after = REQUESTS[signal].FromString(plain(signal, before.SerializeToString()))

    for old, new in zip(list(owners(before)), list(owners(after)), strict=True):
        is_record = old.DESCRIPTOR.name not in ("Resource", "InstrumentationScope")
        assert sizes(new) == ([old.ByteSize()] if is_record else [])
        moved = [(each.key, text_of(each.value)) for each in old.attributes if is_plain(each)]
        assert pairs(new) == moved
        left = [each for each in old.attributes if not is_plain(each)]
        assert [each.SerializeToString() for each in new.attributes] == [
            each.SerializeToString() for each in left
        ]
        del old.attributes[:], new.attributes[:]
    after.DiscardUnknownFields()
    assert after.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
@example(data=None).via("nothing at all")
def test_a_request_that_cannot_be_walked_is_left_as_it_is(signal: Signal, data: Any) -> None:
    if data is None:
        assert plain(signal, b"") == b""
        return
    whole = data.draw(requests(signal)).SerializeToString()
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))] + data.draw(st.binary(max_size=12)))
    for _ in range(data.draw(st.integers(0, 3))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    after = plain(signal, bytes(broken))
    try:
        REQUESTS[signal].FromString(bytes(broken))
    except DecodeError:
        return  # whatever it is, the engine says so
    REQUESTS[signal].FromString(after)


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 16_383, 16_384, 2_097_152])
def test_lengths_of_any_size_are_written_right(size: int) -> None:
    request = ExportTraceServiceRequest()
    made = request.resource_spans.add().scope_spans.add().spans.add()
    key = "k" * max(1, size)
    made.attributes.add(key=key, value=AnyValue(string_value="v" * size))

    after = ExportTraceServiceRequest.FromString(plain(Signal.TRACES, request.SerializeToString()))

    assert pairs(after.resource_spans[0].scope_spans[0].spans[0]) == [(key, "v" * size)]


@pytest.mark.parametrize(
    ("key", "value"), [("", "v"), (f"a{BETWEEN}", "v"), ("k", BETWEEN), ("k", f"v{BETWEEN}w")]
)
def test_what_would_be_two_or_none_in_a_list_stays(key: str, value: str) -> None:
    request = ExportTraceServiceRequest()
    made = request.resource_spans.add().scope_spans.add().spans.add()
    for each in ("first", key, "last"):
        made.attributes.add(key=each, value=AnyValue(string_value=value if each == key else "v"))

    after = ExportTraceServiceRequest.FromString(plain(Signal.TRACES, request.SerializeToString()))

    [span] = after.resource_spans[0].scope_spans[0].spans
    assert pairs(span) == [("first", "v"), ("last", "v")]
    assert [(left.key, left.value.string_value) for left in span.attributes] == [(key, value)]


def test_what_is_too_long_is_left_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().resource.attributes.add(key="k", value=AnyValue(string_value="v"))
    body = request.SerializeToString()
    assert plain(Signal.TRACES, body) != body
    monkeypatch.setattr(module, "MAX_BYTES", len(body) - 1)
    assert plain(Signal.TRACES, body) == body


@pytest.mark.parametrize(
    "content",
    [b"", b"\x12\x00", b"\x0a\x00", b"\x12\x02\x10\x00", b"\x12\x02\x10\x01", b"\x12\x02\x18\x00",
     b"\x12\x0b\x18" + b"\x80" * 9 + b"\x01", b"\x12\x02\x0a\x00", b"\x12\x03\x0a\x01v"],
)  # fmt: skip
def test_nothing_outgrows_what_is_set_aside(content: bytes) -> None:
    """The smallest attributes grow most; the smallest messages less."""
    attribute = b"\x4a" + bytes([len(content)]) + content
    for field in (attribute, attribute * 3):
        span = b"\x12" + bytes([len(field)]) + field
        for body in (span, b"\x12\x00"):
            scope = b"\x12" + bytes([len(body)]) + body
            request = (b"\x0a" + bytes([len(scope)]) + scope) * 50
            after = plain(Signal.TRACES, request)
            assert after != request
            assert len(after) <= module._GROWTH * len(request)


@given(st.binary(max_size=400))
def test_any_bytes_fit_into_what_is_set_aside(body: bytes) -> None:
    for signal in Signal:
        assert len(plain(signal, body)) <= module._GROWTH * len(body)
