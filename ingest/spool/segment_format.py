"""How a segment file is laid out, and how it is read back. All numbers are little-endian.

    segment = file header, record...,  [seal]
    file header (32 B) = magic 8 | version 4 | crc 4 | first_seq 8 | marker 8
    record = head (44 B) | tenant | body
    head   = marker 8 | head_crc 4 | data_crc 4 | body_len 4 | tenant_len 2 | kind 2 | items 4 | seq 8
             | received_ns 8

    body of a request that would be recognised (kind 2) = digest 16 | reply_len 4 | reply | body

`head_crc` is the CRC32C of the head without itself, `data_crc` that of tenant and body. The marker is drawn
at random for each segment: after damage the next record is found by it, and nobody can put a false record
into a body. A seal is a record of kind 1 that ends a full segment; it says how many there are, so that a full
segment need not be read when the spool is opened.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from typing import NamedTuple

import google_crc32c

MAGIC = b"LTSPOOL\n"
VERSION = 1
_FILE = struct.Struct("<8sIIQ8s")
_MARK = struct.Struct("<8sI")
_REST = struct.Struct("<IIHHIQq")
_SEAL = struct.Struct("<Q")
_MEMORY = struct.Struct("<16sI")
FILE_HEADER_BYTES = _FILE.size
HEAD_BYTES = _MARK.size + _REST.size
SEAL_BYTES = HEAD_BYTES + _SEAL.size
MARKER_BYTES = 8
MAX_BODY_BYTES = 2**32 - 2**17
"""What stands before a body takes of its length."""
MAX_TENANT_BYTES = 2**16 - 1
MAX_ITEMS = 2**32 - 1
MAX_RECEIVED_NS = 2**63 - 1
_DATA = 0
_SEALED = 1
_REMEMBERED = 2
_WINDOW_BYTES = 1024 * 1024

Pread = Callable[[int, int], bytes]
"""(size, offset) to bytes, fewer only where the file ends."""


class Head(NamedTuple):
    """The fixed part of a record."""

    data_crc: int
    body_len: int
    tenant_len: int
    kind: int
    items: int
    seq: int
    received_ns: int

    @property
    def size(self) -> int:
        """Bytes of the whole record."""
        return HEAD_BYTES + self.tenant_len + self.body_len


class Found(NamedTuple):
    """A whole record and where it lies."""

    start: int
    end: int
    head: Head
    tenant: bytes
    body: bytes
    digest: bytes = b""
    """Of the request as it came; empty if it would not be recognised."""
    reply: bytes = b""
    """What its sender was told, if it would be."""


class Damage(NamedTuple):
    """Bytes from `start` to `end` that are no whole record.

    `seq` is theirs if they have the length of a record and only tenant or body are wrong. `cut`: they may be
    the beginning of a record that the end of the file cuts off, which is what a kill leaves of a write.
    """

    start: int
    end: int
    seq: int | None
    cut: bool = False


class Seal(NamedTuple):
    """What a full segment says at its end."""

    last_seq: int
    records: int


def file_header(first_seq: int, marker: bytes) -> bytes:
    """The header of a new segment."""
    crc = google_crc32c.value(_FILE.pack(MAGIC, VERSION, 0, first_seq, marker))
    return _FILE.pack(MAGIC, VERSION, crc, first_seq, marker)


def marker_of(data: bytes) -> bytes | None:
    """The marker of a segment, given its first bytes; None if they are damaged beyond use.

    A damaged file header is made good by the first record, which repeats the marker under its own checksum.
    """
    if len(data) >= FILE_HEADER_BYTES:
        _, _, _, first_seq, marker = _FILE.unpack_from(data)
        if data[:FILE_HEADER_BYTES] == file_header(first_seq, marker):
            return bytes(marker)
    marker = data[FILE_HEADER_BYTES : FILE_HEADER_BYTES + MARKER_BYTES]
    if parse_head(data[FILE_HEADER_BYTES : FILE_HEADER_BYTES + HEAD_BYTES], marker) is not None:
        return marker
    return None


def memory_of(digest: bytes, reply: bytes) -> bytes:
    """What stands before the body of a request that is to be recognised; nothing without a digest."""
    return _MEMORY.pack(digest, len(reply)) + reply if digest else b""


def record_head(
    marker: bytes, tenant: bytes, memory: bytes, body: bytes, items: int, seq: int, received_ns: int
) -> bytes:
    """Head and tenant of a record, and its `memory_of`; its body follows."""
    kind = _REMEMBERED if memory else _DATA
    return _head(marker, tenant, memory, body, kind, items, seq, received_ns)


def _head(
    marker: bytes,
    tenant: bytes,
    memory: bytes,
    body: bytes,
    kind: int,
    items: int,
    seq: int,
    received_ns: int,
) -> bytes:
    data_crc = google_crc32c.extend(google_crc32c.value(tenant + memory), body)
    rest = _REST.pack(data_crc, len(memory) + len(body), len(tenant), kind, items, seq, received_ns)
    return _MARK.pack(marker, google_crc32c.value(marker + rest)) + rest + tenant + memory


def seal(marker: bytes, values: Seal) -> bytes:
    """The end of a full segment."""
    body = _SEAL.pack(values.records)
    return _head(marker, b"", b"", body, _SEALED, 0, values.last_seq, 0) + body


def parse_seal(data: bytes, marker: bytes) -> Seal | None:
    """The seal in a segment's last `SEAL_BYTES`; None if there is none."""
    head = parse_head(data[:HEAD_BYTES], marker)
    body = data[HEAD_BYTES:]
    if head is None or head.kind != _SEALED or len(body) != _SEAL.size:
        return None
    if head.body_len != len(body) or google_crc32c.value(body) != head.data_crc:
        return None
    return Seal(head.seq, *_SEAL.unpack(body))


