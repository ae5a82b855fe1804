"""HTTP/2 as no gRPC client speaks it: resets without end, floods of pings, headers and streams. Frames are
made by hand. Whatever comes, the collector lives, holds nothing afterwards, and serves others.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ingest.signals import Signal

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATH = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113 4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name: bytes, value: bytes) -> bytes:
    """A header, literal and never indexed (RFC 7541 6.2.2); both parts are shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


CALL = b"".join(
    field(name, value)
    for name, value in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", PATH), (b":authority", b"localhost"),
        (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    )
)  # fmt: skip


@dataclass
class Connection:
    """One connection, and the frames that came over it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    frames: list[tuple[int, int, int, bytes]]
    reading: asyncio.Task[None]

    def of(self, kind: int) -> list[bytes]:
        return [payload for each, _, _, payload in self.frames if each == kind]

    async def send(self, *frames: bytes) -> None:
        """Write; that the other end has hung up is for the test to see."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(b"".join(frames))
            await self.writer.drain()

    async def over(self) -> None:
        """Until the other end hangs up."""
        await self.reading


async def read(reader: asyncio.StreamReader, frames: list[tuple[int, int, int, bytes]]) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readexactly(9)
            size = int.from_bytes(head[:3], "big")
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            frames.append((kind, flags, stream, await reader.readexactly(size)))


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Any], Any]]:
    """`await connect(receivers)`: a connection after its handshake."""
    made: list[Connection] = []

    async def new(receivers: Any) -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", receivers.grpc_port)
        frames: list[tuple[int, int, int, bytes]] = []
        made.append(Connection(reader, writer, frames, asyncio.create_task(read(reader, frames))))
        await made[-1].send(PREFACE, frame(SETTINGS, 0, 0), frame(SETTINGS, ACK, 0))
        return made[-1]

    yield new
    for each in made:
        each.reading.cancel()
        each.writer.close()
        with contextlib.suppress(ConnectionError):
            await each.writer.wait_closed()


async def serves_and_holds_nothing(receivers: Any, make_request: Any) -> None:
    """Another client is answered, and nothing is left of what came before."""
    body = make_request(Signal.TRACES, ["after"])
    assert await receivers.export(Signal.TRACES, body) == b""
    assert receivers.spool.names() == ["after"]
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == 0)
    await receivers.until(lambda: not receivers.intake._tasks)


async def test_the_frames_are_right(receivers: Any, connect: Any, make_request: Any) -> None:
    """What is tested below is a call as long as it is not broken off."""
    connection = await connect(receivers)
    body = make_request(Signal.TRACES, ["by hand"])
    message = b"\0" + struct.pack(">I", len(body)) + body
    await connection.send(frame(HEADERS, END_HEADERS, 1, CALL), frame(DATA, END_STREAM, 1, message))
    await receivers.until(lambda: connection.of(DATA))
    assert connection.of(DATA) == [b"\0\0\0\0\0"]
    assert receivers.spool.names() == ["by hand"]


async def test_rapid_resets(receivers: Any, connect: Any, make_request: Any) -> None:
    """CVE-2023-44487: calls that are taken back at once never count as open, and are work all the same."""
    connection = await connect(receivers)
    for first in range(1, 8001, 400):
        await connection.send(*(
            frame(HEADERS, END_HEADERS, stream, CALL)
            + frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))
            for stream in range(first, first + 400, 2)
        ))  # fmt: skip
    await serves_and_holds_nothing(receivers, make_request)


async def test_resets_in_the_middle_of_a_message(receivers: Any, connect: Any, make_request: Any) -> None:
    connection = await connect(receivers)
    begun = b"\0" + struct.pack(">I", 1000) + b"x" * 500
    for stream in range(1, 401, 2):
        await connection.send(
            frame(HEADERS, END_HEADERS, stream, CALL), frame(DATA, 0, stream, begun),
            frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)),
        )  # fmt: skip
    await serves_and_holds_nothing(receivers, make_request)


async def test_a_flood_of_pings_ends_the_connection(receivers: Any, connect: Any, make_request: Any) -> None:
    connection = await connect(receivers)
    await connection.send(*(frame(PING, 0, 0, struct.pack(">Q", number)) for number in range(200)))
    await connection.over()
    (goaway,) = connection.of(GOAWAY)
    assert struct.unpack(">I", goaway[4:8]) == (ENHANCE_YOUR_CALM,)
    assert b"too_many_pings" in goaway
    await serves_and_holds_nothing(receivers, make_request)


async def test_headers_without_end(start_receivers: Any, connect: Any, make_request: Any) -> None:
    """CVE-2024-27316 and its like: CONTINUATION frames that never end the headers."""
    receivers = await start_receivers(max_header_bytes=4096)
    connection = await connect(receivers)
    await connection.send(frame(HEADERS, END_STREAM, 1, CALL))
    for number in range(400):
        await connection.send(frame(CONTINUATION, 0, 1, field(b"x-%d" % number, b"y" * 100) * 20))
    await receivers.until(lambda: connection.of(RST_STREAM))
    (said,) = connection.of(HEADERS)
    assert field(b"grpc-status", b"8") in said, "RESOURCE_EXHAUSTED, before the headers have ended"
    await serves_and_holds_nothing(receivers, make_request)
    assert (
        receivers.count("lowtide_collector_requests_total", signal="traces", transport="grpc", code="OK") == 1
    )


async def test_streams_above_the_limit_are_refused(
    start_receivers: Any, connect: Any, make_request: Any
) -> None:
    receivers = await start_receivers(grpc_max_streams=2)
    connection = await connect(receivers)
    await receivers.until(lambda: connection.of(SETTINGS))
    await connection.send(*(frame(HEADERS, END_HEADERS, stream, CALL) for stream in range(1, 41, 2)))
    await receivers.until(lambda: connection.of(RST_STREAM) or connection.reading.done())
    if not connection.reading.done():
        assert struct.pack(">I", REFUSED_STREAM) in connection.of(RST_STREAM)
    connection.writer.close()
    await serves_and_holds_nothing(receivers, make_request)


async def test_settings_without_end(receivers: Any, connect: Any, make_request: Any) -> None:
    """Each asks for an answer; nobody reads them."""
    connection = await connect(receivers)
    for _ in range(20):
        await connection.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)) * 500)
    await serves_and_holds_nothing(receivers, make_request)
