"""Senders that never give up, and a server that is killed: everything is stored, and everything once.

Each sender keeps what it was not told is taken and sends it again, over the other transport, compressed
another way or not at all, and now and then what it was told is taken as well.
"""

from __future__ import annotations

import gzip
import random
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

ANY_PORTS = ("--api-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0")
# Batches, clean-ups and full segments all the time, so that kills hit them.
BUSY = (
    "--set", "loader.interval_ms=20", "--set", "loader.trim_interval_s=0.2",
    "--set", "spool.segment_bytes=65536",
)  # fmt: skip
KILLS = 4
RECORDS = 10
SECOND_NS = 1_000_000_000
PROTOBUF = {"Content-Type": "application/x-protobuf"}
METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


def traces(ids: range, *, too_old: int = 0) -> bytes:
    """Spans, some of which lie outside the accepted window."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    now_ns = time.time_ns()
    for number in ids:
        start_ns = SECOND_NS if number - ids.start < too_old else now_ns
        spans.add(
            trace_id=struct.pack(">QQ", 1, number), span_id=struct.pack(">Q", number), name="op",
            start_time_unix_nano=start_ns, end_time_unix_nano=start_ns + 5,
        )  # fmt: skip
    return request.SerializeToString()


def logs(ids: range) -> bytes:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for number in ids:
        records.add(time_unix_nano=time.time_ns()).body.string_value = str(number)
    return request.SerializeToString()


@dataclass
class Sender:
    """Sends over both transports until it is told that a request is taken."""

    draw: random.Random
    numbers: Any
    owed: list[tuple[str, bytes]] = field(default_factory=list)
    told: list[tuple[str, bytes]] = field(default_factory=list)
    sent: dict[str, set[int]] = field(default_factory=lambda: {"traces": set(), "logs": set()})
    again: int = 0

    def run(self, addresses: dict[str, str], stop: threading.Event) -> None:
        with (
            httpx2.Client(base_url=addresses["otlp_http"], timeout=10, trust_env=False) as client,
            grpc.insecure_channel(addresses["otlp_grpc"].partition("://")[2]) as channel,
        ):
            calls = {signal: channel.unary_unary(method) for signal, method in METHODS.items()}
            while not stop.is_set():
                self.step(client, calls)
                stop.wait(0.003)

    def step(self, client: httpx2.Client, calls: dict[str, Any]) -> None:
        if self.owed and self.draw.random() < 0.7:
            signal, body = self.owed.pop(0)
            self.again += 1
        elif self.told and self.draw.random() < 0.3:
            signal, body = self.draw.choice(self.told[-50:])
            self.again += 1
        else:
            signal = self.draw.choice(["traces", "logs"])
            first = next(self.numbers) * RECORDS + 1
            ids = range(first, first + RECORDS)
            body = traces(ids) if signal == "traces" else logs(ids)
            self.sent[signal].update(ids)
        (self.told if self.taken(client, calls, signal, body) else self.owed).append((signal, body))

    def taken(self, client: httpx2.Client, calls: dict[str, Any], signal: str, body: bytes) -> bool:
        try:
            if self.draw.random() < 0.5:
                compression = self.draw.choice([grpc.Compression.Gzip, grpc.Compression.NoCompression])
                calls[signal](body, timeout=10, compression=compression)
                return True
            if self.draw.random() < 0.5:
                headers = PROTOBUF | {"Content-Encoding": "gzip"}
                packed = gzip.compress(body)
                return client.post(f"/v1/{signal}", content=packed, headers=headers).status_code == 200
            return client.post(f"/v1/{signal}", content=body, headers=PROTOBUF).status_code == 200
        except (grpc.RpcError, httpx2.TransportError):
            return False


def live(server: Any, senders: list[Sender], seconds: float) -> None:
    """Let everybody send for a while."""
    addresses, stop = server.wait_ready(), threading.Event()
    threads = [threading.Thread(target=sender.run, args=(addresses, stop)) for sender in senders]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    if seconds:
        server.kill()
    else:
        while any(sender.owed for sender in senders):
            time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()


def test_everything_is_stored_once(launch: Any) -> None:
    draw = random.Random(2_026)
    numbers = iter(range(1 << 40))
    senders = [Sender(random.Random(number), numbers) for number in range(3)]
    for _ in range(KILLS):
        live(launch("serve", *ANY_PORTS, *BUSY), senders, draw.uniform(0.3, 1.5))
    server = launch.serve(*BUSY)
    while any(sender.owed for sender in senders):
        live(server, senders, 0)
    server.wait_stored()

    assert sum(sender.again for sender in senders) > KILLS * 10
    for signal, query in (
        ("traces", "SELECT reinterpretAsUInt64(reverse(unhex(SpanId))) AS id FROM otel_traces"),
        ("logs", "SELECT toUInt64(Body) AS id FROM otel_logs"),
    ):
        stored = Counter(int(row["id"]) for row in server.rows(query))
        sent = set().union(*(sender.sent[signal] for sender in senders))
        assert len(sent) > KILLS * RECORDS
        assert sent - stored.keys() == set(), f"{signal}: lost"
        assert stored.keys() - sent == set(), f"{signal}: never sent"
        assert {number: count for number, count in stored.items() if count > 1} == {}, f"{signal}: doubled"
    assert server.stop() == 0, server.told()


def test_a_request_taken_in_part_is_answered_the_same_after_a_kill(launch: Any) -> None:
    body = traces(range(1, 11), too_old=4)
    answers = []
    for _ in range(2):
        server = launch.serve(*BUSY)
        addresses = server.wait_ready()
        for _ in range(2):
            answer = httpx2.post(addresses["otlp_http"] + "/v1/traces", content=body, headers=PROTOBUF)
            assert answer.status_code == 200
            answers.append(answer.content)
        with grpc.insecure_channel(addresses["otlp_grpc"].partition("://")[2]) as channel:
            answers.append(channel.unary_unary(METHODS["traces"])(body, timeout=10))
        server.wait_stored()
        server.kill()

    assert set(answers) == {answers[0]}
    told = ExportTraceServiceResponse.FromString(answers[0]).partial_success
    assert told.rejected_spans == 4
    assert "time window" in told.error_message
    server = launch.serve()
    server.wait_stored()
    assert server.rows("SELECT count() AS n FROM otel_traces") == [{"n": 6}]
