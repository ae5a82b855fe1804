"""Snappy in both of its forms, bounded by the lengths it states. Called by `collector.codecs` only.

"snappy" names two formats: the OpenTelemetry Collector's exporters wrote the framed one for years and
newer ones write the block one, so the first bytes decide, as they do in that Collector's own receiver.
The trap is the stated length, which is the sender's word: it is compared with the limit, and with what
the data could hold at best, before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Iterator

import cramjam
import google_crc32c

from collector.errors import BadRequestError
from collector.refusals import TooLargeError

_STREAM_HEADER = b"\xff\x06\x00\x00sNaPpY"
_COMPRESSED, _UNCOMPRESSED, _STREAM_ID = 0x00, 0x01, 0xFF
_SKIPPABLE_FROM = 0x80
_CHUNK_BYTES = 65536
_MAX_CHUNKS = 65536
# A copy element of three bytes yields 64 at most (format description, section 2.2).
_BEST_RATIO = 22


def pieces(wire: bytes, limit_bytes: int) -> Iterator[bytes]:
    """Decompressed pieces of a block or framed body. Raises TooLargeError or BadRequestError."""
    if wire.startswith(_STREAM_HEADER):
        yield from _framed(memoryview(wire))
    else:
        yield block(wire, limit_bytes)


def block(wire: bytes | memoryview, limit_bytes: int) -> bytes:
    """What one block says. Raises TooLargeError or BadRequestError."""
    try:
        stated_bytes: int = cramjam.snappy.decompress_raw_len(wire)
        if stated_bytes > limit_bytes:
            raise TooLargeError(
                f"the request is larger than {limit_bytes} bytes after decompression; send smaller batches"
            )
        if stated_bytes > _BEST_RATIO * len(wire):
            raise _broken()
        out = bytes(cramjam.snappy.decompress_raw(wire))
    except cramjam.DecompressionError as error:
        raise _broken() from error
    if len(out) != stated_bytes:
        raise _broken()
    return out


def _framed(wire: memoryview) -> Iterator[bytes]:
    """Chunk after chunk: a type byte, a length of three, then the data, which starts with a masked CRC32C."""
    at = 0
    for _ in range(_MAX_CHUNKS):
        if at == len(wire):
            return
        kind, size_bytes = wire[at], int.from_bytes(wire[at + 1 : at + 4], "little")
        data = wire[at + 4 : at + 4 + size_bytes]
        if len(wire) - at < 4 or len(data) != size_bytes:
            raise BadRequestError("the snappy data ends too early; the request was cut off on its way")
        at += 4 + size_bytes
        if kind in (_COMPRESSED, _UNCOMPRESSED):
            yield _chunk(kind, data)
        elif kind == _STREAM_ID:
            if bytes(data) != _STREAM_HEADER[4:]:
                raise _broken()
        elif kind < _SKIPPABLE_FROM:
            raise _broken()
    raise BadRequestError(f"the snappy data has more than {_MAX_CHUNKS} chunks; compress the request as one")


def _chunk(kind: int, data: memoryview) -> bytes:
    if len(data) < 4:
        raise _broken()
    content = data[4:]
    try:
        out = block(content, _CHUNK_BYTES) if kind == _COMPRESSED else bytes(content)
    except TooLargeError as error:
        raise _broken() from error
    if len(out) > _CHUNK_BYTES or _masked_crc32c(out) != int.from_bytes(data[:4], "little"):
        raise _broken()
    return out


def _masked_crc32c(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _broken() -> BadRequestError:
    return BadRequestError("the body is not what its content encoding says: broken snappy data")
