"""What a plain loader does: parse OTLP with protobuf, make columns of it in Python, insert them into the same
table - and no rollup. Beside the figures of `bench.ingest`.

Its requests are in memory and not compressed, nothing is received, made durable or stored only once; so it
is given less to do, on one core of the same machine while the engine merges on the other.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from bench.requests import LOADS, Load
from bench.variants import variants
from ingest.signals import Signal
from ingest.store.engine import Engine
from ingest.store.migrate import migrate
from ingest.store.settings import StoreSettings
from ingest.store.target import Embedded

BATCH = 64
"""Requests that are inserted together: some 32,000 spans."""
KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
STATUS = ("Unset", "Ok", "Error")
SPANS_PER_S = 30_000
"""So many are made for each second that it is to run."""
_ATTRIBUTES = pa.map_(pa.string(), pa.string())
_TIME = pa.timestamp("ns", "UTC")
SCHEMA = pa.schema([
    ("Timestamp", _TIME), ("TraceId", pa.string()), ("SpanId", pa.string()), ("ParentSpanId", pa.string()),
    ("SpanName", pa.string()), ("SpanKind", pa.string()), ("ServiceName", pa.string()),
    ("ResourceJson", pa.string()), ("SpanAttributes", _ATTRIBUTES), ("Duration", pa.uint64()),
    ("StatusCode", pa.string()), ("StatusMessage", pa.string()),
    ("Events.Timestamp", pa.list_(_TIME)), ("Events.Name", pa.list_(pa.string())),
    ("Events.Attributes", pa.list_(_ATTRIBUTES)),
])  # fmt: skip


def measure(seconds: float) -> dict[str, Any]:
    """Spans of both sizes."""
    loads = [load for load in LOADS if load.signal is Signal.TRACES and load.items > 100]
    return {
        "what": "spans a second by a plain loader from protobuf to rows, without rollups",
        "loads": {load.name: _one(load, int(seconds * SPANS_PER_S)) for load in loads},
    }


def _one(load: Load, spans: int) -> dict[str, Any]:
    bodies = list(variants(load, max(BATCH, spans // load.items), 10.0))
    with tempfile.TemporaryDirectory(prefix="lowtide-bench-") as folder:
        engine = Engine(Embedded(Path(folder)), lambda session: migrate(session, StoreSettings()))
        engine.reach()
        with closing(engine), engine.session() as session:
            started, used = time.monotonic(), _cpu_s()
            for batch in _batched(bodies):
                table = pa.Table.from_pylist([row for body in batch for row in rows_of(body)], SCHEMA)
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, SCHEMA) as writer:
                    writer.write_table(table)
                session.insert_raw(
                    "otel_traces", [sink.getvalue().to_pybytes()], fmt="ArrowStream", settings={}
                )
            took_s, used = time.monotonic() - started, _cpu_s() - used
            items = len(bodies) * load.items
            kept = int(session.value("SELECT count() FROM otel_traces"))
            if kept != items:
                raise RuntimeError(f"{items} spans were inserted and {kept} are stored")
            return {
                "about": load.about,
                "queryable_per_s": round(items / took_s),
                "cpu_us": round(1e6 * used / items, 1),
            }


def rows_of(body: bytes) -> Iterable[dict[str, Any]]:
    """A row for each span of a request."""
    for entry in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = dict(_pairs(entry.resource.attributes))
        resource_json = json.dumps(resource)
        for scope in entry.scope_spans:
            for span in scope.spans:
                yield {
                    "Timestamp": span.start_time_unix_nano,
                    "TraceId": span.trace_id.hex(),
                    "SpanId": span.span_id.hex(),
                    "ParentSpanId": span.parent_span_id.hex(),
                    "SpanName": span.name,
                    "SpanKind": KINDS[span.kind],
                    "ServiceName": resource.get("service.name", ""),
                    "ResourceJson": resource_json,
                    "SpanAttributes": _pairs(span.attributes),
                    "Duration": span.end_time_unix_nano - span.start_time_unix_nano,
                    "StatusCode": STATUS[span.status.code],
                    "StatusMessage": span.status.message,
                    "Events.Timestamp": [event.time_unix_nano for event in span.events],
                    "Events.Name": [event.name for event in span.events],
                    "Events.Attributes": [_pairs(event.attributes) for event in span.events],
                }


def _pairs(attributes: Iterable[KeyValue]) -> list[tuple[str, str]]:
    return [(each.key, _text(each.value)) for each in attributes]


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))


def _batched(bodies: list[bytes]) -> Iterable[list[bytes]]:
    return (bodies[start : start + BATCH] for start in range(0, len(bodies), BATCH))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