def parse_head(data: bytes, marker: bytes) -> Head | None:
    """The head of a record; None if it is cut off, damaged or of another segment."""
    if len(data) != HEAD_BYTES or data[:MARKER_BYTES] != marker:
        return None
    rest = data[_MARK.size :]
    if google_crc32c.value(marker + rest) != _MARK.unpack_from(data)[1]:
        return None
    return Head(*_REST.unpack(rest))


def walk(pread: Pread, marker: bytes, start: int, end: int) -> Generator[Found | Damage, None, None]:
    """Everything between two offsets of a segment, in order: whole records, and what is none.

    Seals are passed over. `start` must be the beginning of a record.
    """
    window = _Window(pread, end)
    at = start
    while at < end:
        data = window.get(at, HEAD_BYTES)
        head = parse_head(data, marker)
        if head is None or at + head.size > end:
            after = _next_record(window, marker, at + 1, end)
            cut = after == end and (head is not None or _begins_head(data, marker))
            yield Damage(at, after, None, cut)
            at = after
            continue
        after = at + head.size
        found = _read(window, at, head)
        if found is None:
            yield Damage(at, after, head.seq)
        elif head.kind != _SEALED:
            yield found
        at = after


def _read(window: _Window, start: int, head: Head) -> Found | None:
    """The record with a head; None if what follows the head is damaged."""
    at = start + HEAD_BYTES
    tenant = window.get(at, head.tenant_len)
    at += head.tenant_len
    end = start + head.size
    memory = digest = reply = b""
    if head.kind == _REMEMBERED:
        if end - at < _MEMORY.size:
            return None
        memory = window.get(at, _MEMORY.size)
        digest, reply_len = _MEMORY.unpack(memory)
        # What is damaged may say anything.
        reply = window.get(at + _MEMORY.size, min(reply_len, end - at - _MEMORY.size))
        memory += reply
    body = window.get(at + len(memory), end - at - len(memory))
    if google_crc32c.extend(google_crc32c.value(tenant + memory), body) != head.data_crc:
        return None
    return Found(start, end, head, tenant, body, digest, reply)


def _begins_head(data: bytes, marker: bytes) -> bool:
    return len(data) < HEAD_BYTES and data[:MARKER_BYTES] == marker[: len(data)]


def _next_record(window: _Window, marker: bytes, at: int, end: int) -> int:
    """Where the next head lies, or `end`."""
    while (at := window.find(marker, at)) >= 0:
        if parse_head(window.get(at, HEAD_BYTES), marker) is not None:
            return at
        at += 1
    return end


class _Window:
    """Reads a file in large pieces, forward. It never reads beyond `end`."""

    def __init__(self, pread: Pread, end: int) -> None:
        self._pread = pread
        self._end = end
        self._base = 0
        self._data = b""

    def get(self, at: int, size: int) -> bytes:
        """`size` bytes, fewer at the end. A large piece is read as it is, without copying it once more."""
        size = min(size, self._end - at)
        offset = at - self._base
        if offset >= 0 and offset + size <= len(self._data):
            return self._data[offset : offset + size]
        if size >= _WINDOW_BYTES:
            return self._pread(size, at)
        self._fill(at)
        return self._data[:size]

    def find(self, wanted: bytes, at: int) -> int:
        """Where `wanted` begins next, or -1."""
        while at + len(wanted) <= self._end:
            self._fill(at)
            if len(self._data) < len(wanted):
                return -1
            found = self._data.find(wanted)
            if found >= 0:
                return at + found
            at += len(self._data) - len(wanted) + 1
        return -1

    def _fill(self, at: int) -> None:
        self._base = at
        self._data = self._pread(min(_WINDOW_BYTES, self._end - at), at)
