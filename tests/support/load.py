"""Telemetry whose every record has an identity, sent from several threads, and what its senders were told.

Used by tests that kill servers (`tests/serve`); `support.oracle` compares it with what is stored.
"""

from __future__ import annotations

import random
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

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

    def wait(self, least: int) -> None:
        """Return once that many records of every signal were acknowledged."""
        until = time.monotonic() + 60
        while min(counts := [len(ids) for ids in self.owed().values()]) < least:
            assert time.monotonic() < until, counts
            time.sleep(0.02)

    def wait_more(self, more: int) -> None:
        """Return once that many more records of every signal were acknowledged than by now."""
        before = self.owed()
        until = time.monotonic() + 60
        while any(len(ids) < len(before[signal]) + more for signal, ids in self.owed().items()):
            assert time.monotonic() < until, "nothing is taken any more"
            time.sleep(0.02)

    def owed(self) -> dict[str, set[int]]:
        """What was acknowledged by now, of every signal."""
        with self.lock:
            return {signal: set(self.acknowledged[signal]) for signal in MAKE}


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
