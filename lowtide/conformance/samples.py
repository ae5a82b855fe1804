"""What the suite sends: one span, one data point or one log record a request, of the service of the suite.

Used by the rules. Everything carries `service.name` "lowtide-conformance" and the name "conformance check",
so it can be found and deleted. The trap: times are those of the run, because receivers may refuse old
records.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ingest.signals import Signal

SERVICE, NAME = "lowtide-conformance", "conformance check"
TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
BASE64_IDS = ("W47/95gDgQPSabYzgT/GDA==", "7uGbfsPBsXQ=")
"""The same two."""

RESPONSES: dict[Signal, tuple[type[Message], str, str]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
}
"""The message of a success, and the name of its counter in protobuf and in JSON."""

# Names of what holds what, from the request to the record, in JSON.
_LEVELS = {
    Signal.TRACES: ("resourceSpans", "scopeSpans", "spans"),
    Signal.METRICS: ("resourceMetrics", "scopeMetrics", "metrics"),
    Signal.LOGS: ("resourceLogs", "scopeLogs", "logRecords"),
}
_UNKNOWN_FIELD = b"\xfa\xff\x07\x04\x08\x01\x12\x00"  # number 16383, a message of four bytes
_ATTRIBUTE = {"key": "conformance.check", "value": {"stringValue": "yes"}}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Samples:
    """The requests of one run about the signal `signal`, at the time `now_ns`."""

    signal: Signal
    now_ns: int

    @classmethod
    def of(cls, signal: Signal) -> Samples:
        """Samples of this moment."""
        return cls(signal, time.time_ns())

    @property
    def path(self) -> str:
        """Where the signal is received over HTTP."""
        return f"/v1/{self.signal.value}"

    @property
    def method(self) -> str:
        """Where the signal is received over gRPC."""
        package, service = {
            Signal.TRACES: ("trace", "Trace"),
            Signal.METRICS: ("metrics", "Metrics"),
            Signal.LOGS: ("logs", "Logs"),
        }[self.signal]
        return f"/opentelemetry.proto.collector.{package}.v1.{service}Service/Export"

    @property
    def protobuf(self) -> bytes:
        """A request with one record."""
        return self._message().SerializeToString()

    @property
    def with_unknown_fields(self) -> bytes:
        """The same with a field that no version of the message has."""
        return self.protobuf + _UNKNOWN_FIELD

    @property
    def empty_envelope(self) -> bytes:
        """A resource without any record."""
        return b"\x0a\x00"

    @property
    def cut_off(self) -> bytes:
        """A request whose last byte is missing."""
        return self.protobuf[:-1]

    def nested(self, depth: int) -> bytes:
        """A request whose second resource has an attribute of lists in lists, `depth` deep."""
        value = _field(1, b"x")
        for _ in range(depth):
            value = _field(5, _field(1, value))  # AnyValue.array_value.values
        attribute = _field(1, b"conformance.deep") + _field(2, value)
        return self._with_attribute(attribute)

    @property
    def with_bad_text(self) -> bytes:
        """A request whose second resource has a text attribute that is not UTF-8."""
        return self._with_attribute(_field(1, b"conformance.text") + _field(2, _field(1, b"\xff\xfe")))

    def json(
        self, change: Json | None = None, *, top: Json | None = None, value: Json | None = None
    ) -> bytes:
        """The request in JSON; `change` is laid over the record, `top` over the request, `value` is the
        value of its attribute."""
        outer, middle, inner = _LEVELS[self.signal]
        attribute = _ATTRIBUTE if value is None else {"key": "conformance.value", "value": value}
        record = self._record([attribute]) | (change or {})
        service = {"key": "service.name", "value": {"stringValue": SERVICE}}
        group = {
            "resource": {"attributes": [service]},
            middle: [{"scope": {"name": SERVICE}, inner: [record]}],
        }
        return json.dumps({outer: [group]} | (top or {})).encode()

    def ids(self, trace_id: str, span_id: str) -> Json:
        """A change of the record's ids; a data point has them in an exemplar."""
        ids = {"traceId": trace_id, "spanId": span_id}
        if self.signal is not Signal.METRICS:
            return ids
        return self._point({"exemplars": [{**ids, "timeUnixNano": str(self.now_ns), "asInt": "1"}]})

    def enumeration(self, *, by_name: bool) -> Json:
        """A change of the record to an enumeration value."""
        match self.signal:
            case Signal.TRACES:
                return {"kind": "SPAN_KIND_SERVER" if by_name else 2}
            case Signal.LOGS:
                return {"severityNumber": "SEVERITY_NUMBER_INFO" if by_name else 9}
            case Signal.METRICS:
                temporality = "AGGREGATION_TEMPORALITY_DELTA" if by_name else 1
                points = self._point({})["gauge"]["dataPoints"]
                return {"gauge": None, "sum": {"dataPoints": points, "aggregationTemporality": temporality}}

    @property
    def outer_name(self) -> str:
        """The original (not lowerCamelCase) name of the request's first field."""
        return f"resource_{self.signal.value.replace('traces', 'spans')}"

    def _record(self, attributes: list[Json]) -> Json:
        now = str(self.now_ns)
        ids = {"traceId": TRACE_ID, "spanId": SPAN_ID}
        match self.signal:
            case Signal.TRACES:
                times = {"startTimeUnixNano": now, "endTimeUnixNano": now}
                return {**ids, **times, "name": NAME, "kind": 1, "attributes": attributes}
            case Signal.LOGS:
                body = {"body": {"stringValue": NAME}, "severityNumber": 9}
                return {**ids, **body, "timeUnixNano": now, "attributes": attributes}
            case Signal.METRICS:
                return {"name": NAME, "unit": "1", **self._point({"attributes": attributes})}

    def _point(self, change: Json) -> Json:
        return {"gauge": {"dataPoints": [{"timeUnixNano": str(self.now_ns), "asInt": "1", **change}]}}

    def _message(self) -> Message:
        resource = Resource()
        resource.attributes.add(key="service.name").value.string_value = SERVICE
        now = self.now_ns
        request: Any
        match self.signal:
            case Signal.TRACES:
                request = ExportTraceServiceRequest()
                scope = request.resource_spans.add(resource=resource).scope_spans.add()
                record = scope.spans.add(
                    trace_id=bytes.fromhex(TRACE_ID), span_id=bytes.fromhex(SPAN_ID), name=NAME, kind=1,
                    start_time_unix_nano=now, end_time_unix_nano=now,
                )  # fmt: skip
            case Signal.LOGS:
                request = ExportLogsServiceRequest()
                scope = request.resource_logs.add(resource=resource).scope_logs.add()
                record = scope.log_records.add(time_unix_nano=now, severity_number=9)
                record.body.string_value = NAME
            case Signal.METRICS:
                request = ExportMetricsServiceRequest()
                scope = request.resource_metrics.add(resource=resource).scope_metrics.add()
                metric = scope.metrics.add(name=NAME, unit="1")
                record = metric.gauge.data_points.add(time_unix_nano=now, as_int=1)
        scope.scope.name = SERVICE
        record.attributes.add(key="conformance.check").value.string_value = "yes"
        return request  # type: ignore[no-any-return]  # one of three messages

    def _with_attribute(self, attribute: bytes) -> bytes:
        """The request and a second resource with an attribute that the message classes would not write."""
        return self.protobuf + _field(1, _field(1, _field(1, attribute)))  # resource_*.resource.attributes


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field of a protobuf message; numbers below 16."""
    size, head = len(payload), bytes([number << 3 | 2])
    while size > 127:
        head += bytes([size & 127 | 128])
        size >>= 7
    return head + bytes([size]) + payload
