"""What must be true of a store after any fault: acknowledged = stored by identity, no duplicate, rollups
equal what the raw rows give when they are counted again. Asked of a running server; the telemetry is that of
`support.load`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from support.load import MIDNIGHT_NS, SECOND_NS

IDENTITIES = {
    "traces": "SELECT reinterpretAsUInt64(reverse(unhex(SpanId))) AS id FROM otel_traces",
    "metrics": "SELECT toUInt64(Value) AS id FROM metric_samples",
    "logs": "SELECT toUInt64(Body) AS id FROM otel_logs",
}

MEMORY_BYTES = 2 * 1024**3
"""More than a server with an embedded store has at any time under the load of these tests."""


def check_identities(
    server: Any,
    owed: Mapping[str, AbstractSet[int]],
    possible: Mapping[str, AbstractSet[int]],
    *,
    beside: int = 1 << 64,
) -> None:
    """What is `owed` is stored once; of what is `possible` beside it, anything may be; nothing is twice.

    Spans with ids from `beside` on are somebody else's.
    """
    for signal, query in IDENTITIES.items():
        stored = Counter(number for row in server.rows(query) if (number := int(row["id"])) < beside)
        assert owed[signal] - stored.keys() == set(), f"{signal}: acknowledged and lost"
        assert stored.keys() - owed[signal] - possible[signal] == set(), f"{signal}: never sent"
        assert {number: count for number, count in stored.items() if count > 1} == {}, f"{signal}: doubled"


def check_bounds(server: Any) -> None:
    """However it came up and whatever it stored again, it never needed more memory than a server may.

    How long it may take to be ready, and to store what waits, `support.launcher` bounds in any test.
    """
    status = Path(f"/proc/{server.pid}/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        assert int(peak.split()[1]) * 1024 < MEMORY_BYTES, peak


def check_rollups(server: Any) -> None:
    """Every rollup is what the raw rows give."""
    assert activity(server) == activity_again(server)
    assert red(server) == red_again(server)
    assert volume(server) == volume_again(server)
    usage = server.rows(USAGE)
    assert len(usage) > 10
    assert usage == server.rows(USAGE_AGAIN)
    assert server.rows(TRACES) == server.rows(TRACES_AGAIN)
    assert server.rows(UNNAMED) == []


SPANS = """
SELECT ServiceName AS service, SpanName AS operation, toUnixTimestamp64Nano(Timestamp) AS start_ns,
    start_ns + Duration AS end_ns, StatusCode = 'Error' AS error
FROM otel_traces
"""
ACTIVITY = """
SELECT service_name AS service, toUnixTimestamp(second) AS s, sum(requests) AS requests,
    sum(starts) AS starts, sum(start_ns) AS start_ns, sum(ends) AS ends, sum(end_ns) AS end_ns,
    sum(errors) AS errors,
    sum(busy_ns) AS busy_ns, sum(carried) AS carried, arraySum(mapValues(sumMap(durations))) AS n
FROM activity_1s GROUP BY service, s
"""
RED = """
SELECT service_name AS service, operation, toUnixTimestamp(minute) AS m, sum(requests) AS requests,
    sum(spans) AS spans, sum(errors) AS errors, sum(duration_ns) AS duration_ns,
    arraySum(mapValues(sumMap(durations))) AS n
FROM red_1m GROUP BY service, operation, m
"""
USAGE = """
SELECT toUnixTimestamp(minute) AS m, sum(cpu_usage_cores_sum) AS total, sum(cpu_usage_samples) AS n
FROM usage_1m WHERE container = 'app' GROUP BY m ORDER BY m
"""
USAGE_AGAIN = """
SELECT toUnixTimestamp(toStartOfMinute(TimeUnix)) AS m, sum(Value) AS total, count() AS n
FROM metric_samples GROUP BY m ORDER BY m
"""
TRACES = """
SELECT count() AS n, sum(cityHash64(TraceId)) AS ids
FROM (SELECT TraceId FROM otel_traces_trace_id_ts GROUP BY TraceId)
"""
TRACES_AGAIN = """
SELECT count() AS n, sum(cityHash64(TraceId)) AS ids FROM (SELECT TraceId FROM otel_traces GROUP BY TraceId)
"""
UNNAMED = """
SELECT DISTINCT fingerprint FROM metric_samples
WHERE fingerprint NOT IN (SELECT fingerprint FROM metric_series)
"""
Sums = dict[tuple[Any, ...], dict[str, int]]


def activity(server: Any) -> Sums:
    return _by_key(server.rows(ACTIVITY), "service", "s")


def activity_again(server: Any) -> Sums:
    found: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for span in server.rows(SPANS):
        service, start, end = span["service"], int(span["start_ns"]), int(span["end_ns"])
        first, last = found[service, start // SECOND_NS], found[service, end // SECOND_NS]
        first.update(requests=1, starts=1, start_ns=start % SECOND_NS)
        last.update(ends=1, end_ns=end % SECOND_NS, errors=int(span["error"]), busy_ns=end - start, n=1)
        if start < MIDNIGHT_NS <= end:
            found[service, MIDNIGHT_NS // SECOND_NS].update(carried=1)
    names = ("requests", "starts", "start_ns", "ends", "end_ns", "errors", "busy_ns", "carried", "n")
    return {key: {name: sums[name] for name in names} for key, sums in found.items()}


def red(server: Any) -> Sums:
    return _by_key(server.rows(RED), "service", "operation", "m")


def red_again(server: Any) -> Sums:
    found: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for span in server.rows(SPANS):
        start, end = int(span["start_ns"]), int(span["end_ns"])
        key = span["service"], span["operation"], end // SECOND_NS // 60 * 60
        found[key].update(requests=1, spans=1, errors=int(span["error"]), duration_ns=end - start, n=1)
    names = ("requests", "spans", "errors", "duration_ns", "n")
    return {key: {name: sums[name] for name in names} for key, sums in found.items()}


def volume(server: Any) -> dict[str, int]:
    rows = server.rows("SELECT signal, sum(rows) AS n FROM telemetry_volume_1h GROUP BY signal")
    return {row["signal"]: int(row["n"]) for row in rows}


def volume_again(server: Any) -> dict[str, int]:
    tables = {"traces": "otel_traces", "metrics": "metric_samples", "logs": "otel_logs"}
    counts = {
        signal: int(server.rows(f"SELECT count() AS n FROM {table}")[0]["n"])  # noqa: S608 - names of ours
        for signal, table in tables.items()
    }
    return {signal: count for signal, count in counts.items() if count}


def _by_key(rows: list[dict[str, Any]], *key: str) -> Sums:
    return {
        tuple(row[name] for name in key): {name: int(value) for name, value in row.items() if name not in key}
        for row in rows
    }
