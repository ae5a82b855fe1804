"""The spool: a durable log on disk between the receivers and the loader.

    spool = Spool.open(data / "spool", settings.spool)
    seq = spool.append(signal, "default", body, items=20, received_ns=now).result()   # now it is on disk

    records = spool.read(signal, spool.cursor(signal), max_bytes=..., max_records=...)
    batch = spool.begin_batch(signal, records)       # fixed, with its token, before the first attempt
    ...insert...
    spool.finish_batch(batch)

    mark = spool.trim_mark()
    ...take a checkpoint of the store...
    spool.trim(mark)

The collector appends, the loader reads, batches and trims, all in one process and from any thread. What a
future has resolved is checksummed and fsynced. `docs/spool.md` has the format and the promises.

The traps: a batch is never made of other records or given another token than the first time, not even after
a crash: `unfinished_batches` come first. And a mark is taken before the store is looked at, never after: what
finishes in between is not covered.

Longer than most modules: it is the whole face of the spool, and does nothing itself but pass on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from prometheus_client import CollectorRegistry

from ingest.signals import Signal
from ingest.spool.batches import Batches
from ingest.spool.batching import check_batch, fill_gaps, records_of_batch
from ingest.spool.boot import VERSION, Meta, boot_bytes, kernel_boot_id, read_meta, write_meta
from ingest.spool.committer import Committer
from ingest.spool.errors import SpoolError, SpoolFullError
from ingest.spool.files import Files, is_full
from ingest.spool.health import DAMAGED_NAME, Health, Vault
from ingest.spool.pending import Pending, pending_of
from ingest.spool.place import lock_directory, make_directory
from ingest.spool.quarantine import FOLDER_NAME as QUARANTINE_NAME
from ingest.spool.quarantine import Held, Quarantine
from ingest.spool.records import (
    Batch,
    Receipt,
    SignalStatus,
    SpoolRecord,
    SpoolStatus,
    request_digest,
)
from ingest.spool.resends import FOLDER_NAME as RESENDS_NAME
from ingest.spool.resends import Resends
from ingest.spool.room import AwakeClock, DiskRoom
from ingest.spool.settings import SpoolSettings
from ingest.spool.signal_log import SignalLog
from ingest.spool.standing import signal_status
from ingest.spool.telemetry import SpoolMetrics

__all__ = ["Batch", "Receipt", "SignalStatus", "Spool", "SpoolRecord", "SpoolStatus"]

log = structlog.get_logger(__name__)


class Spool:
    """An open spool. Made by `open`."""

    def __init__(
        self,
        directory: Path,
        settings: SpoolSettings,
        *,
        files: Files,
        metrics: SpoolMetrics,
        boot_id: str | None,
        clock_ns: Callable[[], int],
        ticks_ns: Callable[[], int],
        on_error: ExitStack,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._metrics = metrics
        self._health = Health()
        self._arrived = threading.Condition()
        self._trimming = threading.Lock()
        """Held by `trim` and `close`: neither may happen during the other."""
        meta = read_meta(files, directory)
        self.boot_id = boot_id
        """Since when a batch that was stored is still in the store; None if that is not known."""
        self.previous_boot_id = meta.boot_id
        """The same when the spool was last opened; None if that is not known."""
        self.rebooted = meta.existed and (boot_id is None or meta.boot_id != boot_id)
        """Whether that has changed; True as well if nobody can tell."""
        self._clock_ns = clock_ns
        self._room = DiskRoom(directory, settings, files=files, ticks_ns=ticks_ns)
        self._awake = AwakeClock(ticks_ns)
        self._quarantine = Quarantine(
            directory / QUARANTINE_NAME, settings.quarantine_bytes, files=files, health=self._health
        )
        self._vault = Vault(files, directory / DAMAGED_NAME, metrics)
        self._batches = Batches(
            directory, files=files, health=self._health, boot_id=boot_bytes(boot_id), clock_ns=clock_ns
        )
        on_error.callback(self._batches.close)
        self._resends = Resends(
            directory / RESENDS_NAME, settings.resend_entries, settings.resend_window_s, files=files,
            health=self._health, clock_ns=self._awake,
        )  # fmt: skip
        on_error.callback(self._resends.close)
        self._logs = {signal: self._open_log(signal, files, on_error) for signal in Signal}
        for signal in Signal:
            fill_gaps(self._logs[signal], self._batches)
        self._note_boot(files, meta, boot_id)
        self._resends.recover({signal: each.recovered for signal, each in self._logs.items()})
        self._committer = Committer(
            self._logs, settings, health=self._health, metrics=metrics, stored_bytes=self._stored_bytes,
            committed=self._wake,
        )  # fmt: skip
        metrics.watch(self.status)

    @classmethod
    def open(
        cls,
        directory: Path,
        settings: SpoolSettings,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        ticks_ns: Callable[[], int] = time.monotonic_ns,
        registry: CollectorRegistry | None = None,
        files: Files | None = None,
        boot_id: Callable[[], str | None] = kernel_boot_id,
    ) -> Self:
        """Open a spool, making it if it is missing, and repair what the last process left behind.

        `clock_ns` tells the time of day, `ticks_ns` how much of it passes: nobody can set that clock.
        `boot_id` names the time since when the store still has what it was given: the machine's boot, or this
        opening, if the store goes back to its last checkpoint at each start. What was finished in another is
        unfinished again, unless a trim has covered it.

        Raises SpoolLockedError if it is open elsewhere, SpoolError if it cannot be read or written.
        """
        metrics = SpoolMetrics(registry)
        files = files or Files()
        with ExitStack() as on_error:
            try:
                make_directory(files, directory)
                on_error.callback(os.close, lock_directory(directory))
                spool = cls(
                    directory, settings, files=files, metrics=metrics, boot_id=boot_id(), clock_ns=clock_ns,
                    ticks_ns=ticks_ns,
                    on_error=on_error,
                )  # fmt: skip
            except OSError as error:
                raise SpoolError(f"the spool in {directory} cannot be opened: {error}") from error
            spool._at_close = on_error.pop_all()
            return spool

    _at_close: ExitStack

    def _open_log(self, signal: Signal, files: Files, on_error: ExitStack) -> SignalLog:
        folder = self._directory / signal.value
        opened = SignalLog(
            signal, folder, self._settings.segment_bytes, files=files, health=self._health,
            vault=self._vault, metrics=self._metrics, resends=self._resends,
        )  # fmt: skip
        opened.recover(self._batches.cursor(signal), self._batches.safe_seq(signal))
        on_error.callback(opened.close)
        files.sync_directory(self._directory)
        self._batches.raise_cursor(signal, opened.first_seq - 1)
        return opened

    def _note_boot(self, files: Files, meta: Meta, boot_id: str | None) -> None:
        """For the next opening. A full disk must not keep the spool from being opened and emptied."""
        if meta.existed and meta.version == VERSION and meta.boot_id == boot_id and boot_id is not None:
            return
        try:
            write_meta(files, self._directory, boot_id)
        except OSError as error:
            if not is_full(error):
                raise
            self._batches.give_up_reserve()
            write_meta(files, self._directory, boot_id)

    # --- the receivers' side

    def check_room(self, signal: Signal) -> None:
        """Raises what `append` would, as far as that is known before a request is read, and SpoolDiskLowError
        while the disk is nearly full. Quick. As long as it raises, what was received before is remembered.
        """
        self._health.check()
        try:
            self._committer.check_room()
            self._room.check()
        except SpoolFullError:
            self._awake.stop()
            self._metrics.refused(signal)
            raise
        self._awake.go_on()

    def append(
        self, signal: Signal, tenant: str, body: bytes, *, items: int, received_ns: int
    ) -> Future[int]:
        """Take one request; never blocks. The future gets its number once it is on disk, and cannot be
        cancelled.

        Raises, or resolves to, SpoolFullError (try again later) or SpoolFailedError (until opened anew).
        Raises ValueError or TypeError for what cannot be stored.
        """
        pending = self._pending(signal, tenant, body, items, received_ns)
        self._committer.submit(pending)
        return pending.future

    def append_once(
        self,
        signal: Signal,
        tenant: str,
        body: bytes,
        *,
        items: int,
        received_ns: int,
        digest: bytes,
        reply: bytes,
    ) -> Receipt:
        """Take one request unless it was received before, as its `request_digest` tells; never blocks.

        `reply` says what its sender will be told, in the caller's own words (64 KiB at most); whoever sends
        it again is to be told the same. Errors and the receipt's future are those of `append`.
        """
        pending = self._pending(signal, tenant, body, items, received_ns)
        if self._resends.enabled:
            pending.digest, pending.reply = digest, reply
            receipt = self._resends.claim(digest, reply, pending.future)
            if receipt.is_resend:
                self._metrics.resent(signal)
                return receipt
        try:
            self._committer.submit(pending)
        except SpoolError as error:
            # Whoever sent the same meanwhile waits for it.
            pending.future.set_exception(error)
            raise
        return Receipt(pending.future, is_resend=False, reply=reply)

    def recall(self, signal: Signal, digest: bytes) -> Receipt | None:
        """What became of the request with a `request_digest`; None if it is not remembered. Never blocks."""
        receipt = self._resends.recall(digest)
        if receipt is not None:
            self._metrics.resent(signal)
        return receipt

    def reply(self, receipt: Receipt) -> bytes | None:
        """What the sender of the first was told; None if nobody knows any more.

        May read the disk. Raises SpoolReadError.
        """
        return self._resends.reply(receipt)

    def _pending(self, signal: Signal, tenant: str, body: bytes, items: int, received_ns: int) -> Pending:
        self._health.check()
        return pending_of(signal, tenant, body, items, received_ns)

    # --- the loader's side

    def cursor(self, signal: Signal) -> int:
        """The last record that belongs to a batch; 0 if none does."""
        return self._batches.cursor(signal)

    def wait_for(self, signal: Signal, after_seq: int, timeout_s: float, count: int = 1) -> bool:
        """Wait until there are so many durable records after a number; False if there were not in time."""
        waiting = self._logs[signal].waiting
        with self._arrived:
            return (
                self._arrived.wait_for(lambda: self._health.closed or waiting(after_seq) >= count, timeout_s)
                and waiting(after_seq) >= count
            )

    def read(self, signal: Signal, after_seq: int, *, max_bytes: int, max_records: int) -> list[SpoolRecord]:
        """Durable records after a number, in order: as many as fit both limits, the first in any case.

        Every checksum is compared. What is damaged is set aside, reported and left out. Raises
        SpoolReadError if the disk does not answer.
        """
        return self._logs[signal].reader.read(after_seq, max_bytes=max_bytes, max_records=max_records)

    def begin_batch(self, signal: Signal, records: Sequence[SpoolRecord]) -> Batch:
        """Fix a batch of all records from the cursor on; durable when this returns.

        Raises ValueError if a record is missing in between, SpoolFullError if the disk is full (try again
        later), SpoolFailedError.
        """
        if not records:
            raise ValueError("a batch has at least one record")

        def check(cursor: int) -> None:
            check_batch(self._logs[signal], records, cursor)

        return self._batches.begin(signal, records, check=check)

    def unfinished_batches(self) -> list[Batch]:
        """Batches that are begun and not finished, in the order in which they were begun.

        Those that were finished during another boot (see `open`) without being known as safe are among them:
        the store has gone back to before them. `Batch.before_reboot` tells.
        """
        return self._batches.unfinished()

    def read_batch(self, batch: Batch) -> list[SpoolRecord]:
        """The records of an unfinished batch. Raises SpoolReadError.

        Records that were damaged since it was begun are reported and left out.
        """
        return records_of_batch(self._logs[batch.signal], batch)

    def split_batch(self, batch: Batch, *, last_seq: int) -> tuple[Batch, Batch]:
        """Put two batches in the place of one that the store cannot take: records up to one, and after it.

        Both are durable with ids and tokens when this returns. Never for a batch of which the store may hold
        anything. Raises SpoolFullError, SpoolFailedError, SpoolError if the batch is not unfinished.
        """
        if not batch.first_seq <= last_seq < batch.last_seq:
            raise ValueError(f"a batch of {batch.first_seq} to {batch.last_seq} cannot end at {last_seq}")
        return self._batches.split(batch, last_seq, 0)

    def split_record(self, batch: Batch, *, last_piece: int, pieces: int) -> tuple[Batch, Batch]:
        """The same for a batch of one record, which the caller cuts into `pieces`; raises the same."""
        first, last = batch.pieces or (1, pieces)
        if batch.first_seq != batch.last_seq or not first <= last_piece < last <= pieces:
            raise ValueError(f"pieces {first} to {last} of {pieces} cannot be cut after {last_piece}")
        return self._batches.split(batch, last_piece, pieces)

    def oldest_unsafe_batch(self) -> int | None:
        """The id of the first batch that the store may still be asked about or given again; None if there is
        none. What the store has of it and of those after it must stay there."""
        return self._batches.oldest_unsafe_id()

    def finish_batch(self, batch: Batch) -> None:
        """The store has this batch. May be called again.

        After a crash it may be unfinished once more. Raises SpoolFailedError, SpoolError if it was never
        begun.
        """
        self._batches.finish(batch)

    def trim_mark(self) -> int:
        """Stands for all batches finished so far. Take it, then a checkpoint, then `trim`."""
        return self._batches.mark()

    def safe_seq(self, signal: Signal) -> int:
        """All records up to here are stored for good, and may be gone from the spool."""
        return self._batches.safe_seq(signal)

    def trusts_store(self, signal: Signal) -> bool:
        """Whether a batch counts as stored that no trim has covered. After another boot of the machine none
        does."""
        return self._batches.trusts(signal)

    def safe_seq_by(self, signal: Signal, mark: int) -> int:
        """What `safe_seq` will be after `trim(mark)`."""
        return self._batches.safe_seq_by(signal, mark)

    def make_room(self) -> None:
        """Give up the reserve, on a full disk that `trim` would relieve; that keeps a new one. Raises
        SpoolFailedError."""
        self._batches.give_up_reserve()

    def trim(self, mark: int) -> int:
        """Delete the segments whose records are all in batches that `mark` covers; returns how many.

        A spool that has failed or is closed trims nothing, nor does one whose disk is so full that not even
        this can be noted; call again. Raises OSError if a file cannot be deleted, SpoolFailedError if the
        disk fails just now; nothing is lost by either.
        """
        with self._trimming:
            if not self._health.usable:
                return 0
            try:
                self._batches.make_safe(mark)
            except SpoolFullError as error:
                log.warning("Nothing can be given back yet", error=str(error))
                return 0
            pressed = self._stored_bytes() > self._settings.limit_bytes // 2
            count = sum(
                each.trim(self._batches.safe_seq(signal), pressed=pressed)
                for signal, each in self._logs.items()
            )
            self._committer.recount()
            self._batches.keep_reserve()
            return count

    # --- what the store can never take

    def hold(self, batch: Batch, record: SpoolRecord, body: bytes, *, items: int, reason: str) -> None:
        """Put the request of a batch, or its piece, into quarantine durably. Then finish the batch.

        Raises SpoolFullError if there is no room, SpoolFailedError.
        """
        name = f"{batch.signal.value}-{batch.batch_id}"
        held = Held(
            name, batch.signal, record.tenant, record.received_ns, items, reason, self._clock_ns(), len(body)
        )
        self._quarantine.put(name, held, body)
        log.error(
            "A request cannot be stored and was put into quarantine", signal=batch.signal.value, name=name,
            tenant=record.tenant, items=items, size_bytes=len(body), reason=reason,
        )  # fmt: skip

    def take_back(self) -> int:
        """Append what is to leave the quarantine, each once; returns how many. Raises SpoolFullError,
        SpoolFailedError, SpoolReadError."""
        count = 0
        for held, body in self._quarantine.requeued():
            digest = request_digest(held.signal, held.tenant, f"quarantine {held.name}", body)
            receipt = self.append_once(
                held.signal, held.tenant, body, items=held.items, received_ns=held.received_ns, digest=digest,
                reply=b"",
            )  # fmt: skip
            receipt.stored.result()
            self._quarantine.forget(held.name)
            log.warning("A request was taken back from quarantine", signal=held.signal.value, name=held.name)
            count += 1
        return count

    # --- everybody's

    @contextmanager
    def still(self) -> Iterator[Path]:
        """Its directory, in which nothing is written while the block lasts: what lies there then is a whole
        spool. Keep it short, whoever sends waits for it. Raises SpoolFailedError."""
        with self._trimming, ExitStack() as held:
            self._health.check()
            for each in self._logs.values():
                held.enter_context(each.still())
            held.enter_context(self._batches.still())
            yield self._directory

    @property
    def failed(self) -> str:
        """Why it takes nothing more; empty while it does. Known without the disk, unlike `status`."""
        return self._health.reason

    def status(self) -> SpoolStatus:
        """Where it stands.

        Waits for no fsync, but reads when the first waiting record came: not for an event loop.
        """
        return SpoolStatus(
            directory=self._directory,
            signals=tuple(signal_status(each, self._batches) for each in self._logs.values()),
            total_bytes=self._stored_bytes(),
            limit_bytes=self._settings.limit_bytes,
            segments=sum(each.segments for each in self._logs.values()),
            failed=self._health.reason,
            resends=self._resends.status(),
            held=self._quarantine.usage(),
            room=self._room.status(),
        )

    def close(self) -> None:
        """Write everything that is queued, and let the spool go. May be called again."""
        with self._trimming:
            if self._health.closed:
                return
            self._committer.stop()
            self._health.closed = True
            self._wake()
            self._metrics.unwatch()
            self._at_close.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wake(self) -> None:
        with self._arrived:
            self._arrived.notify_all()

    def _stored_bytes(self) -> int:
        logs = sum(each.disk_bytes for each in self._logs.values())
        return logs + self._batches.disk_bytes + self._vault.kept_bytes
