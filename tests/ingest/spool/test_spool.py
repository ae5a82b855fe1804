"""What the spool takes it gives back: records, order, batches, room, status."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.spool.errors import SpoolError, SpoolFailedError, SpoolFullError, SpoolLockedError
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool


class TestRoundTrip:
    def test_everything_about_a_record_comes_back(self, place: Any) -> None:
        spool = place.open()
        body = bytes(range(256)) * 8

        seq = spool.append(Signal.LOGS, "téam-1", body, items=4_000_000_000, received_ns=123).result(30)
        (record,) = place.read(spool, Signal.LOGS)

        assert (record.seq, seq) == (1, 1)
        assert (record.signal, record.tenant, record.received_ns) == (Signal.LOGS, "téam-1", 123)
        assert (record.items, record.body) == (4_000_000_000, body)

    def test_the_digest_is_of_tenant_signal_and_body(self, place: Any) -> None:
        spool = place.open()
        place.put(spool, b"abc")
        (record,) = place.read(spool)

        lengths = struct.pack("<QQQ", len("default"), len("traces"), 3)
        assert record.digest == hashlib.sha256(lengths + b"default" + b"traces" + b"abc").digest()

    @pytest.mark.parametrize("size", [0, 1, 4000, 4096, 5000, 3 * 1024 * 1024])
    def test_bodies_of_any_size(self, size: int, place: Any) -> None:
        """Larger than a segment, larger than what is read at once."""
        spool = place.open(limit_bytes=1 << 30)
        sent = [b"before", b"x" * size, b"after"]

        for body in sent:
            place.put(spool, body)

        assert place.bodies(spool) == sent
        spool.close()
        assert place.bodies(place.open(limit_bytes=1 << 30)) == sent

    def test_signals_are_numbered_and_kept_apart(self, place: Any) -> None:
        spool = place.open()

        assert [place.put(spool, signal.value.encode(), signal) for signal in Signal] == [1, 1, 1]
        assert [place.bodies(spool, signal) for signal in Signal] == [[b"traces"], [b"metrics"], [b"logs"]]

    def test_order_and_numbers_go_on_over_segments_and_openings(self, place: Any) -> None:
        sent: list[bytes] = []
        for _ in range(4):
            spool = place.open()
            for _ in range(25):
                sent.append(b"%05d" % len(sent) * 60)
                assert place.put(spool, sent[-1]) == len(sent)
            assert place.bodies(spool) == sent
            spool.close()

        assert len(place.segments()) > 4

    def test_many_threads(self, place: Any) -> None:
        """Each thread's records in its own order, all of them, none twice."""
        spool = place.open()

        def send(thread: int) -> None:
            for number in range(40):
                place.put(spool, b"%d %d" % (thread, number))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        found = [tuple(map(int, body.split())) for body in place.bodies(spool)]
        assert sorted(found) == [(thread, number) for thread in range(8) for number in range(40)]
        for thread in range(8):
            assert [number for one, number in found if one == thread] == list(range(40))

    def test_an_acknowledged_record_was_synced_and_so_was_its_name(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        before = len(disk.calls)

        place.put(spool)

        (path,) = place.segments()
        calls = disk.calls[before:]
        assert calls[-2:] == [("writev", path), ("sync", path)]
        assert calls.index(("create", path)) < calls.index(("sync_directory", path.parent))

    def test_what_waits_for_the_disk_goes_into_one_fsync(self, place: Any) -> None:
        disk, spool, release = stalled(place)
        futures = [place.send(spool, b"%d" % number) for number in range(50)]
        before = sum(name == "sync" for name, _ in disk.calls)

        release.set()

        assert [future.result(30) for future in futures] == list(range(2, 52))
        assert sum(name == "sync" for name, _ in disk.calls) - before <= 2

    def test_a_future_cannot_be_cancelled(self, place: Any) -> None:
        _, spool, release = stalled(place)
        future = place.send(spool, b"mine")

        assert not future.cancel()
        release.set()
        assert future.result(30) == 2

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"body": bytearray(b"x")}, TypeError),
            ({"items": 1.5}, TypeError),
            ({"received_ns": 1.5}, TypeError),
            ({"received_ns": 2**63}, ValueError),
            ({"received_ns": -1}, ValueError),
            ({"items": -1}, ValueError),
            ({"items": 2**32}, ValueError),
            ({"tenant": "t" * 65536}, ValueError),
            ({"tenant": "\ud800"}, ValueError),
        ],
    )
    def test_what_cannot_be_stored_is_refused_and_hurts_nobody(
        self, changes: dict[str, Any], error: type[Exception], place: Any
    ) -> None:
        spool = place.open()
        values = {"tenant": "default", "body": b"x", "items": 1, "received_ns": 1, **changes}

        with pytest.raises(error):
            spool.append(
                Signal.TRACES, values["tenant"], values["body"],
                items=values["items"], received_ns=values["received_ns"],
            )  # fmt: skip

        assert place.put(spool) == 1


