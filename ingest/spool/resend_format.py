"""How a file of the log of digests is laid out: a header, then an entry for each request. All numbers are
little-endian.

    header (16 B) = magic 8 | version 4 | crc 4
    entry (40 B)  = crc 4 | reply_len 2 | signal 1 | reserved 1 | digest 16 | seq 8 | received_ns 8
                    and the reply

`crc` is the CRC32C of all that follows it in the entry, the reply included. `ingest.spool.resends` writes the
files. The trap: entries are of different lengths, so what follows a damaged one cannot be found again.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import google_crc32c

from ingest.signals import Signal

MAGIC = b"LTAGAIN\n"
VERSION = 1
MAX_REPLY_BYTES = 2**16 - 1
_HEADER = struct.Struct("<8sII")
_CRC = struct.Struct("<I")
_REST = struct.Struct("<HBB16sQq")
HEADER = _HEADER.pack(MAGIC, VERSION, google_crc32c.value(MAGIC))
ENTRY_BYTES = _CRC.size + _REST.size
_SIGNALS = (Signal.TRACES, Signal.METRICS, Signal.LOGS)
"""Their positions are on disk: new ones go to the end."""


class Known(NamedTuple):
    """A request that is on disk and would be recognised."""

    signal: Signal
    seq: int
    received_ns: int
    digest: bytes
    reply: bytes
    """What its sender was told, in the collector's form; empty for a plain success."""

    @property
    def size(self) -> int:
        """Bytes of its entry."""
        return ENTRY_BYTES + len(self.reply)


def encode(known: Known) -> bytes:
    """One entry as it is written."""
    signal = _SIGNALS.index(known.signal)
    rest = _REST.pack(len(known.reply), signal, 0, known.digest, known.seq, known.received_ns) + known.reply
    return _CRC.pack(google_crc32c.value(rest)) + rest


def decode(data: bytes, at: int) -> Known | None:
    """The entry at an offset; None if it is cut off or damaged."""
    if at + ENTRY_BYTES > len(data):
        return None
    length, signal, _, digest, seq, received_ns = _REST.unpack_from(data, at + _CRC.size)
    end = at + ENTRY_BYTES + length
    if end > len(data):
        return None
    if google_crc32c.value(data[at + _CRC.size : end]) != _CRC.unpack_from(data, at)[0]:
        return None
    return Known(_SIGNALS[signal], seq, received_ns, digest, data[at + ENTRY_BYTES : end])


def decode_all(data: bytes) -> list[Known]:
    """The whole entries from the beginning of a file to the first that is none; none if the header is not
    whole."""
    found: list[Known] = []
    if data[: len(HEADER)] != HEADER:
        return found
    at = len(HEADER)
    while (known := decode(data, at)) is not None:
        found.append(known)
        at += known.size
    return found
