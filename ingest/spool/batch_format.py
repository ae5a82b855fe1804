"""How `batches.log` is laid out: a header, then entries of one size. All numbers are little-endian.

    header (16 B) = magic 8 | version 4 | crc 4
    entry (112 B) = crc 4 | kind 1 | signal 1 | flags 2 | batch_id 8 | first_seq 8 | last_seq 8 | records 8
                  | disk_bytes 8 | oldest_ns 8 | first_piece 4 | last_piece 4 | boot_id 16 | token 32

Entries are of one size so that a damaged one takes none of its neighbours with it, and each repeats all of
its batch, so that the loss of one seldom matters. FLOOR stands for everything that was dropped when the file
was written anew: `batch_id` is the last one given, `last_seq` the signal's cursor, `first_seq` the last
record of which the store is known to be safe.

SPLIT says all of what takes a batch's place in one entry, so that either all of it is there or nothing: two
batches with the ids `records` and the one above. The first ends with record `disk_bytes`; if `oldest_ns` is
not 0, the batch is of one record with that many pieces, and the first ends with piece `disk_bytes`. Their
tokens follow from the batch's.
"""

from __future__ import annotations

import hashlib
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
_ENTRY = struct.Struct("<BBHQQQQQqII16s32s")
_DERIVED = 1
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
    """Finished, and a checkpoint of the store has it."""
    FLOOR = 4
    SPLIT = 5
    """Two others take its place; it was never stored and never will be."""


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
    first_piece: int = 0
    last_piece: int = 0
    """Pieces of its only record, from 1, if it is not of whole records; else 0."""
    is_derived: bool = False
    """It came of a split, and so did its token."""


def parts_of(split: Entry, begun: Entry) -> tuple[Entry, Entry]:
    """How the two batches begin that take the place of one, given how that began."""
    by_piece, cut, first_id = bool(split.oldest_ns), split.disk_bytes, split.records
    first = begun._replace(
        batch_id=first_id, boot_id=split.boot_id, token=_derived(begun.token, 1), is_derived=True
    )
    second = first._replace(batch_id=first_id + 1, token=_derived(begun.token, 2))
    if by_piece:
        first_piece, last_piece = begun.first_piece or 1, begun.last_piece or split.oldest_ns
        return (
            first._replace(first_piece=first_piece, last_piece=cut),
            second._replace(first_piece=cut + 1, last_piece=last_piece, records=0, disk_bytes=0),
        )
    records = min(cut - begun.first_seq + 1, begun.records)
    size = begun.disk_bytes * records // max(1, begun.records)
    return (
        first._replace(last_seq=cut, records=records, disk_bytes=size),
        second._replace(
            first_seq=cut + 1, records=begun.records - records, disk_bytes=begun.disk_bytes - size
        ),
    )


def _derived(token: bytes, number: int) -> bytes:
    return hashlib.sha256(token + struct.pack("<Q", number)).digest()


def header() -> bytes:
    """The beginning of the file."""
    return _HEADER.pack(MAGIC, VERSION, google_crc32c.value(MAGIC))


def encode(entry: Entry) -> bytes:
    """One entry as it is written."""
    signal = _SIGNALS.index(entry.signal)
    data = _ENTRY.pack(
        entry.kind, signal, _DERIVED if entry.is_derived else 0, entry.batch_id, entry.first_seq,
        entry.last_seq, entry.records, entry.disk_bytes, entry.oldest_ns, entry.first_piece, entry.last_piece,
        entry.boot_id, entry.token,
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
    values = _ENTRY.unpack(content)
    kind, signal, flags, batch_id, first_seq, last_seq, records, size, oldest_ns = values[:9]
    first_piece, last_piece, boot_id, token = values[9:]
    return Entry(
        Kind(kind), _SIGNALS[signal], batch_id, first_seq, last_seq, records, size, oldest_ns, boot_id, token,
        first_piece, last_piece, bool(flags & _DERIVED),
    )  # fmt: skip
