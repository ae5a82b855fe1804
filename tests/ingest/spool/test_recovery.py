"""What is found when a spool is opened: torn ends, damage, missing pieces, and what becomes of batches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import structlog

from ingest.signals import Signal
from ingest.spool.segment_format import FILE_HEADER_BYTES, HEAD_BYTES
from support import faults


def write(place: Any, *sent: bytes) -> None:
    """A spool with these records, closed."""
    spool = place.open()
    for body in sent:
        place.put(spool, body)
    spool.close()


FIVE = [b"1" * 100, b"2" * 100, b"3" * 100, b"4" * 100, b"5" * 100]
RECORD_BYTES = HEAD_BYTES + len("default") + 100
LONG = [b"%02d" % number * 500 for number in range(20)]
"""Several segments."""


class TestTornEnd:
    @pytest.mark.parametrize("missing", [1, 50, 100, 101, 107, 108, 140, RECORD_BYTES - 1])
    def test_the_beginning_of_a_record_is_cut_off(self, missing: int, place: Any) -> None:
        write(place, *FIVE)
        (path,) = place.segments()
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - missing)

        with structlog.testing.capture_logs() as logs:
            spool = place.open()

        assert place.bodies(spool) == FIVE[:4]
        assert path.stat().st_size == FILE_HEADER_BYTES + 4 * RECORD_BYTES
        assert [entry["size_bytes"] for entry in logs] == [RECORD_BYTES - missing]
        assert place.kept() == []
        assert place.signal_status(spool).lost_records == 0
        assert place.put(spool, b"next") == 5

    def test_cut_at_every_byte(self, place: Any, tmp_path: Path) -> None:
        """Whole records before the cut are there, in order, and the spool goes on."""
        write(place, *FIVE)
        shutil.copytree(place.directory, tmp_path / "whole")
        whole = (tmp_path / "whole" / "traces").glob("*.seg")
        content = next(whole).read_bytes()
        for size in range(0, len(content), 1 if faults.LONG else 7):
            shutil.rmtree(place.directory)
            shutil.copytree(tmp_path / "whole", place.directory)
            (path,) = place.segments()
            path.write_bytes(content[:size])

            spool = place.open()

            left = max(0, size - FILE_HEADER_BYTES) // RECORD_BYTES
            assert place.bodies(spool) == FIVE[:left]
            assert place.put(spool, b"next") == left + 1
            assert place.bodies(spool) == [*FIVE[:left], b"next"]
            spool.close()

    def test_bytes_that_are_no_beginning_are_kept(self, place: Any) -> None:
        """A kill leaves the beginning of a record. Anything else may have been acknowledged once."""
        write(place, *FIVE)
        (path,) = place.segments()
        with path.open("ab") as file:
            file.write(bytes(300))

        spool = place.open()

        assert place.bodies(spool) == FIVE
        (kept,) = place.kept()
        assert kept.read_bytes() == bytes(300)
        assert place.signal_status(spool).lost_records == 1
        assert place.put(spool, b"next") == 7
        assert place.bodies(spool) == [*FIVE, b"next"]

    def test_a_file_that_was_just_being_made(self, place: Any) -> None:
        write(place, *FIVE)
        for content in (b"", b"LTSPOOL\n", b"LTSPOOL\n" + bytes(24)):
            (place.directory / "traces" / f"{6:020d}.seg").write_bytes(content)

            spool = place.open()

            assert place.bodies(spool) == FIVE
            assert place.kept() == []
            spool.close()
        assert place.put(place.open(), b"next") == 6

    def test_the_end_is_made_durable_before_anyone_reads_it(self, place: Any) -> None:
        write(place, *FIVE)
        disk = place.disk()

        place.open(disk)

        assert ("sync", place.segments()[0]) in disk.calls
        assert ("sync_directory", place.segments()[0].parent) in disk.calls

    def test_a_torn_log_of_batches(self, place: Any) -> None:
        spool = place.open()
        place.put(spool)
        batch = place.batch(spool)
        spool.close()
        log = place.directory / "batches.log"
        content = log.read_bytes()
        for extra in range(1, 112, 10):
            log.write_bytes(content + b"x" * extra)
            spool = place.open()
            assert spool.unfinished_batches() == [batch]
            spool.close()
            assert log.read_bytes() == content


class TestDamage:
    def test_a_flipped_bit_in_a_body(self, place: Any) -> None:
        write(place, *FIVE)
        place.flip_body(place.segments()[0], FIVE[2])

        spool = place.open()

        assert [record.seq for record in place.read(spool)] == [1, 2, 4, 5]
        assert place.bodies(spool) == [FIVE[0], FIVE[1], FIVE[3], FIVE[4]]
        (kept,) = place.kept()
        assert len(kept.read_bytes()) == RECORD_BYTES
        assert place.signal_status(spool).lost_records == 1
        assert place.put(spool, b"next") == 6

    def test_while_it_is_open(self, place: Any) -> None:
        spool = place.open()
        for body in FIVE:
            place.put(spool, body)
        place.flip_body(place.segments()[0], FIVE[2])

        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                assert [record.seq for record in place.read(spool)] == [1, 2, 4, 5]

        assert len(place.kept()) == 1
        assert [(entry.get("first_seq"), entry.get("last_seq")) for entry in logs] == [(None, None), (3, 3)]
        status = place.signal_status(spool)
        assert (status.lost_records, status.records_waiting) == (1, 4)
        batch = place.batch(spool)
        assert (batch.first_seq, batch.last_seq) == (1, 5)

    @pytest.mark.parametrize(
        "at", range(FILE_HEADER_BYTES, FILE_HEADER_BYTES + RECORD_BYTES, 1 if faults.LONG else 9)
    )
    @pytest.mark.parametrize("number", range(5) if faults.LONG else [0, 2, 4])
    def test_a_flipped_bit_anywhere_loses_one_record_at_most(self, number: int, at: int, place: Any) -> None:
        """First, middle and last record; nothing is invented, nothing acknowledged is cut off."""
        write(place, *FIVE)
        (path,) = place.segments()
        size = path.stat().st_size
        place.flip(path, at + number * RECORD_BYTES)

        spool = place.open()

        left = [body for index, body in enumerate(FIVE) if index != number]
        assert place.bodies(spool) == left
        assert place.signal_status(spool).lost_records == 1
        assert path.stat().st_size == size
        assert len(place.kept()) == 1
        assert place.put(spool, b"next") == 6
        spool.close()
        assert place.bodies(place.open()) == [*left, b"next"]

    @pytest.mark.parametrize("at", range(FILE_HEADER_BYTES))
    def test_the_file_header_alone_costs_nothing(self, at: int, place: Any) -> None:
        write(place, *FIVE)
        place.flip(place.segments()[0], at)

        assert place.bodies(place.open()) == FIVE

    def test_a_false_record_in_a_body_is_not_taken_for_one(self, place: Any) -> None:
        """A sender that has seen a segment of the past cannot put records into another."""
        write(place, b"victim")
        content = place.segments()[0].read_bytes()
        forged = content[FILE_HEADER_BYTES:]
        spool = place.open()
        place.put(spool, b"x" * 4000)
        place.put(spool, b"y" + forged * 3)
        place.put(spool, b"last")
        spool.close()
        place.flip_head(place.segments()[-1], b"y" + forged)

        spool = place.open()

        assert [record.seq for record in place.read(spool)] == [1, 2, 4]

    def test_the_first_sector_of_a_full_segment(self, place: Any) -> None:
        """The seal at the other end still says how to read the rest."""
        write(place, *LONG)
        first = place.segments()[0]
        content = first.read_bytes()
        first.write_bytes(bytes(512) + content[512:])

        spool = place.open()

        assert [record.seq for record in place.read(spool)] == list(range(2, 21))

    def test_a_segment_damaged_as_a_whole(self, place: Any) -> None:
        write(place, *LONG)
        first, second, *_ = place.segments()
        numbers = int(second.stem) - int(first.stem)
        first.write_bytes(b"\xff" * first.stat().st_size)

        spool = place.open()

        assert place.bodies(spool) == LONG[numbers:]
        assert place.kept() == [place.directory / "damaged" / f"traces-{first.name}"]
        assert place.signal_status(spool).lost_records == numbers
        assert spool.cursor(Signal.TRACES) == numbers
        assert place.batch(spool).last_seq == 20

    def test_the_only_segment_damaged_as_a_whole(self, place: Any) -> None:
        write(place, *FIVE)
        place.segments()[0].write_bytes(b"\xff" * 500)

        spool = place.open()

        assert place.bodies(spool) == []
        assert place.signal_status(spool).lost_records >= 5
        assert place.put(spool, b"next") > 5
        assert place.bodies(spool) == [b"next"]
        assert place.batch(spool).last_seq == spool.cursor(Signal.TRACES)
        place.store_all(spool)

    @pytest.mark.parametrize("index", [0, 1, -1])
    def test_a_missing_segment(self, index: int, place: Any) -> None:
        spool = place.open()
        for body in LONG:
            place.put(spool, body)
        place.batch(spool, records=1)
        first_seqs = [int(path.stem) for path in place.segments()]
        spool.close()
        place.segments()[index].unlink()
        gone = first_seqs[index : index + 2] if index >= 0 else [first_seqs[-1], 21]

        spool = place.open()

        seqs = [record.seq for record in place.read(spool)]
        assert seqs == [seq for seq in range(1, 21) if not gone[0] <= seq < gone[1]]
        if index >= 0:
            assert place.signal_status(spool).lost_records == gone[1] - gone[0]
        assert place.put(spool, b"next") == seqs[-1] + 1

    def test_damaged_bytes_count_towards_the_limit(self, place: Any) -> None:
        write(place, *FIVE)
        spool = place.open()
        before = spool.status().total_bytes
        spool.close()
        place.flip_body(place.segments()[0], FIVE[2])

        spool = place.open()

        assert spool.status().total_bytes == before + RECORD_BYTES
        spool.close()
        assert place.open().status().total_bytes == before + RECORD_BYTES

    def test_a_damaged_segment_is_trimmed_in_the_end(self, place: Any) -> None:
        write(place, *LONG)
        place.flip_body(place.segments()[0], LONG[1])
        spool = place.open()

        assert place.store_all(spool) > 0

        assert len(place.segments()) == 1
        assert place.signal_status(spool).lost_records == 0
        assert len(place.kept()) == 1

    def test_other_files_are_left_alone(self, place: Any) -> None:
        write(place, *FIVE)
        for name in ("note.txt", "x.seg", "-1.seg", "\u0661.seg"):
            (place.directory / "traces" / name).write_text("mine")

        assert place.bodies(place.open()) == FIVE

        assert (place.directory / "traces" / "x.seg").read_text() == "mine"


class TestTime:
    """A start takes as long whatever waits."""

    def test_of_a_full_segment_only_its_end_is_read(self, place: Any) -> None:
        spool = place.open(segment_bytes=1 << 20)
        for _ in range(100):
            place.put(spool, b"x" * 50_000)
        spool.close()
        *full, last = place.segments()
        assert len(full) >= 4

        disk = place.disk()
        place.open(disk, segment_bytes=1 << 20)

        assert disk.bytes_read[last] >= last.stat().st_size - 4096
        assert [path.name for path in full if disk.bytes_read[path] > path.stat().st_size // 100] == []


class TestBatchesAfterACrash:
    def test_unfinished_ones_are_identical(self, place: Any) -> None:
        """Id, token and records: the store may have the batch already."""
        spool = place.open()
        for number in range(30):
            place.put(spool, b"%d" % number * 200)
        batches = [place.batch(spool, records=7) for _ in range(4)]
        records = [spool.read_batch(batch) for batch in batches]
        spool.finish_batch(batches[1])
        left = [batch for index, batch in enumerate(batches) if index != 1]
        spool.close()
        place.now_ns = 0

        for _ in range(2):
            spool = place.open()
            assert not spool.rebooted
            assert spool.unfinished_batches() == left
            assert [spool.read_batch(batch) for batch in left] == [records[0], *records[2:]]
            assert spool.cursor(Signal.TRACES) == 28
            spool.close()

    def test_after_a_restart_of_the_machine_finished_ones_that_are_not_safe_come_back(
        self, place: Any
    ) -> None:
        spool = place.open()
        for number in range(30):
            place.put(spool, b"%d" % number * 200)
        safe, finished, begun = (place.batch(spool, records=10) for _ in range(3))
        spool.finish_batch(safe)
        spool.trim(spool.trim_mark())
        spool.finish_batch(finished)
        spool.trim_mark()
        spool.close()

        spool = place.open(boot=place.OTHER_BOOT)

        assert (spool.rebooted, spool.previous_boot_id) == (True, place.BOOT)
        found = spool.unfinished_batches()
        assert [batch.batch_id for batch in found] == [finished.batch_id, begun.batch_id]
        assert [batch.token for batch in found] == [finished.token, begun.token]
        assert [batch.before_reboot for batch in found] == [True, True]
        assert [record.seq for record in spool.read_batch(found[0])] == list(range(11, 21))
        place.put(spool, b"new")
        assert not place.batch(spool).before_reboot
        for batch in spool.unfinished_batches():
            spool.finish_batch(batch)
        spool.close()

        spool = place.open(boot=place.OTHER_BOOT)
        assert not spool.rebooted
        assert spool.unfinished_batches() == []

    def test_a_machine_that_does_not_tell_its_boot_is_taken_for_restarted(self, place: Any) -> None:
        spool = place.open(boot=None)
        assert not spool.rebooted
        place.put(spool)
        batch = place.batch(spool)
        spool.finish_batch(batch)
        spool.close()

        spool = place.open(boot=None)

        assert spool.rebooted
        assert [each.token for each in spool.unfinished_batches()] == [batch.token]

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1, "boot_id": "x"}', b"\xff"])
    def test_a_damaged_meta_file_is_taken_for_a_restart(self, content: bytes, place: Any) -> None:
        write(place, *FIVE)
        (place.directory / "spool.meta").write_bytes(content)

        spool = place.open()

        assert spool.rebooted
        assert place.bodies(spool) == FIVE

    @pytest.mark.parametrize("entry", range(6))
    def test_a_damaged_entry_loses_no_record(self, entry: int, place: Any) -> None:
        """Everything that is not known to be stored is in a batch or comes after the cursor."""
        spool = place.open()
        for number in range(6):
            place.put(spool, b"%d" % number)
        one, two = place.batch(spool, records=2), place.batch(spool, records=2)
        spool.finish_batch(one)
        spool.trim(spool.trim_mark())
        three = place.batch(spool, records=1)
        spool.finish_batch(two)
        del three
        spool.close()
        place.flip(place.directory / "batches.log", 16 + 112 * entry + 60)

        spool = place.open()

        found = {seq for batch in spool.unfinished_batches() for seq in seqs_of(spool, batch)}
        found |= {record.seq for record in place.read(spool, after=spool.cursor(Signal.TRACES))}
        assert found >= {5, 6}
        assert found <= {1, 2, 3, 4, 5, 6}

    def test_records_whose_batch_is_forgotten_get_a_new_one(self, place: Any) -> None:
        spool = place.open()
        for number in range(4):
            place.put(spool, b"%d" % number)
        forgotten, kept = place.batch(spool, records=2), place.batch(spool, records=1)
        spool.close()
        place.flip(place.directory / "batches.log", 16 + 60)

        spool = place.open()

        found = spool.unfinished_batches()
        assert [(batch.first_seq, batch.last_seq) for batch in found] == [(3, 3), (1, 2)]
        assert found[0] == kept
        assert found[1].token != forgotten.token
        assert spool.cursor(Signal.TRACES) == 3
        assert place.read(spool, after=3)[0].body == b"3"

    def test_without_its_log_of_batches_nothing_is_lost(self, place: Any) -> None:
        spool = place.open()
        for body in LONG:
            place.put(spool, body)
        place.batch(spool, records=10)
        spool.close()
        (place.directory / "batches.log").unlink()

        spool = place.open()

        assert spool.cursor(Signal.TRACES) == 0
        assert place.bodies(spool) == LONG

    def test_a_batch_whose_record_was_damaged_since(self, place: Any) -> None:
        spool = place.open()
        for body in FIVE:
            place.put(spool, body)
        batch = place.batch(spool)
        spool.close()
        place.flip_body(place.segments()[0], FIVE[2])
        spool = place.open()

        with structlog.testing.capture_logs() as logs:
            records = spool.read_batch(batch)

        assert [record.seq for record in records] == [1, 2, 4, 5]
        assert "no longer what it was" in logs[-1]["event"]


def seqs_of(spool: Any, batch: Any) -> list[int]:
    return [record.seq for record in spool.read_batch(batch)]
