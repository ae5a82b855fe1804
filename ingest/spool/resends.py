"""Recognises requests that are sent again: which of the last ones are on disk, and what their senders were
told. The spool owns one.

A request's digest is part of its record in the segment, so both become durable by the same fsync. Segments
are trimmed, so digests are noted in files of their own as well. Those are written at once and synced only
before a segment is sealed: until then the segment itself still tells, because one without a seal is read when
the spool is opened.

The traps: an entry must never be ahead of its record, or a request would be called known that is nowhere; it
is written after the record was synced. And time here is that of a clock that cannot be set: what an earlier
process noted counts as just come, which recognises it longer and never shorter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from ingest.signals import Signal
from ingest.spool.boot import replace_file
from ingest.spool.errors import SpoolFullError, SpoolReadError
from ingest.spool.files import Files, is_full, is_scarce, read_exactly, read_whole, write_all
from ingest.spool.health import Health
from ingest.spool.lost import Lost
from ingest.spool.records import Receipt, ResendStatus
from ingest.spool.resend_format import (
    ENTRY_BYTES,
    HEADER,
    MAX_REPLY_BYTES,
    Known,
    decode,
    decode_all,
    encode,
)
from ingest.spool.resend_index import NOWHERE, ResendIndex

log = structlog.get_logger(__name__)
FOLDER_NAME = "resends"
SUFFIX = ".log"
MOST_FILES = 16
BYTES_PER_ENTRY = 64
"""How much room there is for each on disk: an entry, and now and then a reply."""
_LEAST_FILE_BYTES = 4096
_OFFSET_BITS = 40


@dataclass(slots=True)
class _File:
    """One file. `last` is the number of its last entry in the index."""

    number: int
    path: Path
    size: int = len(HEADER)
    last: int = 0
    last_ns: int = 0


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the segments of a signal say when the spool is opened."""

    last_seq: int
    lost: Lost
    known: Sequence[Known]
    """Requests in segments without a seal, in order."""

    def has(self, seq: int) -> bool:
        """Whether a record is still in the spool, or was stored."""
        return seq <= self.last_seq and not self.lost.has(seq)