def stalled(place: Any, **changes: Any) -> tuple[Any, Spool, threading.Event]:
    """A spool whose disk stands still until the event; its writer has record 1 in hand."""
    disk, stand, release = place.disk(), threading.Event(), threading.Event()
    spool = place.open(disk, **changes)

    def fail(name: str, _: object) -> None:
        if name == "sync" and not release.is_set():
            stand.set()
            release.wait(30)

    disk.fail = fail
    place.send(spool, b"first")
    assert stand.wait(30)
    return disk, spool, release


class TestRead:
    def test_as_many_as_fit(self, place: Any) -> None:
        spool = place.open()
        for _ in range(10):
            place.put(spool, b"x" * 1000)

        def read(after: int, max_bytes: int, max_records: int) -> list[int]:
            found = spool.read(Signal.TRACES, after, max_bytes=max_bytes, max_records=max_records)
            return [record.seq for record in found]

        assert read(0, 3000, 100) == [1, 2, 3]
        assert read(0, 3999, 100) == [1, 2, 3]
        assert read(3, 10**9, 2) == [4, 5]
        assert read(5, 1, 100) == [6]
        assert read(8, 10**9, 100) == [9, 10]
        assert read(10, 10**9, 100) == []

    def test_reading_on_does_not_begin_at_the_start_again(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk, segment_bytes=1 << 22)
        for _ in range(40):
            place.put(spool, b"x" * 50_000)
        after = spool.read(Signal.TRACES, 0, max_bytes=1_900_000, max_records=100)[-1].seq
        before = len(disk.calls)

        spool.read(Signal.TRACES, after, max_bytes=1, max_records=1)
        spool.read(Signal.TRACES, after, max_bytes=1, max_records=1)
        place.signal_status(spool)

        assert sum(name == "pread" for name, _ in disk.calls[before:]) <= 4

    def test_reading_goes_on_while_the_disk_stands_still(self, place: Any) -> None:
        _, spool, release = stalled(place)

        assert place.bodies(spool) == []
        assert place.signal_status(spool).last_seq == 0
        release.set()
        place.eventually(lambda: place.bodies(spool) == [b"first"])


class TestWaiting:
    def test_it_returns_at_once_if_there_is_something(self, place: Any) -> None:
        spool = place.open()
        place.put(spool)

        assert spool.wait_for(Signal.TRACES, 0, 0)
        assert not spool.wait_for(Signal.TRACES, 1, 0)
        assert not spool.wait_for(Signal.LOGS, 0, 0.001)

    def test_it_is_woken(self, place: Any) -> None:
        spool = place.open()
        seen: list[bool] = []
        waiter = threading.Thread(target=lambda: seen.append(spool.wait_for(Signal.TRACES, 0, 30)))
        waiter.start()

        place.put(spool, signal=Signal.LOGS)
        place.put(spool)

        waiter.join(30)
        assert seen == [True]

    def test_closing_wakes_it(self, place: Any) -> None:
        spool = place.open()
        seen: list[bool] = []
        waiter = threading.Thread(target=lambda: seen.append(spool.wait_for(Signal.TRACES, 0, 30)))
        waiter.start()

        spool.close()

        waiter.join(10)
        assert seen == [False]


