"""Reads the durable records of one signal while others append and trim. `ingest.spool.signal_log` owns one.

Every checksum is compared on the way; what is damaged is set aside, and the numbers it took are noted as
lost. The trap: a segment may be trimmed while it is about to be read. That is no loss, so the log is asked
once more whether a missing file should be there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import structlog

from ingest.signals import Signal
from ingest.spool.errors import SpoolReadError
from ingest.spool.files import Files
from ingest.spool.health import Vault
from ingest.spool.lost import Lost
from ingest.spool.records import SpoolRecord, digest_of
from ingest.spool.segment import reader
from ingest.spool.segment_format import FILE_HEADER_BYTES, Damage, Found, walk
from ingest.spool.telemetry import SpoolMetrics

log = structlog.get_logger(__name__)
_HINTS = 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """The durable part of a segment that a read looks at."""

    path: Path
    marker: bytes
    first_seq: int
    last_seq: int
    end: int


class Waiting(NamedTuple):
    """What waits behind a number."""

    received_ns: int
    """When the first of it arrived."""
    disk_bytes: int


class LogReader:
    """Reads of one signal, from any thread."""

    def __init__(
        self,
        signal: Signal,
        *,
        files: Files,
        vault: Vault,
        metrics: SpoolMetrics,
        lost: Lost,
        stretches: Callable[[int, int | None], list[Stretch]],
        is_there: Callable[[Path], bool],
    ) -> None:
        """`stretches` gives the segments with records after one number and up to another; `is_there` says
        whether a segment has not been trimmed.
        """
        self._signal = signal
        self._files = files
        self._vault = vault
        self._metrics = metrics
        self._lost = lost
        self._stretches = stretches
        self._is_there = is_there
        self._hints = _Hints()

    def read(
        self, after_seq: int, *, upto_seq: int | None = None, max_bytes: int | None, max_records: int | None
    ) -> list[SpoolRecord]:
        """Durable records after a number, in order; at least one if there is one. Raises SpoolReadError."""
        taken = _Taken(after_seq, upto_seq, max_bytes, max_records)
        for stretch in self._stretches(after_seq, upto_seq):
            if not self._read_stretch(stretch, taken):
                break
        return taken.records

    def first_waiting(self, after_seq: int) -> Waiting | None:
        """The first readable record after a number; None if there is none. Raises SpoolReadError."""
        stretches = self._stretches(after_seq, None)
        for index, stretch in enumerate(stretches):
            with closing(self._pieces(stretch, after_seq)) as pieces:
                for piece in pieces:
                    if isinstance(piece, Damage):
                        # Now, because the hint below leads past it.
                        self._vault.keep(self._signal, stretch.path, piece.start, piece.end)
                    elif piece.head.seq > after_seq:
                        self._hints.put(after_seq, stretch.first_seq, piece.start)
                        later = sum(each.end - FILE_HEADER_BYTES for each in stretches[index + 1 :])
                        return Waiting(piece.head.received_ns, stretch.end - piece.start + later)
        return None

    def _read_stretch(self, stretch: Stretch, taken: _Taken) -> bool:
        """Take the records of a segment; False once there are enough."""
        expected = max(taken.after_seq + 1, stretch.first_seq)
        end = FILE_HEADER_BYTES
        with closing(self._pieces(stretch, taken.after_seq)) as pieces:
            for piece in pieces:
                if isinstance(piece, Damage):
                    self._vault.keep(self._signal, stretch.path, piece.start, piece.end)
                    continue
                seq = piece.head.seq
                if seq < expected:
                    continue
                self._note_lost(expected, seq - 1)
                expected = seq + 1
                before = taken.records[-1].seq if taken.records else taken.after_seq
                if not taken.has_room_for(seq, len(piece.body)):
                    self._hints.put(before, stretch.first_seq, piece.start)
                    return False
                if before == taken.after_seq:
                    self._hints.put(before, stretch.first_seq, piece.start)
                taken.records.append(self._record(piece))
                taken.body_bytes += len(piece.body)
                end = piece.end
        if expected <= stretch.last_seq and not self._is_there(stretch.path):
            return True
        self._note_lost(expected, stretch.last_seq)
        if taken.records and taken.records[-1].seq == expected - 1 >= stretch.first_seq:
            self._hints.put(expected - 1, stretch.first_seq, end)
        return True

    def _pieces(self, stretch: Stretch, after_seq: int) -> Generator[Found | Damage, None, None]:
        try:
            handle = self._files.open_read(stretch.path)
        except FileNotFoundError as error:
            if self._is_there(stretch.path):
                raise SpoolReadError(f"{stretch.path} is missing; was it removed by hand?") from error
            return
        except OSError as error:
            raise SpoolReadError(f"{stretch.path} cannot be opened: {error}") from error
        try:
            start = self._hints.get(after_seq, stretch.first_seq)
            yield from walk(reader(self._files, handle), stretch.marker, start, stretch.end)
        except OSError as error:
            raise SpoolReadError(f"{stretch.path} cannot be read: {error}") from error
        finally:
            self._files.close(handle)

    def _record(self, piece: Found) -> SpoolRecord:
        head = piece.head
        digest = piece.digest or digest_of(piece.tenant, self._signal, piece.body)
        return SpoolRecord(
            head.seq, self._signal, piece.tenant.decode(), head.received_ns, head.items, digest, piece.body,
            disk_bytes=head.size,
        )  # fmt: skip

    def _note_lost(self, first_seq: int, last_seq: int) -> None:
        new = self._lost.add(first_seq, last_seq)
        if new:
            self._metrics.lost(self._signal, new)
            log.error(
                "Records of the spool are lost",
                signal=self._signal.value, first_seq=first_seq, last_seq=last_seq, new=new,
            )  # fmt: skip


@dataclass(slots=True)
class _Taken:
    """What a read has so far, and how much it may take."""

    after_seq: int
    upto_seq: int | None
    max_bytes: int | None
    max_records: int | None
    records: list[SpoolRecord] = field(default_factory=list)
    body_bytes: int = 0

    def has_room_for(self, seq: int, body_bytes: int) -> bool:
        """Whether a record may be taken. The first is taken whatever its size."""
        if self.upto_seq is not None and seq > self.upto_seq:
            return False
        if not self.records:
            return True
        if self.max_records is not None and len(self.records) >= self.max_records:
            return False
        return self.max_bytes is None or self.body_bytes + body_bytes <= self.max_bytes


class _Hints:
    """Where the records after some numbers begin: a loader goes on where it stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offsets: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def put(self, after_seq: int, segment_seq: int, offset: int) -> None:
        """The records after a number begin at an offset of the segment that begins with another."""
        with self._lock:
            self._offsets[after_seq] = (segment_seq, offset)
            self._offsets.move_to_end(after_seq)
            while len(self._offsets) > _HINTS:
                self._offsets.popitem(last=False)

    def get(self, after_seq: int, segment_seq: int) -> int:
        """Where to begin reading in a segment."""
        with self._lock:
            hint = self._offsets.get(after_seq)
        return hint[1] if hint is not None and hint[0] == segment_seq else FILE_HEADER_BYTES
