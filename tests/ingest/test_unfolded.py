"""The estimate counts what it says it counts, in whatever order a request is written, and never fails."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest import unfolded
from ingest.signals import Signal
from ingest.unfolded import most_unfolded_bytes, unfolded_bytes

REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
SIGNALS = st.sampled_from(list(Signal))
SMALL = st.integers(0, 3)


@st.composite
def values(draw: st.DrawFn) -> dict[str, Any]:
    return draw(
        st.sampled_from([
            {}, {"string_value": "x" * 200}, {"int_value": -1}, {"bool_value": True}, {"double_value": 0.5},
            {"bytes_value": b"b" * 9}, {"bytes_value": b"b" * 99},
            {"array_value": {"values": [{"int_value": 7}, {}]}},
            {"array_value": {}}, {"kvlist_value": {"values": [{"key": "k", "value": {"string_value": "v"}}]}},
        ])
    )  # fmt: skip


def attributes(draw: st.DrawFn, into: Any) -> None:
    for _ in range(draw(SMALL)):
        into.add(key=draw(st.sampled_from(["", "a", "http.request.method"])), value=draw(values()))


@st.composite
def requests(draw: st.DrawFn, signal: Signal) -> Any:
    request = REQUESTS[signal]()
    of = {Signal.TRACES: "spans", Signal.METRICS: "metrics", Signal.LOGS: "logs"}[signal]
    for _ in range(draw(SMALL)):
        entry = getattr(request, f"resource_{of}").add()
        attributes(draw, entry.resource.attributes)
        for _ in range(draw(SMALL)):
            scope = getattr(entry, f"scope_{of}").add()
            scope.scope.name = "s"
            attributes(draw, scope.scope.attributes)
            for _ in range(draw(SMALL)):
                {Signal.TRACES: a_span, Signal.METRICS: a_metric, Signal.LOGS: a_record}[signal](draw, scope)
    return request


def a_span(draw: st.DrawFn, scope: Any) -> None:
    span = scope.spans.add(name="n", trace_id=b"t" * 16, start_time_unix_nano=5)
    attributes(draw, span.attributes)
    for many in (span.events, span.links):
        for _ in range(draw(SMALL)):
            attributes(draw, many.add().attributes)


def a_record(draw: st.DrawFn, scope: Any) -> None:
    record = scope.log_records.add(severity_text="INFO")
    record.body.string_value = draw(
        st.sampled_from([
            "", "x", "[", "[a", "[2", "[2026-11-23T06:16:08Z] ", "{", '{"response_flag"}',
            '{"a":"","response_flags":"-"}', '{""response_flags":1}', 'x{"response_flags":1}',
        ])
    )  # fmt: skip
    attributes(draw, record.attributes)


def a_metric(draw: st.DrawFn, scope: Any) -> None:
    metric = scope.metrics.add(name="m")
    kind = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram", "summary"]))
    for _ in range(draw(SMALL)):
        point = getattr(metric, kind).data_points.add(time_unix_nano=3)
        attributes(draw, point.attributes)
        if kind == "summary":
            point.quantile_values.add(quantile=0.5)
            continue
        attributes(draw, point.exemplars.add().filtered_attributes)
        if kind == "exponential_histogram":
            point.positive.bucket_counts.extend([1, 2, 300])


def of_value(value: Any) -> int:
    which = value.WhichOneof("value")
    if which in ("array_value", "kvlist_value"):
        return int(value.ByteSize()) * unfolded.NESTED_BYTES
    return unfolded.ODD_BYTES if which in ("double_value", "bytes_value") else 0


def of_attributes(found: Any, each: int) -> int:
    return sum(each + of_value(attribute.value) for attribute in found)


def of_names(resource: Any) -> int:
    """What each record repeats of a resource."""
    total = 0
    for attribute in resource.attributes:
        written = attribute.value.ByteSize()
        if attribute.value.WhichOneof("value") in ("array_value", "kvlist_value", "bytes_value"):
            written *= unfolded.ESCAPED_BYTES
        total += max(0, written - unfolded.NAME_BYTES)
    return total * unfolded.LONG_NAME_COPIES


def of_record(record: Any, *, is_known: bool = False) -> int:
    if is_known:  # all of it but the attributes
        own = sum(attribute.ByteSize() for attribute in record.attributes)
        saved = unfolded.RECORD_BYTES - unfolded.KNOWN_POINT_BYTES + (unfolded.COPIES - 1) * own
        return of_record(record) - of_attributes(record.attributes, unfolded.ATTRIBUTE_BYTES) - saved
    is_span = record.DESCRIPTOR.name == "Span"
    total = unfolded.SPAN_BYTES if is_span else unfolded.RECORD_BYTES
    total += of_attributes(record.attributes, unfolded.ATTRIBUTE_BYTES)
    if record.DESCRIPTOR.name == "LogRecord":
        is_line = re.match(r'\[[0-9]|\{.*"response_flags"', record.body.string_value) is not None
        total += unfolded.LINE_BYTES * is_line
    for name, each, held in (
        ("events", unfolded.EVENT_BYTES, "attributes"),
        ("links", unfolded.EVENT_BYTES, "attributes"),
        ("exemplars", unfolded.EXEMPLAR_BYTES, "filtered_attributes"),
    ):
        for one in getattr(record, name, ()):
            total += each + of_attributes(getattr(one, held), unfolded.LEAF_BYTES)
    total += unfolded.QUANTILE_BYTES * len(getattr(record, "quantile_values", ()))
    for side in ("positive", "negative"):
        if hasattr(record, side) and record.HasField(side):
            total += getattr(record, side).ByteSize() * unfolded.PACKED_BYTES
    return total


def counted(signal: Signal, request: Any) -> int:
    """The same from the parsed request."""
    total: int = unfolded.COPIES * request.ByteSize()
    for _, entries in request.ListFields():
        for entry in entries:
            records = 0
            total += unfolded.RESOURCE_BYTES
            total += of_attributes(entry.resource.attributes, unfolded.ATTRIBUTE_BYTES)
            for scope in getattr(
                entry, next(f.name for f in entry.DESCRIPTOR.fields if f.name.startswith("scope_"))
            ):
                inside = list(records_in(signal, scope))
                total += unfolded.SCOPE_BYTES + sum(map(of_record, inside))
                total += of_attributes(scope.scope.attributes, unfolded.ATTRIBUTE_BYTES)
                total += unfolded.METRIC_BYTES * len(scope.metrics) if signal is Signal.METRICS else 0
                records += len(inside)
            total += records * of_names(entry.resource)
    return total


def records_in(signal: Signal, scope: Any) -> Any:
    if signal is Signal.TRACES:
        yield from scope.spans
    elif signal is Signal.LOGS:
        yield from scope.log_records
    else:
        for metric in scope.metrics:
            if metric.WhichOneof("data"):
                yield from getattr(metric, metric.WhichOneof("data")).data_points


@given(drawn=SIGNALS.flatmap(lambda signal: st.tuples(st.just(signal), requests(signal))))
def test_it_counts_what_is_there(drawn: tuple[Signal, Any]) -> None:
    signal, request = drawn
    assert unfolded_bytes(signal, request.SerializeToString()) == counted(signal, request)


@given(request=requests(Signal.METRICS), marks=st.lists(st.booleans(), max_size=12))
def test_a_point_of_a_known_series_counts_without_its_attributes(request: Any, marks: list[bool]) -> None:
    """Those for which nothing is said count in full."""
    body = request.SerializeToString()
    points = [
        point
        for entry in request.resource_metrics
        for scope in entry.scope_metrics
        for metric in scope.metrics
        if metric.WhichOneof("data") in ("gauge", "sum")
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]
    saved = sum(
        of_record(point) - of_record(point, is_known=True)
        for point, is_known in zip(points, marks, strict=False)
        if is_known
    )
    known = np.array(marks, np.uint8)
    assert unfolded_bytes(Signal.METRICS, body, known) == unfolded_bytes(Signal.METRICS, body) - saved
    assert saved >= 0


@given(drawn=SIGNALS.flatmap(lambda signal: st.tuples(st.just(signal), requests(signal))))
def test_it_is_never_above_the_bound(drawn: tuple[Signal, Any]) -> None:
    signal, request = drawn
    body = request.SerializeToString()
    records = sum(
        len(list(records_in(signal, scope)))
        for _, entries in request.ListFields()
        for entry in entries
        for field, scopes in entry.ListFields()
        if field.name.startswith("scope_")
        for scope in scopes
    )
    assert unfolded_bytes(signal, body) <= most_unfolded_bytes(body, records)


@given(signal=SIGNALS, body=st.binary(max_size=300))
@example(signal=Signal.TRACES, body=b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(signal=Signal.METRICS, body=b"\x0a\x0a\x12\x08\x12\x06\x2a\x04\x0a\x02\x3a\x7f")
def test_damage_is_no_error(signal: Signal, body: bytes) -> None:
    estimate = unfolded_bytes(signal, body)
    assert estimate >= unfolded.COPIES * len(body)
    assert estimate <= most_unfolded_bytes(body, len(body))  # no record takes less than a byte


def test_the_bound_knows_that_a_resource_in_two_parts_is_one() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().resource.attributes.add(key="a").value.string_value = "v" * 5000
    part = request.resource_spans[0].resource.SerializeToString()
    field = b"\x0a" + bytes([len(part) & 0x7F | 0x80, len(part) >> 7]) + part
    spans = b"\x12\xc8\x01" + b"\x12\x00" * 100

    def request_of(entry: bytes) -> bytes:
        return b"\x0a" + bytes([len(entry) & 0x7F | 0x80, len(entry) >> 7]) + entry

    once, twice = request_of(field + spans), request_of(field + spans + field)
    for body in (once, twice):
        assert unfolded_bytes(Signal.TRACES, body) <= most_unfolded_bytes(body, 100)
    # What both parts share counts with every record, and the rest is only bytes of the request.
    longer = most_unfolded_bytes(twice, 100) - most_unfolded_bytes(once, 100)
    per_byte = longer - 100 * len(part) * unfolded.LONG_NAME_COPIES * unfolded.ESCAPED_BYTES
    assert 0 < per_byte < 2000 * len(field)


def test_an_ordinary_request_needs_no_closer_look() -> None:
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add()
    for number in range(10):
        entry.resource.attributes.add(key=f"k8s.name.{number}").value.string_value = "v" * 30
    spans = entry.scope_spans.add().spans
    for _ in range(512):
        spans.add(name="n" * 380)
    assert most_unfolded_bytes(request.SerializeToString(), 512) < 1 << 28


@given(drawn=requests(Signal.TRACES), cut=st.floats(0, 1))
def test_what_was_cut_off_counts_less(drawn: Any, cut: float) -> None:
    body = drawn.SerializeToString()
    assert unfolded_bytes(Signal.TRACES, body[: int(cut * len(body))]) <= unfolded_bytes(Signal.TRACES, body)


@pytest.mark.parametrize("resource_first", [True, False])
def test_a_long_name_counts_with_every_record_wherever_it_stands(resource_first: bool) -> None:
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add()
    entry.resource.attributes.add(key="a").value.string_value = "v" * 99
    whole = entry.resource.SerializeToString()
    resource = b"\x0a" + bytes([len(whole)]) + whole
    spans = b"\x12\x14" + b"\x12\x00" * 10
    entry_bytes = resource + spans if resource_first else spans + resource
    body = b"\x0a" + bytes([len(entry_bytes) & 0x7F | 0x80, len(entry_bytes) >> 7]) + entry_bytes

    longer = len(entry.resource.attributes[0].value.SerializeToString()) - unfolded.NAME_BYTES
    expected = 10 * (unfolded.SPAN_BYTES + longer * unfolded.LONG_NAME_COPIES) + unfolded.ATTRIBUTE_BYTES
    expected += unfolded.RESOURCE_BYTES + unfolded.SCOPE_BYTES + unfolded.COPIES * len(body)
    assert unfolded_bytes(Signal.TRACES, body) == expected