class TestClosing:
    def test_what_is_queued_is_written_first(self, place: Any) -> None:
        _, spool, release = stalled(place)
        futures = [place.send(spool, b"%d" % number) for number in range(20)]
        closer = threading.Thread(target=spool.close)
        closer.start()

        release.set()

        closer.join(30)
        assert [future.result(0) for future in futures] == list(range(2, 22))
        assert len(place.bodies(place.open())) == 21

    def test_nothing_is_taken_afterwards(self, place: Any) -> None:
        spool = place.open()
        place.put(spool)
        batch = place.batch(spool)
        spool.close()
        spool.close()

        with pytest.raises(SpoolFailedError, match="closed"):
            place.put(spool)
        with pytest.raises(SpoolFailedError, match="closed"):
            spool.finish_batch(batch)
        assert spool.trim(spool.trim_mark()) == 0

    def test_every_future_resolves_whenever_it_is_closed(self, place: Any) -> None:
        """Senders go on while it is closed: each gets a number or an error, and numbers mean stored."""
        spool = place.open()
        sent: list[tuple[bytes, Future[int]]] = []
        refused = threading.Event()

        def send(thread: int) -> None:
            for number in range(100_000):
                body = b"%d %d" % (thread, number)
                try:
                    sent.append((body, place.send(spool, body)))
                except SpoolFailedError:
                    refused.set()
                    return

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        place.eventually(lambda: len(sent) > 50)
        spool.close()
        for thread in threads:
            thread.join(30)

        assert refused.is_set()
        assert all(future.done() for _, future in sent)
        stored = dict(sorted((future.result(), body) for body, future in sent))
        assert place.bodies(place.open()) == list(stored.values())


class TestOneOwner:
    def test_a_second_opening_is_refused(self, place: Any) -> None:
        first = place.open()
        place.put(first)

        with pytest.raises(SpoolLockedError, match="open in another process"):
            place.open()

        assert place.put(first) == 2
        first.close()
        assert place.put(place.open()) == 3

    def test_an_opening_that_fails_lets_go(self, place: Any) -> None:
        disk = place.disk()
        disk.fail = lambda name, path: 5 if name == "create" and "meta" in str(path) else None

        with pytest.raises(SpoolError, match="cannot be opened"):
            place.open(disk)

        assert place.put(place.open()) == 1

    def test_a_spool_of_a_later_version_is_left_alone(self, place: Any) -> None:
        place.open().close()
        (place.directory / "spool.meta").write_text('{"version": 3, "boot_id": null}')

        with pytest.raises(SpoolError, match="later version"):
            place.open()


class TestBatches:
    def test_the_cursor_and_the_token(self, place: Any) -> None:
        spool = place.open()
        for number in range(5):
            place.put(spool, b"%d" % number)
        records = place.read(spool)

        batch = spool.begin_batch(Signal.TRACES, records[:3])

        assert (batch.first_seq, batch.last_seq, batch.signal) == (1, 3, Signal.TRACES)
        assert batch.batch_id == place.now_ns // 1000
        packed = struct.pack("<Q", batch.batch_id) + b"traces\0"
        packed += b"".join(record.digest for record in records[:3])
        assert batch.token == hashlib.sha256(packed).hexdigest()
        assert spool.cursor(Signal.TRACES) == 3
        assert spool.cursor(Signal.LOGS) == 0
        assert spool.read_batch(batch) == records[:3]

    def test_equal_records_in_two_batches_have_two_tokens(self, place: Any) -> None:
        """A token used again for other data would make the store drop it silently."""
        spool = place.open()
        place.put(spool, b"same")
        place.put(spool, b"same")

        assert place.batch(spool, records=1).token != place.batch(spool, records=1).token

    def test_ids_rise_whatever_the_clock_does(self, place: Any) -> None:
        spool = place.open()
        ids = []
        for step_ns in (0, -(10**18), 10**12, 0, 0):
            place.now_ns += step_ns
            place.put(spool)
            ids.append(place.batch(spool).batch_id)
            spool.finish_batch(spool.unfinished_batches()[0])
            spool.trim(spool.trim_mark())
        spool.close()
        place.now_ns = 0
        spool = place.open()
        place.put(spool)
        ids.append(place.batch(spool).batch_id)

        assert ids == sorted(set(ids))

    @pytest.mark.parametrize("chosen", [[], [1, 2], [0, 2], [1, 0], [0, 0], [0, 1, 2, 4]])
    def test_nothing_may_be_left_out(self, chosen: list[int], place: Any) -> None:
        spool = place.open()
        for number in range(5):
            place.put(spool, b"%d" % number)
        records = place.read(spool)

        with pytest.raises(ValueError, match=r"record|order"):
            spool.begin_batch(Signal.TRACES, [records[index] for index in chosen])

        assert spool.cursor(Signal.TRACES) == 0

    def test_records_of_another_signal_are_refused(self, place: Any) -> None:
        spool = place.open()
        place.put(spool, signal=Signal.LOGS)

        with pytest.raises(ValueError, match="of its records"):
            spool.begin_batch(Signal.TRACES, place.read(spool, Signal.LOGS))

    def test_a_batch_never_begun_cannot_be_finished(self, place: Any, tmp_path: Any) -> None:
        spool = place.open()
        place.put(spool)
        batch = place.batch(spool)
        other = Spool.open(tmp_path / "other", place.settings())
        with other, pytest.raises(SpoolError, match="never begun"):
            other.finish_batch(batch)

    def test_finishing_twice_is_harmless(self, place: Any) -> None:
        spool = place.open()
        place.put(spool)
        batch = place.batch(spool)
        for _ in range(2):
            spool.finish_batch(batch)
        spool.trim(spool.trim_mark())
        spool.finish_batch(batch)

        assert spool.unfinished_batches() == []

    def test_the_log_of_batches_stays_small(self, place: Any) -> None:
        spool = place.open()
        last = None
        for number in range(2000):
            place.put(spool, b"x")
            last = place.batch(spool)
            spool.finish_batch(last)
            if number % 50 == 0:
                spool.trim(spool.trim_mark())
        place.put(spool, b"unfinished")
        last = place.batch(spool)
        spool.trim(spool.trim_mark())

        assert (place.directory / "batches.log").stat().st_size < 300_000
        spool.close()
        spool = place.open()
        assert spool.unfinished_batches() == [last]
        assert spool.cursor(Signal.TRACES) == 2001


