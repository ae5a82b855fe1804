"""Intake ends before the disk is full, and what was taken is remembered meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from ingest.disk import Disk
from ingest.signals import Signal
from ingest.spool.errors import SpoolDiskLowError, SpoolFailedError, SpoolFullError
from ingest.spool.files import Files
from ingest.spool.records import request_digest
from ingest.spool.room import AwakeClock, DiskRoom, least_free_bytes
from ingest.spool.settings import SpoolSettings

GIB = 1 << 30
SECOND = 1_000_000_000


@dataclass
class LyingFiles(Files):
    """A disk that says what it is told to."""

    free: int = 100
    total: int = 1000
    error: OSError | None = None
    asked: int = 0
    paths: list[Path] = field(default_factory=list)

    def disk(self, path: Path) -> Disk:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return Disk(self.free, self.total)

    def sync(self, handle: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


class Ticks:
    now = 0

    def __call__(self) -> int:
        return self.now


def room_of(files: Files, ticks: Ticks, **changes: Any) -> DiskRoom:
    return DiskRoom(Path("/data"), SpoolSettings(**changes), files=files, ticks_ns=ticks)


@pytest.mark.parametrize(
    ("total", "least"), [(20 * GIB, GIB), (80 * GIB, 4 * GIB), (10_000 * GIB, 4 * GIB), (0, 0)]
)
def test_a_share_of_the_disk_and_no_more_than_is_of_use(total: int, least: int) -> None:
    assert least_free_bytes(SpoolSettings(), Disk(0, total)) == least


def test_the_disk_is_asked_once_a_second() -> None:
    files, ticks = LyingFiles(), Ticks()
    room = room_of(files, ticks)
    for _ in range(1000):
        room.check()
    assert files.asked == 1
    ticks.now = SECOND - 1
    room.check()
    assert files.asked == 1
    ticks.now = SECOND
    room.check()
    assert files.asked == 2


def test_intake_ends_and_begins_again_once_there_is_clearly_more() -> None:
    files, ticks = LyingFiles(), Ticks()
    room = room_of(files, ticks)

    def is_low(free: int) -> bool:
        files.free = free
        ticks.now += SECOND
        return room.status().is_low

    with capture_logs() as logs:
        assert [is_low(free) for free in (100, 50, 49, 49, 50, 59)] == [False, False, True, True, True, True]
    assert [(each["log_level"], each["free_bytes"]) for each in logs] == [("error", 49)]
    with pytest.raises(SpoolDiskLowError, match=r"59 bytes are free.*50 are kept free.*min_free_share"):
        room.check()
    with capture_logs() as logs:
        assert not is_low(60)
        assert not is_low(50)
    assert [each["event"] for each in logs] == ["There is room on the disk again; requests are taken"]


def test_a_disk_that_does_not_say_keeps_nothing_out() -> None:
    files, ticks = LyingFiles(error=OSError("no such call")), Ticks()
    room = room_of(files, ticks)
    with capture_logs() as logs:
        for ticks.now in (0, SECOND, 2 * SECOND):
            room.check()
    assert len(logs) == 1


def test_a_share_of_nothing_takes_until_it_is_full() -> None:
    room_of(LyingFiles(free=0), Ticks(), min_free_share=0).check()


def test_the_real_disk_says_something() -> None:
    disk = Files().disk(Path("/"))
    assert 0 <= disk.free_bytes <= disk.total_bytes


@given(st.lists(st.tuples(st.sampled_from(["pass", "stop", "go"]), st.integers(0, 100))))
def test_the_clock_counts_the_time_it_runs(steps: list[tuple[str, int]]) -> None:
    ticks = Ticks()
    clock = AwakeClock(ticks)
    expected, runs = 0, True
    for what, size in steps:
        if what == "pass":
            ticks.now += size
            expected += size if runs else 0
        elif what == "stop":
            clock.stop()
            runs = False
        else:
            clock.go_on()
            runs = True
        assert clock() == expected


def test_a_low_disk_refuses_and_shows_it(place: Any) -> None:
    files = LyingFiles()
    registry = CollectorRegistry()
    spool = place.open(files, registry=registry)
    spool.check_room(Signal.LOGS)
    files.free = 10
    place.ticks_ns += SECOND
    with pytest.raises(SpoolDiskLowError):
        spool.check_room(Signal.LOGS)

    def shown(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"lowtide_spool_{name}", labels)

    assert shown("refused_total", signal="logs") == 1
    assert (shown("disk_low"), shown("disk_free_bytes"), shown("disk_least_free_bytes")) == (1, 10, 50)
    status = spool.status().room
    assert (status.is_low, status.free_bytes, status.least_bytes) == (True, 10, 50)


def test_a_request_is_remembered_for_as_long_as_nothing_is_taken(place: Any) -> None:
    """Refused for longer than the window: who comes back afterwards is still recognised."""
    files = LyingFiles()
    spool = place.open(files, resend_window_s=900)
    digest = request_digest(Signal.TRACES, "default", "form", b"body")
    keys = {"items": 1, "received_ns": 1, "digest": digest, "reply": b"said"}
    receipt = spool.append_once(Signal.TRACES, "default", b"body", **keys)
    receipt.stored.result()
    place.ticks_ns += 10 * SECOND
    files.free = 0
    with pytest.raises(SpoolDiskLowError):
        spool.check_room(Signal.TRACES)
    place.ticks_ns += 36_000 * SECOND
    files.free = 100
    spool.check_room(Signal.TRACES)
    receipt = spool.recall(Signal.TRACES, digest)
    assert spool.reply(receipt) == b"said"
    place.ticks_ns += 891 * SECOND
    assert spool.recall(Signal.TRACES, digest) is None


LIMIT = 1 << 20
"""Bytes of a spool in the next tests; a part of it is 16 KiB."""


def test_after_the_limit_a_part_must_be_free_again(place: Any) -> None:
    spool = place.open(limit_bytes=LIMIT)
    left = LIMIT - spool.status().total_bytes
    place.put(spool, bytes(left - 10_000))
    with pytest.raises(SpoolFullError, match=r"spool\.limit_bytes"):
        place.send(spool, bytes(10_000))
    # A smaller one would still fit, but is not let in before the large one.
    with pytest.raises(SpoolFullError, match=r"spool\.limit_bytes"):
        spool.check_room(Signal.TRACES)
    place.put(spool, b"x")

    place.put(spool, b"the segment before this can go")
    place.store_all(spool)
    spool.check_room(Signal.TRACES)


def test_a_request_larger_than_the_limit_keeps_nobody_out(place: Any) -> None:
    spool = place.open(limit_bytes=LIMIT)
    with pytest.raises(SpoolFullError):
        place.send(spool, bytes(LIMIT))
    spool.check_room(Signal.TRACES)


def test_what_has_failed_says_so_before(place: Any) -> None:
    spool = place.open()
    spool.close()
    with pytest.raises(SpoolFailedError):
        spool.check_room(Signal.TRACES)


def test_the_oldest_batch_that_may_be_needed_again(place: Any) -> None:
    spool = place.open()
    assert spool.oldest_unsafe_batch() is None
    batches = []
    for number in range(3):
        spool.append(Signal.LOGS, "default", bytes([number]), items=1, received_ns=1).result()
        after = spool.cursor(Signal.LOGS)
        records = spool.read(Signal.LOGS, after, max_bytes=1000, max_records=1)
        batches.append(spool.begin_batch(Signal.LOGS, records))
    assert spool.oldest_unsafe_batch() == batches[0].batch_id
    spool.finish_batch(batches[0])
    assert spool.oldest_unsafe_batch() == batches[0].batch_id, "stored, but not known to be durable"
    spool.trim(spool.trim_mark())
    assert spool.oldest_unsafe_batch() == batches[1].batch_id
