"""The API's listener gives nobody a place for ever: heads of requests are bounded in time and size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lowtide.serve import api_protocol
from lowtide.serve.listener import ApiListener
from support.http_wire import pushed

GET = b"GET / HTTP/1.1\r\nhost: a\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the number of bytes of the body; and starts and stops as it is told."""
    if scope["type"] == "lifespan":
        while True:
            told = await receive()
            await send({"type": told["type"] + ".complete"})
            if told["type"].endswith("shutdown"):
                return
    size, more = 0, True
    while more:
        event = await receive()
        size, more = size + len(event.get("body", b"")), event.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[int]:
    monkeypatch.setattr(api_protocol, "HEAD_TIMEOUT_S", getattr(request, "param", 0.3))
    listener = ApiListener(echo, "127.0.0.1", 0)
    listener.bind()
    await listener.start()
    yield listener.port
    await listener.stop()


async def answered(reader: asyncio.StreamReader) -> bytes:
    """An answer with its body, or nothing if the connection has ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return b""
    chunks = await reader.readuntil(b"0\r\n\r\n")
    return head.partition(b"\r\n")[0] + b" " + chunks.split(b"\r\n")[1]


@pytest.mark.parametrize("begun", [b"", b"GET", GET, GET + b"x: y\r\n"])
async def test_who_never_ends_a_head_is_cut_off(port: int, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    assert await asyncio.wait_for(answered(reader), 20) == b""
    writer.close()


async def test_neither_may_the_second_request_dawdle(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"\r\n")
    assert await answered(reader) == b"HTTP/1.1 200 OK 0"
    writer.write(GET)
    assert await asyncio.wait_for(answered(reader), 20) == b""
    writer.close()


async def test_what_takes_its_time_after_the_head_is_served(port: int) -> None:
    """A body may be slow, an address long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /?" + b"q" * 30_000 + b" HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n")
    for byte in b"slow":
        await asyncio.sleep(0.15)
        writer.write(bytes([byte]))
    assert await answered(reader) == b"HTTP/1.1 200 OK 4"
    writer.close()


LINE = b"x: " + b"y" * 4096 + b"\r\n"
TRAILERS = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx: "


@pytest.mark.parametrize("port", [60], indirect=True)
@pytest.mark.parametrize(
    ("begun", "piece"),
    [(GET, LINE), (TRAILERS, LINE), (TRAILERS, b"y" * 4096)],
    ids=["headers", "trailers", "one long trailer"],
)
async def test_headers_and_trailers_may_not_be_longer_than_any_need(
    port: int, begun: bytes, piece: bytes
) -> None:
    """uvicorn keeps each trailer as if it were a header."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    await pushed(writer, piece, 200)
    assert await asyncio.wait_for(answered(reader), 20) == b""
    writer.close()


async def test_what_comes_in_pieces_is_counted_for_each_request_by_itself(port: int) -> None:
    """Heads of two requests are longer than a head may be, and so is a body; none of that is one head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\nx: "
    for _ in range(2):
        for piece in (head + b"y" * 20_000, b"y" * 20_000 + b"\r\n\r\n", *[b"b" * 25_000] * 4):
            writer.write(piece)
            await asyncio.sleep(0.02)
        assert await answered(reader) == b"HTTP/1.1 200 OK 100000"
    writer.close()


@pytest.mark.parametrize("port", [60], indirect=True)
async def test_the_beginning_of_a_head_counts(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /?" + b"q" * 60_000)
    await asyncio.sleep(0.05)
    writer.write(b"q" * 6_000)
    assert await asyncio.wait_for(answered(reader), 20) == b""
    writer.close()


async def test_many_requests_at_once_are_not_one_long_head(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    get = GET.replace(b"GET / ", b"GET /?" + b"q" * 20_000 + b" ") + b"\r\n"
    writer.write(get * 8)
    for _ in range(8):
        assert await answered(reader) == b"HTTP/1.1 200 OK 0"
    writer.close()
