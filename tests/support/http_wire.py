"""OTLP/HTTP as it stands on the wire, for tests that write requests byte by byte."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")

ONE_SPAN = b"\x0a\x07\x12\x05\x12\x03\x2a\x01a"
"""A request with one span, whose name is "a"."""
LINES = b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
CHUNKED = LINES + b"transfer-encoding: chunked\r\n\r\n"
SIZED = b"content-length: %d\r\n\r\n" % len(ONE_SPAN) + ONE_SPAN
"""What follows a head."""
POST = LINES + SIZED


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one response."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    first, *lines = head.decode().split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, body


async def status(reader: asyncio.StreamReader) -> int:
    """Of the next response, which is read whole."""
    return (await answer(reader))[0]


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side closes; False if it sends something instead."""
    try:
        return await asyncio.wait_for(reader.read(1), 10) == b""
    except ConnectionError:
        return True


async def pushed(writer: asyncio.StreamWriter, piece: bytes, times: int) -> None:
    """Send a piece again and again, as long as the other side takes it."""
    for _ in range(times):
        writer.write(piece)
        try:
            await writer.drain()
        except ConnectionError:
            return
        await asyncio.sleep(0)


async def dripped(writer: asyncio.StreamWriter, piece: bytes, until: asyncio.Task[T]) -> T:
    """Send a piece now and then until a task is done; returns its result."""
    while not until.done():
        writer.write(piece)
        await asyncio.sleep(0.023)  # not a divisor of any time limit
    return await until
