"""How `batches.log` is laid out: a header, then entries of one size. All numbers are little-endian.

    header (16 B) = magic 8 | version 4 | crc 4
    entry (112 B) = crc 4 | kind 1 | signal 1 | flags 2 | batch_id 8 | first_seq 8 | last_seq 8 | records 8
                  | disk_bytes 8 | oldest_ns 8 | reserved 8 | boot_id 16 | token 32

Entries are of one size so that a damaged one takes none of its neighbours with it, and each repeats all of
its batch, so that the loss of one seldom matters. FLOOR stands for everything that was dropped when the file
was written anew: `batch_id` is the last one given, `last_seq` the signal's cursor, `first_seq` the last
record of which the store is known to be safe.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import google_crc32c

from ingest.signals import Signal

MAGIC = b"LTBATCH\n"
VERSION = 1
_HEADER = struct.Struct("<8sII")
_CRC = struct.Struct("<I")
_ENTRY = struct.Struct("<BBHQQQQQqQ16s32s")
HEADER_BYTES = _HEADER.size
ENTRY_BYTES = _CRC.size + _ENTRY.size
NO_BOOT = bytes(16)
_SIGNALS = (Signal.TRACES, Signal.METRICS, Signal.LOGS)
"""Their positions are on disk: new ones go to the end."""


class Kind(IntEnum):
    """What happened to a batch."""

    BEGUN = 1
    FINISHED = 2
    SAFE = 3
    """Finished, and the store has since been made durable."""
    FLOOR = 4


class Entry(NamedTuple):
    """One entry of the log."""

    kind: Kind
    signal: Signal
    batch_id: int
    first_seq: int
    last_seq: int
    records: int = 0
    disk_bytes: int = 0
    oldest_ns: int = 0
    boot_id: bytes = NO_BOOT
    """The machine's boot during which it happened; zeros if that is not known."""
    token: bytes = bytes(32)


def header() -> bytes:
    """The beginning of the file."""
    return _HEADER.pack(MAGIC, VERSION, google_crc32c.value(MAGIC))


def encode(entry: Entry) -> bytes:
    """One entry as it is written."""
    signal = _SIGNALS.index(entry.signal)
    data = _ENTRY.pack(
        entry.kind, signal, 0, entry.batch_id, entry.first_seq, entry.last_seq, entry.records,
        entry.disk_bytes, entry.oldest_ns, 0, entry.boot_id, entry.token,
    )  # fmt: skip
    return _CRC.pack(google_crc32c.value(data)) + data


def decode_all(data: bytes) -> Iterator[Entry | None]:
    """The entries after the header; None for a damaged one. What is shorter than an entry is passed over."""
    for at in range(HEADER_BYTES, len(data) - ENTRY_BYTES + 1, ENTRY_BYTES):
        yield _decode(data[at : at + ENTRY_BYTES])


def _decode(data: bytes) -> Entry | None:
    content = data[_CRC.size :]
    if google_crc32c.value(content) != _CRC.unpack_from(data)[0]:
        return None
    kind, signal, _, batch_id, first, last, records, size, oldest_ns, _, boot_id, token = _ENTRY.unpack(
        content
    )
    return Entry(
        Kind(kind), _SIGNALS[signal], batch_id, first, last, records, size, oldest_ns, boot_id, token
    )
