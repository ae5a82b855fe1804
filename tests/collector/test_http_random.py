"""Whatever comes over connections, in whatever pieces: in the end nothing is held, and all is counted once.

What senders do is drawn from a seed, which a failure names.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
from typing import Any

import pytest

from support import faults
from support.http_wire import CHUNKED, LINES, ONE_SPAN, SIZED

NOWHERE = LINES.replace(b"/v1/", b"/v9/")
REQUESTS = [
    LINES + SIZED, LINES + SIZED, LINES + SIZED, LINES + b"connection: close\r\n" + SIZED,
    LINES.replace(b"1.1", b"1.0") + SIZED, LINES + b"expect: 100-continue\r\n" + SIZED,
    NOWHERE + SIZED, NOWHERE + b"expect: 100-continue\r\n" + SIZED,
    LINES + b"connection: upgrade\r\nupgrade: h2c\r\n" + SIZED,
    LINES + b"content-length: 9000\r\n\r\n" + b"x" * 9000,
    LINES + b"content-length: 4\r\n\r\n\xff\xff\xff\xff",
    CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in ONE_SPAN) + b"0\r\nx: y\r\n\r\n",
    CHUNKED + b"5000\r\n" + b"x" * 0x5000 + b"\r\n0\r\n\r\n", CHUNKED + b"5\r\nabcde\r\nzz\r\n",
    CHUNKED + b"1\r\na\r\n0\r\nx: " + b"y" * 3000 + b"\r\n\r\n",
    NOWHERE + b"transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n",
    b"GET /v1/traces HTTP/1.1\r\n\r\n", b"HEAD / HTTP/1.1\r\n\r\n", b"GET http://x HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nx: " + b"y" * 3000 + b"\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"HELLO\r\n\r\n",
    b"\x16\x03\x01", b"\r\n\r\n",
]  # fmt: skip
LIMITS = {
    "header_timeout_s": 0.2, "body_timeout_s": 0.2, "keep_alive_s": 0.2, "max_header_bytes": 2048,
    "max_body_bytes": 4096, "max_wire_bytes": 8192, "max_connections": 12,
}  # fmt: skip


async def sender(draw: random.Random, port: int, spool: Any) -> bytes:
    """Do something for a while; returns all that was answered."""
    answers = bytearray()
    with contextlib.suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reads = draw.random() < 0.8
        if not reads:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            for _ in range(draw.randint(1, 6)):
                await act(draw, writer, spool)
            if draw.random() < 0.3 and not writer.transport.is_closing():
                writer.write_eof()
            async with asyncio.timeout(3):
                while reads and (piece := await reader.read(65536)):
                    answers += piece
                if not reads:
                    await asyncio.sleep(1)
        finally:
            writer.transport.abort()
    return bytes(answers)


async def act(draw: random.Random, writer: asyncio.StreamWriter, spool: Any) -> None:
    """One thing that a sender, or the disk, may do next."""
    match draw.choices(["send", "wait", "hold", "release", "abort"], [60, 20, 8, 10, 2])[0]:
        case "send":
            data = b"".join(draw.choices(REQUESTS, k=draw.choice([1, 1, 1, 2, 3, 20, 60])))
            if draw.random() < 0.2:
                data = data[: draw.randrange(len(data))]
            at = 0
            while at < len(data) and not writer.transport.is_closing():
                size = draw.choice([1, 10, 100, 10_000, 1_000_000])
                writer.write(data[at : at + size])
                at += size
                await asyncio.sleep(0)
        case "wait":
            await asyncio.sleep(draw.choice([0.001, 0.05, 0.15, 0.25]))
        case "hold":
            spool.hold = True
        case "release":
            spool.release()
        case "abort":
            writer.transport.abort()


@pytest.mark.timeout(faults.times(120, 3600))
async def test_in_the_end_nothing_is_held_and_all_is_counted_once(
    start_receivers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers = await start_receivers(**LIMITS)
    errors: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    entered, enter = [0], receivers.intake.enter

    def counted(arrival: Any) -> Any:
        entered[0] += 1
        return enter(arrival)

    monkeypatch.setattr(receivers.intake, "enter", counted)
    taken = 0
    for seed in range(faults.SEED, faults.SEED + faults.times(5, 600)):
        draw = random.Random(seed)
        answers = await asyncio.gather(
            *(sender(random.Random(draw.random()), receivers.http_port, receivers.spool) for _ in range(16))
        )
        receivers.spool.release()
        async with asyncio.timeout(10):
            await receivers.until(lambda: receivers.http.connections == 0)
            await receivers.until(lambda: not receivers.intake._tasks)
        taken += sum(len(re.findall(rb"HTTP/1\.1 200 ", answer)) for answer in answers)
        assert receivers.count("lowtide_collector_inflight_bytes") == 0, seed
        assert len(receivers.http._shared.peers) == 0, seed
        assert errors == [], seed
        assert taken <= len(receivers.spool.stored), seed
        ended = sum(
            sample.value
            for metric in receivers.registry.collect()
            for sample in metric.samples
            if sample.name == "lowtide_collector_request_seconds_count"
        )
        assert ended == entered[0], seed
        faults.done["senders of random requests"] += 16
    assert taken > 0
