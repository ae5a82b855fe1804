"""Requests to check: whole ones built with protobuf, and damaged ones byte by byte.

Everything is offered through the fixture `otlp`, since test folders are no packages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.check import walk
from collector.check.gate import TimeGate
from collector.check.scrub import table_of
from collector.check.tables import TABLES
from ingest.signals import Signal

SECOND: Final = 1_000_000_000
NOW: Final = 1_792_006_400 * SECOND  # 2026-10-14T19:33:20Z
DAY: Final = 86_400 * SECOND

REQUESTS: Final = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


class Otlp:
    """Builders. Times are NOW unless given; ids are valid unless given."""

    now_ns = NOW
    gate = TimeGate(retention_ns=30 * DAY)
    now = NOW
    requests = REQUESTS

    @staticmethod
    def varint(number: int) -> bytes:
        out = bytearray()
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
        return bytes(out)

    @classmethod
    def field(cls, number: int, content: bytes) -> bytes:
        """A field with a length."""
        return cls.varint(number << 3 | 2) + cls.varint(len(content)) + content

    @classmethod
    def numeric(cls, number: int, value: int) -> bytes:
        """A varint field."""
        return cls.varint(number << 3) + cls.varint(value)

    @classmethod
    def in_record(cls, content: bytes) -> bytes:
        """Bytes of a span or log record inside a request."""
        return cls.field(1, cls.field(2, cls.field(2, content)))

    @classmethod
    def span_bytes(cls, more: bytes = b"") -> bytes:
        """A request with one valid span, to whose bytes `more` is added."""
        span = ExportTraceServiceRequest()
        cls.add_span(span)
        return cls.in_record(span.resource_spans[0].scope_spans[0].spans[0].SerializeToString() + more)

    @classmethod
    def point_bytes(cls, kind: int, more: bytes) -> bytes:
        """A request with one point of the metric kind with this field number, `more` added to its bytes."""
        point = cls.varint(3 << 3 | 1) + NOW.to_bytes(8, "little") + more
        return cls.in_record(cls.field(kind, cls.field(1, point)))

    @staticmethod
    def add_span(request: Any, service: str = "cart", **fields: Any) -> Any:
        """A span in a resource of its own."""
        of_resource = request.resource_spans.add()
        of_resource.resource.attributes.add(key="service.name").value.string_value = service
        span = of_resource.scope_spans.add().spans.add(
            trace_id=bytes(range(16)), span_id=bytes(range(8)), name="GET /x", kind=2
        )
        span.start_time_unix_nano = NOW - SECOND
        span.end_time_unix_nano = NOW
        for name, value in fields.items():
            setattr(span, name, value)
        return span

    @staticmethod
    def add_log(request: Any, service: str = "cart", **fields: Any) -> Any:
        """A log record in a resource of its own."""
        of_resource = request.resource_logs.add()
        of_resource.resource.attributes.add(key="service.name").value.string_value = service
        record = of_resource.scope_logs.add().log_records.add(time_unix_nano=NOW)
        record.body.string_value = "hello"
        for name, value in fields.items():
            setattr(record, name, value)
        return record

    @staticmethod
    def add_points(request: Any, kind: str, times: list[int], name: str = "cpu") -> Any:
        """A metric of this kind with points at these times."""
        of_resource = request.resource_metrics.add()
        of_resource.resource.attributes.add(key="service.name").value.string_value = "cart"
        metric = of_resource.scope_metrics.add().metrics.add(name=name)
        data = getattr(metric, kind)
        data.SetInParent()
        for time in times:
            data.data_points.add(time_unix_nano=time)
        return metric

    @classmethod
    def request(cls, signal: Signal, records: int = 1) -> Any:
        """A valid request with that many records."""
        request = REQUESTS[signal]()
        for _ in range(records):
            match signal:
                case Signal.TRACES:
                    cls.add_span(request)
                case Signal.LOGS:
                    cls.add_log(request)
                case Signal.METRICS:
                    cls.add_points(request, "gauge", [NOW])
        return request

    @staticmethod
    def rich(signal: Signal) -> Any:
        """A valid request that uses every field of its signal (but the string table of profiles)."""
        return _RICH[signal]()

    @staticmethod
    def walk(signal: Signal, body: bytes, names: Any = None) -> tuple[int, int]:
        """Items and flags of the compiled walk."""
        window = Otlp.gate.window(NOW)
        items, flags, position = walk.load()(
            body,
            TABLES.roots[signal],
            TABLES.fields,
            TABLES.roles,
            table_of([]) if names is None else names,
            window.earliest_ns,
            window.latest_ns,
        )
        assert 0 <= position <= len(body)
        return items, flags

    @staticmethod
    def count(signal: Signal, request: Any) -> int:
        """The records of a request, counted the slow way."""
        match signal:
            case Signal.TRACES:
                return sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
            case Signal.LOGS:
                return sum(len(s.log_records) for r in request.resource_logs for s in r.scope_logs)
            case Signal.METRICS:
                return sum(
                    len(getattr(m, kind).data_points)
                    for r in request.resource_metrics
                    for s in r.scope_metrics
                    for m in s.metrics
                    if (kind := m.WhichOneof("data"))
                )

    @staticmethod
    def values() -> dict[str, AnyValue]:
        """One value of every kind, held or not by the database."""
        return _values()

    @staticmethod
    def places() -> dict[str, Callable[[AnyValue], tuple[Signal, Any]]]:
        """Every place of a request that a value can be in: builds the request around the value."""
        return _PLACES

    @staticmethod
    def nested(levels: int, *, maps: bool) -> AnyValue:
        """A value of that many levels, the innermost a scalar."""
        value = AnyValue(int_value=1)
        for _ in range(levels - 1):
            outer = AnyValue()
            if maps:
                outer.kvlist_value.values.add(key="k").value.CopyFrom(value)
            else:
                outer.array_value.values.append(value)
            value = outer
        return value


def _values() -> dict[str, AnyValue]:
    scalars = {
        "string": AnyValue(string_value="grün €"),
        "empty string": AnyValue(string_value=""),
        "true": AnyValue(bool_value=True),
        "false": AnyValue(bool_value=False),
        "int": AnyValue(int_value=-(1 << 63)),
        "zero": AnyValue(int_value=0),
        "double": AnyValue(double_value=1.5),
        "bytes": AnyValue(bytes_value=b"\x00\xff"),
        "empty bytes": AnyValue(bytes_value=b""),
        "unset": AnyValue(),
    }
    flat_list = AnyValue()
    flat_list.array_value.values.extend(scalars.values())
    flat_map = AnyValue()
    for key, value in scalars.items():
        flat_map.kvlist_value.values.add(key=key).value.CopyFrom(value)
    lists_in_list, map_in_list, list_in_map, empty_in_list = AnyValue(), AnyValue(), AnyValue(), AnyValue()
    lists_in_list.array_value.values.extend([flat_list, AnyValue(int_value=1)])
    map_in_list.array_value.values.extend([flat_map])
    list_in_map.kvlist_value.values.add(key="list").value.CopyFrom(flat_list)
    empty_in_list.array_value.values.add().array_value.SetInParent()
    empty_list, empty_map = AnyValue(), AnyValue()
    empty_list.array_value.SetInParent()
    empty_map.kvlist_value.SetInParent()
    return scalars | {
        "list": flat_list,
        "map": flat_map,
        "empty list": empty_list,
        "empty map": empty_map,
        "lists in list": lists_in_list,
        "map in list": map_in_list,
        "list in map": list_in_map,
        "empty list in list": empty_in_list,
    }


def _pair(value: AnyValue) -> KeyValue:
    return KeyValue(key="k", value=value)


def _in_span(place: Callable[[Any], Any]) -> Callable[[AnyValue], tuple[Signal, Any]]:
    def build(value: AnyValue) -> tuple[Signal, Any]:
        request = Otlp.request(Signal.TRACES)
        place(request.resource_spans[0]).append(_pair(value))
        return Signal.TRACES, request

    return build


def _in_log(place: Callable[[Any], Any]) -> Callable[[AnyValue], tuple[Signal, Any]]:
    def build(value: AnyValue) -> tuple[Signal, Any]:
        request = Otlp.request(Signal.LOGS)
        place(request.resource_logs[0]).append(_pair(value))
        return Signal.LOGS, request

    return build


def _in_body(value: AnyValue) -> tuple[Signal, Any]:
    request = Otlp.request(Signal.LOGS)
    request.resource_logs[0].scope_logs[0].log_records[0].body.CopyFrom(value)
    return Signal.LOGS, request


def _in_metric(kind: str, place: Callable[[Any], Any]) -> Callable[[AnyValue], tuple[Signal, Any]]:
    def build(value: AnyValue) -> tuple[Signal, Any]:
        request = ExportMetricsServiceRequest()
        Otlp.add_points(request, kind, [NOW])
        place(request.resource_metrics[0]).append(_pair(value))
        return Signal.METRICS, request

    return build


def _span(of_resource: Any) -> Any:
    return of_resource.scope_spans[0].spans[0]


def _metric(of_resource: Any) -> Any:
    return of_resource.scope_metrics[0].metrics[0]


def _point(of_resource: Any) -> Any:
    metric = _metric(of_resource)
    return getattr(metric, metric.WhichOneof("data")).data_points[0]


_KINDS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_PLACES: Final[dict[str, Callable[[AnyValue], tuple[Signal, Any]]]] = {
    "span resource": _in_span(lambda r: r.resource.attributes),
    "span scope": _in_span(lambda r: r.scope_spans[0].scope.attributes),
    "span": _in_span(lambda r: _span(r).attributes),
    "event": _in_span(lambda r: _span(r).events.add(time_unix_nano=NOW, name="e").attributes),
    "link": _in_span(lambda r: _span(r).links.add().attributes),
    "log resource": _in_log(lambda r: r.resource.attributes),
    "log scope": _in_log(lambda r: r.scope_logs[0].scope.attributes),
    "log": _in_log(lambda r: r.scope_logs[0].log_records[0].attributes),
    "log body": _in_body,
    "metric resource": _in_metric("gauge", lambda r: r.resource.attributes),
    "metric scope": _in_metric("gauge", lambda r: r.scope_metrics[0].scope.attributes),
    "metric metadata": _in_metric("gauge", lambda r: _metric(r).metadata),
    **{f"{kind} point": _in_metric(kind, lambda r: _point(r).attributes) for kind in _KINDS},
    **{
        f"{kind} exemplar": _in_metric(kind, lambda r: _point(r).exemplars.add().filtered_attributes)
        for kind in _KINDS
        if kind != "summary"
    },
}


def _fill_resource(of_resource: Any, scope: Any) -> None:
    of_resource.resource.attributes.add(key="service.name").value.string_value = "cart"
    of_resource.resource.dropped_attributes_count = 300
    of_resource.resource.entity_refs.add(
        schema_url="s", type="service", id_keys=["a", "b"], description_keys=["c", ""]
    )
    of_resource.schema_url = "https://example.com/schema"
    scope.name, scope.version, scope.dropped_attributes_count = "library", "1.0", 1
    scope.attributes.add(key="k").value.int_value = 1 << 40


def _rich_traces() -> Any:
    request = ExportTraceServiceRequest()
    span = Otlp.add_span(
        request,
        parent_span_id=b"parent-1",
        trace_state="a=1",
        flags=0x301,
        dropped_attributes_count=1,
        dropped_events_count=2,
        dropped_links_count=1 << 31,
    )
    of_scope = request.resource_spans[0].scope_spans[0]
    of_scope.schema_url = "https://example.com/schema"
    _fill_resource(request.resource_spans[0], of_scope.scope)
    for name, value in _values().items():
        if name not in UNHELD:
            span.attributes.add(key=name).value.CopyFrom(value)
    span.attributes.add(key="long" * 100).value.string_value = "x" * 1000
    event = span.events.add(time_unix_nano=NOW, name="exception", dropped_attributes_count=3)
    event.attributes.add(key="exception.type").value.string_value = "ValueError"
    link = span.links.add(trace_id=bytes(range(16)), span_id=bytes(range(8)), trace_state="b=2", flags=1)
    link.dropped_attributes_count = 4
    link.attributes.add(key="k").value.bool_value = True
    span.status.code, span.status.message = 2, "boom"
    return request


def _rich_logs() -> Any:
    request = ExportLogsServiceRequest()
    record = Otlp.add_log(
        request,
        observed_time_unix_nano=NOW + 1,
        severity_number=9,
        severity_text="INFO",
        dropped_attributes_count=1,
        flags=1,
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        event_name="login",
    )
    record.attributes.add(key="k").value.double_value = 2.5
    of_scope = request.resource_logs[0].scope_logs[0]
    of_scope.schema_url = "https://example.com/schema"
    _fill_resource(request.resource_logs[0], of_scope.scope)
    return request


def _rich_metrics() -> Any:
    request = ExportMetricsServiceRequest()
    for kind in _KINDS:
        metric = Otlp.add_points(request, kind, [NOW, NOW - SECOND])
        metric.description, metric.unit = "a metric", "s"
        metric.metadata.add(key="prometheus.type").value.string_value = kind
        of_resource = request.resource_metrics[-1]
        of_resource.scope_metrics[0].schema_url = "https://example.com/schema"
        _fill_resource(of_resource, of_resource.scope_metrics[0].scope)
        for point in getattr(metric, kind).data_points:
            point.start_time_unix_nano, point.flags = 1, 1
            point.attributes.add(key="k").value.string_value = "v"
            if kind != "summary":
                exemplar = point.exemplars.add(time_unix_nano=1, as_int=-5)
                exemplar.trace_id, exemplar.span_id = bytes(range(16)), bytes(range(8))
                exemplar.filtered_attributes.add(key="k").value.string_value = "v"
                point.exemplars.add(as_double=0.5)
    metrics = {
        kind: r.scope_metrics[0].metrics[0] for kind, r in zip(_KINDS, request.resource_metrics, strict=True)
    }
    metrics["gauge"].gauge.data_points[0].as_int = -7
    metrics["gauge"].gauge.data_points[1].as_double = 7.5
    metrics["sum"].sum.aggregation_temporality, metrics["sum"].sum.is_monotonic = 2, True
    histogram = metrics["histogram"].histogram
    histogram.aggregation_temporality = 1
    for point in histogram.data_points:
        point.count, point.sum, point.min, point.max = 3, 4.5, 0.5, 2.5
        point.bucket_counts.extend([1, 2, 0])
        point.explicit_bounds.extend([1.0, 2.0])
    exponential = metrics["exponential_histogram"].exponential_histogram
    exponential.aggregation_temporality = 2
    for point in exponential.data_points:
        point.count, point.sum, point.min, point.max = 3, 4.5, -0.5, 2.5
        point.scale, point.zero_count, point.zero_threshold = -3, 1, 0.001
        point.positive.offset, point.negative.offset = 1, -(1 << 31)
        point.positive.bucket_counts.extend([1, 300, (1 << 64) - 1])
        point.negative.bucket_counts.extend([0])
    for point in metrics["summary"].summary.data_points:
        point.count, point.sum = 3, 4.5
        point.quantile_values.add(quantile=0.99, value=2.0)
    return request


_RICH: Final = {Signal.TRACES: _rich_traces, Signal.METRICS: _rich_metrics, Signal.LOGS: _rich_logs}
UNHELD: Final = frozenset(
    {"empty list", "empty map", "lists in list", "map in list", "list in map", "empty list in list"}
)


@pytest.fixture(scope="session")
def otlp() -> type[Otlp]:
    return Otlp


@pytest.fixture(scope="session")
def unheld() -> frozenset[str]:
    """The names of the values that the typed columns of the database cannot hold."""
    return UNHELD
