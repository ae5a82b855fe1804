"""Requests that are sent again: what is recognised, for how long, and what becomes of it when things fail.

Crashes at every call are in `test_crashes`.
"""

from __future__ import annotations

import errno
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from ingest.signals import Signal
from ingest.spool.errors import SpoolFailedError, SpoolFullError, SpoolReadError
from ingest.spool.records import Receipt, ResendStatus, request_digest
from ingest.spool.resend_index import ResendIndex
from ingest.spool.spool import Spool

SECOND_NS = 1_000_000_000


def digest(body: bytes, *, tenant: str = "default", form: str = "protobuf") -> bytes:
    return request_digest(Signal.TRACES, tenant, form, body)


def send(spool: Spool, body: bytes, reply: bytes = b"", signal: Signal = Signal.TRACES) -> Receipt:
    return spool.append_once(
        signal, "default", body, items=3, received_ns=1, digest=digest(body), reply=reply
    )


def put(spool: Spool, body: bytes, reply: bytes = b"") -> bool:
    """Send, and wait until it is acknowledged; whether it was known."""
    receipt = send(spool, body, reply)
    receipt.stored.result(30)
    return receipt.is_resend


def known(spool: Spool, body: bytes) -> bool:
    return spool.recall(Signal.TRACES, digest(body)) is not None


def logs_of(place: Any) -> list[Path]:
    return sorted((place.directory / "resends").glob("*.log"))


def fill(place: Any, spool: Spool, segments: int = 2) -> None:
    """Other requests, until that many segments are sealed."""
    before = len(place.segments())
    number = 0
    while len(place.segments()) < before + segments:
        put(spool, b"other %d " % number + bytes(900))
        number += 1


