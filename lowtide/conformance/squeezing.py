"""The content codings the suite can write. Used by the rules about compression.

Only gzip is asked for by the specification. The trap: "snappy" has two forms under one name, in use both.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import cramjam
import lz4.frame  # type: ignore[import-untyped]  # ships no types

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {
        "zstd": ("zstd", lambda data: bytes(zstd.compress(data))),
        "deflate": ("deflate", zlib.compress),
        "lz4": ("lz4", lambda data: bytes(lz4.frame.compress(data))),
        "snappy": ("snappy", lambda data: bytes(cramjam.snappy.compress_raw(data))),
        "snappy-framed": ("snappy", lambda data: bytes(cramjam.snappy.compress(data))),
        "x-snappy-framed": ("x-snappy-framed", lambda data: bytes(cramjam.snappy.compress(data))),
    }
)
"""By the name of the rule: the name of the coding on the wire, and what writes it."""


def gzip_of(data: bytes) -> bytes:
    """The data in gzip, the same bytes every time."""
    squeezer = zlib.compressobj(wbits=31)
    return squeezer.compress(data) + squeezer.flush()


LARGE_BYTES = 128 * 1024 * 1024
"""Twice what the specification recommends as the limit of a request."""


@cache
def large_gzip() -> bytes:
    """A request that is one unknown field of `LARGE_BYTES` zeros: about 130 kB in gzip, and nothing to store.

    Made piece by piece: it is never in memory as a whole here.
    """
    squeezer = zlib.compressobj(wbits=31)
    head = b"\xfa\xff\x07\x80\x80\x80\x40"  # field 16383, of LARGE_BYTES
    pieces = [squeezer.compress(head)]
    block = bytes(1024 * 1024)
    pieces += [squeezer.compress(block) for _ in range(LARGE_BYTES // len(block))]
    return b"".join([*pieces, squeezer.flush()])
