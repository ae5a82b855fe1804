"""The log of one signal: a folder of segments, one of them being written.

`append` is called by the writer thread alone, everything else by anyone. Two locks: `_io` is held while the
disk is written, `_state` for moments only, so that readers never wait for an fsync.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from ingest.signals import Signal
from ingest.spool.errors import SpoolFullError
from ingest.spool.files import Files, is_full, is_scarce, write_all
from ingest.spool.health import Health, Vault
from ingest.spool.lost import Lost
from ingest.spool.pending import Pending
from ingest.spool.reading import LogReader, Stretch
from ingest.spool.recovery import Recovery
from ingest.spool.resend_format import Known
from ingest.spool.resends import Recovered, Resends
from ingest.spool.segment import Segment, segment_path
from ingest.spool.segment_format import (
    FILE_HEADER_BYTES,
    MARKER_BYTES,
    Seal,
    file_header,
    record_head,
    seal,
)
from ingest.spool.telemetry import SpoolMetrics

log = structlog.get_logger(__name__)


class SignalLog:
    """Appends to, reads and trims the segments of one signal."""

    def __init__(
        self,
        signal: Signal,
        folder: Path,
        segment_bytes: int,
        *,
        files: Files,
        health: Health,
        vault: Vault,
        metrics: SpoolMetrics,
        resends: Resends,
    ) -> None:
        self.signal = signal
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._files = files
        self._health = health
        self._vault = vault
        self._metrics = metrics
        self._resends = resends
        self._io = threading.Lock()
        self._state = threading.Lock()
        self._segments: list[Segment] = []
        self._next_seq = 1
        self._handle: int | None = None
        self._lost = Lost()
        self.reader = self._new_reader()
        """Reads the records."""
        self.recovered = Recovered(0, self._lost, ())
        """What was found when it was opened, for those who recognise requests."""

    def _new_reader(self) -> LogReader:
        return LogReader(
            self.signal, files=self._files, vault=self._vault, metrics=self._metrics, lost=self._lost,
            stretches=self._stretches, is_there=self._is_there,
        )  # fmt: skip

    def recover(self, cursor: int, safe_seq: int) -> None:
        """Look at what is there. `cursor` is the last number that a batch has, `safe_seq` the last one that
        need not be here any more. Raises OSError.
        """
        self._files.mkdir(self._folder)
        self._files.sync_directory(self._folder)
        recovery = Recovery(self._files, self.signal, self._folder, self._vault, self._metrics)
        recovered = recovery.run(cursor, safe_seq)
        self._segments = recovered.segments
        self._next_seq = recovered.next_seq
        self._lost = recovered.lost
        self.recovered = Recovered(self._next_seq - 1, self._lost, recovered.known)
        self.reader = self._new_reader()
        if self._segments and not self._segments[-1].closed:
            self._handle = self._files.open_append(self._segments[-1].path)

    def close(self) -> None:
        """Close the segment that is being written."""
        with self._io:
            self._let_go()

    def _let_go(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._files.close(handle)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is written or deleted while the block lasts."""
        with self._io:
            yield

    # --- writing

    def append(self, group: Sequence[Pending]) -> None:
        """Write requests, make them durable and resolve their futures.

        Raises SpoolFullError or SpoolFailedError; the futures it has not resolved are the caller's then.
        """
        with self._io:
            at = 0
            while at < len(group):
                at += self._commit(group, at)

    def _commit(self, group: Sequence[Pending], at: int) -> int:
        """Write as many as fit into the segment, at least one; returns how many."""
        # Another signal may have failed since these were queued.
        self._health.check()
        active = self._writable(group[at].size)
        buffers: list[bytes] = []
        room = max(self._segment_bytes - active.size, group[at].size)
        part: list[Pending] = []
        size = 0
        for pending in group[at:]:
            if size + pending.size > room:
                break
            seq = self._next_seq + len(part)
            head = record_head(
                active.marker, pending.tenant, pending.memory, pending.body, pending.items, seq,
                pending.received_ns,
            )  # fmt: skip
            buffers += (head, pending.body)
            part.append(pending)
            size += pending.size
        self._write(active, buffers)
        with self._state:
            first = self._next_seq
            self._next_seq += len(part)
            active.last_seq = self._next_seq - 1
            active.records += len(part)
            active.size += size
        self._metrics.committed(
            self.signal, len(part), sum(p.items for p in part), sum(len(p.body) for p in part)
        )
        known = [
            Known(self.signal, seq, pending.received_ns, pending.digest, pending.reply)
            for seq, pending in enumerate(part, first)
            if pending.digest
        ]
        if known:
            self._resends.add(known)
        for seq, pending in enumerate(part, first):
            pending.future.set_result(seq)
        return len(part)

    def _writable(self, size: int) -> Segment:
        """The segment to write `size` bytes to: the one at hand, or a new one if it is full."""
        active = self._segments[-1] if self._segments else None
        if active is not None and not active.closed:
            if not active.records or active.size + size <= self._segment_bytes:
                return active
            self._seal(active)
        return self._begin()

    def _write(self, active: Segment, buffers: list[bytes]) -> None:
        """Append to a segment durably; if the disk is full, leave it as it was."""
        assert self._handle is not None  # noqa: S101 - a segment that is not closed is open
        try:
            write_all(self._files, self._handle, buffers)
        except OSError as error:
            if not is_full(error):
                raise self._health.failed(f"writing to {active.path} failed", error) from error
            self._take_back(active)
            raise SpoolFullError(
                f"the disk that holds {self._folder} is full; make room, then send again"
            ) from error
        try:
            self._files.sync(self._handle)
        except OSError as error:
            raise self._health.failed(f"making {active.path} durable failed", error) from error

    def _take_back(self, active: Segment) -> None:
        assert self._handle is not None  # noqa: S101 - as above
        try:
            self._files.truncate(self._handle, active.size)
            self._files.sync(self._handle)
        except OSError as error:
            raise self._health.failed(f"cutting {active.path} back failed", error) from error

    def _seal(self, active: Segment) -> None:
        # From here on the segment is not read at the start any more.
        self._resends.sync()
        end = seal(active.marker, Seal(active.last_seq, active.records))
        self._write(active, [end])
        with self._state:
            active.size += len(end)
            active.closed = True
        self._let_go()

    def _begin(self) -> Segment:
        """Make a new segment durable, its name too, before anything is written to it."""
        path = segment_path(self._folder, self._next_seq)
        marker = os.urandom(MARKER_BYTES)
        handle = -1
        try:
            handle = self._files.create(path)
            write_all(self._files, handle, [file_header(self._next_seq, marker)])
            self._files.sync(handle)
            self._files.sync_directory(self._folder)
        except OSError as error:
            if handle >= 0:
                self._files.close(handle)
            if not is_full(error) and not (handle < 0 and is_scarce(error)):
                raise self._health.failed(f"beginning {path} failed", error) from error
            self._discard(path)
            raise SpoolFullError(
                f"no new segment can be begun in {self._folder}: {error.strerror}; send again later"
            ) from error
        segment = Segment(path, self._next_seq, marker, self._next_seq - 1, FILE_HEADER_BYTES)
        with self._state:
            self._segments.append(segment)
            self._handle = handle
        return segment

    def _discard(self, path: Path) -> None:
        try:
            if path.exists():
                self._files.unlink(path)
        except OSError as error:
            raise self._health.failed(f"removing {path} failed", error) from error

    # --- reading

    @property
    def last_seq(self) -> int:
        """The last durable record."""
        with self._state:
            return self._next_seq - 1

    @property
    def first_seq(self) -> int:
        """The first record still on disk; one above `last_seq` if there is none."""
        with self._state:
            return self._segments[0].first_seq if self._segments else self._next_seq

    def lost(self, first_seq: int, last_seq: int) -> int:
        """How many records of a range are known to be gone."""
        return self._lost.count(first_seq, last_seq)

    def waiting(self, after_seq: int) -> int:
        """How many durable records come after a number, as far as is known."""
        with self._state:
            last_seq = self._next_seq - 1
            first_seq = max(after_seq + 1, self._segments[0].first_seq if self._segments else 1)
        return max(0, last_seq - first_seq + 1 - self._lost.count(first_seq, last_seq))

    def _stretches(self, after_seq: int, upto_seq: int | None) -> list[Stretch]:
        with self._state:
            return [
                Stretch(each.path, each.marker, each.first_seq, each.last_seq, each.size)
                for each in self._segments
                if each.last_seq > after_seq and (upto_seq is None or each.first_seq <= upto_seq)
            ]

    def _is_there(self, path: Path) -> bool:
        """Whether a segment has not been trimmed; waits for a trim that is under way."""
        with self._io, self._state:
            return any(each.path == path for each in self._segments)

    # --- room

    @property
    def disk_bytes(self) -> int:
        """Bytes of all segments."""
        with self._state:
            return sum(segment.size for segment in self._segments)

    @property
    def segments(self) -> int:
        """How many segment files there are."""
        with self._state:
            return len(self._segments)

    def trim(self, upto_seq: int, *, pressed: bool) -> int:
        """Delete the segments that end at or before a number; returns how many.

        The one being written stays, because its name keeps the next number durable; if room is `pressed`, a
        new one is begun in its place. Raises OSError if a file cannot be deleted, or SpoolFailedError.
        """
        with self._io:
            self._health.check()
            count = self._delete(upto_seq)
            if pressed and self._replace_active(upto_seq):
                count += self._delete(upto_seq)
            return count

    def _delete(self, upto_seq: int) -> int:
        with self._state:
            victims = [segment for segment in self._segments[:-1] if segment.last_seq <= upto_seq]
        for segment in victims:
            self._files.unlink(segment.path)
            with self._state:
                self._segments.remove(segment)
        if victims:
            self._files.sync_directory(self._folder)
            self._lost.forget(self.first_seq - 1)
        return len(victims)

    def _replace_active(self, upto_seq: int) -> bool:
        """Begin a new segment if all of the one being written is finished; False if nothing changed."""
        active = self._segments[-1] if self._segments else None
        if active is None or not active.records or active.last_seq > upto_seq:
            return False
        try:
            if not active.closed:
                self._seal(active)
            self._begin()
        except SpoolFullError as error:
            log.warning("A finished segment could not be given back", error=str(error))
            return False
        return True
