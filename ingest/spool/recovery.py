"""Opens the segments of one signal after whatever happened to the last process, the machine or the disk.

What is whole stays, a torn end is cut off, damage is set aside and its numbers reported as lost. Only what a
kill leaves of a write is cut off; whatever may once have been acknowledged stays in its file. The trap: after
a kill the end of the last segment may be whole and yet not on the disk; it is made durable before anyone may
read it, or a batch could name records that a power loss takes away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import structlog

from ingest.signals import Signal
from ingest.spool.files import Files
from ingest.spool.health import Vault
from ingest.spool.lost import Lost
from ingest.spool.resend_format import Known
from ingest.spool.segment import Examined, Segment, examine, segment_paths
from ingest.spool.segment_format import FILE_HEADER_BYTES, HEAD_BYTES, Damage
from ingest.spool.telemetry import SpoolMetrics

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Recovered:
    """The segments that are good to use."""

    segments: list[Segment] = field(default_factory=list)
    next_seq: int = 1
    lost: Lost = field(default_factory=Lost)
    owed_from: int | None = None
    """The first number that must be in a segment; None if that is not known."""
    known: list[Known] = field(default_factory=list)
    """Requests to be recognised in segments without a seal, in order."""


class Recovery:
    """Recovers one signal's folder, which only this process uses."""

    def __init__(
        self, files: Files, signal: Signal, folder: Path, vault: Vault, metrics: SpoolMetrics
    ) -> None:
        self._files = files
        self._signal = signal
        self._folder = folder
        self._vault = vault
        self._metrics = metrics

    def run(self, cursor: int, safe_seq: int) -> Recovered:
        """`cursor` is the last number known to have been used, `safe_seq` the last one that may be missing
        here, because the store has it. Raises OSError.
        """
        result = Recovered(next_seq=cursor + 1)
        # A cursor of 0 may mean that the log of batches is gone; then nobody knows where the numbers begin.
        result.owed_from = safe_seq + 1 if cursor else None
        paths = segment_paths(self._folder)
        for index, (first_seq, path) in enumerate(paths):
            found = examine(self._files, path, first_seq, verify=False)
            result.next_seq = max(result.next_seq, first_seq)
            if found.marker is None:
                self._put_away(found, result, is_last=index == len(paths) - 1)
                continue
            self._join(result, first_seq)
            segment = self._accept(found, found.marker, is_last=index == len(paths) - 1)
            result.segments.append(segment)
            result.known += (
                Known(self._signal, head.seq, head.received_ns, digest, reply)
                for head, digest, reply in found.remembered
                if not found.sealed
            )
            for first, last in found.lost:
                result.lost.add(first, last)
            if found.open_end and index == len(paths) - 1:
                # At least one. The segments after would tell how many, if there were any.
                segment.last_seq += 1
                result.lost.add(segment.last_seq, segment.last_seq)
            result.next_seq = max(result.next_seq, segment.last_seq + 1)
        if result.segments:
            self._close_gap_at_end(result)
            self._free_name(result)
        elif result.owed_from is not None:
            result.lost.add(result.owed_from, result.next_seq - 1)
        for first, last in result.lost.ranges():
            log.error(
                "Records of the spool are lost", signal=self._signal.value, first_seq=first, last_seq=last
            )
        self._metrics.lost(self._signal, result.lost.count(1, result.next_seq))
        return result

    def _join(self, result: Recovered, first_seq: int) -> None:
        """What is missing between the segments before and the one that begins here is lost."""
        if not result.segments:
            if result.owed_from is not None:
                result.lost.add(result.owed_from, first_seq - 1)
            return
        before = result.segments[-1]
        result.lost.add(before.last_seq + 1, first_seq - 1)
        before.last_seq = first_seq - 1
        before.closed = True

    def _close_gap_at_end(self, result: Recovered) -> None:
        """Numbers that were used beyond the last segment went with a segment that is gone."""
        end = result.segments[-1]
        if result.next_seq > end.last_seq + 1:
            result.lost.add(end.last_seq + 1, result.next_seq - 1)
            end.last_seq = result.next_seq - 1
            end.closed = True

    def _free_name(self, result: Recovered) -> None:
        """A last segment of nothing but damage must not stand where the next one will."""
        end = result.segments[-1]
        if end.closed and end.first_seq == result.next_seq:
            self._vault.move(self._signal, end.path)
            self._files.sync_directory(self._folder)
            result.segments.pop()

    def _put_away(self, found: Examined, result: Recovered, *, is_last: bool) -> None:
        """A file that cannot even be begun to read."""
        if is_last and found.size <= FILE_HEADER_BYTES:
            # The process ended while it made this file: nothing in it was ever acknowledged.
            self._files.unlink(found.path)
        else:
            self._vault.move(self._signal, found.path)
            if not result.segments:
                owed_from = found.first_seq if result.owed_from is None else result.owed_from
                result.owed_from = min(owed_from, found.first_seq)
            most_records = (found.size - FILE_HEADER_BYTES) // HEAD_BYTES
            if is_last:
                result.next_seq = max(result.next_seq, found.first_seq + max(1, most_records))
        self._files.sync_directory(self._folder)

    def _accept(self, found: Examined, marker: bytes, *, is_last: bool) -> Segment:
        for damage in found.damages:
            self._vault.keep(self._signal, found.path, damage.start, damage.end)
        segment = Segment(
            found.path, found.first_seq, marker, found.last_seq, found.size, found.records,
            closed=found.sealed or bool(found.damages),
        )  # fmt: skip
        if found.tail is not None and not is_last:
            self._vault.keep(self._signal, found.path, found.tail.start, found.tail.end)
        elif not found.sealed:
            self._settle(found, segment)
        return segment

    def _settle(self, found: Examined, segment: Segment) -> None:
        """Cut a torn end off, and make sure that the rest is on the disk."""
        handle = self._files.open_append(segment.path)
        try:
            if found.tail is not None:
                self._note_torn(found.tail, segment)
                segment.size = found.tail.start
                self._files.truncate(handle, segment.size)
            self._files.sync(handle)
        finally:
            self._files.close(handle)

    def _note_torn(self, tail: Damage, segment: Segment) -> None:
        self._metrics.torn(self._signal)
        log.warning(
            "The spool ended in the beginning of a record, never acknowledged, which was cut off",
            signal=self._signal.value, segment=segment.path.name, size_bytes=tail.end - tail.start,
        )  # fmt: skip