class TestTrim:
    def fill(self, place: Any, spool: Spool, records: int = 40) -> None:
        for _ in range(records):
            place.put(spool, b"x" * 900)

    def test_only_what_the_mark_covers(self, place: Any) -> None:
        spool = place.open()
        self.fill(place, spool)
        first = place.batch(spool, records=20)
        second = place.batch(spool)
        before = place.segments()

        assert spool.trim(spool.trim_mark()) == 0
        spool.finish_batch(first)
        mark = spool.trim_mark()
        spool.finish_batch(second)
        assert spool.trim(mark) > 0

        left = place.segments()
        assert left[-1] == before[-1]
        assert [record.seq for record in spool.read_batch(second)] == list(range(21, 41))
        assert spool.trim(spool.trim_mark()) > 0
        assert place.segments() == before[-1:]

    def test_an_unfinished_batch_holds_what_comes_after(self, place: Any) -> None:
        spool = place.open()
        self.fill(place, spool)
        first = place.batch(spool, records=20)
        second = place.batch(spool)

        spool.finish_batch(second)
        assert spool.trim(spool.trim_mark()) == 0
        assert [record.seq for record in spool.read_batch(first)] == list(range(1, 21))

        spool.finish_batch(first)
        assert spool.trim(spool.trim_mark()) > 0

    def test_what_a_trim_will_make_safe_is_known_before(self, place: Any) -> None:
        """In whatever order batches are finished, and whichever are safe already."""
        draw = random.Random(5)
        spool = place.open()
        waiting: list[Any] = []
        for _ in range(40):
            place.put(spool, b"it")
            waiting.append(place.batch(spool))
            draw.shuffle(waiting)
            for batch in waiting[draw.randrange(3) :]:
                spool.finish_batch(batch)
                waiting.remove(batch)
            mark = spool.trim_mark()
            place.put(spool, b"later")
            spool.finish_batch(place.batch(spool))
            told = spool.safe_seq_by(Signal.TRACES, mark)
            assert spool.trusts_store(Signal.TRACES)
            spool.trim(mark)
            assert spool.safe_seq(Signal.TRACES) == told
        assert told > 0

    def test_the_numbers_survive(self, place: Any) -> None:
        """Everything stored and trimmed, and still no number is used twice."""
        spool = place.open(limit_bytes=600_000)
        self.fill(place, spool, 45)
        place.store_all(spool)
        assert len(place.segments()) == 1
        spool.close()

        spool = place.open(limit_bytes=600_000)
        assert spool.cursor(Signal.TRACES) == 45
        assert place.put(spool) == 46

    def test_reading_beside_trimming_loses_nothing_and_blames_nobody(self, place: Any) -> None:
        spool = place.open()
        stop = threading.Event()
        errors: list[BaseException] = []

        def look() -> None:
            try:
                while not stop.is_set():
                    spool.status()
                    place.read(spool)
            except BaseException as error:  # noqa: BLE001 - told to the test
                errors.append(error)

        looker = threading.Thread(target=look)
        looker.start()
        for _ in range(30):
            self.fill(place, spool, 10)
            place.store_all(spool)
        stop.set()
        looker.join(30)

        assert errors == []
        assert place.signal_status(spool).lost_records == 0


