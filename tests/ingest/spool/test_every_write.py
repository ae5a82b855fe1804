"""A disk that fails at every single call of a spool's life one after the other: once full (ENOSPC) at each
that takes room, once broken (EIO) at each write and each fsync, or read-only (EROFS) from each on. The short
form draws some of the calls.

Full, somebody is refused and the life goes on. Broken, it is over: nothing is written or synced after that,
since the kernel would say yes to a second fsync of pages that are gone. Then the next process finds
everything acknowledged.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.spool.errors import SpoolError, SpoolFailedError, SpoolFullError
from ingest.spool.records import request_digest
from ingest.spool.spool import Spool
from support import faults

ROOM = {"create", "writev", "rename", "sync", "sync_directory"}
"""Calls for which a disk may have no room; a file system may notice at the fsync only."""
SIGNALS = (Signal.TRACES, Signal.LOGS)
REQUESTS = 14


@dataclass
class Life:
    """What senders know and what the store has. The store forgets no token."""

    sent: set[bytes] = field(default_factory=set)
    acknowledged: set[bytes] = field(default_factory=set)
    stored: dict[str, list[bytes]] = field(default_factory=dict)

    def send(self, spool: Spool, signal: Signal, number: int) -> None:
        body = f"{signal} {number} ".encode() + bytes(900)
        self.sent.add(body)
        receipt = spool.append_once(
            signal, "default", body, items=1, received_ns=1,
            digest=request_digest(signal, "default", "protobuf", body), reply=b"",
        )  # fmt: skip
        receipt.stored.result(30)
        self.acknowledged.add(body)

    def load(self, spool: Spool, signal: Signal) -> None:
        for batch in spool.unfinished_batches():
            if batch.signal is signal:
                self.stored[batch.token] = [record.body for record in spool.read_batch(batch)]
                spool.finish_batch(batch)
        records = spool.read(signal, spool.cursor(signal), max_bytes=1 << 40, max_records=3)
        if records:
            batch = spool.begin_batch(signal, records)
            self.stored[batch.token] = [record.body for record in records]
            spool.finish_batch(batch)

    def run(self, spool: Spool) -> None:
        """Appends over several segments, batches and clean-ups; who is refused for want of room goes on."""
        for number in range(REQUESTS):
            for signal in SIGNALS:
                with suppress(SpoolFullError):
                    self.send(spool, signal, number)
                with suppress(SpoolFullError):
                    self.load(spool, signal)
            if number % 3 == 2:
                self.trim(spool)

    def trim(self, spool: Spool) -> None:
        """As the loader does it: what did not work for want of room is tried again the next time."""
        try:
            spool.trim(spool.trim_mark())
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def check(self, spool: Spool) -> None:
        """Everything acknowledged is stored, once, when the next process has stored what is left."""
        for signal in SIGNALS:
            while spool.wait_for(signal, spool.cursor(signal), 0) or any(
                batch.signal is signal for batch in spool.unfinished_batches()
            ):
                self.load(spool, signal)
        bodies = [body for batch in self.stored.values() for body in batch]
        assert len(bodies) == len(set(bodies)), "stored twice"
        assert self.acknowledged <= set(bodies) <= self.sent
        assert [each.lost_records for each in spool.status().signals] == [0, 0, 0]


def calls_of_a_life(place: Any, names: set[str]) -> list[tuple[str, Path | None]]:
    """Which calls there are that may fail, in a life to which nothing happens."""
    disk, life = place.disk(), Life()
    spool = place.open(disk)
    life.run(spool)
    spool.close()
    life.check(place.open())
    assert life.acknowledged == life.sent
    return [(name, path) for name, path in disk.calls if name in names]


def some(count: int, short: int) -> list[int]:
    """Numbers of calls: so many, all in the long form."""
    return sorted(random.Random(faults.SEED).sample(range(count), min(count, faults.times(short, 1000))))


class FailsOnce:
    """At the call with this number, of those with these names."""

    def __init__(self, disk: Any, names: set[str], number: int, code: int) -> None:
        self._disk, self._names, self._left, self._code = disk, names, number, code
        self.failed = ""
        self.calls_before = 0
        disk.fail = self

    def __call__(self, name: str, path: Path | None) -> int | None:
        if name not in self._names or self.failed:
            return None
        self._left -= 1
        if self._left >= 0:
            return None
        self.failed, self.calls_before = f"{name} {path}", len(self._disk.calls)
        return self._code


@pytest.fixture
def places(tmp_path: Path, place: Any) -> Iterator[Any]:
    """`next(places)` is the spool of a new life."""
    with ExitStack() as stack:
        yield (type(place)(tmp_path / str(number), stack) for number in range(100_000))


def test_full_at_every_call(places: Any) -> None:
    count = len(calls_of_a_life(next(places), ROOM))
    assert count > 100
    for number in some(count, 60):
        place, life = next(places), Life()
        disk = place.disk()
        fault = FailsOnce(disk, ROOM, number, errno.ENOSPC)
        try:
            spool = place.open(disk)
        except SpoolError:
            spool = place.open(disk)  # a start that found no room; the next one does
        try:
            life.run(spool)
        except SpoolFailedError:
            assert not fault.failed.startswith("writev"), "it gave up although there was only no room"
        spool.close()
        assert fault.failed
        faults.done["writes that failed"] += 1
        life.check(place.open())


@pytest.mark.parametrize("call", ["writev", "sync", "sync_directory"])
def test_broken_at_every_call(places: Any, call: str) -> None:
    calls = calls_of_a_life(next(places), {call})
    assert len(calls) > 5
    for number in some(len(calls), 25):
        place, life = next(places), Life()
        disk = place.disk()
        fault = FailsOnce(disk, {call}, number, errno.EIO)
        with ExitStack() as at_end, suppress(SpoolError, OSError):
            spool = place.open(disk)
            at_end.callback(spool.close)
            life.run(spool)
        assert fault.failed
        faults.done["writes that failed"] += 1
        later = {name for name, _ in disk.calls[fault.calls_before :]}
        assert not later & {"writev", "sync", "sync_directory", "rename"}, (fault.failed, later)
        life.check(place.open())


WRITES = {"create", "open_append", "writev", "truncate", "rename", "unlink"}


def test_read_only_from_any_call_on(places: Any) -> None:
    """As a file system that was found damaged is mounted anew: reading goes on, writing is over."""
    count = len(calls_of_a_life(next(places), WRITES))
    assert count > 100
    for number in some(count, 25):
        place, life = next(places), Life()
        disk = place.disk()
        calls = iter(range(count))

        def turned(name: str, _path: Path | None, calls: Any = calls, number: int = number) -> int | None:
            return errno.EROFS if name in WRITES and next(calls, count) >= number else None

        disk.fail = turned
        with ExitStack() as at_end, suppress(SpoolError, OSError):
            spool = place.open(disk)
            at_end.callback(spool.close)
            life.run(spool)
        assert next(calls, count) > number
        faults.done["writes that failed"] += 1
        life.check(place.open())
