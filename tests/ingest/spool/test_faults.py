"""A disk that fills up or breaks: what senders are told, and that it recovers or stops for good."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.spool.errors import SpoolFailedError, SpoolFullError, SpoolReadError


class TestFullDisk:
    @pytest.mark.parametrize("room", [0, 1, 43, 44, 300])
    def test_it_is_refused_and_taken_again_once_there_is_room(self, room: int, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        place.put(spool, b"before")
        size = place.segments()[0].stat().st_size
        disk.room = room

        for _ in range(3):
            with pytest.raises(SpoolFullError, match="full"):
                place.put(spool, b"x" * 500)
        assert place.segments()[0].stat().st_size == size
        disk.room = None

        assert place.put(spool, b"after") == 2
        assert place.bodies(spool) == [b"before", b"after"]
        assert spool.status().failed == ""
        spool.close()
        assert place.bodies(place.open()) == [b"before", b"after"]

    @pytest.mark.parametrize("room", [0, 10, 51, 52, 60, 84, 100])
    def test_at_the_change_of_segments(self, room: int, place: Any) -> None:
        """The seal, the new file and its header each find no room."""
        disk = place.disk()
        spool = place.open(disk)
        place.put(spool, b"x" * 3900)
        disk.room = room

        for _ in range(3):
            with pytest.raises(SpoolFullError):
                place.put(spool, b"y" * 1000)
        disk.room = None

        assert place.put(spool, b"z" * 1000) == 2
        assert [body[:1] for body in place.bodies(spool)] == [b"x", b"z"]
        spool.close()
        assert [body[:1] for body in place.bodies(place.open())] == [b"x", b"z"]

    def test_a_batch_is_stored_and_room_given_back_on_a_full_disk(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        for _ in range(20):
            place.put(spool, b"x" * 1000)
        disk.room = 0

        batch = place.batch(spool)
        spool.finish_batch(batch)
        assert spool.trim(spool.trim_mark()) > 0

        assert disk.room > 0
        assert place.put(spool, b"again") == 21
        spool.close()
        spool = place.open()
        assert spool.cursor(Signal.TRACES) == 20
        assert spool.unfinished_batches() == []

    def test_without_even_a_reserve_nothing_breaks(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        for _ in range(20):
            place.put(spool, b"x" * 1000)
        batch = place.batch(spool, records=10)
        (place.directory / "reserve").unlink()
        disk.room = 0

        with pytest.raises(SpoolFullError):
            place.batch(spool)
        spool.finish_batch(batch)
        assert spool.trim(spool.trim_mark()) == 0
        assert spool.status().failed == ""
        disk.room = None

        assert spool.trim(spool.trim_mark()) > 0
        assert (place.directory / "reserve").exists()
        assert place.batch(spool).first_seq == 11

    def test_a_finish_that_found_no_room_is_written_later(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        place.put(spool)
        batch = place.batch(spool)
        disk.room = 0
        spool.finish_batch(batch)
        disk.room = None
        spool.close()

        assert place.open().unfinished_batches() == []

    def test_it_opens_on_a_full_disk(self, place: Any) -> None:
        """Or nobody could empty it; after a restart of the machine, too."""
        spool = place.open()
        place.put(spool)
        spool.close()
        disk = place.disk()
        disk.room = 0

        spool = place.open(disk, boot=place.OTHER_BOOT)

        assert spool.rebooted
        assert place.bodies(spool) == [b"body"]
        spool.close()
        assert not place.open(boot=place.OTHER_BOOT).rebooted

    def test_too_many_open_files_pass(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        disk.fail = lambda name, _: errno.EMFILE if name == "create" else None

        with pytest.raises(SpoolFullError, match="send again later"):
            place.put(spool)
        disk.fail = lambda _name, _path: None

        assert place.put(spool) == 1


class TestBrokenDisk:
    @pytest.mark.parametrize("call", ["writev", "sync"])
    def test_it_stops_for_good(self, call: str, place: Any) -> None:
        """An fsync that failed is never repeated: the kernel would say yes, and the pages are gone."""
        disk = place.disk()
        spool = place.open(disk)
        place.put(spool, b"before")
        disk.fail = lambda name, _: errno.EIO if name == call else None

        with pytest.raises(SpoolFailedError):
            place.put(spool, b"broken")
        disk.fail = lambda _name, _path: None
        calls = len(disk.calls)

        for signal in Signal:
            with pytest.raises(SpoolFailedError, match="repair the disk, then start anew"):
                place.put(spool, b"later", signal)
        with pytest.raises(SpoolFailedError):
            place.batch(spool)
        assert spool.trim(spool.trim_mark()) == 0
        assert {name for name, _ in disk.calls[calls:]} <= {"open_read", "pread"}
        assert "Input/output error" in spool.status().failed
        assert place.bodies(spool) == [b"before"]

        spool.close()
        assert place.bodies(place.open())[:1] == [b"before"]

    @pytest.mark.parametrize("call", ["create", "sync_directory", "sync", "writev"])
    def test_at_the_change_of_segments(self, call: str, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        place.put(spool, b"x" * 4000)
        disk.fail = lambda name, _: errno.EIO if name == call else None

        with pytest.raises(SpoolFailedError):
            place.put(spool, b"y" * 4000)
        disk.fail = lambda _name, _path: None
        with pytest.raises(SpoolFailedError):
            place.put(spool, b"z" * 4000)

        spool.close()
        spool = place.open()
        assert place.bodies(spool) == [b"x" * 4000]
        assert place.put(spool, b"new") == 2

    def test_what_was_queued_behind_the_failure_is_not_acknowledged(self, place: Any) -> None:
        """Neither of the same signal, nor of another in the same group."""
        disk, stand, release = place.disk(), threading.Event(), threading.Event()
        spool = place.open(disk)

        def fail(name: str, path: Path | None) -> int | None:
            if name == "sync" and path is not None and path.suffix == ".seg" and not stand.is_set():
                stand.set()
                release.wait(30)
                return errno.EIO
            return None

        disk.fail = fail
        first = place.send(spool, b"first")
        assert stand.wait(30)
        rest = [place.send(spool, b"rest", signal) for signal in Signal]
        release.set()

        for future in (first, *rest):
            assert isinstance(future.exception(30), SpoolFailedError)

    @pytest.mark.parametrize("call", ["writev", "sync"])
    def test_the_log_of_batches(self, call: str, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        place.put(spool)
        disk.fail = lambda name, _: errno.EIO if name == call else None

        with pytest.raises(SpoolFailedError):
            place.batch(spool)
        disk.fail = lambda _name, _path: None

        with pytest.raises(SpoolFailedError):
            place.put(spool)
        assert spool.cursor(Signal.TRACES) == 0

    def test_the_log_of_batches_written_anew_and_not_put_in_place(self, place: Any) -> None:
        """The old file may have lost its name: what is written to it from now on would be gone."""
        disk = place.disk()
        spool = place.open(disk)
        disk.fail = lambda name, path: (
            errno.ENOSPC if name == "sync_directory" and path == place.directory else None
        )

        def run() -> None:
            for _ in range(2000):
                place.put(spool)
                spool.finish_batch(place.batch(spool))
                spool.trim(spool.trim_mark())

        with pytest.raises(SpoolFailedError, match=r"replacing .*batches.log failed"):
            run()

    def test_a_segment_that_cannot_be_deleted(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        for _ in range(20):
            place.put(spool, b"x" * 1000)
        spool.finish_batch(place.batch(spool))
        disk.fail = lambda name, _: errno.EACCES if name == "unlink" else None

        with pytest.raises(OSError, match="Permission denied"):
            spool.trim(spool.trim_mark())
        disk.fail = lambda _name, _path: None

        assert place.put(spool) == 21
        assert spool.trim(spool.trim_mark()) > 0

    def test_a_disk_that_does_not_answer_a_read(self, place: Any) -> None:
        """Nothing is called lost because of that."""
        disk = place.disk()
        spool = place.open(disk)
        place.put(spool)
        disk.fail = lambda name, _: errno.EIO if name == "pread" else None

        with pytest.raises(SpoolReadError, match="cannot be read"):
            place.read(spool)
        status = place.signal_status(spool)
        assert (status.records_waiting, status.oldest_received_ns, status.lost_records) == (1, None, 0)
        disk.fail = lambda _name, _path: None

        assert place.bodies(spool) == [b"body"]

    def test_a_segment_that_was_removed_by_hand(self, place: Any) -> None:
        spool = place.open()
        place.put(spool)
        place.segments()[0].unlink()

        with pytest.raises(SpoolReadError, match="removed by hand"):
            place.read(spool)

    def test_a_fault_in_the_writer_leaves_nobody_waiting(
        self, place: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool = place.open()

        def broken(*_: object) -> bytes:
            raise MemoryError

        monkeypatch.setattr("ingest.spool.signal_log.record_head", broken)

        with pytest.raises(SpoolFailedError, match="writer failed"):
            place.put(spool)
        with pytest.raises(SpoolFailedError):
            place.put(spool)
