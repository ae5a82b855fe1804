"""Compression of answers and bodies, as HTTP negotiates it. Used by the router.

Answers are compressed only for a client that asks: `Accept-Encoding` names something we have, and the URL
does not say `enable_http_compression=0`. The traps: lz4 means its frame format here, as ClickHouse and its
clients use it over HTTP; and a small body may unfold into a huge one, so decompression stops at a limit.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import lz4.frame  # type: ignore[import-untyped]  # ships no types

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from api.sql.errors import SqlRequestError

_PIECE_BYTES: Final = 1024 * 1024
_GZIP_WINDOW: Final = 31
_ANY_ZLIB_WINDOW: Final = 47
"""zlib's way of saying: gzip or zlib, whichever it is."""
_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, what HTTP allows; larger windows would take memory before a byte is known."""
_LEVEL: Final = 3
"""Beyond it the time grows faster than the size shrinks."""


class _Compressor(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Lz4:
    """The frame compressor in the shape of the others; its header comes with the first piece."""

    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._head: bytes = self._frame.begin()

    def compress(self, data: memoryview, /) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._frame.compress(data))

    def flush(self) -> bytes:
        return self._head + bytes(self._frame.flush())


_COMPRESSORS: Final[dict[str, Callable[[], _Compressor]]] = {
    "zstd": lambda: zstd.ZstdCompressor(level=_LEVEL),
    "lz4": _Lz4,
    "gzip": lambda: zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW),
    "deflate": lambda: zlib.compressobj(_LEVEL),
}
"""By our preference, best first."""


def choose_encoding(accept: str) -> str | None:
    """The encoding for an answer given the `Accept-Encoding` header; None is identity."""
    weights: dict[str, float] = {}
    for entry in accept.split(","):
        name, _, rest = entry.strip().partition(";")
        weights[name.strip().lower()] = _weight(rest)
    wanted = [name for name in _COMPRESSORS if weights.get(name, 0.0) > 0]
    return max(wanted, key=lambda name: weights[name], default=None)


def _weight(text: str) -> float:
    key, _, value = text.strip().partition("=")
    if key.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def compressed(body: bytes, encoding: str) -> Iterator[bytes]:
    """The body in pieces, compressed as one stream."""
    compressor = _COMPRESSORS[encoding]()
    view = memoryview(body)
    for start in range(0, len(view), _PIECE_BYTES):
        if piece := compressor.compress(view[start : start + _PIECE_BYTES]):
            yield piece
    yield compressor.flush()


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...


_DECOMPRESSORS: Final[dict[str, Callable[[], _Decompressor]]] = {
    "gzip": lambda: zlib.decompressobj(_ANY_ZLIB_WINDOW),
    "deflate": lambda: zlib.decompressobj(_ANY_ZLIB_WINDOW),
    "zstd": lambda: zstd.ZstdDecompressor(
        options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    ),
    "lz4": lz4.frame.LZ4FrameDecompressor,
}


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """A request's body. Whatever it would unfold to, at most `limit` bytes and one more are made; that one is
    the caller's to refuse. Raises SqlRequestError if the encoding is none of ours, or the body damaged or cut
    short.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in _DECOMPRESSORS:
        raise SqlRequestError(
            f"A statement compressed with {encoding[:32]} is not taken; {', '.join(_DECOMPRESSORS)} are",
            48,
            "NOT_IMPLEMENTED",
        )
    decompressor = _DECOMPRESSORS[encoding]()
    try:
        whole = decompressor.decompress(body, limit + 1)
    except (zlib.error, zstd.ZstdError, RuntimeError) as error:
        raise _damaged(encoding) from error
    if not decompressor.eof and len(whole) <= limit:
        raise _damaged(encoding)
    return whole


def _damaged(encoding: str) -> SqlRequestError:
    return SqlRequestError(f"The body is not whole {encoding}", 354, "ZLIB_INFLATE_FAILED")