class TestRecognised:
    def test_it_is_stored_once_and_the_first_reply_is_known(self, place: Any) -> None:
        registry = CollectorRegistry()
        spool = place.open(registry=registry)
        assert not put(spool, b"one", b"what was said")

        again = send(spool, b"one", b"something else")

        assert again.is_resend
        assert again.stored.done()
        assert spool.reply(again) == b"what was said"
        assert place.bodies(spool) == [b"one"]
        assert place.read(spool)[0].digest == digest(b"one")
        labels = {"signal": "traces"}
        assert registry.get_sample_value("lowtide_spool_resends_total", labels) == 1
        assert registry.get_sample_value("lowtide_spool_requests_total", labels) == 1
        assert registry.get_sample_value("lowtide_spool_resend_entries") == 1
        assert registry.get_sample_value("lowtide_spool_resend_window_seconds") == 900

    def test_tenant_signal_and_form_make_another_request(self) -> None:
        digests = {
            request_digest(signal, tenant, form, body)
            for signal in Signal
            for tenant in ("a", "ab", "")
            for form in ("protobuf", "json")
            for body in (b"", b"b", b"bc")
        }
        assert len(digests) == 3 * 3 * 2 * 3

    def test_plain_requests_are_not_remembered(self, place: Any) -> None:
        spool = place.open()
        place.put(spool, b"one")
        assert not known(spool, b"one")
        assert not put(spool, b"one")
        assert place.bodies(spool) == [b"one", b"one"]

    @pytest.mark.parametrize("trimmed", [False, True])
    @pytest.mark.parametrize("boot", ["BOOT", "OTHER_BOOT"])
    def test_it_outlives_trimming_and_restarts(self, place: Any, trimmed: bool, boot: str) -> None:
        spool = place.open()
        put(spool, b"one", b"said")
        put(spool, b"two")
        if trimmed:
            fill(place, spool)
            assert place.store_all(spool) > 1
            assert b"one" not in place.bodies(spool)
        spool.close()

        for _ in range(2):
            spool = place.open(boot=getattr(place, boot))
            for body, reply in ((b"one", b"said"), (b"two", b"")):
                again = send(spool, body, b"else")
                assert (again.is_resend, spool.reply(again)) == (True, reply)
            spool.close()

    def test_two_at_the_same_moment_are_one(self, place: Any) -> None:
        spool = place.open(queue_bytes=1 << 24)
        receipts: list[list[Receipt]] = [[] for _ in range(4)]
        barrier = threading.Barrier(4)

        def run(mine: list[Receipt]) -> None:
            barrier.wait()
            mine += [send(spool, b"body %d" % number, b"reply") for number in range(200)]

        threads = [threading.Thread(target=run, args=(mine,)) for mine in receipts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        for of_one in zip(*receipts, strict=True):
            assert sum(not receipt.is_resend for receipt in of_one) == 1
            for receipt in of_one:
                receipt.stored.result(30)
                assert spool.reply(receipt) == b"reply"
        assert sorted(place.bodies(spool)) == sorted(b"body %d" % number for number in range(200))

    def test_a_repetition_waits_for_the_same_fsync(self, place: Any) -> None:
        disk, held, released = place.disk(), threading.Event(), threading.Event()
        spool = place.open(disk)
        put(spool, b"zero")

        def slow(name: str, path: Path | None) -> int | None:
            if name == "sync":
                held.set()
                assert released.wait(30)
            return None

        disk.fail = slow
        first = send(spool, b"one")
        assert held.wait(30)
        again = [send(spool, b"one"), spool.recall(Signal.TRACES, digest(b"one"))]
        assert [receipt.stored.done() for receipt in again] == [False, False]
        released.set()

        assert first.stored.result(30) == again[0].stored.result(30) == again[1].stored.result(30) == 2

    def test_none_are_remembered_if_so_set(self, place: Any) -> None:
        spool = place.open(resend_entries=0)
        assert not put(spool, b"one")
        assert not put(spool, b"one")
        assert place.bodies(spool) == [b"one", b"one"]
        assert logs_of(place) == []
        assert spool.status().resends == ResendStatus(0, 0.0)

    def test_a_reply_has_its_bounds(self, place: Any) -> None:
        spool = place.open()
        put(spool, b"one", bytes(65_535))
        assert spool.reply(send(spool, b"one")) == bytes(65_535)
        with pytest.raises(ValueError, match="65535"):
            send(spool, b"two", bytes(65_536))
        assert not put(spool, b"two")


class TestWindow:
    def test_it_ends_with_time_whatever_the_time_of_day(self, place: Any) -> None:
        spool = place.open(resend_window_s=60)
        put(spool, b"one")
        for jump_s in (-86_400, 86_400):
            place.now_ns += jump_s * SECOND_NS
            assert known(spool, b"one")
        place.ticks_ns += 60 * SECOND_NS
        assert known(spool, b"one")
        place.ticks_ns += 1
        assert not known(spool, b"one")
        assert not put(spool, b"one")
        assert known(spool, b"one")

    def test_what_an_earlier_process_took_counts_as_new(self, place: Any) -> None:
        spool = place.open(resend_window_s=60)
        put(spool, b"one")
        spool.close()
        place.ticks_ns += 3600 * SECOND_NS
        spool = place.open(resend_window_s=60)
        assert known(spool, b"one")
        place.ticks_ns += 61 * SECOND_NS
        assert not known(spool, b"one")

    def test_it_ends_with_the_number_of_requests(self, place: Any) -> None:
        spool = place.open(resend_entries=5, resend_window_s=60)
        for number in range(8):
            place.ticks_ns += SECOND_NS
            put(spool, b"%d" % number)
        assert [known(spool, b"%d" % number) for number in range(8)] == [False] * 3 + [True] * 5
        place.ticks_ns += 2 * SECOND_NS
        assert spool.status().resends == ResendStatus(5, 7.0)

    def test_its_files_are_bounded(self, place: Any) -> None:
        spool = place.open(resend_entries=1000, segment_bytes=1 << 20)
        for number in range(150):
            put(spool, b"%d" % number, bytes(1000))
        sizes = [path.stat().st_size for path in logs_of(place)]
        assert len(sizes) == 16
        assert sum(sizes) < 1000 * 68 + 2000
        status = spool.status().resends
        assert status.entries < 100
        for number in range(150):
            receipt = spool.recall(Signal.TRACES, digest(b"%d" % number))
            assert (receipt is not None) == (number >= 150 - status.entries)
            assert receipt is None or spool.reply(receipt) == bytes(1000)

    def test_files_whose_time_is_over_go(self, place: Any) -> None:
        spool = place.open(resend_entries=1000, segment_bytes=1 << 20, resend_window_s=60)
        for number in range(50):
            put(spool, b"%d" % number, bytes(1000))
        assert len(logs_of(place)) > 5
        place.ticks_ns += 61 * SECOND_NS
        for number in range(50, 55):
            put(spool, b"%d" % number, bytes(1000))
        assert len(logs_of(place)) <= 3
        assert spool.status().resends.window_s == 60


class TestDamage:
    def test_a_torn_end_is_cut_and_told_by_the_segment(self, place: Any) -> None:
        spool = place.open()
        put(spool, b"one", b"said")
        put(spool, b"two", b"said too")
        spool.close()
        path = logs_of(place)[0]
        path.write_bytes(path.read_bytes()[:-3])

        spool = place.open()

        for body, reply in ((b"one", b"said"), (b"two", b"said too")):
            assert spool.reply(send(spool, body)) == reply

    @pytest.mark.parametrize("content", [b"", b"LTAG", bytes(100)])
    def test_a_file_without_a_beginning_is_begun_anew(self, place: Any, content: bytes) -> None:
        spool = place.open()
        put(spool, b"one")
        spool.close()
        logs_of(place)[0].write_bytes(content)

        spool = place.open()
        assert known(spool, b"one")
        put(spool, b"two")
        spool.close()
        spool = place.open()
        assert known(spool, b"one")
        assert known(spool, b"two")

    def test_damage_takes_only_what_follows_in_its_file(self, place: Any) -> None:
        spool = place.open()
        for number in range(4):
            put(spool, b"%d" % number)
        fill(place, spool)
        place.store_all(spool)
        spool.close()
        place.flip(logs_of(place)[0], 16 + 2 * 40 + 20)

        with structlog.testing.capture_logs() as logs:
            spool = place.open()

        assert [known(spool, b"%d" % number) for number in range(4)] == [True, True, False, False]
        assert any("cut" in entry["event"] for entry in logs)

    def test_a_request_that_the_spool_lost_is_taken_again(self, place: Any) -> None:
        spool = place.open()
        put(spool, b"one", b"said")
        put(spool, b"two" * 300)
        spool.close()
        place.flip_body(place.segments()[0], b"two" * 300)

        for _ in range(2):
            spool = place.open()
            assert (known(spool, b"one"), known(spool, b"two" * 300)) == (True, False)
            assert spool.reply(send(spool, b"one")) == b"said"
            spool.close()
        spool = place.open()
        assert not put(spool, b"two" * 300)
        assert place.bodies(spool) == [b"one", b"two" * 300]

    def test_a_reply_that_cannot_be_read(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        put(spool, b"one", b"said")
        receipt = spool.recall(Signal.TRACES, digest(b"one"))
        path = logs_of(place)[0]
        for call in ("open_read", "pread"):
            disk.fail = lambda name, at, call=call: errno.EIO if (name, at) == (call, path) else None
            with pytest.raises(SpoolReadError, match=path.name):
                spool.reply(receipt)
        disk.fail = lambda _name, _path: None
        place.flip(path, 16 + 42)
        assert spool.reply(receipt) is None
        path.unlink()
        assert spool.reply(receipt) is None


class TestFailures:
    def test_a_refused_request_is_not_remembered(self, place: Any) -> None:
        spool = place.open(queue_bytes=1024, limit_bytes=600_000, resend_entries=1000)
        with pytest.raises(SpoolFullError):
            send(spool, bytes(600_000))
        assert not known(spool, bytes(600_000))

    def test_whoever_waits_for_a_refused_request_is_refused(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        put(spool, b"zero")
        held, released = threading.Event(), threading.Event()

        def full(name: str, path: Path | None) -> int | None:
            if name != "writev":
                return None
            held.set()
            assert released.wait(30)
            return errno.ENOSPC

        disk.fail = full
        receipts = [send(spool, b"one")]
        assert held.wait(30)
        receipts.append(send(spool, b"one"))
        released.set()
        for receipt in receipts:
            assert isinstance(receipt.stored.exception(30), SpoolFullError)
        disk.fail = lambda _name, _path: None
        place.eventually(lambda: not known(spool, b"one"))
        assert not put(spool, b"one")
        assert place.bodies(spool) == [b"zero", b"one"]

    def test_a_full_disk_only_puts_the_note_off(self, place: Any) -> None:
        disk = place.disk()
        spool = place.open(disk)
        disk.fail = lambda name, path: (
            errno.ENOSPC if path is not None and path.parent.name == "resends" else None
        )
        put(spool, b"one", b"said")
        assert spool.reply(send(spool, b"one")) == b"said"
        assert logs_of(place) == []
        # The segment cannot be sealed: the note would be lost with it.
        with pytest.raises(SpoolFullError, match="full"):
            fill(place, spool)
        disk.fail = lambda _name, _path: None
        fill(place, spool)
        place.store_all(spool)
        spool.close()
        spool = place.open()
        assert spool.reply(send(spool, b"one")) == b"said"

    @pytest.mark.parametrize("call", ["create", "writev", "sync", "sync_directory"])
    def test_a_disk_that_fails_stops_the_spool(self, place: Any, call: str) -> None:
        disk = place.disk()
        spool = place.open(disk)
        disk.fail = lambda name, path: (
            errno.EIO
            if name == call and path is not None and "resends" in (path.name, path.parent.name)
            else None
        )
        with pytest.raises(SpoolFailedError):
            fill(place, spool, segments=3)
        assert "resends" in spool.failed
        spool.close()
        # What had been written is known, acknowledged or not.
        spool = place.open()
        for body in place.bodies(spool):
            assert put(spool, body)

    def test_a_spool_of_the_version_before_is_taken_over(self, place: Any) -> None:
        spool = place.open()
        place.put(spool, b"one")
        spool.close()
        meta = place.directory / "spool.meta"
        meta.write_text(meta.read_text().replace('"version": 2', '"version": 1'))

        spool = place.open()
        assert '"version": 2' in meta.read_text()
        put(spool, b"two")
        assert place.bodies(spool) == [b"one", b"two"]


@given(
    entries=st.integers(1, 9),
    steps=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(0, 30)), max_size=60),
)
def test_the_index_is_a_list_of_the_last(entries: int, steps: list[tuple[int, int, int]]) -> None:
    index, model, now = ResendIndex(entries), [], 0
    for key, passed, forget in steps:
        now += passed
        name = key.to_bytes(16, "big")
        model.append((name, now, key + now))
        assert index.add(name, now, key + now) == len(model)
        first = max(index.oldest, 1)
        if forget > 25:
            index.forget(len(model) - 2)
        kept = model[index.oldest - 1 :]
        assert len(index) == len(kept) <= entries
        assert index.oldest >= first
        assert index.gone_ns == (model[index.oldest - 2][1] if index.oldest > 1 else None)
        for wanted in range(13):
            found = [(at, place) for one, at, place in kept if one == wanted.to_bytes(16, "big")]
            newest = found[-1] if found else None
            for limit in (0, now - 2):
                expected = newest[1] if newest is not None and newest[0] >= limit else None
                assert index.find(wanted.to_bytes(16, "big"), limit) == expected


def test_a_future_of_before_is_done(place: Any) -> None:
    spool = place.open()
    put(spool, b"one")
    receipt = spool.recall(Signal.TRACES, digest(b"one"))
    assert isinstance(receipt.stored, Future)
    assert receipt.stored.result(0) == 0
