"""One HTTP/2 connection (RFC 9113), as much as calling gRPC methods one after another needs.

Used by `grpc_wire`. gRPC's own client would not send what some rules need (an unknown encoding, a flag that
contradicts its header), and would put its own words in place of what the server said. The trap: nothing here
has a time limit; the caller sets one.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from lowtide.conformance.hpack import Header, HpackError, decode, encode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITY = 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5
CANCEL = 8

_WINDOW_BYTES = 65_535
_FRAME_BYTES = 16_384
_LEAVE_S = 1.0
_MAX_REPLY_BYTES = 4 * 1024 * 1024  # what OTLP recommends a client to read at most


class Http2Error(Exception):
    """The peer broke the protocol, or ended the connection before it had replied."""


@dataclass(slots=True)
class Stream:
    """What came back on one stream. `reset` is the error code of RST_STREAM."""

    number: int
    window: int
    blocks: list[dict[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame as it goes on the wire."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Connection:
    """A connection that carries one call at a time. Made by `connect`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._next = 1
        self._window = _WINDOW_BYTES
        self._stream_window = _WINDOW_BYTES
        self._frame_bytes = _FRAME_BYTES
        self._settled = False
        ours = ((HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, _MAX_REPLY_BYTES))
        settings = b"".join(struct.pack(">HI", *each) for each in ours)
        room = struct.pack(">I", _MAX_REPLY_BYTES)
        writer.write(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, room))

    async def call(self, headers: Sequence[Header], body: bytes) -> Stream:
        """Send a request and return its whole reply. Raises Http2Error, OSError."""
        stream = Stream(self._next, self._stream_window)
        self._next += 2
        while not self._settled:  # a peer that speaks something else is found out before anything is sent
            await self._take(stream)
        stream.window = self._stream_window
        self._writer.write(
            frame(HEADERS, END_HEADERS | (0 if body else END_STREAM), stream.number, encode(headers))
        )
        sent = 0
        while not stream.ended:
            sent = self._send(stream, body, sent)
            await self._writer.drain()
            await self._take(stream)
        if sent < len(body) and stream.reset is None:
            self._writer.write(frame(RST_STREAM, 0, stream.number, struct.pack(">I", CANCEL)))
        return stream

    def _send(self, stream: Stream, body: bytes, sent: int) -> int:
        """Send as much of the body as the peer gives room for; return how much is sent altogether."""
        while sent < len(body):
            size = min(len(body) - sent, self._frame_bytes, self._window, stream.window)
            if size <= 0:
                break
            flags = END_STREAM if sent + size == len(body) else 0
            self._writer.write(frame(DATA, flags, stream.number, body[sent : sent + size]))
            sent += size
            self._window -= size
            stream.window -= size
        return sent

    async def _take(self, stream: Stream) -> None:
        """Read one frame and do as it says."""
        kind, flags, number, payload = await self._frame()
        if number == stream.number:
            await self._on_stream(stream, kind, flags, payload)
        elif kind == SETTINGS and not flags & ACK:
            self._settle(stream, payload)
        elif kind == PING and not flags & ACK:
            self._writer.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and number == 0:
            self._window += _number(payload)
        elif kind == GOAWAY and _number(payload) < stream.number:
            said = payload[8:].decode("utf-8", "replace")
            raise Http2Error(
                f"the server ended the connection (GOAWAY {_number(payload[4:])}) {said}".strip()
            )

    async def _on_stream(self, stream: Stream, kind: int, flags: int, payload: bytes) -> None:
        if kind == RST_STREAM:
            stream.reset, stream.ended = _number(payload), True
        elif kind == WINDOW_UPDATE:
            stream.window += _number(payload)
        elif kind == DATA:
            stream.body += _content(flags, payload)
            if len(stream.body) > _MAX_REPLY_BYTES:
                raise Http2Error(f"the reply is larger than {_MAX_REPLY_BYTES} bytes")
        elif kind == HEADERS:
            block = _content(flags, payload)
            while not flags & END_HEADERS:
                kind, more, number, payload = await self._frame()
                if kind != CONTINUATION or number != stream.number:
                    raise Http2Error("a header block was interrupted")
                block, flags = block + payload, flags | more & END_HEADERS
            try:
                stream.blocks.append(dict(decode(block)))
            except HpackError as error:
                raise Http2Error(f"the headers cannot be read: {error}") from error
        stream.ended = stream.ended or (kind in (DATA, HEADERS, CONTINUATION) and bool(flags & END_STREAM))

    def _settle(self, stream: Stream, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload[: len(payload) // 6 * 6]):
            if name == INITIAL_WINDOW_SIZE:
                stream.window += value - self._stream_window
                self._stream_window = value
            elif name == MAX_FRAME_SIZE:
                self._frame_bytes = value
        self._settled = True
        self._writer.write(frame(SETTINGS, ACK, 0))

    async def _frame(self) -> tuple[int, int, int, bytes]:
        try:
            head = await self._reader.readexactly(9)
            size = int.from_bytes(head[:3], "big")
            if size > _FRAME_BYTES:
                raise Http2Error("no HTTP/2 is spoken there")
            payload = await self._reader.readexactly(size)
        except asyncio.IncompleteReadError:
            raise Http2Error("the server closed the connection without a reply") from None
        return head[3], head[4], _number(head[5:]) & 0x7FFF_FFFF, payload

    async def close(self) -> None:
        """Close the connection; a peer that does not take its leave is not waited for."""
        self._writer.close()
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


async def connect(host: str, port: int, tls: ssl.SSLContext | None) -> Connection:
    """Connect. Raises OSError (ssl.SSLError is one), Http2Error if TLS finds no HTTP/2 there."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    if tls is not None and writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
        writer.close()
        raise Http2Error("the server does not offer HTTP/2 (ALPN h2)")
    return Connection(reader, writer)


def _number(payload: bytes) -> int:
    return int.from_bytes(payload[:4], "big")


def _content(flags: int, payload: bytes) -> bytes:
    """A payload without padding and priority."""
    if flags & PADDED:
        payload = payload[1 : len(payload) - payload[0]] if payload else b""
    return payload[5:] if flags & PRIORITY else payload
