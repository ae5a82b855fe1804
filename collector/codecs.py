"""Decompression that cannot be made to explode: every step is small and counted before the next.

Called by the intake for both transports, on the event loop for small requests and in a thread for large
ones. The trap: most libraries' one-call functions, and streaming objects that write into a growing buffer,
allocate whatever the data claims. Used here are decompressors with a `max_length`: zlib, zstd (the standard
library's, or its backport before 3.14), lz4.frame; snappy states its lengths and is handled in
`collector.snappy`; so does gzip as senders write it, and libdeflate, which has to be told the size, reads
that in a third of zlib's time. A second trap is work instead of memory: thousands of empty frames in one body
cost time for nothing, so frames are counted too.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Protocol

import deflate
import lz4.frame  # type: ignore[import-untyped]  # ships no types

from collector import snappy
from collector.errors import BadRequestError
from collector.refusals import TooLargeError, UnsupportedTypeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP_BYTES = 1024 * 1024
SLICE_BYTES = 64 * 1024
MAX_FRAMES = 1000
# RFC 9659: an HTTP sender must not use a larger window than 8 MiB, so a larger one is only there to
# make us allocate it.
ZSTD_WINDOW_LOG_MAX = 23
# A match of 258 bytes takes two bits at least (RFC 1951 3.2.5).
_BEST_RATIO = 1032


class Encoding(StrEnum):
    """A content encoding we read. What OTLP's senders call snappy may be framed; remote write has blocks
    only."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"
    DEFLATE = "deflate"
    SNAPPY = "snappy"
    SNAPPY_BLOCK = "snappy block"
    LZ4 = "lz4"


ACCEPTED_ENCODINGS = "gzip, zstd, deflate, snappy, lz4"

_NAMES = {
    "": Encoding.IDENTITY,
    "identity": Encoding.IDENTITY,
    "none": Encoding.IDENTITY,
    "gzip": Encoding.GZIP,
    "x-gzip": Encoding.GZIP,
    "zstd": Encoding.ZSTD,
    "deflate": Encoding.DEFLATE,
    "zlib": Encoding.DEFLATE,
    "snappy": Encoding.SNAPPY,
    "x-snappy-framed": Encoding.SNAPPY,
    "lz4": Encoding.LZ4,
}


def encoding_named(header: str) -> Encoding:
    """The encoding a Content-Encoding header names.

    Raises UnsupportedTypeError; a list of several is not supported.
    """
    encoding = _NAMES.get(header.strip().lower())
    if encoding is None:
        raise UnsupportedTypeError(
            f"the content encoding is not supported; use one of {ACCEPTED_ENCODINGS}, or none"
        )
    return encoding


def encoding_of_message(message: bytes) -> Encoding:
    """How a gRPC message is compressed, from its first bytes.

    gRPC's core is told not to decompress (see `collector.grpc_server`) and keeps the encoding's name to
    itself. An export request starts with 0x0a (field 1, a message) or is empty, gzip with 0x1f8b, which
    no protobuf message can start with, and deflate with a zlib header.
    """
    if message.startswith(b"\x1f\x8b"):
        return Encoding.GZIP
    return Encoding.DEFLATE if _has_zlib_header(message) else Encoding.IDENTITY


def expected_bytes(encoding: Encoding, wire: bytes) -> int:
    """How large a body probably is: what it says itself, and no less than what arrived.

    Only there to choose where to work, for it is not to be trusted. gzip says it in its last four bytes (RFC
    1952 2.3.1): modulo 2**32, and of its last member only.
    """
    return max(len(wire), _stated_bytes(wire) if encoding is Encoding.GZIP else 0)


def _stated_bytes(wire: bytes) -> int:
    """How large the last member of gzip says it is, modulo 2**32."""
    return int.from_bytes(wire[-4:], "little")


