"""Twenty SIGKILLs under load: nothing acknowledged is lost or doubled, and rollups equal the raw data."""

from __future__ import annotations

import random
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

ANY_PORTS = ("--api-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0")
KILLS = 20
SEED = 2_026
SECOND_NS = 1_000_000_000
DAY_S = 86_400
MIDNIGHT_NS = (int(time.time()) // DAY_S - 2) * DAY_S * SECOND_NS
RECORDS = 20
"""Records in a request."""
PAUSE_S = 0.004
"""Between two requests of a sender: a load that leaves the machine to the other tests."""
METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


def resource(number: int) -> Resource:
    return Resource(
        attributes=[
            KeyValue(key=key, value=AnyValue(string_value=value))
            for key, value in (
                ("service.name", f"service-{number % 3}"),
                ("k8s.namespace.name", "shop"),
                ("k8s.deployment.name", f"service-{number % 3}"),
                ("k8s.pod.name", f"service-{number % 3}-1"),
                ("k8s.container.name", "app"),
                ("k8s.node.name", "node-1"),
            )
        ]
    )


def traces(ids: range, draw: random.Random) -> bytes:
    """SERVER spans around a midnight, some of which run over it."""
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add(resource=resource(ids.start // RECORDS))
    scope = entry.scope_spans.add()
    for number in ids:
        begin = MIDNIGHT_NS + draw.randrange(-300 * SECOND_NS, 300 * SECOND_NS)
        span = scope.spans.add(
            trace_id=struct.pack(">QQ", 1, number), span_id=struct.pack(">Q", number), kind=2,
            parent_span_id=struct.pack(">Q", 1 << 40 | number) if number % 2 else b"",
            name=f"op-{number % 5}", start_time_unix_nano=begin,
            end_time_unix_nano=begin + draw.randrange(30 * SECOND_NS),
        )  # fmt: skip
        span.status.code = 2 if draw.random() < 0.2 else 0
    return request.SerializeToString()


def metrics(ids: range, draw: random.Random) -> bytes:
    """Points of use whose value is their identity."""
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add(resource=resource(ids.start // RECORDS))
    gauge = entry.scope_metrics.add().metrics.add(name="container.cpu.usage").gauge
    for number in ids:
        at = MIDNIGHT_NS + draw.randrange(3600 * SECOND_NS)
        gauge.data_points.add(time_unix_nano=at, as_double=float(number))
    return request.SerializeToString()


def logs(ids: range, draw: random.Random) -> bytes:
    """Records whose body is their identity."""
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add(resource=resource(ids.start // RECORDS))
    scope = entry.scope_logs.add()
    for number in ids:
        record = scope.log_records.add(time_unix_nano=MIDNIGHT_NS + draw.randrange(3600 * SECOND_NS))
        record.body.string_value = str(number)
    return request.SerializeToString()


MAKE: dict[str, Callable[[range, random.Random], bytes]] = {
    "traces": traces,
    "metrics": metrics,
    "logs": logs,
}


@dataclass
class Told:
    """What the senders know: what was acknowledged, and what they never heard of again."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    next_id: int = 1
    acknowledged: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    unknown: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def take(self) -> range:
        """Identities that nobody had before: another attempt is another record."""
        with self.lock:
            first, self.next_id = self.next_id, self.next_id + RECORDS
        return range(first, first + RECORDS)

    def note(self, signal: str, ids: range, *, acknowledged: bool) -> None:
        with self.lock:
            (self.acknowledged if acknowledged else self.unknown)[signal].update(ids)


class Load:
    """Senders for one life of the server: over HTTP and gRPC, of all three signals."""

    def __init__(self, told: Told, addresses: dict[str, str], seed: int) -> None:
        self._told = told
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(send, addresses, random.Random(f"{seed} {send}")))
            for send in (self._over_http, self._over_grpc)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, connect: Any, addresses: dict[str, str], draw: random.Random) -> None:
        for send in connect(addresses):
            while not self._stop.is_set():
                signal = draw.choice(["traces", "traces", "metrics", "logs"])
                ids = self._told.take()
                acknowledged = send(signal, MAKE[signal](ids, draw))
                self._told.note(signal, ids, acknowledged=acknowledged)
                self._stop.wait(PAUSE_S)

    def _over_http(self, addresses: dict[str, str]) -> Iterator[Callable[[str, bytes], bool]]:
        headers = {"Content-Type": "application/x-protobuf"}
        with httpx2.Client(base_url=addresses["otlp_http"], timeout=10, trust_env=False) as client:

            def send(signal: str, body: bytes) -> bool:
                try:
                    return client.post(f"/v1/{signal}", content=body, headers=headers).status_code == 200
                except httpx2.TransportError:
                    return False

            yield send

    def _over_grpc(self, addresses: dict[str, str]) -> Iterator[Callable[[str, bytes], bool]]:
        with grpc.insecure_channel(addresses["otlp_grpc"].partition("://")[2]) as channel:
            calls = {signal: channel.unary_unary(method) for signal, method in METHODS.items()}

            def send(signal: str, body: bytes) -> bool:
                try:
                    calls[signal](body, timeout=10)
                except grpc.RpcError:
                    return False
                return True

            yield send


def live(launch: Any, told: Told, number: int, draw: random.Random) -> None:
    """One life: from its start to a SIGKILL at a random moment, mostly under load."""
    server = launch(
        "serve", *ANY_PORTS,
        # Batches and clean-ups all the time, so that kills hit them.
        "--set", "loader.interval_ms=20", "--set", "loader.trim_interval_s=0.5",
    )  # fmt: skip
    if number % 5 == 4:  # while it starts and stores what the one before left behind
        time.sleep(draw.uniform(0.5, 3.0))
        server.kill()
        return
    addresses = server.wait_ready()
    with Load(told, addresses, SEED + number):
        time.sleep(draw.uniform(0.1, 1.5))
        server.kill()


def test_nothing_is_lost_or_doubled(launch: Any) -> None:
    draw = random.Random(SEED)
    told = Told()
    for number in range(KILLS):
        live(launch, told, number, draw)
    server = launch.serve()
    server.wait_stored()

    for one in server.get("/api/v1/pipeline")["signals"]:
        assert one["requests_waiting_at_start"] + one["requests_spooled"] == one["requests_inserted"], one
    for signal, query in (
        ("traces", "SELECT reinterpretAsUInt64(reverse(unhex(SpanId))) AS id FROM otel_traces"),
        ("metrics", "SELECT toUInt64(Value) AS id FROM metric_samples"),
        ("logs", "SELECT toUInt64(Body) AS id FROM otel_logs"),
    ):
        stored = Counter(int(row["id"]) for row in server.rows(query))
        acknowledged, unknown = told.acknowledged[signal], told.unknown[signal]
        assert len(acknowledged) > KILLS * RECORDS, signal
        assert acknowledged - stored.keys() == set(), f"{signal}: acknowledged and lost"
        assert stored.keys() - acknowledged - unknown == set(), f"{signal}: never sent"
        assert {number: count for number, count in stored.items() if count > 1} == {}, f"{signal}: doubled"

    assert activity(server) == activity_again(server)
    assert red(server) == red_again(server)
    assert volume(server) == volume_again(server)
    for kept, again in ((USAGE, USAGE_AGAIN), (EDGES, EDGES_AGAIN)):
        rows = server.rows(kept)
        assert len(rows) > 10
        assert rows == server.rows(again)
    assert server.rows(UNNAMED) == []
    assert server.stop() == 0, server.told()


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
EDGES = "SELECT side, edge_id, span_id FROM half_edges ORDER BY ALL"
EDGES_AGAIN = """
SELECT 'callee' AS side, ParentSpanId AS edge_id, SpanId AS span_id
FROM otel_traces WHERE ParentSpanId != '' ORDER BY ALL
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
    return {
        signal: int(server.rows(f"SELECT count() AS n FROM {table}")[0]["n"])  # noqa: S608 - names of ours
        for signal, table in tables.items()
    }


def _by_key(rows: list[dict[str, Any]], *key: str) -> Sums:
    return {
        tuple(row[name] for name in key): {name: int(value) for name, value in row.items() if name not in key}
        for row in rows
    }
