"""The headers and frames of the suite's own gRPC client. Examples of RFC 7541 are from its appendix C."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.conformance import http2
from lowtide.conformance.grpc_wire import Code, GrpcCall, GrpcReply, GrpcWire
from lowtide.conformance.hpack import HpackError, decode, encode, unhuffman

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize(
    ("block", "headers"),
    [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff",
         [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")]),
        ("040c2f73616d706c652f70617468", [(":path", "/sample/path")]),
        ("100870617373776f726406736563726574", [("password", "secret")]),
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", [("custom-key", "custom-header")]),
        ("203fe11f82", [(":method", "GET")]),  # the size of the dynamic table, twice
    ],
)  # fmt: skip
def test_blocks(block: str, headers: list[tuple[str, str]]) -> None:
    assert decode(bytes.fromhex(block)) == headers


@given(st.lists(st.tuples(st.text(min_size=1), st.text(max_size=300))))
def test_what_is_written_is_read(headers: list[tuple[str, str]]) -> None:
    assert decode(encode(headers)) == headers


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(block: bytes) -> None:
    with contextlib.suppress(HpackError):
        assert all(isinstance(name, str) and isinstance(value, str) for name, value in decode(block))


@pytest.mark.parametrize(
    "block", ["be", "80", "00", "0005ab", "7fffffffffff0f", "ff", "00016181"], ids=lambda text: text
)
def test_blocks_that_cannot_be(block: str) -> None:
    """A dynamic entry, entry 0, cut off in several places, a number without end."""
    with pytest.raises(HpackError):
        decode(bytes.fromhex(block))


@pytest.mark.parametrize(
    "data", ["ffff", "1e"], ids=["a whole byte of padding", "padding that is no padding"]
)
def test_huffman_that_cannot_be(data: str) -> None:
    with pytest.raises(HpackError):
        unhuffman(bytes.fromhex(data))


# Frames


async def replies(serve: Serve, *calls: GrpcCall) -> list[GrpcReply]:
    """What a peer's frames are read as."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # the suite may have heard enough
            await serve(reader, writer)
            writer.write_eof()
            await reader.read()  # closing before all was read would cut off what was written
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        return await GrpcWire(host, port, {}, None, 5.0).send(*(calls or (GrpcCall("/a/B", b"x"),)))
    finally:
        server.close()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))


def settings(payload: bytes = b"") -> bytes:
    return http2.frame(http2.SETTINGS, 0, 0, payload)


HEADERS = encode([(":status", "200"), ("content-type", "application/grpc")])
TRAILERS = encode([("grpc-status", "0"), ("grpc-message", "all%20well")])


async def test_padding_priority_and_continuation() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        padded = b"\x03" + bytes(5) + HEADERS[:7] + bytes(3)
        writer.write(settings() + http2.frame(http2.PING, 0, 0, bytes(8)))
        writer.write(http2.frame(http2.HEADERS, http2.PADDED | http2.PRIORITY, 1, padded))
        writer.write(http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, HEADERS[7:]))
        writer.write(http2.frame(http2.DATA, http2.PADDED, 1, b"\x02\x00\x00\x00\x00\x01z\x00\x00"))
        writer.write(http2.frame(99, 0, 1, b"of a later version"))
        writer.write(http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 1, TRAILERS))

    (reply,) = await replies(serve)
    assert (reply.code, reply.text, reply.message, reply.status) == (Code.OK, "all well", b"z", 200)
    assert reply.headers["content-type"] == "application/grpc"


async def test_the_body_waits_for_room() -> None:
    """A peer with windows of 10 bytes and then 5 more gets no more than that at a time."""
    got: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings(b"\x00\x04\x00\x00\x00\x0a"))
        await reader.readexactly(len(http2.PREFACE))
        while True:
            head = await reader.readexactly(9)
            size = int.from_bytes(head[:3], "big")
            await reader.readexactly(size)
            if head[3] == http2.DATA:
                got.append(size)
                if head[4] & http2.END_STREAM:
                    break
                writer.write(http2.frame(http2.WINDOW_UPDATE, 0, 1, (5).to_bytes(4, "big")))
        ended = http2.END_HEADERS | http2.END_STREAM
        writer.write(http2.frame(http2.HEADERS, ended, 1, HEADERS + TRAILERS))

    (reply,) = await replies(serve, GrpcCall("/a/B", bytes(18)))
    assert reply.code is Code.OK
    assert got == [10, 5, 5, 3]


async def test_a_reply_before_the_body_was_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = http2.END_HEADERS | http2.END_STREAM
        said = encode([(":status", "200"), ("grpc-status", "8")])
        writer.write(settings(b"\x00\x04\x00\x00\x00\x0a") + http2.frame(http2.HEADERS, ended, 1, said))

    (reply,) = await replies(serve, GrpcCall("/a/B", bytes(1000)))
    assert reply.code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        (http2.frame(http2.RST_STREAM, 0, 1, b"\x00\x00\x00\x0b"), r"reset \(RST_STREAM 11\)"),
        (http2.frame(http2.GOAWAY, 0, 0, bytes(4) + b"\x00\x00\x00\x0bcalm"), r"GOAWAY 11\) calm"),
        (http2.frame(http2.HEADERS, http2.END_HEADERS, 1, b"\xbe"), "headers cannot be read"),
        (http2.frame(http2.HEADERS, 0, 1, b"") + http2.frame(http2.DATA, 0, 1), "was interrupted"),
        (b"", "closed the connection without a reply"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no HTTP/2"),
    ],
)
async def test_no_reply(frames: bytes, problem: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings() + frames)

    (reply,) = await replies(serve)
    assert reply.code is None
    assert re.search(problem, reply.problem), reply.problem


async def test_a_reply_that_is_too_large() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings() + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, HEADERS))
        for _ in range(300):
            writer.write(http2.frame(http2.DATA, 0, 1, bytes(16_384)))

    (reply,) = await replies(serve)
    assert reply.problem == "the reply is larger than 4194304 bytes"


def test_details_that_cannot_be_read() -> None:
    for packed in ("!", "////", ""):
        assert GrpcReply(GrpcCall("/a/B"), trailers={"grpc-status-details-bin": packed}).details is None
