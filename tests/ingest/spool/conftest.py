"""A spool in a fresh directory, small enough that segments fill up, and a disk that can be made to fail."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.spool.files import Files
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Batch, SignalStatus, Spool, SpoolRecord

BOOT = "11111111-2222-3333-4444-555555555555"
OTHER_BOOT = "99999999-2222-3333-4444-555555555555"
SEGMENT_BYTES = 4096


@dataclass
class Faults(Files):
    """A disk on which any call can be made to fail, and which says what it was asked.

    It syncs nothing in truth: no test cuts the power, and the suite must not wait for the disk.
    """

    fail: Callable[[str, Path | None], int | None] = lambda _name, _path: None
    """(call, path) to an errno or None."""
    calls: list[tuple[str, Path | None]] = field(default_factory=list)
    bytes_read: Counter[Path] = field(default_factory=Counter)
    room: int | None = None
    """Bytes that can still be written; None for any number."""
    paths: dict[int, Path] = field(default_factory=dict)

    def _pass(self, name: str, path: Path | None) -> None:
        self.calls.append((name, path))
        code = self.fail(name, path)
        if code is not None:
            raise OSError(code, os.strerror(code), None if path is None else str(path))

    def create(self, path: Path) -> int:
        self._pass("create", path)
        handle = super().create(path)
        self.paths[handle] = path
        return handle

    def open_append(self, path: Path) -> int:
        self._pass("open_append", path)
        handle = super().open_append(path)
        self.paths[handle] = path
        return handle

    def open_read(self, path: Path) -> int:
        self._pass("open_read", path)
        handle = super().open_read(path)
        self.paths[handle] = path
        return handle

    def writev(self, handle: int, buffers: Sequence[bytes | memoryview]) -> int:
        self._pass("writev", self.paths[handle])
        size = sum(len(each) for each in buffers)
        if self.room is None:
            return super().writev(handle, buffers)
        if self.room == 0 and size:
            raise OSError(errno.ENOSPC, "No space left on device")
        # Like a real disk: what fits is written, the next call says that it is full.
        written = super().writev(handle, [b"".join(buffers)[: self.room]])
        self.room -= written
        return written

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        self._pass("pread", self.paths[handle])
        found = super().pread(handle, size, offset)
        self.bytes_read[self.paths[handle]] += len(found)
        return found

    def sync(self, handle: int) -> None:
        self._pass("sync", self.paths[handle])

    def sync_directory(self, path: Path) -> None:
        self._pass("sync_directory", path)

    def truncate(self, handle: int, size: int) -> None:
        self._pass("truncate", self.paths[handle])
        before = os.fstat(handle).st_size
        super().truncate(handle, size)
        if self.room is not None:
            self.room += before - size

    def rename(self, old: Path, new: Path) -> None:
        self._pass("rename", new)
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._pass("unlink", path)
        size = path.stat().st_size
        super().unlink(path)
        if self.room is not None:
            self.room += size


class Place:
    """The spool of a test, opened again and again, and the ways to use and to hurt it."""

    BOOT = BOOT
    OTHER_BOOT = OTHER_BOOT
    SEGMENT_BYTES = SEGMENT_BYTES

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.now_ns = 1_700_000_000_000_000_000
        self.ticks_ns = 0
        self._stack = stack

    def open(
        self, files: Files | None = None, *, boot: str | None = BOOT, registry: Any = None, **changes: Any
    ) -> Spool:
        """Open it; closed at the end of the test unless before."""
        spool = Spool.open(
            self.directory, self.settings(**changes), files=files or self.disk(), registry=registry,
            clock_ns=lambda: self.now_ns, ticks_ns=lambda: self.ticks_ns, boot_id=lambda: boot,
        )  # fmt: skip
        self._stack.callback(spool.close)
        return spool

    def settings(self, **changes: Any) -> SpoolSettings:
        """Segments of a page, and never a pause."""
        return SpoolSettings(**{"segment_bytes": SEGMENT_BYTES, "group_commit_ms": 0, **changes})

    def disk(self) -> Faults:
        """A disk that can be made to fail."""
        return Faults()

    def send(self, spool: Spool, body: bytes, signal: Signal = Signal.TRACES) -> Future[int]:
        """Append one record and do not wait."""
        return spool.append(signal, "default", body, items=3, received_ns=1_600_000_000_000_000_000)

    def put(self, spool: Spool, body: bytes = b"body", signal: Signal = Signal.TRACES) -> int:
        """Append one record and wait until it is acknowledged."""
        return self.send(spool, body, signal).result(timeout=30)

    def read(self, spool: Spool, signal: Signal = Signal.TRACES, after: int = 0) -> list[SpoolRecord]:
        """Every record after a number."""
        return spool.read(signal, after, max_bytes=1 << 40, max_records=1 << 40)

    def bodies(self, spool: Spool, signal: Signal = Signal.TRACES) -> list[bytes]:
        """The bodies of all records."""
        return [record.body for record in self.read(spool, signal)]

    def batch(self, spool: Spool, signal: Signal = Signal.TRACES, records: int = 1 << 40) -> Batch:
        """Begin a batch of what waits."""
        found = spool.read(signal, spool.cursor(signal), max_bytes=1 << 40, max_records=records)
        return spool.begin_batch(signal, found)

    def store_all(self, spool: Spool, signal: Signal = Signal.TRACES) -> int:
        """Batch, finish and trim everything; returns how many segments went."""
        if spool.wait_for(signal, spool.cursor(signal), 0):
            spool.finish_batch(self.batch(spool, signal))
        return spool.trim(spool.trim_mark())

    def segments(self, signal: Signal = Signal.TRACES) -> list[Path]:
        """The segment files in order."""
        return sorted((self.directory / signal.value).glob("*.seg"))

    def kept(self) -> list[Path]:
        """What was set aside."""
        return sorted((self.directory / "damaged").glob("*"))

    def flip(self, path: Path, offset: int) -> None:
        """Change one bit of a file."""
        content = bytearray(path.read_bytes())
        content[offset] ^= 4
        path.write_bytes(content)

    def flip_body(self, path: Path, body: bytes) -> None:
        """Change one bit in a body."""
        self.flip(path, path.read_bytes().index(body))

    def flip_head(self, path: Path, body: bytes, tenant: bytes = b"default") -> None:
        """Change one bit in the head of the record with a body."""
        self.flip(path, path.read_bytes().index(body) - len(tenant) - 10)

    def signal_status(self, spool: Spool, signal: Signal = Signal.TRACES) -> SignalStatus:
        """Where one signal stands."""
        return next(each for each in spool.status().signals if each.signal is signal)

    def eventually(self, check: Callable[[], bool]) -> None:
        """Wait for what another thread does."""
        end = time.monotonic() + 30
        while not check():
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.001)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path / "spool", stack)