def inflate(encoding: Encoding, wire: bytes, *, limit_bytes: int, grow: Callable[[int], None]) -> bytes:
    """Decompress `wire` as a whole; `grow` is told of every byte once, when it comes or before, and may raise
    to stop the work.

    Raises TooLargeError above `limit_bytes`, BadRequestError for broken, truncated or trailing data.
    Holds at most the limit and a step, and for a moment twice that while the pieces are joined.
    """
    if encoding is Encoding.IDENTITY:
        if len(wire) > limit_bytes:
            raise _too_large(limit_bytes)
        return wire
    held = 0

    def hold(size_bytes: int) -> None:
        nonlocal held
        if size_bytes > held:
            grow(size_bytes - held)
            held = size_bytes

    if encoding is Encoding.GZIP and (body := _one_member(wire, limit_bytes, hold)):
        return body
    total = 0
    pieces = []
    for piece in _pieces(encoding, wire, limit_bytes):
        total += len(piece)
        if total > limit_bytes:
            raise _too_large(limit_bytes)
        hold(total)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _one_member(wire: bytes, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
    """The body of one member of gzip that is as large as it says, as nearly all are; else nothing, and then
    whoever decompresses it in steps sees what it is.

    libdeflate says neither where a member ended nor whether anything follows. But it has compared the
    checksum and size behind the member's data. If those eight bytes stand nowhere before the end of the wire,
    the member ends there, too.
    """
    size_bytes = _stated_bytes(wire)
    if size_bytes > min(limit_bytes, _BEST_RATIO * len(wire)):
        return b""
    hold(size_bytes)
    try:
        body = deflate.gzip_decompress(wire, size_bytes)
    except (deflate.DeflateError, ValueError):
        return b""
    end = struct.pack("<II", deflate.crc32(body), len(body))
    return bytes(body) if wire.rfind(end, 0, -1) < 0 else b""


def _too_large(limit_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"the request is larger than {limit_bytes} bytes after decompression; send smaller batches"
    )


def _pieces(encoding: Encoding, wire: bytes, limit_bytes: int) -> Iterable[bytes]:
    match encoding:
        case Encoding.GZIP:
            return _frames(lambda: _ZlibFrame(31), wire, "gzip", several=True)
        case Encoding.DEFLATE:
            # HTTP means zlib by "deflate" (RFC 9110 8.4.1.2), but some senders leave the header out.
            window = 15 if _has_zlib_header(wire) else -15
            return _frames(lambda: _ZlibFrame(window), wire, "deflate", several=False)
        case Encoding.ZSTD:
            return _frames(_ZstdFrame, wire, "zstd", several=True)
        case Encoding.LZ4:
            return _frames(_Lz4Frame, wire, "lz4", several=True)
        case Encoding.SNAPPY_BLOCK:
            return [snappy.block(wire, limit_bytes)]
        case _:
            return snappy.pieces(wire, limit_bytes)


def _has_zlib_header(data: bytes) -> bool:
    """Whether this starts like a zlib stream (RFC 1950 2.2).

    That is: method 8, a window of 32 KiB at most, and a check value that makes the two bytes divisible by 31.
    """
    return len(data) >= 2 and data[0] & 0x0F == 8 and data[0] >> 4 <= 7 and (data[0] << 8 | data[1]) % 31 == 0


class _Frame(Protocol):
    """One compressed frame; `hungry` when it needs more input, `rest` what followed its end."""

    ended: bool
    hungry: bool
    rest: bytes

    def step(self, data: bytes) -> bytes:
        """Take input (b"" to go on with what it has) and return at most STEP_BYTES."""


def _frames(new: Callable[[], _Frame], wire: bytes, name: str, *, several: bool) -> Iterator[bytes]:
    """The output of one frame after another, in steps."""
    at = 0
    for _ in range(MAX_FRAMES if several else 1):
        frame = new()
        while not frame.ended:
            data = b""
            if frame.hungry:
                if at >= len(wire):
                    raise BadRequestError(
                        f"the {name} data ends too early; the request was cut off on its way"
                    )
                data = wire[at : at + SLICE_BYTES]
                at += len(data)
            piece = frame.step(data)
            if piece:
                yield piece
        at -= len(frame.rest)
        if at == len(wire):
            return
    if several:
        raise BadRequestError(
            f"the {name} data has more than {MAX_FRAMES} frames; compress the request as one"
        )
    raise BadRequestError(f"there is data after the end of the {name} stream")


class _ZlibFrame:
    def __init__(self, window_bits: int) -> None:
        self._zlib = zlib.decompressobj(window_bits)
        self.ended = False
        self.hungry = True
        self.rest = b""

    def step(self, data: bytes) -> bytes:
        try:
            # Never both: input is only given once what was left of the last is used up.
            out = self._zlib.decompress(data or self._zlib.unconsumed_tail, STEP_BYTES)
        except zlib.error as error:
            raise BadRequestError(
                "the body is not what its content encoding says: broken gzip or deflate data"
            ) from error
        self.ended = self._zlib.eof
        self.rest = self._zlib.unused_data
        # A full step may leave output inside zlib although all input is consumed.
        self.hungry = len(out) < STEP_BYTES and not self._zlib.unconsumed_tail
        return out


class _ZstdFrame:
    def __init__(self) -> None:
        self._zstd = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
        )
        self.ended = False
        self.hungry = True
        self.rest = b""

    def step(self, data: bytes) -> bytes:
        try:
            out = self._zstd.decompress(data, STEP_BYTES)
        except zstd.ZstdError as error:
            raise BadRequestError(
                "the body is not what its content encoding says: broken zstd data, or a window above 8 MiB"
            ) from error
        self.ended = self._zstd.eof
        self.rest = self._zstd.unused_data if self.ended else b""
        self.hungry = self._zstd.needs_input and len(out) < STEP_BYTES
        return out


class _Lz4Frame:
    def __init__(self) -> None:
        self._lz4 = lz4.frame.LZ4FrameDecompressor()
        self.ended = False
        self.hungry = True
        self.rest = b""

    def step(self, data: bytes) -> bytes:
        try:
            out: bytes = self._lz4.decompress(data, max_length=STEP_BYTES)
        except RuntimeError as error:  # the library has no error type of its own
            raise BadRequestError(
                "the body is not what its content encoding says: broken lz4 data"
            ) from error
        self.ended = self._lz4.eof
        self.rest = (self._lz4.unused_data or b"") if self.ended else b""
        self.hungry = self._lz4.needs_input and len(out) < STEP_BYTES
        return out
