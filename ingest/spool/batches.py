"""The log of batches: which records were inserted together, under which token, and which of them are stored.

A batch is durable here before its first attempt. That it is finished need not be: after a crash it is tried
again under the same token. Two locks: `_io` is held by whoever changes anything, while the disk is written
too, so entries stand in the file in the order in which they came to be; `_state` is held for moments only,
so that questions never wait for an fsync.

The trap is the disk that is full: room is given back by inserting and trimming, and both must first write
here. So a small file is kept in reserve and given up for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from ingest.signals import Signal
from ingest.spool.batch_book import Book, same_boot
from ingest.spool.batch_format import (
    ENTRY_BYTES,
    HEADER_BYTES,
    Entry,
    Kind,
    decode_all,
    encode,
    header,
    parts_of,
)
from ingest.spool.boot import prepare_file, put_in_place, replace_file
from ingest.spool.errors import SpoolError, SpoolFailedError, SpoolFullError
from ingest.spool.files import Files, is_full, read_whole, write_all
from ingest.spool.health import Health
from ingest.spool.records import Batch, SpoolRecord, token_of

log = structlog.get_logger(__name__)
BATCHES_NAME = "batches.log"
RESERVE_NAME = "reserve"
RESERVE_BYTES = 256 * 1024
COMPACT_BYTES = 256 * 1024


class Batches:
    """The log of batches of an open spool. Safe to call from any thread."""

    def __init__(
        self,
        directory: Path,
        *,
        files: Files,
        health: Health,
        boot_id: bytes,
        clock_ns: Callable[[], int],
    ) -> None:
        """Read the log, or begin one. Raises OSError."""
        self._path = directory / BATCHES_NAME
        self._reserve = directory / RESERVE_NAME
        self._files = files
        self._health = health
        self._boot_id = boot_id
        self._clock_ns = clock_ns
        self._io = threading.Lock()
        self._state = threading.Lock()
        """Within `_io`, the book may be read without it."""
        self._book = Book()
        self._owed: list[Entry] = []
        """Entries for which there was no room; they only save work after a crash."""
        self._load()
        self._handle = files.open_append(self._path)
        try:
            files.truncate(self._handle, self._size)
            files.sync(self._handle)
        except OSError:
            files.close(self._handle)
            raise
        self.keep_reserve()

    def _load(self) -> None:
        try:
            content = read_whole(self._files, self._path)
        except FileNotFoundError:
            content = b""
        if len(content) < HEADER_BYTES:
            replace_file(self._files, self._path, header())
            content = header()
        damaged = content[:HEADER_BYTES] != header()
        self._size = len(content) - (len(content) - HEADER_BYTES) % ENTRY_BYTES
        for entry in decode_all(content):
            if entry is None:
                damaged = True
            else:
                self._book.apply(entry)
        if damaged:
            log.error("The log of batches is damaged; batches around the damage may be stored twice")
        doubted = self._book.distrust(self._boot_id)
        if doubted:
            log.warning("Batches that are not known to be stored for good will be repeated", batches=doubted)

    def close(self) -> None:
        """Write what is owed, and close the file."""
        with self._io:
            if not self._health.reason and self._owed:
                try:
                    self._append([], sync=True)
                except (SpoolFullError, SpoolFailedError) as error:
                    log.warning(
                        "Finished batches could not be noted and will be repeated",
                        batches=len(self._owed), error=str(error),
                    )  # fmt: skip
            self._files.close(self._handle)

    # --- questions

    def cursor(self, signal: Signal) -> int:
        """The last record that belongs to a batch."""
        with self._state:
            return self._book.cursor(signal)

    def safe_seq(self, signal: Signal) -> int:
        """All records up to here are stored for good."""
        with self._state:
            return self._book.safe_seq(signal)

    def trusts(self, signal: Signal) -> bool:
        """Whether a batch counts as stored though it is not known to be safe."""
        with self._state:
            return self._book.trusts(signal)

    def safe_seq_by(self, signal: Signal, mark: int) -> int:
        """What `safe_seq` will be after `make_safe(mark)`."""
        with self._state:
            return self._book.safe_seq_by(signal, mark)

    def gaps(self, signal: Signal) -> list[tuple[int, int]]:
        """Records before the cursor that no batch has."""
        with self._state:
            return list(self._book.gaps(signal))

    def oldest_unsafe_id(self) -> int | None:
        """The first batch that is not known to be stored for good; None if there is none."""
        with self._state:
            return self._book.oldest_unsafe_id()

    def unfinished(self) -> list[Batch]:
        """Batches that are begun and not finished, in order."""
        with self._state:
            return [self._batch(entry) for entry in self._book.unfinished()]

    def position(self, signal: Signal) -> tuple[int, list[Entry], int]:
        """The cursor of a signal, how its unfinished batches began, and how many of them before the machine
        was started anew, at one moment."""
        with self._state:
            book = self._book
            return (
                book.cursor(signal), book.unfinished(signal), book.before_reboot(signal, self._boot_id)
            )  # fmt: skip

    @property
    def disk_bytes(self) -> int:
        """Bytes of the log and of the reserve."""
        return self._size + RESERVE_BYTES

    def _batch(self, entry: Entry) -> Batch:
        return Batch(
            entry.batch_id, entry.signal, entry.first_seq, entry.last_seq, entry.token.hex(),
            before_reboot=not same_boot(entry.boot_id, self._boot_id),
            pieces=(entry.first_piece, entry.last_piece) if entry.last_piece else None,
            is_part=entry.is_derived,
        )  # fmt: skip

    # --- changes

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is written while the block lasts."""
        with self._io:
            yield

    def raise_cursor(self, signal: Signal, seq: int) -> None:
        """Nothing up to a record can be read any more."""
        with self._io, self._state:
            self._book.raise_cursor(signal, seq)

    def begin(
        self,
        signal: Signal,
        records: Sequence[SpoolRecord],
        *,
        check: Callable[[int], None] = lambda _: None,
    ) -> Batch:
        """Make a batch durable. `check` is called with the cursor and may object.

        Raises SpoolFullError if even the reserve did not help, SpoolFailedError, and whatever `check` does.
        """
        with self._io:
            self._health.check()
            check(self._book.cursor(signal))
            batch_id = max(self._clock_ns() // 1000, self._book.last_id + 1)
            token = token_of(batch_id, signal, (record.digest for record in records))
            entry = Entry(
                Kind.BEGUN,
                signal,
                batch_id,
                records[0].seq,
                records[-1].seq,
                len(records),
                sum(record.disk_bytes for record in records),
                min(record.received_ns for record in records),
                self._boot_id,
                bytes.fromhex(token),
            )
            self._append_for_room([entry])
            self._apply([entry])
            return self._batch(entry)

    def split(self, batch: Batch, cut: int, pieces: int) -> tuple[Batch, Batch]:
        """Put two batches in the place of an unfinished one, durably and all at once: see `Entry` SPLIT.

        Raises SpoolFullError if even the reserve did not help, SpoolFailedError, SpoolError if there is no
        such batch.
        """
        with self._io:
            self._health.check()
            item = self._book.item(batch)
            if item is None or item.finished:
                raise SpoolError(
                    f"batch {batch.batch_id} of {batch.signal.value} is not waiting in this spool"
                )
            first_id = max(self._clock_ns() // 1000, self._book.last_id + 1)
            entry = item.begun._replace(
                kind=Kind.SPLIT, records=first_id, disk_bytes=cut, oldest_ns=pieces, boot_id=self._boot_id
            )
            parts = parts_of(entry, item.begun)
            self._append_for_room([entry])
            self._apply([entry])
            return self._batch(parts[0]), self._batch(parts[1])

    def finish(self, batch: Batch) -> None:
        """Note that the store has a batch. Raises SpoolFailedError, SpoolError if it was never begun."""
        with self._io:
            self._health.check()
            item = self._book.item(batch)
            if item is None:
                if batch.last_seq <= self._book.safe_seq(batch.signal):
                    return
                raise SpoolError(
                    f"batch {batch.batch_id} of {batch.signal.value} was never begun in this spool"
                )
            if item.finished:
                return
            entry = item.begun._replace(kind=Kind.FINISHED, boot_id=self._boot_id)
            self._apply([entry])
            try:
                self._append([entry], sync=False)
            except SpoolFullError:
                # It counts as finished; only a crash before there is room would make it be tried again.
                self._owed.append(entry)

    def mark(self) -> int:
        """A number that stands for everything finished so far."""
        with self._state:
            return self._book.finishes

    def make_safe(self, mark: int) -> None:
        """What `mark` covers is in the store for good: note so, durably. Raises SpoolFailedError, and
        SpoolFullError if even the reserve did not help."""
        with self._io:
            self._health.check()
            entries = [
                item.begun._replace(kind=Kind.SAFE, boot_id=self._boot_id)
                for item in self._book.finished_by(mark)
            ]
            if not entries:
                return
            self._append_for_room(entries)
            self._apply(entries)
            if self._size > COMPACT_BYTES:
                self._compact()

    def _apply(self, entries: Sequence[Entry]) -> None:
        with self._state:
            for entry in entries:
                self._book.apply(entry)

    def _append_for_room(self, entries: list[Entry]) -> None:
        """Append durably what leads to room in the end, if need be in the reserve's place."""
        try:
            self._append(entries, sync=True)
        except SpoolFullError:
            self.give_up_reserve()
            self._append(entries, sync=True)

    def _append(self, entries: list[Entry], *, sync: bool) -> None:
        data = b"".join(encode(entry) for entry in (*self._owed, *entries))
        try:
            write_all(self._files, self._handle, [data])
        except OSError as error:
            if not is_full(error):
                raise self._health.failed(f"writing to {self._path} failed", error) from error
            self._take_back()
            raise SpoolFullError(f"the disk that holds {self._path} is full; make room") from error
        self._size += len(data)
        self._owed.clear()
        if sync:
            try:
                self._files.sync(self._handle)
            except OSError as error:
                raise self._health.failed(f"making {self._path} durable failed", error) from error

    def _take_back(self) -> None:
        try:
            self._files.truncate(self._handle, self._size)
        except OSError as error:
            raise self._health.failed(f"cutting {self._path} back failed", error) from error

    def _compact(self) -> None:
        """Write the file anew without what is over."""
        data = header() + b"".join(encode(entry) for entry in self._book.entries())
        if len(data) * 2 > self._size:
            return
        try:
            new = prepare_file(self._files, self._path, data)
        except OSError as error:
            if not is_full(error):
                raise self._health.failed(f"writing {self._path} anew failed", error) from error
            log.warning("There is no room to write the log of batches anew; it goes on growing")
            return
        try:
            # From here on nobody knows which of the two has the name: the old one must not be written to.
            put_in_place(self._files, new, self._path)
            handle = self._files.open_append(self._path)
        except OSError as error:
            raise self._health.failed(f"replacing {self._path} failed", error) from error
        self._files.close(self._handle)
        self._handle = handle
        self._size = len(data)

    # --- the reserve

    def keep_reserve(self) -> None:
        """Put the reserve in place if it is gone and there is room. Raises OSError if the disk fails."""
        if self._reserve.exists() and self._reserve.stat().st_size == RESERVE_BYTES:
            return
        try:
            replace_file(self._files, self._reserve, bytes(RESERVE_BYTES))
        except OSError as error:
            if not is_full(error):
                raise
            log.warning("The disk is full; there is no room for the spool's reserve")

    def give_up_reserve(self) -> None:
        """Make a little room on a full disk. Raises SpoolFailedError."""
        try:
            if self._reserve.exists():
                self._files.unlink(self._reserve)
        except OSError as error:
            raise self._health.failed(f"removing {self._reserve} failed", error) from error
