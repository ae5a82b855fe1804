"""`lowtide serve` as a process: what it says, what it refuses, how it ends."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def request(*numbers: int) -> bytes:
    """Spans with these numbers as their identities."""
    made = ExportTraceServiceRequest()
    entry = made.resource_spans.add()
    entry.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="quote")))
    scope = entry.scope_spans.add()
    now = time.time_ns()
    for number in numbers:
        scope.spans.add(
            trace_id=struct.pack(">QQ", 7, number), span_id=struct.pack(">Q", number), kind=2, name="GET /",
            start_time_unix_nano=now - 2_000_000, end_time_unix_nano=now - 1_000_000,
        )  # fmt: skip
    return made.SerializeToString()


def send(ready: dict[str, Any], body: bytes) -> None:
    response = httpx2.post(
        f"{ready['otlp_http']}/v1/traces", content=body, trust_env=False,
        headers={"Content-Type": "application/x-protobuf"},
    )  # fmt: skip
    assert response.status_code == 200, response.text


def send_grpc(ready: dict[str, Any], body: bytes) -> None:
    with grpc.insecure_channel(ready["otlp_grpc"].partition("://")[2]) as channel:
        channel.unary_unary(EXPORT)(body, timeout=10)


def test_it_says_where_it_answers(served: Any) -> None:
    ready = served.wait_ready()

    assert served.said() == [ready], "stdout carries the ready line and nothing else"
    assert ready.keys() == {"event", "api", "otlp_http", "otlp_grpc", "pid"}
    assert (ready["event"], ready["pid"]) == ("ready", served.pid)
    for name in ("api", "otlp_http", "otlp_grpc"):
        assert ready[name].startswith("http://127.0.0.1:")
    told = served.told()
    for fact in (str(served.data), "UTC", "USD", "Ctrl-C", f"kill {served.pid}", ready["api"]):
        assert fact in told


def test_it_is_healthy_and_ready(served: Any) -> None:
    assert served.http.get(served.url("/healthz")).text == "ok\n"
    readiness = served.get("/readyz")
    assert readiness["ready"] is True
    assert readiness["components"].keys() == {"server", "spool", "loader", "store"}
    pipeline = served.get("/api/v1/pipeline")
    assert [one["signal"] for one in pipeline["signals"]] == ["traces", "metrics", "logs"]
    metrics = served.http.get(served.url("/metrics")).text
    for name in (
        "lowtide_collector_items_received_total", "lowtide_spool_waiting_requests",
        "lowtide_loader_requests_total", "lowtide_sql_statements_total", "process_resident_memory_bytes",
    ):  # fmt: skip
        assert f"# TYPE {name} " in metrics


def test_every_address_is_on_loopback(served: Any) -> None:
    """Of the sockets this process listens on, none can be reached from elsewhere."""
    sockets = {
        link.readlink().name
        for link in Path(f"/proc/{served.pid}/fd").iterdir()
        if link.is_symlink() and str(link.readlink()).startswith("socket:")
    }
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{served.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.append(fields[1].partition(":")[0])
    assert len(listening) >= 3
    mapped = "0000000000000000FFFF0000"  # an IPv4 address on an IPv6 socket
    assert {address.removeprefix(mapped) for address in listening} == {"0100007F"}


def test_a_second_process_is_refused(served: Any, launch: Any) -> None:
    second = launch("serve", data=served.data)

    assert second.process.wait(60) == 1
    told = second.told()
    assert told.count("\n") == 1
    assert f"already runs on this data directory (pid {served.pid}" in told
    assert "--data" in told
    assert second.said() == []
    assert served.get("/readyz")["ready"] is True


def test_what_was_acknowledged_is_stored_before_it_ends(launch: Any) -> None:
    # The loader waits a minute between batches, so only the end makes it store the last requests.
    server = launch.serve("--set", "loader.interval_ms=60000")
    ready = server.ready
    send(ready, request(1))
    server.wait_stored()
    for number in range(2, 30, 2):
        send(ready, request(number))
        send_grpc(ready, request(number + 1))

    assert server.stop() == 0, server.told()

    assert "Everything accepted is stored" in server.told()
    with pytest.raises(httpx2.ConnectError):
        send(ready, request(99))
    again = launch.serve()
    assert again.get("/api/v1/pipeline")["signals"][0]["requests_waiting_at_start"] == 0
    rows = again.rows("SELECT reinterpretAsUInt64(reverse(unhex(SpanId))) AS id FROM otel_traces")
    assert sorted(int(row["id"]) for row in rows) == list(range(1, 30))
    again.process.send_signal(signal.SIGINT)  # Ctrl-C is as good
    assert again.process.wait(60) == 0


def test_a_port_in_use_is_named_with_its_flag(launch: Any, tmp_path: Path) -> None:
    flags = ("--api-port", "--otlp-http-port", "--otlp-grpc-port")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        tried = {
            flag: launch(
                "serve", *(part for one in flags for part in (one, str(port) if one == flag else "0")),
                data=tmp_path / flag,
            )
            for flag in flags
        }  # fmt: skip
        for flag, one in tried.items():
            assert one.process.wait(60) == 1
            told = one.told()
            assert f"port {port} on 127.0.0.1 is in use by another process" in told
            assert "OTLP is received" not in told, "nothing is taken by a server that cannot start"
            assert f"another port with {flag} " in told
            assert "Traceback" not in told
            assert one.said() == []


def test_other_commands_ask_the_running_server(served: Any, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lowtide", "cost", "--output", "json", "--data", str(served.data)],
        capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path, env=served.environment,
    )  # fmt: skip
    assert '"total"' in done.stdout