def fill_up(place: Any, spool: Spool, reason: str) -> int:
    """Append until it is refused; returns how many were taken."""
    for taken in range(1000):
        try:
            place.put(spool, b"x" * 4000)
        except SpoolFullError as error:
            return taken if reason in str(error) else -1
    return -1


class TestRoom:
    def test_it_is_full_at_its_limit_and_has_room_after_a_trim(self, place: Any) -> None:
        spool = place.open(limit_bytes=600_000)
        taken = fill_up(place, spool, "its limit (spool.limit_bytes)")
        assert 70 < taken < 90
        assert spool.status().total_bytes <= 600_000
        with pytest.raises(SpoolFullError):
            place.put(spool, b"x" * 4000)

        spool.finish_batch(place.batch(spool))
        with pytest.raises(SpoolFullError):
            place.put(spool, b"x" * 4000)
        spool.trim(spool.trim_mark())

        assert place.put(spool, b"x" * 4000) == taken + 1
        assert len(place.segments()) == 1

    def test_what_is_on_disk_counts_after_opening(self, place: Any) -> None:
        spool = place.open(limit_bytes=600_000)
        fill_up(place, spool, "limit")
        spool.close()

        with pytest.raises(SpoolFullError):
            place.put(place.open(limit_bytes=600_000), b"x" * 4000)

    def test_what_waits_in_memory_is_bounded(self, place: Any) -> None:
        _, spool, release = stalled(place, queue_bytes=10_000)
        taken = [place.send(spool, b"x" * 1000) for _ in range(10)]
        with pytest.raises(SpoolFullError, match=r"wait for the disk \(spool.queue_bytes\)"):
            place.send(spool, b"x" * 1000)

        release.set()

        assert [future.result(30) for future in taken] == list(range(2, len(taken) + 2))
        assert place.put(spool) == len(taken) + 2

    def test_settings_that_leave_no_room_are_refused(self) -> None:
        with pytest.raises(ValueError, match="raise it or lower segment_bytes"):
            SpoolSettings(limit_bytes=512 * 1024)


def test_a_copy_of_a_still_directory_is_a_whole_spool(tmp_path: Path) -> None:
    """Taken over and over while others append and a loader batches and trims."""
    small = SpoolSettings(segment_bytes=4096, group_commit_ms=0)
    acknowledged: list[int] = []
    stop = threading.Event()

    def send(spool: Spool) -> None:
        while not stop.is_set():
            acknowledged.append(spool.append(Signal.LOGS, "t", bytes(900), items=1, received_ns=1).result(30))

    def load(spool: Spool) -> None:
        while not stop.is_set():
            records = spool.read(Signal.LOGS, spool.cursor(Signal.LOGS), max_bytes=5000, max_records=5)
            if records:
                spool.finish_batch(spool.begin_batch(Signal.LOGS, records))
                spool.trim(spool.trim_mark())

    with Spool.open(tmp_path / "spool", small) as spool:
        threads = [threading.Thread(target=each, args=(spool,)) for each in (send, send, load)]
        for thread in threads:
            thread.start()
        for number in range(10):
            copy = tmp_path / f"copy-{number}"
            with spool.still() as directory:
                owed, cursor = set(acknowledged), spool.cursor(Signal.LOGS)
                shutil.copytree(directory, copy)
            with Spool.open(copy, small) as copied:
                status = copied.status().signals[list(Signal).index(Signal.LOGS)]
                assert (status.lost_records, status.cursor) == (0, cursor)
                found = copied.read(Signal.LOGS, cursor, max_bytes=10**9, max_records=10**6)
                assert {seq for seq in owed if seq > cursor} <= {record.seq for record in found}
                assert status.last_seq <= max(owed, default=0) + 2
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
    assert len(acknowledged) > 10
