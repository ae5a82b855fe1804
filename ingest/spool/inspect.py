"""Looks at a spool on disk without opening it: no lock, no write, also while another process writes to it.

`lowtide spool` calls it. The trap: what another process is just writing looks like a torn end; only where
nobody writes does it mean that a process was killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ingest.signals import Signal
from ingest.spool.batch_book import Book
from ingest.spool.batch_format import HEADER_BYTES, decode_all, header
from ingest.spool.batches import BATCHES_NAME
from ingest.spool.boot import boot_bytes, read_meta
from ingest.spool.files import Files, read_whole
from ingest.spool.health import DAMAGED_NAME
from ingest.spool.quarantine import FOLDER_NAME as QUARANTINE_NAME
from ingest.spool.quarantine import paths_of
from ingest.spool.records import SignalStatus, SpoolStatus
from ingest.spool.segment import Examined, examine, reader, segment_paths
from ingest.spool.segment_format import FILE_HEADER_BYTES, Damage, Found, walk


class SegmentState(StrEnum):
    """What a segment looks like."""

    OPEN = "open"
    """Whole, and records may be added."""
    CLOSED = "closed"
    """Whole, and full."""
    TORN = "torn"
    """It ends in the beginning of a record: one being written just now, or one a kill broke off."""
    DAMAGED = "damaged"
    """Bytes in it that were once written are no longer records."""


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """One segment file."""

    signal: Signal
    path: Path
    first_seq: int
    last_seq: int
    """One below `first_seq` while it is empty."""
    records: int
    """Whole ones."""
    size_bytes: int
    state: SegmentState
    damaged_bytes: int
    lost_records: int
    """Numbers that must have been in it; at least one if nobody can tell how many."""

    @property
    def segment(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class RecordReport:
    """One whole record."""

    signal: Signal
    seq: int
    received_ns: int
    """When it arrived, ns since 1970."""
    tenant: str
    items: int
    body_bytes: int
    segment: str
    offset: int
    """Where in the file it begins."""


@dataclass(frozen=True, slots=True)
class BatchLogReport:
    """The log of batches, and what was set aside."""

    damaged_entries: int
    kept_files: int
    """Files in the folder of damaged pieces."""
    kept_bytes: int


def segments_of(directory: Path, signals: Iterable[Signal]) -> Iterator[SegmentReport]:
    """Every segment, each read as a whole and every checksum compared. Raises OSError."""
    files = Files()
    for signal in signals:
        for first_seq, path in segment_paths(directory / signal.value):
            # Trimmed since it was listed: that is what the spool is for.
            with suppress(FileNotFoundError):
                yield _report(signal, _examined(files, path, first_seq))


def _examined(files: Files, path: Path, first_seq: int) -> Examined:
    """Look again at a segment that may have been in the middle of a change."""
    found = examine(files, path, first_seq, verify=True)
    if not found.sealed and (found.damages or found.marker is None):
        found = examine(files, path, first_seq, verify=True)
    return found


def _report(signal: Signal, found: Examined) -> SegmentReport:
    damaged_bytes = sum(each.end - each.start for each in found.damages)
    if found.marker is None and found.size > FILE_HEADER_BYTES:
        damaged_bytes = found.size
    lost = sum(last - first + 1 for first, last in found.lost)
    return SegmentReport(
        signal, found.path, found.first_seq, found.last_seq, found.records, found.size,
        _state(found, damaged_bytes), damaged_bytes, max(lost, 1) if damaged_bytes else lost,
    )  # fmt: skip


def _state(found: Examined, damaged_bytes: int) -> SegmentState:
    if damaged_bytes or found.lost:
        return SegmentState.DAMAGED
    if found.tail is not None or found.marker is None:
        return SegmentState.TORN
    return SegmentState.CLOSED if found.sealed else SegmentState.OPEN


def records_of(directory: Path, signals: Iterable[Signal]) -> Iterator[RecordReport]:
    """Every whole record, in order. Raises OSError."""
    files = Files()
    for signal in signals:
        for first_seq, path in segment_paths(directory / signal.value):
            with suppress(FileNotFoundError):
                found = examine(files, path, first_seq, verify=False)
                for piece in _whole(files, found, FILE_HEADER_BYTES):
                    head = piece.head
                    yield RecordReport(
                        signal, head.seq, head.received_ns, piece.tenant.decode(), head.items, head.body_len,
                        path.name, piece.start,
                    )  # fmt: skip


def _whole(files: Files, found: Examined, start: int) -> Iterator[Found]:
    if found.marker is None:
        return
    handle = files.open_read(found.path)
    try:
        with closing(walk(reader(files, handle), found.marker, start, found.size)) as pieces:
            for piece in pieces:
                if not isinstance(piece, Damage):
                    yield piece
    finally:
        files.close(handle)


def batch_log_of(directory: Path) -> BatchLogReport:
    """The log of batches, and the pieces that were set aside. Raises OSError."""
    kept = directory / DAMAGED_NAME
    sizes = [path.stat().st_size for path in kept.iterdir()] if kept.is_dir() else []
    return BatchLogReport(_read_book(directory)[1], len(sizes), sum(sizes))


def _read_book(directory: Path) -> tuple[Book, int]:
    """What is known of the batches, and how many entries are damaged."""
    book = Book()
    try:
        content = read_whole(Files(), directory / BATCHES_NAME)
    except FileNotFoundError:
        return book, 0
    damaged = int(len(content) >= HEADER_BYTES and content[:HEADER_BYTES] != header())
    for entry in decode_all(content):
        if entry is None:
            damaged += 1
        else:
            book.apply(entry)
    return book, damaged


def positions_of(directory: Path) -> Mapping[Signal, tuple[int, int]]:
    """For each signal the last record that is stored for good, and the last that belongs to a batch.

    Raises OSError, SpoolError if it is of a later version.
    """
    read_meta(Files(), directory)
    book, _ = _read_book(directory)
    found = {}
    for signal in Signal:
        first_seq = min((seq for seq, _ in segment_paths(directory / signal.value)), default=0)
        found[signal] = (book.safe_seq(signal), max(book.cursor(signal), first_seq - 1))
    return found


def look(directory: Path, *, limit_bytes: int, boot_id: str | None) -> SpoolStatus:
    """Where a spool stands that nobody has open, as opening it would find it during a boot of the machine.

    Raises OSError, SpoolError if it is of a later version.
    """
    files = Files()
    read_meta(files, directory)
    book, _ = _read_book(directory)
    boot = boot_bytes(boot_id)
    book.distrust(boot)
    signals = tuple(_look_at(files, directory, book, signal, boot) for signal in Signal)
    return SpoolStatus(
        directory=directory,
        signals=signals,
        total_bytes=sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()),
        limit_bytes=limit_bytes,
        segments=sum(each.segments for each in signals),
        failed="",
        held=_usage(directory / QUARANTINE_NAME),
    )


def _usage(folder: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in paths_of(folder)]
    return len(sizes), sum(sizes)


def _look_at(files: Files, directory: Path, book: Book, signal: Signal, boot: bytes) -> SignalStatus:
    paths = segment_paths(directory / signal.value)
    found = [examine(files, path, first_seq, verify=False) for first_seq, path in paths]
    cursor = book.cursor(signal)
    last_seq = max([cursor, *(each.last_seq for each in found)])
    entries = book.unfinished(signal)
    waiting = _Waiting(
        sum(entry.records for entry in entries),
        sum(entry.disk_bytes for entry in entries),
        min((entry.oldest_ns for entry in entries), default=None),
    )
    for each in found:
        if each.last_seq > cursor:
            waiting.add(files, each, cursor)
    return SignalStatus(
        signal=signal,
        first_seq=found[0].first_seq if found else last_seq + 1,
        last_seq=last_seq,
        cursor=cursor,
        batches=len(entries),
        batches_before_reboot=book.before_reboot(signal, boot),
        records_waiting=waiting.records,
        bytes_waiting=waiting.disk_bytes,
        oldest_received_ns=waiting.oldest_ns,
        lost_records=sum(last - first + 1 for each in found for first, last in each.lost),
        segments=len(found),
        disk_bytes=sum(each.size for each in found),
    )


@dataclass(slots=True)
class _Waiting:
    """What is in no finished batch."""

    records: int
    disk_bytes: int
    oldest_ns: int | None

    def add(self, files: Files, found: Examined, cursor: int) -> None:
        """Add the records of a segment after the cursor."""
        end = found.size if found.tail is None else found.tail.start
        first = True
        for piece in _whole(files, found, FILE_HEADER_BYTES):
            if piece.head.seq <= cursor:
                continue
            if first:
                first = False
                self.disk_bytes += end - piece.start
                if self.oldest_ns is None or piece.head.received_ns < self.oldest_ns:
                    self.oldest_ns = piece.head.received_ns
                if found.sealed and found.first_seq > cursor:
                    # The seal has counted the rest.
                    self.records += found.records
                    return
            self.records += 1
