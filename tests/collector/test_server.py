"""The collector as one component, with the real check: start, answer, stop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2
import pytest
from grpc import aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from collector.check.check import TimeGate
from collector.errors import CollectorError
from collector.listen import Endpoint, ListenError, PortInUseError, bound_socket
from collector.remote_write import survey, write
from collector.server import OtlpServer
from collector.settings import CollectorSettings

EXPORT_TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
HOUR_NS = 3600 * 10**9


def span(start_ns: int) -> dict[str, Any]:
    return {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "GET /",
        "kind": 2,
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(start_ns + 1000),
    }


def traces(*starts_ns: int) -> bytes:
    spans = [span(start_ns) for start_ns in starts_ns]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


@pytest.fixture
async def make_server(fake_spool: Any) -> AsyncIterator[Any]:
    made: list[OtlpServer] = []

    def make(**changed: Any) -> OtlpServer:
        server = OtlpServer(
            CollectorSettings(**{"http_port": 0, "grpc_port": 0, **changed}),
            spool=fake_spool,
            gate=TimeGate(retention_ns=24 * HOUR_NS, ahead_ns=600 * 10**9),
            registry=CollectorRegistry(),
        )
        made.append(server)
        return server

    yield make
    for server in made:
        await server.stop(1)


async def test_both_transports_answer_at_the_real_ports(make_server: Any, fake_spool: Any) -> None:
    server = make_server()
    await server.start()
    assert server.http_url == f"http://127.0.0.1:{server.http_port}"
    assert server.grpc_url == f"http://127.0.0.1:{server.grpc_port}"
    assert 0 not in (server.http_port, server.grpc_port)
    async with httpx2.AsyncClient(base_url=server.http_url, trust_env=False) as client:
        reply = await client.post(
            "/v1/traces", content=traces(time.time_ns()), headers={"content-type": "application/json"}
        )
    assert (reply.status_code, reply.content) == (200, b"{}")
    body = fake_spool.stored[0][2]
    async with aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        assert await channel.unary_unary(EXPORT_TRACES)(body) == b""
    assert [items for _, _, _, items in fake_spool.stored] == [1, 1]
    assert fake_spool.stored[0] == fake_spool.stored[1]


async def test_the_gate_refuses_records_and_says_so(make_server: Any, fake_spool: Any) -> None:
    server = make_server()
    await server.start()
    now = time.time_ns()
    async with httpx2.AsyncClient(base_url=server.http_url, trust_env=False) as client:
        reply = await client.post(
            "/v1/traces",
            content=traces(now, now - 25 * HOUR_NS, now + HOUR_NS),
            headers={"content-type": "application/json"},
        )
    partial = json.loads(reply.content)["partialSuccess"]
    assert partial["rejectedSpans"] == "2"
    assert partial["errorMessage"]
    assert [items for _, _, _, items in fake_spool.stored] == [1]


async def test_what_is_compiled_is_there_before_the_first_request(make_server: Any) -> None:
    parts = (survey.load, write.load)
    for load in parts:
        load.cache_clear()

    await make_server().start()

    assert [load.cache_info().currsize for load in parts] == [1, 1]


async def test_stop_frees_both_ports_and_may_be_repeated(make_server: Any) -> None:
    first = make_server()
    await first.start()
    await asyncio.gather(first.stop(), first.stop())
    await first.stop()
    second = make_server(http_port=first.http_port, grpc_port=first.grpc_port)
    await second.start()
    assert (second.http_port, second.grpc_port) == (first.http_port, first.grpc_port)


async def test_stop_without_start(make_server: Any) -> None:
    server = make_server()
    await server.stop()
    with pytest.raises(CollectorError):
        await server.start()


async def test_it_starts_once(make_server: Any) -> None:
    server = make_server()
    await server.start()
    with pytest.raises(CollectorError):
        await server.start()


@pytest.mark.parametrize(
    ("setting", "other", "flag"),
    [("http_port", "grpc_port", "--otlp-http-port"), ("grpc_port", "http_port", "--otlp-grpc-port")],
)
async def test_a_port_in_use_leaves_nothing_behind(
    make_server: Any, taken_port: int, setting: str, other: str, flag: str
) -> None:
    with bound_socket(Endpoint("127.0.0.1", 0, "")) as free:
        free_port = free.getsockname()[1]
    server = make_server(**{setting: taken_port, other: free_port})
    with pytest.raises(PortInUseError, match=f"port {taken_port} on 127.0.0.1.*{flag}"):
        await server.start()
    bound_socket(Endpoint("127.0.0.1", free_port, "")).close()


async def test_an_address_that_is_not_ours(make_server: Any) -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1"):
        await make_server(listen="192.0.2.1").start()


async def test_two_collectors_in_one_process(make_server: Any) -> None:
    first, second = make_server(), make_server()
    await first.start()
    await second.start()
    assert len({first.http_port, first.grpc_port, second.http_port, second.grpc_port}) == 4


def unfolding(spans: int, resource_bytes: int) -> bytes:
    """A resource that the store writes beside each of many spans."""
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add()
    entry.resource.attributes.add(key="service.name").value.string_value = "v" * resource_bytes
    scope = entry.scope_spans.add()
    now_ns = time.time_ns()
    for number in range(1, spans + 1):
        span = scope.spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8))
        span.start_time_unix_nano, span.end_time_unix_nano = now_ns, now_ns + 1
    return request.SerializeToString()


@pytest.mark.parametrize("inline_bytes", [0, 4 << 20], ids=["in a thread", "starting on the loop"])
async def test_what_the_store_could_not_hold_is_refused(
    make_server: Any, fake_spool: Any, inline_bytes: int
) -> None:
    """A megabyte that would be ten gigabytes there; as protobuf, as JSON, and over gRPC."""
    server = make_server(inline_bytes=inline_bytes)
    await server.start()
    bomb = unfolding(spans=20_000, resource_bytes=500_000)
    assert len(bomb) < 2 << 20
    bodies = {
        "application/x-protobuf": bomb,
        "application/json": json.dumps({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "v" * 500_000}}]},
            "scopeSpans": [{"spans": [span(time.time_ns())] * 10_000}],
        }]}).encode(),
    }  # fmt: skip

    async with httpx2.AsyncClient(base_url=server.http_url, trust_env=False) as client:
        for kind, body in bodies.items():
            reply = await client.post("/v1/traces", content=body, headers={"content-type": kind})
            assert reply.status_code == 413
            assert b"Send fewer records in a request, or shorten those values" in reply.content
        async with aio.insecure_channel(server.grpc_url.removeprefix("http://")) as channel:
            with pytest.raises(aio.AioRpcError) as caught:
                await channel.unary_unary(EXPORT_TRACES)(bomb, timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for ordinary in (unfolding(spans=20_000, resource_bytes=500), unfolding(20, resource_bytes=500_000)):
            reply = await client.post(
                "/v1/traces", content=ordinary, headers={"content-type": "application/x-protobuf"}
            )
            assert reply.status_code == 200
    assert [items for _, _, _, items in fake_spool.stored] == [20_000, 20]
