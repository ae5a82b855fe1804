"""Sends one kind of request over HTTP as fast as it is acknowledged. A process of its own.

    python -m bench.sender URL LOAD SECONDS CONNECTIONS

Requests are made and compressed beforehand, so that the sender takes as little as it can from the machine it
shares with the server. None is sent twice: that would be recognised and stored once. It prints what was
acknowledged as JSON.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import cramjam

from bench.requests import LOADS, WRITES, Load
from bench.variants import variants

RETRY_S = 0.05
PATIENCE_S = 120.0
"""How long after the time is over the last answers are waited for."""
_COMPRESSORS = 2
_AT_ONCE = 64


@dataclass(slots=True)
class Sent:
    """What all connections have done."""

    acknowledged: int = 0
    put_off: int = 0
    """Answers of 429 or 503: sent again."""
    seconds: list[float] = field(default_factory=list)
    """From the request to its acknowledgement."""


async def send(url: str, load: Load, payloads: Iterator[bytes], until: float, sent: Sent) -> None:
    """Send one after the other over one connection, until the time is over or there is none left.

    Bytes on a stream: a client of HTTP takes three times as much from the machine, at the server's expense.
    """
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    path, kind, encoding = f"/v1/{load.signal}", "application/x-protobuf", "gzip"
    if load.message:
        path, kind, encoding = "/api/v1/write", f"{kind};proto={load.message}", "snappy"
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {where.netloc}\r\ncontent-type: {kind}\r\n"
        f"content-encoding: {encoding}\r\ncontent-length: "
    ).encode()
    payload: bytes | None = None
    while time.monotonic() < until:
        if payload is None and (payload := next(payloads, None)) is None:
            break
        started = time.monotonic()
        writer.writelines((head, b"%d\r\n\r\n" % len(payload), payload))
        status, said = await _answer(reader)
        if status in {200, 204} and not said:
            sent.acknowledged += 1
            sent.seconds.append(time.monotonic() - started)
            payload = None
        elif status in {429, 503}:
            sent.put_off += 1
            await asyncio.sleep(RETRY_S)
        else:
            raise RuntimeError(f"{status}: {said[:300]!r}")
    writer.close()
    await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Its status and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, _, length = head.partition(b"\r\ncontent-length:")
    return int(head[9:12]), await reader.readexactly(int(length.partition(b"\r")[0] or 0))


def _payloads(load: Load, seconds: float) -> tuple[list[bytes], int]:
    """As many compressed requests as can be sent in the time, and the bytes of all of them before."""
    made = variants(load, max(1, int(seconds * load.most_per_s / load.items)), seconds)
    payloads: list[bytes] = []
    size = 0
    with ThreadPoolExecutor(_COMPRESSORS) as threads:
        while some := list(itertools.islice(made, _AT_ONCE)):
            size += sum(map(len, some))
            payloads += threads.map(snappy if load.message else gzipped, some)
    return payloads, size


def gzipped(body: bytes) -> bytes:
    return gzip.compress(body, 1)


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


async def _send_all(url: str, load: Load, payloads: list[bytes], until: float, connections: int) -> Sent:
    sent = Sent()
    waiting = iter(payloads)
    async with asyncio.timeout(until - time.monotonic() + PATIENCE_S), asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(send(url, load, waiting, until, sent))
    return sent


def main(url: str, load_name: str, seconds: str, connections: str) -> None:
    """Send, and print what came of it."""
    load = next(each for each in (*LOADS, *WRITES) if each.name == load_name)
    payloads, size = _payloads(load, float(seconds))
    started_at = time.time()
    used_s = _cpu_s()
    until = time.monotonic() + float(seconds)
    sent = asyncio.run(_send_all(url, load, payloads, until, int(connections)))
    took = sorted(sent.seconds)
    print(json.dumps({
        "started_at": started_at,
        "send_s": time.time() - started_at,
        "requests": sent.acknowledged,
        "items": sent.acknowledged * load.items,
        "put_off": sent.put_off,
        "ran_out": sent.acknowledged == len(payloads),
        "bytes_per_item": round(size / len(payloads) / load.items),
        "bytes_per_item_compressed": round(sum(map(len, payloads)) / len(payloads) / load.items),
        "sender_cpu_us": round(1e6 * (_cpu_s() - used_s) / sent.acknowledged / load.items, 2),
        "ack_p50_ms": round(took[len(took) // 2] * 1000, 1),
        "ack_p99_ms": round(took[len(took) * 99 // 100] * 1000, 1),
    }))  # fmt: skip


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
