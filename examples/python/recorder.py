"""Keeps what the exporters were handed, so that a test can look for it. A service needs none of this.

Values are written as OTLP writes them in JSON (`{"intValue": "42"}`), which keeps an integer apart from a
double and bytes apart from text. Nanoseconds are decimal strings: JSON readers lose digits of large numbers.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Histogram,
    MetricsData,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

Json = dict[str, Any]
Exporter = TypeVar("Exporter")
TEMPORALITY = {AggregationTemporality.DELTA: "delta", AggregationTemporality.CUMULATIVE: "cumulative"}


def any_value(value: Any) -> Json:
    """One value in OTLP's JSON form; `{}` stands for no value."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": _double(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case Mapping():
            return {"kvlistValue": {"values": [{"key": k, "value": any_value(v)} for k, v in value.items()]}}
        case Sequence():
            return {"arrayValue": {"values": [any_value(item) for item in value]}}
    raise TypeError(f"no OTLP value for {type(value).__name__}")


def _double(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _attributes(attributes: Mapping[str, Any] | None) -> Json:
    return {key: any_value(value) for key, value in (attributes or {}).items()}


def _scope(scope: InstrumentationScope | None) -> Json:
    if scope is None:
        return {"name": "", "version": "", "schema_url": "", "attributes": {}}
    return {
        "name": scope.name,
        "version": scope.version or "",
        "schema_url": scope.schema_url or "",
        "attributes": _attributes(scope.attributes),
    }


def _trace_id(trace_id: int | None) -> str:
    return f"{trace_id:032x}" if trace_id else ""


def _span_id(span_id: int | None) -> str:
    return f"{span_id:016x}" if span_id else ""


class Recorder:
    """Wraps exporters. After shutdown `document()` is what they sent, `failures` what they could not."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.failures: list[str] = []
        self._resource: Json = {"attributes": {}, "schema_url": ""}
        self._spans: list[Json] = []
        self._points: list[Json] = []
        self._logs: list[Json] = []

    def recording(self, exporter: type[Exporter], keep: Callable[[Any], None]) -> Exporter:
        """An exporter of the given class that also hands each batch to `keep` and notices a failure."""
        failures = self.failures

        class Recording(exporter):  # type: ignore[misc, valid-type]  # the class is known only at run time
            def export(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
                keep(batch)
                result = super().export(batch, *args, **kwargs)
                if result.name != "SUCCESS":
                    failures.append(f"{exporter.__name__}: the export failed ({result.name}).")
                return result

        return Recording()

    def document(self) -> str:
        return json.dumps(
            {
                "language": "python",
                "run_id": self.run_id,
                "resource": self._resource,
                "spans": self._spans,
                "points": self._points,
                "logs": self._logs,
            },
            ensure_ascii=False,
            allow_nan=False,
        )

    def _keep_resource(self, resource: Resource) -> None:
        self._resource = {"attributes": _attributes(resource.attributes), "schema_url": resource.schema_url}

    def spans(self, batch: Sequence[ReadableSpan]) -> None:
        for span in batch:
            self._keep_resource(span.resource)
            own = span.get_span_context()
            self._spans.append(
                {
                    "trace_id": _trace_id(own.trace_id),
                    "span_id": _span_id(own.span_id),
                    "parent_span_id": _span_id(span.parent.span_id) if span.parent else "",
                    "trace_state": own.trace_state.to_header(),
                    "name": span.name,
                    "kind": span.kind.name.lower(),
                    "start_ns": str(span.start_time),
                    "end_ns": str(span.end_time),
                    "attributes": _attributes(span.attributes),
                    "status_code": span.status.status_code.name.lower(),
                    "status_message": span.status.description or "",
                    "events": [
                        {
                            "name": event.name,
                            "time_ns": str(event.timestamp),
                            "attributes": _attributes(event.attributes),
                        }
                        for event in span.events
                    ],
                    "links": [
                        {
                            "trace_id": _trace_id(link.context.trace_id),
                            "span_id": _span_id(link.context.span_id),
                            "trace_state": link.context.trace_state.to_header(),
                            "attributes": _attributes(link.attributes),
                        }
                        for link in span.links
                    ],
                    "scope": _scope(span.instrumentation_scope),
                }
            )

    def logs(self, batch: Sequence[ReadableLogRecord]) -> None:
        for line in batch:
            self._keep_resource(line.resource)
            record = line.log_record
            self._logs.append(
                {
                    "trace_id": _trace_id(record.trace_id),
                    "span_id": _span_id(record.span_id),
                    "trace_flags": int(record.trace_flags or 0),
                    "severity_number": record.severity_number.value if record.severity_number else 0,
                    "severity_text": record.severity_text or "",
                    "event_name": record.event_name or "",
                    "body": any_value(record.body),
                    "attributes": _attributes(record.attributes),
                    "time_ns": str(record.timestamp or 0),
                    "observed_ns": str(record.observed_timestamp or 0),
                    "scope": _scope(line.instrumentation_scope),
                }
            )

    def points(self, batch: MetricsData) -> None:
        for resource_metrics in batch.resource_metrics:
            self._keep_resource(resource_metrics.resource)
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    head = {
                        "metric": metric.name,
                        "description": metric.description or "",
                        "unit": metric.unit or "",
                        "scope": _scope(scope_metrics.scope),
                        **_kind(metric.data),
                    }
                    self._points += [{**head, **_point(head["kind"], p)} for p in metric.data.data_points]


def _kind(data: Any) -> Json:
    if isinstance(data, Sum):
        temporality = TEMPORALITY[data.aggregation_temporality]
        return {"kind": "sum", "temporality": temporality, "monotonic": data.is_monotonic}
    if isinstance(data, Histogram):
        return {"kind": "histogram", "temporality": TEMPORALITY[data.aggregation_temporality]}
    if isinstance(data, ExponentialHistogram):
        return {"kind": "exponential_histogram", "temporality": TEMPORALITY[data.aggregation_temporality]}
    return {"kind": "gauge"}


def _point(kind: str, point: Any) -> Json:
    common = {
        "attributes": _attributes(point.attributes),
        # This SDK sends no start with a gauge.
        "start_ns": "0" if kind == "gauge" else str(point.start_time_unix_nano or 0),
        "time_ns": str(point.time_unix_nano),
        "exemplars": [
            {
                "trace_id": _trace_id(exemplar.trace_id),
                "span_id": _span_id(exemplar.span_id),
                "time_ns": str(exemplar.time_unix_nano),
                "value": any_value(exemplar.value),
                "attributes": _attributes(exemplar.filtered_attributes),
            }
            for exemplar in point.exemplars
        ],
    }
    if kind in ("gauge", "sum"):
        return {**common, "value": any_value(point.value)}
    summary = {
        "count": point.count,
        "sum": float(point.sum),
        "min": float(point.min),
        "max": float(point.max),
    }
    if kind == "histogram":
        buckets = {"bounds": list(point.explicit_bounds), "bucket_counts": list(point.bucket_counts)}
    else:
        buckets = {
            "scale": point.scale,
            "zero_count": point.zero_count,
            "positive": _buckets(point.positive),
            "negative": _buckets(point.negative),
        }
    return {**common, **summary, **buckets}


def _buckets(buckets: Any) -> Json:
    counts = list(buckets.bucket_counts)
    return {"offset": buckets.offset if counts else 0, "counts": counts}