class Resends:
    """The requests of an open spool that would be recognised. Safe to call from any thread."""

    def __init__(
        self,
        folder: Path,
        entries: int,
        window_s: float,
        *,
        files: Files,
        health: Health,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Nothing is recognised if `entries` is 0; the files of before are left alone then."""
        self._folder = folder
        self._files = files
        self._health = health
        self._clock_ns = clock_ns
        self._window_ns = int(window_s * 1e9)
        self._file_bytes = max(_LEAST_FILE_BYTES, entries * BYTES_PER_ENTRY // MOST_FILES)
        self._index = ResendIndex(entries) if entries else None
        self._io = threading.Lock()
        """Held while the disk is written; comes after a signal's disk lock, and before `_state`."""
        self._state = threading.Lock()
        self._claims: dict[bytes, tuple[Future[int], bytes]] = {}
        """Requests on their way to the disk, and those whose entry found no room there yet."""
        self._owed: list[Known] = []
        self._stored: list[_File] = []
        self._handle: int | None = None
        self._synced = True
        self._new_name = False

    @property
    def enabled(self) -> bool:
        """Whether anything is recognised."""
        return self._index is not None

    # --- opening and closing

    def recover(self, recovered: Mapping[Signal, Recovered]) -> None:
        """Read the files, and note what only the segments know. Raises OSError."""
        if self._index is None:
            return
        covered = dict.fromkeys(Signal, 0)
        for path in sorted(self._folder.glob(f"*{SUFFIX}")) if self._folder.is_dir() else []:
            if path.stem.isascii() and path.stem.isdigit():
                self._load(path, recovered, covered)
        with self._io:
            if self._stored:
                # A killed process may have left it unsynced; those before it were synced when it was begun.
                self._handle = self._files.open_append(self._stored[-1].path)
                self._synced, self._new_name = False, True
            for signal, found in recovered.items():
                self._owe(known for known in found.known if known.seq > covered[signal])
            self._write_owed()
            if not self._owed:
                self._sync()

    def _owe(self, known: Iterable[Known]) -> None:
        for each in known:
            done: Future[int] = Future()
            done.set_result(each.seq)
            self._claims[each.digest] = done, each.reply
            self._owed.append(each)

    def _load(self, path: Path, recovered: Mapping[Signal, Recovered], covered: dict[Signal, int]) -> None:
        assert self._index is not None  # noqa: S101 - asked by the caller
        content = read_whole(self._files, path)
        if not content.startswith(HEADER):
            log.warning("A file of known requests has no beginning and is removed", file=path.name)
            self._files.unlink(path)
            return
        found = decode_all(content)
        good = [known for known in found if recovered[known.signal].has(known.seq)]
        now_ns = self._clock_ns()
        file = _File(int(path.stem), path, last_ns=now_ns)
        for known in good:
            covered[known.signal] = max(covered[known.signal], known.seq)
            self._note(known, file, now_ns)
        file.last = self._index.newest
        self._stored.append(file)
        if len(good) < len(found):
            log.warning(
                "Requests that are gone will not be recognised", file=path.name,
                requests=len(found) - len(good),
            )  # fmt: skip
            replace_file(self._files, path, HEADER + b"".join(encode(known) for known in good))
        elif file.size < len(content):
            # A kill broke a write off, or there is damage; what comes after cannot be told apart.
            log.warning(
                "A file of known requests is not whole and was cut", file=path.name,
                size_bytes=len(content) - file.size,
            )  # fmt: skip
            self._cut(file)

    def _cut(self, file: _File) -> None:
        handle = self._files.open_append(file.path)
        try:
            self._files.truncate(handle, file.size)
            self._files.sync(handle)
        finally:
            self._files.close(handle)

    def _note(self, known: Known, file: _File, now_ns: int) -> None:
        """An entry is at the end of a file now. `_state` is held, or nobody else is there yet."""
        assert self._index is not None  # noqa: S101 - asked by the caller
        place = file.number << _OFFSET_BITS | file.size if known.reply else NOWHERE
        self._index.add(known.digest, now_ns, place)
        file.size += known.size

    def close(self) -> None:
        """Let the file go."""
        with self._io:
            self._let_go()

    def _let_go(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._files.close(handle)

    # --- requests

    def recall(self, digest: bytes) -> Receipt | None:
        """What is known of a request; None if it has not been seen. Touches no disk."""
        with self._state:
            return self._recall(digest)

    def _recall(self, digest: bytes) -> Receipt | None:
        claim = self._claims.get(digest)
        if claim is not None:
            return Receipt(claim[0], is_resend=True, reply=claim[1])
        if self._index is None:
            return None
        place = self._index.find(digest, self._clock_ns() - self._window_ns)
        if place is None:
            return None
        done: Future[int] = Future()
        done.set_result(0)
        return Receipt(done, is_resend=True, reply=b"" if place == NOWHERE else None, place=place)

    def claim(self, digest: bytes, reply: bytes, future: Future[int]) -> Receipt:
        """Take a request on, unless it is known: then this says of which it is a repetition."""
        if len(reply) > MAX_REPLY_BYTES:
            raise ValueError(f"a reply has {MAX_REPLY_BYTES} bytes at most, not {len(reply)}")
        with self._state:
            known = self._recall(digest)
            if known is not None:
                return known
            self._claims[digest] = future, reply
        future.add_done_callback(partial(self._settled, digest))
        return Receipt(future, is_resend=False, reply=reply)

    def _settled(self, digest: bytes, future: Future[int]) -> None:
        """Whether a request that was taken on reached the disk is known now. If not, it may come again."""
        if future.exception() is None:
            return
        with self._state:
            claim = self._claims.get(digest)
            if claim is not None and claim[0] is future:
                del self._claims[digest]

    def reply(self, receipt: Receipt) -> bytes | None:
        """What the sender was told; None if that is no longer known. Raises SpoolReadError."""
        if receipt.reply is not None:
            return receipt.reply
        number, offset = receipt.place >> _OFFSET_BITS, receipt.place & (1 << _OFFSET_BITS) - 1
        try:
            handle = self._files.open_read(self._path(number))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SpoolReadError(f"{self._path(number)} cannot be opened: {error}") from error
        try:
            data = read_exactly(self._files, handle, ENTRY_BYTES + MAX_REPLY_BYTES, offset)
        except OSError as error:
            raise SpoolReadError(f"{self._path(number)} cannot be read: {error}") from error
        finally:
            self._files.close(handle)
        known = decode(data, 0)
        return None if known is None else known.reply

    def status(self) -> ResendStatus:
        """How many would be recognised, and how far back."""
        with self._state:
            if self._index is None:
                return ResendStatus(0, 0.0)
            reach_ns = self._window_ns
            if self._index.gone_ns is not None:
                reach_ns = min(reach_ns, self._clock_ns() - self._index.gone_ns)
            return ResendStatus(len(self._index) + len(self._claims), reach_ns / 1e9)

    # --- the disk

    def add(self, known: Sequence[Known]) -> None:
        """Requests are on disk, durably. Raises SpoolFailedError; a full disk is waited out."""
        with self._io:
            self._owed += known
            self._write_owed()

    def sync(self) -> None:
        """Make the entries of everything on disk durable: the segment that also tells is about to be sealed.

        Raises SpoolFailedError, SpoolFullError if they found no room yet.
        """
        with self._io:
            self._write_owed()
            if self._owed:
                raise SpoolFullError(f"the disk that holds {self._folder} is full; make room")
            self._sync_or_fail()

    def _write_owed(self) -> None:
        """Write what is owed, if there is room."""
        if not self._owed:
            return
        try:
            file = self._writable()
            if file is None:
                return
            assert self._handle is not None  # noqa: S101 - a writable file is open
            self._synced = False
            write_all(self._files, self._handle, [encode(known) for known in self._owed])
        except OSError as error:
            if not is_full(error):
                raise self._health.failed(f"writing to {self._folder} failed", error) from error
            self._take_back()
            return
        now_ns = self._clock_ns()
        with self._state:
            for known in self._owed:
                self._note(known, file, now_ns)
                self._claims.pop(known.digest, None)
            assert self._index is not None  # noqa: S101 - else nothing was owed
            file.last, file.last_ns = self._index.newest, now_ns
        self._owed.clear()

    def _take_back(self) -> None:
        """The disk is full: leave the file as it was. Segments will be refused too before long."""
        if self._handle is None:
            return
        try:
            self._files.truncate(self._handle, self._stored[-1].size)
        except OSError as error:
            raise self._health.failed(f"cutting a file in {self._folder} back failed", error) from error

    def _writable(self) -> _File | None:
        """The file to write to; None if the disk is too full to begin one. Raises OSError."""
        last = self._stored[-1] if self._stored else None
        if last is not None and last.size < self._file_bytes:
            if self._handle is None:
                self._handle = self._files.open_append(last.path)
            return last
        if self._handle is not None:
            # Before a newer file is there: entries are never durable without those before them.
            self._sync()
            self._let_go()
        return self._begin(1 if last is None else last.number + 1)

    def _begin(self, number: int) -> _File | None:
        path = self._path(number)
        handle = -1
        try:
            if not self._folder.is_dir():
                self._files.mkdir(self._folder)
                self._files.sync_directory(self._folder.parent)
            handle = self._files.create(path)
            write_all(self._files, handle, [HEADER])
        except OSError as error:
            if handle >= 0:
                self._files.close(handle)
            if not is_full(error) and not (handle < 0 and is_scarce(error)):
                raise
            if path.exists():
                self._files.unlink(path)
            return None
        self._handle, self._new_name = handle, True
        file = _File(number, path)
        with self._state:
            self._stored.append(file)
        self._drop()
        return file

    def _drop(self) -> None:
        """Remove the files of which no entry counts any more, and the oldest if they are too many."""
        assert self._index is not None  # noqa: S101 - asked by the caller
        not_before_ns = self._clock_ns() - self._window_ns
        while len(self._stored) > 1:
            first = self._stored[0]
            over = first.last < self._index.oldest or first.last_ns < not_before_ns
            if not over and len(self._stored) <= MOST_FILES:
                return
            self._files.unlink(first.path)
            with self._state:
                self._index.forget(first.last)
                self._stored.pop(0)

    def _sync_or_fail(self) -> None:
        try:
            self._sync()
        except OSError as error:
            raise self._health.failed(f"making {self._folder} durable failed", error) from error

    def _sync(self) -> None:
        if self._handle is not None and not self._synced:
            self._files.sync(self._handle)
            self._synced = True
        if self._new_name:
            self._files.sync_directory(self._folder)
            self._new_name = False

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:020d}{SUFFIX}"
