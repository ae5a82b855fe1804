"""What the layout of the span table costs and gives, beside layouts it could have had.

Each variant gets the same spans and is merged once; then the same questions are asked of each, warm. It opens
an engine of its own in this process.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.requests import bodies, spans_load
from ingest.signals import Signal
from ingest.store.engine import Engine, Session
from ingest.store.migrate import migrate
from ingest.store.otlp import OtlpWriter, Request
from ingest.store.settings import StoreSettings
from ingest.store.target import Embedded

REPEATS = 9
BATCH = 48
# Without it, the engine remembers which rows did not match the time before.
HONEST = {"use_query_condition_cache": 0}
VARIANTS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "without an index of attributes": ("ALTER TABLE {table:Identifier} DROP INDEX span_attribute_items",),
    "a text index of attributes": (
        "ALTER TABLE {table:Identifier} DROP INDEX span_attribute_items",
        "ALTER TABLE {table:Identifier} ADD INDEX words SpanAttributeItems TYPE text(tokenizer = 'array')",
    ),
    "without the trace id's bloom filter": ("ALTER TABLE {table:Identifier} DROP INDEX trace_ids",),
    "maps in buckets": (
        "ALTER TABLE {table:Identifier} MODIFY SETTING map_serialization_version = 'with_buckets'",
    ),
}
QUESTIONS = {
    "attribute_ms": "SELECT count() FROM {table:Identifier} WHERE has(SpanAttributeItems, {item:String})",
    "attribute_by_map_ms": "SELECT count() FROM {table:Identifier}"
    " WHERE SpanAttributes[{key:String}] = {value:String}",
    "resource_ms": "SELECT count() FROM {table:Identifier}"
    " WHERE simpleJSONExtractString(ResourceJson, 'k8s.pod.name') = {pod:String}",
    "resource_by_map_ms": "SELECT count() FROM {table:Identifier}"
    " WHERE ResourceAttributes['k8s.pod.name'] = {pod:String}",
    "trace_ms": "SELECT * FROM {table:Identifier} WHERE TraceId = {trace:String}",
    "slowest_ms": "SELECT SpanName, quantile(0.99)(Duration) FROM {table:Identifier} WHERE tenant = 'default'"
    " AND ServiceName = {service:String} GROUP BY SpanName",
    "by_attribute_ms": "SELECT SpanAttributes['http.response.status_code'] AS status, count()"
    " FROM {table:Identifier} WHERE ServiceName = {service:String} GROUP BY status",
}


def measure(seconds: float) -> dict[str, Any]:
    """A hundred thousand spans for each of `seconds`."""
    spans = int(seconds * 100_000)
    with tempfile.TemporaryDirectory(prefix="lowtide-bench-") as folder:
        engine = Engine.open(Embedded(Path(folder)))
        with engine.session() as session:
            migrate(session, StoreSettings())
            insert_s = _fill(engine, spans)
            known = _known(session)
            variants = {
                name: _variant(session, f"variant_{number}", changes, known)
                for number, (name, changes) in enumerate(VARIANTS.items())
            }
            columns = _columns(session)
        engine.close()
    return {
        "what": f"{spans:,} spans of 700 B; milliseconds are medians of {REPEATS}, warm, on one merged part",
        "spans": spans,
        "insert_with_all_rollups_per_s": round(spans / insert_s),
        "bytes_per_span_by_column": columns,
        "loads": variants,
    }


def _fill(engine: Engine, spans: int) -> float:
    load = spans_load()
    made = bodies(load, BATCH)
    writer = OtlpWriter(engine)
    started = time.monotonic()
    for number in range(max(1, spans // (BATCH * load.items))):
        now = time.time_ns()
        # The same bodies in every batch would make ids repeat: each batch is drawn anew.
        fresh = made if number == 0 else bodies(load, BATCH, seed=number + 1)
        started += (time.time_ns() - now) / 1e9
        requests = [Request("default", now, body) for body in fresh]
        writer.insert(Signal.TRACES, number + 1, f"layout {number}", requests)
    took_s = time.monotonic() - started
    writer.close()
    return took_s


def _known(session: Session) -> dict[str, str]:
    """A span that exists, for questions about one."""
    sql = """
    SELECT TraceId, ServiceName, SpanAttributes['enduser.id'], ResourceAttributes['k8s.pod.name']
    FROM otel_traces ORDER BY SpanId LIMIT 1
    """
    trace, service, user, pod = session.rows(sql)[0]
    return {
        "trace": trace,
        "service": service,
        "pod": pod,
        "item": f"enduser.id={user}",
        "key": "enduser.id",
        "value": user,
    }


def _variant(session: Session, table: str, changes: tuple[str, ...], known: dict[str, str]) -> dict[str, Any]:
    named = {"table": table}
    session.execute("CREATE TABLE {table:Identifier} AS otel_traces", named)
    for change in changes:
        session.execute(change, named)
    started = time.monotonic()
    session.execute(
        "INSERT INTO {table:Identifier} SELECT * FROM otel_traces",
        named,
        {"materialize_skip_indexes_on_insert": 0},
    )
    session.execute("OPTIMIZE TABLE {table:Identifier} FINAL", named)
    merged_s = time.monotonic() - started
    size = "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND table = {table:String}"
    found: dict[str, Any] = {
        "bytes_per_span": round(session.value(size, named)),
        "copy_and_merge_s": round(merged_s, 1),
    }
    for question, sql in QUESTIONS.items():
        took = []
        for _ in range(REPEATS):
            before = time.monotonic()
            session.raw(sql, named | known, fmt="Null", settings=HONEST)
            took.append((time.monotonic() - before) * 1000)
        found[question] = round(statistics.median(took), 1)
    session.execute("DROP TABLE {table:Identifier} SYNC", named)
    return found


def _columns(session: Session) -> dict[str, float]:
    """Compressed bytes a span, the largest columns first."""
    sql = """
    SELECT column, sum(column_bytes_on_disk) / (SELECT count() FROM otel_traces) AS size
    FROM system.parts_columns WHERE active AND table = 'otel_traces'
    GROUP BY column ORDER BY size DESC LIMIT 12
    """
    return {name: round(size, 1) for name, size in session.rows(sql)}
