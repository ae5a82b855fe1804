"""Compression bombs over both transports: right status, bounded memory, and the next is served."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cramjam
import grpc
import lz4.frame
import pytest
from backports import zstd
from grpc import aio

from ingest.signals import Signal

MIB = 1024 * 1024
BOMB_MIB = 1024
LIMIT_BYTES = 4 * MIB
# Inflated, a bomb is 1 GiB; what is allowed is the limit a few times over, for buffers and the test itself.
ALLOWED_GROWTH_BYTES = 96 * MIB

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's peak memory counter"
)


def repeated(window_bits: int) -> bytes:
    """A deflate, zlib or gzip stream of 1 GiB of zeros, made from one block that stands alone."""
    packer = zlib.compressobj(9, wbits=window_bits)
    first = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (BOMB_MIB - 1)


def lz4_frame() -> bytes:
    packer = lz4.frame.LZ4FrameCompressor(block_linked=False, block_size=lz4.frame.BLOCKSIZE_MAX4MB)
    first = packer.begin()
    block = packer.compress(bytes(4 * MIB)) + packer.flush()
    return first + block[: len(block) - 4] * (BOMB_MIB // 4)


def snappy_framed() -> bytes:
    stream = bytes(cramjam.snappy.compress(bytes(MIB)))
    return (
        stream[:10] + stream[10:] * 128
    )  # snappy packs 1:21 at best; more would be a large body, not a bomb


BOMBS = {
    "gzip": lambda: repeated(31),
    "gzip of many members": lambda: zlib_member() * 900,
    "gzip that states little": lambda: repeated(31) + gzip.compress(b"x"),
    "deflate": lambda: repeated(15),
    "deflate raw": lambda: repeated(-15),
    "zstd": lambda: zstd.compress(bytes(BOMB_MIB * MIB // 16)) * 16,
    "lz4": lz4_frame,
    "snappy": snappy_framed,
    "snappy block": lambda: b"\xff\xff\xff\xff\x07" + bytes(1000),
}


def zlib_member() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(bytes(MIB)) + packer.flush()


def memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Fail if the process grows by more than allowed, also for a moment."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = memory("VmRSS")
    yield
    assert memory("VmHWM") - before < ALLOWED_GROWTH_BYTES


@pytest.mark.parametrize("inline_bytes", [0, 2 * MIB], ids=["in a thread", "starting on the loop"])
@pytest.mark.parametrize("name", BOMBS)
async def test_http(start_receivers: Any, name: str, inline_bytes: int) -> None:
    """On the loop begins what is no larger as it comes, and says that it will not be."""
    receivers = await start_receivers(max_body_bytes=LIMIT_BYTES, inline_bytes=inline_bytes)
    bomb = BOMBS[name]()
    with bounded_memory():
        replies = await asyncio.gather(
            *(receivers.post("/v1/traces", bomb, content_encoding=name.partition(" ")[0]) for _ in range(3))
        )
    assert [reply.status_code for reply in replies] == [413] * 3
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    assert (await receivers.post("/v1/traces", b"")).status_code == 200


@pytest.mark.parametrize("name", ["gzip", "gzip of many members", "gzip that states little", "deflate"])
async def test_grpc(start_receivers: Any, name: str) -> None:
    receivers = await start_receivers(max_body_bytes=LIMIT_BYTES)
    bomb = BOMBS[name]()

    async def explode() -> grpc.StatusCode:
        # The bytes of a compressed message, which is all the receiver ever sees of one.
        with pytest.raises(aio.AioRpcError) as caught:
            await receivers.export(Signal.TRACES, bomb)
        return caught.value.code()

    with bounded_memory():
        codes = await asyncio.gather(*(explode() for _ in range(3)))
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    assert await receivers.export(Signal.TRACES, b"") == b""


async def test_many_bombs_at_a_time_stay_under_the_budget(start_receivers: Any) -> None:
    receivers = await start_receivers(
        max_body_bytes=16 * MIB, max_wire_bytes=16 * MIB, max_inflight_bytes=32 * MIB, cpu_threads=32
    )
    bomb = zlib_member() * 32
    with bounded_memory():  # all of them together, each up to its own limit, would take 512 MiB
        replies = await asyncio.gather(
            *(receivers.post("/v1/traces", bomb, content_encoding="gzip") for _ in range(32))
        )
    codes = {reply.status_code for reply in replies}
    assert 503 in codes
    assert codes <= {413, 503}
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
