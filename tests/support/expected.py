"""From the document that a program of `examples/` prints to the rows that the store must hold.

`expected_rows` gives the rows by table, `query` the statement that reads the same columns back in comparable
types, `differences` says in words what is missing, doubled or changed. The tables have the columns of the
OpenTelemetry Collector's ClickHouse exporter. Times are nanoseconds since 1970 as integers.

How a value becomes text is the trap: attributes are `Map(String, String)`, so 3.0 is `3` and a list is JSON;
see `text`.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

Json = dict[str, Any]
Row = dict[str, Any]

RUN_ID = "example.run.id"
TEMPORALITIES = {"delta": 1, "cumulative": 2}


def text(value: Json) -> str:
    """One OTLP value as the store keeps it in a map of strings: a string as it is, most others as JSON.

    No value is the empty string, bytes are base64; doubles that JSON cannot write are `nan`, `inf`, `-inf`.
    """
    if not value:
        return ""
    match value:
        case {"stringValue": given} | {"bytesValue": given}:
            return str(given)
        case {"doubleValue": given}:
            return double_text(float(given))
        case _:
            return json_text(value)


def json_text(value: Json) -> str:
    """The same value inside a list or a map: compact JSON, nothing escaped that need not be."""
    if not value:
        return "null"
    match value:
        case {"stringValue": given} | {"bytesValue": given}:
            return json.dumps(given, ensure_ascii=False)
        case {"boolValue": given}:
            return "true" if given else "false"
        case {"intValue": given}:
            return str(int(given))
        case {"doubleValue": given}:
            return double_text(float(given)) if math.isfinite(float(given)) else _unwritable(float(given))
        case {"arrayValue": {"values": items}}:
            return "[" + ",".join(json_text(item) for item in items) + "]"
        case {"kvlistValue": {"values": pairs}}:
            members = (
                f"{json.dumps(pair['key'], ensure_ascii=False)}:{json_text(pair['value'])}" for pair in pairs
            )
            return "{" + ",".join(members) + "}"
    raise ValueError(f"not an OTLP value: {value}")


def _unwritable(value: float) -> str:
    """A double that JSON has no number for, as ProtoJSON writes it."""
    if math.isnan(value):
        return '"NaN"'
    return '"Infinity"' if value > 0 else '"-Infinity"'


def double_text(value: float) -> str:
    """The shortest decimal that reads back as the same double, laid out as ClickHouse and ECMAScript do."""
    if math.isnan(value):
        return "nan"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if math.isinf(value):
        return f"{sign}inf"
    if value == 0:
        return f"{sign}0"
    _, digits, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    figures = "".join(map(str, digits))
    # Where the point stands, counted from the first figure.
    point = len(figures) + int(exponent)
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{figures}"
    if 0 < point <= 21:
        whole, part = figures[:point].ljust(point, "0"), figures[point:]
        return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"
    mantissa = f"{figures[0]}.{figures[1:]}" if len(figures) > 1 else figures
    return f"{sign}{mantissa}e{point - 1}"


def attributes(given: Json) -> dict[str, str]:
    """A map column."""
    return {key: text(value) for key, value in given.items()}


def number(value: Json) -> float:
    """The value of a number point in a Float64 column; an integer beyond 2^53 loses digits there."""
    return float(value["intValue"] if "intValue" in value else value["doubleValue"])


def expected_rows(manifest: Json) -> dict[str, list[Row]]:
    """The rows by table, every table that can hold metrics among them even if it gets none."""
    resource = manifest["resource"]
    rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}
    rows["otel_traces"] = [_span_row(span, resource) for span in manifest["spans"]]
    rows["otel_logs"] = [_log_row(line, resource) for line in manifest["logs"]]
    for point in manifest["points"]:
        rows[f"otel_metrics_{point['kind']}"].append(_point_row(point, resource))
    return rows


def _service(resource: Json) -> str:
    return text(resource["attributes"].get("service.name", {}))


def _span_row(span: Json, resource: Json) -> Row:
    start_ns, end_ns = int(span["start_ns"]), int(span["end_ns"])
    return {
        "Timestamp": start_ns,
        "TraceId": span["trace_id"],
        "SpanId": span["span_id"],
        "ParentSpanId": span["parent_span_id"],
        "TraceState": span["trace_state"],
        "SpanName": span["name"],
        "SpanKind": span["kind"].capitalize(),
        "ServiceName": _service(resource),
        "ResourceAttributes": attributes(resource["attributes"]),
        "ScopeName": span["scope"]["name"],
        "ScopeVersion": span["scope"]["version"],
        "SpanAttributes": attributes(span["attributes"]),
        "Duration": end_ns - start_ns,
        "StatusCode": span["status_code"].capitalize(),
        "StatusMessage": span["status_message"],
        "Events.Timestamp": [int(event["time_ns"]) for event in span["events"]],
        "Events.Name": [event["name"] for event in span["events"]],
        "Events.Attributes": [attributes(event["attributes"]) for event in span["events"]],
        "Links.TraceId": [link["trace_id"] for link in span["links"]],
        "Links.SpanId": [link["span_id"] for link in span["links"]],
        "Links.TraceState": [link["trace_state"] for link in span["links"]],
        "Links.Attributes": [attributes(link["attributes"]) for link in span["links"]],
    }


def _log_row(line: Json, resource: Json) -> Row:
    return {
        # A line without a time of its own counts from when it was observed.
        "Timestamp": int(line["time_ns"]) or int(line["observed_ns"]),
        "TraceId": line["trace_id"],
        "SpanId": line["span_id"],
        "TraceFlags": line["trace_flags"] & 0xFF,
        "SeverityText": line["severity_text"],
        "SeverityNumber": line["severity_number"],
        "ServiceName": _service(resource),
        "Body": text(line["body"]),
        "ResourceSchemaUrl": resource["schema_url"],
        "ResourceAttributes": attributes(resource["attributes"]),
        **_scope_columns(line["scope"]),
        "LogAttributes": attributes(line["attributes"]),
        "EventName": line["event_name"],
    }


def _scope_columns(scope: Json) -> Row:
    return {
        "ScopeSchemaUrl": scope["schema_url"],
        "ScopeName": scope["name"],
        "ScopeVersion": scope["version"],
        "ScopeAttributes": attributes(scope["attributes"]),
    }


def _point_row(point: Json, resource: Json) -> Row:
    row = {
        "ResourceAttributes": attributes(resource["attributes"]),
        "ResourceSchemaUrl": resource["schema_url"],
        **_scope_columns(point["scope"]),
        "ServiceName": _service(resource),
        "MetricName": point["metric"],
        "MetricDescription": point["description"],
        "MetricUnit": point["unit"],
        "Attributes": attributes(point["attributes"]),
        "StartTimeUnix": int(point["start_ns"]),
        "TimeUnix": int(point["time_ns"]),
        "Flags": 0,
        "Exemplars.FilteredAttributes": [attributes(each["attributes"]) for each in point["exemplars"]],
        "Exemplars.TimeUnix": [int(each["time_ns"]) for each in point["exemplars"]],
        "Exemplars.Value": [number(each["value"]) for each in point["exemplars"]],
        "Exemplars.SpanId": [each["span_id"] for each in point["exemplars"]],
        "Exemplars.TraceId": [each["trace_id"] for each in point["exemplars"]],
    }
    if point["kind"] != "gauge":
        row["AggregationTemporality"] = TEMPORALITIES[point["temporality"]]
    match point["kind"]:
        case "gauge":
            row["Value"] = number(point["value"])
        case "sum":
            row["Value"] = number(point["value"])
            row["IsMonotonic"] = point["monotonic"]
        case "histogram":
            row |= _summary_columns(point)
            row["ExplicitBounds"] = [float(bound) for bound in point["bounds"]]
            row["BucketCounts"] = point["bucket_counts"]
        case "exponential_histogram":
            row |= _summary_columns(point)
            row["Scale"] = point["scale"]
            row["ZeroCount"] = point["zero_count"]
            row["PositiveOffset"] = point["positive"]["offset"]
            row["PositiveBucketCounts"] = point["positive"]["counts"]
            row["NegativeOffset"] = point["negative"]["offset"]
            row["NegativeBucketCounts"] = point["negative"]["counts"]
    return row


def _summary_columns(point: Json) -> Row:
    return {
        "Count": point["count"],
        "Sum": float(point["sum"]),
        "Min": float(point["min"]),
        "Max": float(point["max"]),
    }


_SCOPE = ["ScopeSchemaUrl", "ScopeName", "ScopeVersion", "ScopeAttributes"]
_POINT = [
    *["ResourceAttributes", "ResourceSchemaUrl", *_SCOPE, "ServiceName"],
    *["MetricName", "MetricDescription", "MetricUnit", "Attributes", "StartTimeUnix", "TimeUnix", "Flags"],
    *["Exemplars.FilteredAttributes", "Exemplars.TimeUnix", "Exemplars.Value"],
    *["Exemplars.SpanId", "Exemplars.TraceId"],
]
_SUMMARY = ["AggregationTemporality", "Count", "Sum", "Min", "Max"]
COLUMNS = {
    "otel_traces": [
        *[
            "Timestamp",
            "TraceId",
            "SpanId",
            "ParentSpanId",
            "TraceState",
            "SpanName",
            "SpanKind",
            "ServiceName",
        ],
        *["ResourceAttributes", "ScopeName", "ScopeVersion", "SpanAttributes", "Duration"],
        *["StatusCode", "StatusMessage", "Events.Timestamp", "Events.Name", "Events.Attributes"],
        *["Links.TraceId", "Links.SpanId", "Links.TraceState", "Links.Attributes"],
    ],
    "otel_logs": [
        *["Timestamp", "TraceId", "SpanId", "TraceFlags", "SeverityText", "SeverityNumber", "ServiceName"],
        *["Body", "ResourceSchemaUrl", "ResourceAttributes", *_SCOPE, "LogAttributes", "EventName"],
    ],
    "otel_metrics_gauge": [*_POINT, "Value"],
    "otel_metrics_sum": [*_POINT, "Value", "AggregationTemporality", "IsMonotonic"],
    "otel_metrics_histogram": [*_POINT, *_SUMMARY, "BucketCounts", "ExplicitBounds"],
    "otel_metrics_exponential_histogram": [
        *[*_POINT, *_SUMMARY, "Scale", "ZeroCount"],
        *["PositiveOffset", "PositiveBucketCounts", "NegativeOffset", "NegativeBucketCounts"],
    ],
}
IDENTITY = {
    "otel_traces": ["TraceId", "SpanId"],
    "otel_logs": ["Timestamp", "TraceId", "SpanId", "EventName", "Body"],
}
POINT_IDENTITY = ["MetricName", "Attributes", "TimeUnix"]


def query(table: str) -> str:
    """Reads every row, times as nanoseconds."""
    columns = ",\n  ".join(f"{_comparable(column)} AS `{column}`" for column in COLUMNS[table])
    return f"SELECT\n  {columns}\nFROM {table} AS t"


def query_of_run(table: str) -> str:
    """Reads the rows of one run. The run id is the bound parameter `run`."""
    return f"{query(table)}\nWHERE t.ResourceAttributes['{RUN_ID}'] = {{run:String}}"


def _comparable(column: str) -> str:
    if column in ("Timestamp", "TimeUnix", "StartTimeUnix"):
        return f"toUnixTimestamp64Nano(t.{column})"
    if column in ("Events.Timestamp", "Exemplars.TimeUnix"):
        return f"arrayMap(moment -> toUnixTimestamp64Nano(moment), t.`{column}`)"
    return f"t.`{column}`"


def differences(table: str, expected: Iterable[Row], found: Iterable[Row]) -> list[str]:
    """What is missing, too much or changed, a line each; empty if the store holds exactly what was sent."""
    wanted, stored = _by_identity(table, expected), _by_identity(table, found)
    lines = []
    for key in sorted(wanted.keys() | stored.keys()):
        if len(wanted[key]) != len(stored[key]):
            lines.append(f"{table} {key}: sent {len(wanted[key])} times, stored {len(stored[key])} times")
            continue
        for before, after in zip(wanted[key], stored[key], strict=True):
            lines += [
                f"{table} {key}: {column} was {before.get(column)!r}, is {after.get(column)!r}"
                for column in COLUMNS[table]
                if before.get(column) != after.get(column)
            ]
    return lines


def _by_identity(table: str, rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    """Rows of equal identity together, in an order of their content."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)):
        identity = {column: row[column] for column in IDENTITY.get(table, POINT_IDENTITY)}
        found[json.dumps(identity, sort_keys=True, ensure_ascii=False)].append(row)
    return found
