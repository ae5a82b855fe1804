"""What the spool says about itself: its status, its metrics, and a look at it from outside."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from ingest.signals import Signal
from ingest.spool.inspect import SegmentState, batch_log_of, look, records_of, segments_of
from ingest.spool.segment_format import FILE_HEADER_BYTES, HEAD_BYTES
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool

RECORD_BYTES = HEAD_BYTES + len("default") + 1000


def fill(place: Any, spool: Any, records: int, signal: Signal = Signal.TRACES) -> None:
    for number in range(records):
        spool.append(
            signal, "default", b"%04d" % number + bytes(996), items=2, received_ns=1000 + number
        ).result(30)


class TestStatus:
    def test_a_new_one(self, place: Any) -> None:
        status = place.open().status()

        assert [each.signal for each in status.signals] == list(Signal)
        assert {each.records_waiting for each in status.signals} == {0}
        assert {each.oldest_received_ns for each in status.signals} == {None}
        assert {(each.first_seq, each.last_seq, each.cursor) for each in status.signals} == {(1, 0, 0)}
        assert (status.directory, status.failed, status.segments) == (place.directory, "", 0)

    def test_where_everything_stands(self, place: Any) -> None:
        spool = place.open()
        fill(place, spool, 10)

        status = place.signal_status(spool)
        assert (status.records_waiting, status.bytes_waiting) == (10, 10 * RECORD_BYTES + seals(place))
        assert status.oldest_received_ns == 1000

        first, second = place.batch(spool, records=3), place.batch(spool, records=4)
        status = place.signal_status(spool)
        assert (status.batches, status.cursor, status.records_waiting) == (2, 7, 10)
        spool.finish_batch(first)
        status = place.signal_status(spool)
        assert (status.batches, status.records_waiting, status.oldest_received_ns) == (1, 7, 1003)
        spool.finish_batch(second)
        status = place.signal_status(spool)
        assert (status.batches, status.records_waiting, status.oldest_received_ns) == (0, 3, 1007)
        assert RECORD_BYTES * 3 <= status.bytes_waiting < RECORD_BYTES * 4
        place.store_all(spool)
        status = place.signal_status(spool)
        assert (status.records_waiting, status.bytes_waiting, status.oldest_received_ns) == (0, 0, None)
        assert (status.last_seq, status.segments) == (10, 1)

    def test_total_bytes_are_those_on_disk(self, place: Any) -> None:
        spool = place.open()
        fill(place, spool, 20)
        fill(place, spool, 5, Signal.LOGS)
        place.batch(spool)

        files = [path for path in place.directory.rglob("*") if path.is_file()]
        counted = {"spool.lock", "spool.meta"}
        assert spool.status().total_bytes == sum(p.stat().st_size for p in files if p.name not in counted)

    def test_it_waits_for_no_fsync(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        fill(place, spool, 3)
        begun, go_on = threading.Event(), threading.Event()

        def slow(name: str, path: Path | None) -> int | None:
            if name == "sync" and path == place.directory / "batches.log":
                begun.set()
                assert go_on.wait(60)
            return None

        disk.fail = slow
        with ThreadPoolExecutor() as threads:
            batch = threads.submit(place.batch, spool)
            assert begun.wait(30)
            try:
                meanwhile = threads.submit(place.signal_status, spool).result(timeout=10)
                cursor = threads.submit(spool.cursor, Signal.TRACES).result(timeout=10)
                mark = threads.submit(spool.trim_mark).result(timeout=10)
                assert not batch.done()
            finally:
                go_on.set()

        assert (meanwhile.batches, meanwhile.records_waiting, cursor, mark) == (0, 3, 0, 0)
        assert batch.result().last_seq == place.signal_status(spool).cursor == 3


def seals(place: Any) -> int:
    """What segments take beyond their records."""
    paths = place.segments()
    sizes = sum(path.stat().st_size for path in paths) - 10 * RECORD_BYTES
    return sizes - FILE_HEADER_BYTES * len(paths)


class TestMetrics:
    def value(self, registry: CollectorRegistry, name: str, signal: str | None = "traces") -> float | None:
        return registry.get_sample_value(
            f"lowtide_spool_{name}", {} if signal is None else {"signal": signal}
        )

    def test_what_happened_and_what_waits(self, place: Any) -> None:
        registry = CollectorRegistry()
        spool = place.open(registry=registry)
        fill(place, spool, 10)

        assert self.value(registry, "requests_total") == 10
        assert self.value(registry, "items_total") == 20
        assert self.value(registry, "bytes_total") == 10_000
        assert self.value(registry, "requests_total", "logs") == 0
        assert self.value(registry, "waiting_requests") == 10
        assert self.value(registry, "waiting_bytes") == place.signal_status(spool).bytes_waiting
        age_s = self.value(registry, "waiting_seconds")
        assert age_s is not None
        assert age_s > 1e9
        assert self.value(registry, "disk_bytes", None) == spool.status().total_bytes
        assert self.value(registry, "limit_bytes", None) == spool.status().limit_bytes
        assert self.value(registry, "failed", None) == 0
        assert self.value(registry, "commit_seconds_count", None) == 10
        assert self.value(registry, "commit_requests_sum", None) == 10

    def test_refusals_and_failures(self, place: Any) -> None:
        registry, disk = CollectorRegistry(), place.disk()
        spool = place.open(disk, registry=registry)
        disk.room = 0
        assert place.send(spool, b"x").exception(30) is not None
        disk.room = None
        disk.fail = lambda name, _: 5 if name == "sync" else None
        assert place.send(spool, b"x").exception(30) is not None

        assert self.value(registry, "refused_total") == 1
        assert self.value(registry, "failed", None) == 1
        assert self.value(registry, "requests_total") == 0

    def test_damage(self, place: Any) -> None:
        spool = place.open()
        for number in range(3):
            place.put(spool, b"%d" % number * 100)
        spool.close()
        (path,) = place.segments()
        place.flip_body(path, b"1" * 100)
        with path.open("ab") as file:
            file.write(path.read_bytes()[FILE_HEADER_BYTES : FILE_HEADER_BYTES + 60])
        registry = CollectorRegistry()

        place.open(registry=registry)

        assert self.value(registry, "torn_tails_total") == 1
        assert self.value(registry, "damaged_bytes_total") == HEAD_BYTES + len("default") + 100
        assert self.value(registry, "lost_records_total") == 1

    def test_a_closed_spool_is_no_longer_asked(self, place: Any) -> None:
        registry = CollectorRegistry()
        place.open(registry=registry).close()

        assert self.value(registry, "disk_bytes", None) is None
        assert self.value(registry, "requests_total") == 0


class TestLook:
    def test_it_says_what_opening_would_find(self, place: Any) -> None:
        spool = place.open()
        fill(place, spool, 30)
        fill(place, spool, 2, Signal.LOGS)
        spool.finish_batch(place.batch(spool, records=5))
        place.batch(spool, records=5)
        spool.close()

        for boot in (place.BOOT, place.OTHER_BOOT):
            seen = look(place.directory, limit_bytes=1 << 20, boot_id=boot)
            spool = place.open(boot=boot)
            assert seen.signals == spool.status().signals
            assert spool.trusts_store(Signal.TRACES) is (boot == place.BOOT)
            spool.close()
        assert [(each.batches, each.batches_before_reboot) for each in seen.signals] == [
            (2, 2),
            (0, 0),
            (0, 0),
        ]

    def test_it_changes_nothing_and_needs_no_lock(self, place: Any) -> None:
        spool = place.open()
        fill(place, spool, 10)
        before = {path: path.read_bytes() for path in place.directory.rglob("*") if path.is_file()}

        look(place.directory, limit_bytes=1, boot_id=place.BOOT)
        assert len(list(records_of(place.directory, Signal))) == 10
        assert len(list(segments_of(place.directory, Signal))) == len(place.segments())
        batch_log_of(place.directory)

        after = {path: path.read_bytes() for path in place.directory.rglob("*") if path.is_file()}
        assert after == before

    def test_segments(self, place: Any) -> None:
        spool = place.open()
        fill(place, spool, 10)
        spool.close()
        paths = place.segments()
        place.flip_body(paths[1], b"0004")
        with paths[-1].open("ab") as file:
            file.write(paths[-1].read_bytes()[FILE_HEADER_BYTES : FILE_HEADER_BYTES + 40])

        found = list(segments_of(place.directory, [Signal.TRACES]))

        states = [SegmentState.CLOSED, SegmentState.DAMAGED, SegmentState.CLOSED, SegmentState.TORN]
        assert [each.state for each in found] == states
        assert [(each.first_seq, each.last_seq, each.records) for each in found] == [
            (1, 3, 3), (4, 6, 2), (7, 9, 3), (10, 10, 1)
        ]  # fmt: skip
        assert [(each.lost_records, each.damaged_bytes) for each in found] == [
            (0, 0), (1, RECORD_BYTES), (0, 0), (0, 0)
        ]  # fmt: skip

    def test_records(self, place: Any) -> None:
        spool = place.open()
        fill(place, spool, 5)

        found = list(records_of(place.directory, [Signal.TRACES, Signal.LOGS]))

        assert [(each.seq, each.received_ns, each.items, each.body_bytes) for each in found] == [
            (number + 1, 1000 + number, 2, 1000) for number in range(5)
        ]
        assert {each.tenant for each in found} == {"default"}
        content = (place.directory / "traces" / found[4].segment).read_bytes()
        assert content[found[4].offset + HEAD_BYTES + len("default") :][:4] == b"0004"

    def test_a_directory_with_nothing_in_it(self, tmp_path: Path) -> None:
        status = look(tmp_path, limit_bytes=5, boot_id=None)

        assert {each.records_waiting for each in status.signals} == {0}
        assert list(records_of(tmp_path, Signal)) == []
        assert batch_log_of(tmp_path).damaged_entries == 0

    def test_damaged_entries_of_the_log_of_batches(self, tmp_path: Path) -> None:
        with Spool.open(tmp_path, SpoolSettings()) as spool:
            spool.append(Signal.LOGS, "default", b"x", items=1, received_ns=1).result(30)
            spool.begin_batch(Signal.LOGS, spool.read(Signal.LOGS, 0, max_bytes=1, max_records=1))
        log = tmp_path / "batches.log"
        content = bytearray(log.read_bytes())
        content[40] ^= 1
        log.write_bytes(content)

        assert batch_log_of(tmp_path).damaged_entries == 1
