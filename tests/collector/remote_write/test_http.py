"""Remote write over HTTP: what is asked of a request, and what its sender is told (Remote-Write 2.0,
"Protocol" and "Response")."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import cramjam
import httpx2
import pytest
from prometheus_client import CollectorRegistry

from collector.check.check import TimeGate
from collector.server import OtlpServer
from collector.settings import CollectorSettings
from support.remote_write import Request, Symbols, WriteRequest

WRITE = "/api/v1/write"
KIND_1 = "application/x-protobuf"
KIND_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
HOUR_NS = 3600 * 10**9


def block(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def written(reply: httpx2.Response) -> list[int]:
    """Samples, histograms and exemplars."""
    return [
        int(reply.headers[f"x-prometheus-remote-write-{name}-written"])
        for name in ("samples", "histograms", "exemplars")
    ]


def now_ms() -> int:
    return time.time_ns() // 10**6


def version_1(*times_ms: int, name: str = "up") -> bytes:
    request = WriteRequest()
    for number, time_ms in enumerate(times_ms):
        series = request.timeseries.add()
        for label, value in {"__name__": name, "job": "api", "n": str(number)}.items():
            series.labels.add(name=label, value=value)
        series.samples.add(value=number, timestamp=time_ms)
    return bytes(request.SerializeToString())


def version_2(*times_ms: int) -> bytes:
    request = Request()
    symbols = Symbols()
    for number, time_ms in enumerate(times_ms):
        series = request.timeseries.add(labels_refs=symbols.pairs({"__name__": "up", "n": str(number)}))
        series.samples.add(value=number, timestamp=time_ms)
        series.exemplars.add(value=1, timestamp=time_ms)
        series = request.timeseries.add(labels_refs=symbols.pairs({"__name__": "seconds", "n": str(number)}))
        series.histograms.add(timestamp=time_ms)
    request.symbols.extend(symbols.numbers)
    return bytes(request.SerializeToString())


class Sender:
    """Sends to a real collector over a spool that remembers."""

    def __init__(self, client: httpx2.AsyncClient, spool: Any, registry: CollectorRegistry) -> None:
        self.spool = spool
        self.registry = registry
        self._client = client

    async def __call__(
        self, body: bytes, kind: str | None = KIND_1, encoding: str | None = "snappy", **headers: str
    ) -> httpx2.Response:
        sent = {"content-type": kind, "content-encoding": encoding, **headers}
        sent = {name: value for name, value in sent.items() if value is not None}
        return await self._client.post(WRITE, content=body, headers=sent)

    async def ask(self, method: str, path: str) -> httpx2.Response:
        return await self._client.request(method, path)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"lowtide_collector_{name}", labels) or 0.0


@pytest.fixture
async def send(fake_spool: Any) -> AsyncIterator[Sender]:
    fake_spool.remembers = True
    registry = CollectorRegistry()
    server = OtlpServer(
        CollectorSettings(http_port=0, grpc_port=0, max_body_bytes=1 << 20, tenant_series=50),
        spool=fake_spool,
        gate=TimeGate(retention_ns=24 * HOUR_NS, ahead_ns=HOUR_NS),
        registry=registry,
    )
    await server.start()
    async with httpx2.AsyncClient(base_url=server.http_url, trust_env=False, timeout=100) as client:
        yield Sender(client, fake_spool, registry)
    await server.stop(1)


@pytest.mark.parametrize(
    "kind",
    [
        KIND_1,
        f"{KIND_1};proto=prometheus.WriteRequest",
        None,
        'application/X-Protobuf; Proto="prometheus.WriteRequest"',
    ],
)
@pytest.mark.parametrize("encoding", ["snappy", None])
async def test_version_1_is_stored(send: Sender, kind: str | None, encoding: str | None) -> None:
    reply = await send(block(version_1(now_ms(), now_ms())), kind, encoding)
    assert (reply.status_code, reply.content) == (204, b"")
    assert written(reply) == [2, 0, 0]
    ((_, tenant, _, items),) = send.spool.stored
    assert (tenant, items) == ("default", 2)
    assert send.count("requests_total", signal="metrics", transport="http", code="200") == 1
    assert send.count("items_accepted_total", signal="metrics") == 2


async def test_version_2_says_what_of_which_sort_is_stored(send: Sender) -> None:
    reply = await send(block(version_2(now_ms(), now_ms(), now_ms())), KIND_2)
    assert reply.status_code == 204
    assert written(reply) == [3, 3, 3]


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        ("application/json", "snappy"), ("text/plain", "snappy"), (f"{KIND_1};proto=other.Message", "snappy"),
        (KIND_1, "gzip"), (KIND_1, "zstd"), (KIND_1, "identity"), (KIND_2, "x-snappy-framed"),
    ],
)  # fmt: skip
async def test_other_types_and_encodings_are_415(send: Sender, kind: str, encoding: str) -> None:
    reply = await send(block(version_1(now_ms())), kind, encoding)
    assert reply.status_code == 415
    assert reply.headers["content-type"].startswith("text/plain")
    assert written(reply) == [0, 0, 0]
    assert not send.spool.stored


async def test_what_cannot_be_stored_is_told_and_the_rest_is_stored(send: Sender) -> None:
    """A partial write is no success, or the sender would never know."""
    old_ms = now_ms() - 48 * 3_600_000
    reply = await send(block(version_2(now_ms(), old_ms)), KIND_2)
    assert reply.status_code == 400
    # The exemplar goes with its sample.
    assert written(reply) == [1, 1, 1]
    assert "2 of 4 data points refused: 2 outside the accepted time window" in reply.text
    assert [items for *_, items in send.spool.stored] == [2]
    assert send.count("items_refused_total", signal="metrics", reason="check") == 2
    assert send.count("refusals_total", signal="metrics", transport="http", reason="partial") == 1


async def test_nothing_left_is_a_failure(send: Sender) -> None:
    reply = await send(block(version_1(now_ms(), name="")))
    assert reply.status_code == 400
    assert written(reply) == [0, 0, 0]
    assert "without the label __name__" in reply.text
    assert not send.spool.stored
    assert send.count("items_refused_total", signal="metrics", reason="check") == 1


async def test_series_beyond_the_limit_are_told(send: Sender) -> None:
    reply = await send(block(version_1(*[now_ms()] * 60)))
    assert reply.status_code == 400
    assert written(reply) == [50, 0, 0]
    assert "10 of 60 data points refused: they begin new series" in reply.text


@pytest.mark.parametrize("make", [version_1, version_2])
async def test_a_request_that_comes_again_is_answered_the_same_and_stored_once(
    send: Sender, make: Any
) -> None:
    kind = KIND_1 if make is version_1 else KIND_2
    old_ms = now_ms() - 48 * 3_600_000
    for times_ms in ((now_ms(),), (now_ms() + 1, old_ms)):
        body = block(make(*times_ms))
        first, again = await send(body, kind), await send(body, kind)
        assert (again.status_code, again.text) == (first.status_code, first.text)
        assert written(again) == written(first)
        assert written(first)[0] == 1
    assert len(send.spool.stored) == 2


async def test_an_empty_request_is_a_success(send: Sender) -> None:
    reply = await send(block(b""), KIND_2)
    assert (reply.status_code, written(reply)) == (204, [0, 0, 0])


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"\xff\xff\xff\xff\x0f" + b"\x00" * 9, 413, "larger than 1048576 bytes after decompression"),
        (block(b"x" * (1 << 20) + b"x"), 413, "larger than 1048576 bytes after decompression"),
        (b"\x80\x80\x04" + b"\x00" * 20, 400, "broken snappy data"),
        (block(b"\x0a\xff"), 400, "truncated or damaged, at byte 0"),
        (block(b"\x0a\x02\x0a\x7f"), 400, "truncated or damaged, at byte 2"),
        (bytes(cramjam.snappy.compress(version_1(1))), 400, "broken snappy data"),
        (version_1(1), 400, "broken snappy data"),
        (b"not snappy at all", 400, "broken snappy data"),
    ],
)
async def test_what_cannot_be_read_is_told(send: Sender, body: bytes, status: int, why: str) -> None:
    reply = await send(body)
    assert (reply.status_code, written(reply)) == (status, [0, 0, 0])
    assert why in reply.text
    assert not send.spool.stored


async def test_other_methods_and_paths(send: Sender) -> None:
    reply = await send.ask("GET", WRITE)
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert written(reply) == [0, 0, 0]
    reply = await send.ask("POST", "/api/v1/writes")
    assert reply.status_code == 404
    assert WRITE in reply.text
