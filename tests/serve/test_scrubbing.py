"""A secret in an attribute, sent to a real server: it is neither in the spool nor in the store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.launcher import Launcher

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

WORD = "hunter2-hunter2-hunter2"


def request() -> bytes:
    made = ExportTraceServiceRequest()
    entry = made.resource_spans.add()
    entry.resource.attributes.add(key="service.name").value.string_value = "quote"
    now = time.time_ns()
    span = entry.scope_spans.add().spans.add(
        trace_id=b"1" * 16, span_id=b"1" * 8, name="GET /", start_time_unix_nano=now, end_time_unix_nano=now
    )
    for name in ("http.request.header.authorization", "enduser.id", "http.route"):
        span.attributes.add(key=name).value.string_value = WORD if name != "http.route" else "/quotes"
    return made.SerializeToString()


def holding(data: Path) -> list[str]:
    """The files in which the word stands as it is."""
    return [str(path) for path in data.rglob("*") if path.is_file() and WORD.encode() in path.read_bytes()]


def test_a_secret_is_written_nowhere(launch: Launcher) -> None:
    server = launch.serve("--set", 'collector.scrub.hash=["enduser.id"]')
    ready: Any = server.wait_ready()
    response = httpx2.post(
        f"{ready['otlp_http']}/v1/traces", content=request(), trust_env=False,
        headers={"Content-Type": "application/x-protobuf"},
    )  # fmt: skip
    assert response.status_code == 200
    assert response.content == b""
    spooled = holding(server.data)
    server.wait_stored()

    (row,) = server.rows("SELECT SpanAttributes FROM otel_traces")
    assert row["SpanAttributes"].keys() == {"enduser.id", "http.route"}
    assert row["SpanAttributes"]["enduser.id"].startswith("hmac:")
    metrics = server.http.get(server.url("/metrics")).text
    for action in ("dropped", "hashed"):
        assert (
            f'lowtide_collector_attributes_scrubbed_total{{action="{action}",signal="traces"}} 1.0' in metrics
        )
    key = server.data / "scrub.key"
    assert (len(key.read_bytes()), key.stat().st_mode & 0o777) == (32, 0o600)
    assert server.stop() == 0
    assert spooled == holding(server.data) == []
    assert WORD not in server.told()


def test_a_key_that_is_none_keeps_it_from_starting(launch: Launcher) -> None:
    data = launch.folder / "data"
    data.mkdir()
    (data / "scrub.key").write_bytes(b"short")
    server = launch("serve", "--api-port", "0", "--set", 'collector.scrub.hash=["enduser.id"]')

    assert server.process.wait(60) == 1
    assert "scrub.key" in server.told()
