"""From OTLP messages to the document that the programs of `examples/` print, for comparing the two.

The shape is described in `examples/README.md`. Protobuf drops what has its default value: a field that was
not sent and one that was sent empty look the same here, and so they do in what the programs print.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Json = dict[str, Any]
KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"]
STATUSES = ["unset", "ok", "error"]
TEMPORALITIES = ["unspecified", "delta", "cumulative"]


def any_value(value: AnyValue) -> Json:
    """One value in OTLP's JSON form; `{}` if none is set."""
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "double_value":
            return {"doubleValue": _double(value.double_value)}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
        case "array_value":
            return {"arrayValue": {"values": [any_value(item) for item in value.array_value.values]}}
        case "kvlist_value":
            pairs = [{"key": pair.key, "value": any_value(pair.value)} for pair in value.kvlist_value.values]
            return {"kvlistValue": {"values": pairs}}
        case None:
            return {}
        case other:
            raise ValueError(f"a value of the unknown kind {other}")


def _double(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _attributes(pairs: Iterable[KeyValue]) -> Json:
    found: Json = {}
    for pair in pairs:
        if pair.key in found:
            raise ValueError(f"the attribute {pair.key} was sent twice")
        found[pair.key] = any_value(pair.value)
    return found


def _scope(scope: InstrumentationScope, schema_url: str) -> Json:
    return {
        "name": scope.name,
        "version": scope.version,
        "schema_url": schema_url,
        "attributes": _attributes(scope.attributes),
    }


def _resource(resource: Resource, schema_url: str) -> Json:
    return {"attributes": _attributes(resource.attributes), "schema_url": schema_url}


def _span(span: Span, scope: Json) -> Json:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "trace_state": span.trace_state,
        "name": span.name,
        "kind": KINDS[span.kind],
        "start_ns": str(span.start_time_unix_nano),
        "end_ns": str(span.end_time_unix_nano),
        "attributes": _attributes(span.attributes),
        "status_code": STATUSES[span.status.code],
        "status_message": span.status.message,
        "events": [
            {
                "name": event.name,
                "time_ns": str(event.time_unix_nano),
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "trace_state": link.trace_state,
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
        "scope": scope,
    }


def _number(point: Any) -> Json:
    """The value of a number point or an exemplar."""
    if point.WhichOneof("value") == "as_int":
        return {"intValue": str(point.as_int)}
    return {"doubleValue": _double(point.as_double)}


def _exemplar(exemplar: Exemplar) -> Json:
    return {
        "trace_id": exemplar.trace_id.hex(),
        "span_id": exemplar.span_id.hex(),
        "time_ns": str(exemplar.time_unix_nano),
        "value": _number(exemplar),
        "attributes": _attributes(exemplar.filtered_attributes),
    }


def _buckets(buckets: Any) -> Json:
    return {"offset": buckets.offset, "counts": list(buckets.bucket_counts)}


def _points(metric: Metric, scope: Json) -> Iterable[Json]:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    head = {
        "metric": metric.name,
        "description": metric.description,
        "unit": metric.unit,
        "scope": scope,
        "kind": kind,
    }
    if kind != "gauge":
        head["temporality"] = TEMPORALITIES[data.aggregation_temporality]
    if kind == "sum":
        head["monotonic"] = data.is_monotonic
    for point in data.data_points:
        yield {
            **head,
            "attributes": _attributes(point.attributes),
            "start_ns": str(point.start_time_unix_nano),
            "time_ns": str(point.time_unix_nano),
            "exemplars": [_exemplar(exemplar) for exemplar in point.exemplars],
            **_measured(kind, point),
        }


def _measured(kind: str, point: Any) -> Json:
    if kind in ("gauge", "sum"):
        return {"value": _number(point)}
    summary = {"count": point.count, "sum": point.sum, "min": point.min, "max": point.max}
    if kind == "histogram":
        buckets = {"bounds": list(point.explicit_bounds), "bucket_counts": list(point.bucket_counts)}
        return {**summary, **buckets}
    return {
        **summary,
        "scale": point.scale,
        "zero_count": point.zero_count,
        "positive": _buckets(point.positive),
        "negative": _buckets(point.negative),
    }


def arrived(
    traces: Iterable[ExportTraceServiceRequest],
    metrics: Iterable[ExportMetricsServiceRequest],
    logs: Iterable[ExportLogsServiceRequest],
) -> Json:
    """The document of everything in the requests: `resources` (each once), `spans`, `points`, `logs`."""
    resources: list[Json] = []
    found: Json = {"resources": resources, "spans": [], "points": [], "logs": []}

    def note(resource: Json) -> None:
        if resource not in resources:
            resources.append(resource)

    for request in traces:
        for group in request.resource_spans:
            note(_resource(group.resource, group.schema_url))
            for part in group.scope_spans:
                scope = _scope(part.scope, part.schema_url)
                found["spans"] += [_span(span, scope) for span in part.spans]
    for request in metrics:
        for group in request.resource_metrics:
            note(_resource(group.resource, group.schema_url))
            for part in group.scope_metrics:
                scope = _scope(part.scope, part.schema_url)
                found["points"] += [point for metric in part.metrics for point in _points(metric, scope)]
    for request in logs:
        for group in request.resource_logs:
            note(_resource(group.resource, group.schema_url))
            for part in group.scope_logs:
                scope = _scope(part.scope, part.schema_url)
                found["logs"] += [_log(record, scope) for record in part.log_records]
    return found


def _log(record: Any, scope: Json) -> Json:
    return {
        "trace_id": record.trace_id.hex(),
        "span_id": record.span_id.hex(),
        "trace_flags": record.flags,
        "severity_number": record.severity_number,
        "severity_text": record.severity_text,
        "event_name": record.event_name,
        "body": any_value(record.body),
        "attributes": _attributes(record.attributes),
        "time_ns": str(record.time_unix_nano),
        "observed_ns": str(record.observed_time_unix_nano),
        "scope": scope,
    }


def in_order(items: Iterable[Json]) -> list[Json]:
    """The items in an order that does not depend on how they were batched."""
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
