"""Batches that are cut: both parts or none after a crash, and no record goes before its last piece is
stored."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.signals import Signal
from ingest.spool.errors import SpoolError
from ingest.spool.spool import Batch, Spool

ENTRY_BYTES = 112


def fill(place: Any, spool: Spool, records: int = 3) -> Batch:
    """Large records, one of which nearly fills a segment, and a batch of all of them."""
    for number in range(records):
        place.put(spool, b"%d" % number + bytes(3000))
    return place.batch(spool)


def known(batches: list[Batch]) -> list[tuple[int, int, str, Any, bool]]:
    return [(each.first_seq, each.last_seq, each.token, each.pieces, each.is_part) for each in batches]


def numbers(spool: Spool, batch: Batch) -> list[int]:
    return [record.seq for record in spool.read_batch(batch)]


def finish(spool: Spool, batch: Batch) -> int:
    spool.finish_batch(batch)
    return spool.trim(spool.trim_mark())


@pytest.mark.parametrize("restart", [False, True])
def test_two_batches_take_the_place_of_one(place: Any, restart: bool) -> None:
    spool = place.open()
    whole = fill(place, spool)
    parts = spool.split_batch(whole, last_seq=1)
    if restart:
        spool.close()
        spool = place.open()

    assert known(spool.unfinished_batches()) == known(list(parts))
    assert [numbers(spool, part) for part in parts] == [[1], [2, 3]]
    assert len({whole.token, parts[0].token, parts[1].token}) == 3
    assert whole.batch_id < parts[0].batch_id < parts[1].batch_id
    with pytest.raises(SpoolError, match="not waiting"):
        spool.split_batch(whole, last_seq=2)
    later = fill(place, spool, 1)
    assert later.batch_id > parts[1].batch_id
    status = place.signal_status(spool)
    assert (status.records_waiting, status.batches, status.lost_records) == (4, 3, 0)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_record_stays_until_its_last_piece_is_stored(place: Any, first: int, restart: bool) -> None:
    spool = place.open()
    front, rest = spool.split_batch(fill(place, spool), last_seq=1)
    one, others = spool.split_record(front, last_piece=1, pieces=3)
    two, three = spool.split_record(others, last_piece=2, pieces=3)
    assert [part.pieces for part in (one, two, three)] == [(1, 1), (2, 2), (3, 3)]
    spool.finish_batch(rest)
    pieces = [one, two, three]
    order = pieces[first:] + pieces[:first]
    for number, part in enumerate(order):
        assert place.bodies(spool)[0].startswith(b"0"), "a piece of it is not stored yet"
        assert numbers(spool, part) == [1]
        if restart:
            spool.close()
            spool = place.open()
        assert (finish(spool, part) > 0) == (number == 2)
    assert spool.unfinished_batches() == []
    assert len(place.segments()) == 1


def test_the_log_is_written_anew_with_parts_in_it(place: Any) -> None:
    spool = place.open()
    log = place.directory / "batches.log"
    while log.stat().st_size < 200 * 1024:
        place.put(spool, b"more")
        spool.finish_batch(place.batch(spool))
    last_seq = place.signal_status(spool).last_seq + 1
    front, rest = spool.split_batch(fill(place, spool), last_seq=last_seq)
    one, other = spool.split_record(front, last_piece=2, pieces=5)
    finish(spool, one)
    assert log.stat().st_size < 256 * 1024
    spool.close()

    spool = place.open()

    assert known(spool.unfinished_batches()) == known([rest, other])
    assert other.pieces == (3, 5)
    for part in (rest, other):
        finish(spool, part)
    assert place.signal_status(spool).records_waiting == 0


@pytest.mark.parametrize("kept", [0, 1, ENTRY_BYTES - 1, ENTRY_BYTES])
def test_a_torn_split_is_none(place: Any, kept: int) -> None:
    spool = place.open()
    whole = fill(place, spool)
    log = place.directory / "batches.log"
    before = log.stat().st_size
    parts = spool.split_batch(whole, last_seq=2)
    spool.close()
    log.write_bytes(log.read_bytes()[: before + kept])

    spool = place.open()

    expected = list(parts) if kept == ENTRY_BYTES else [whole]
    assert known(spool.unfinished_batches()) == known(expected)


def test_parts_of_another_boot_say_so(place: Any) -> None:
    spool = place.open()
    parts = spool.split_batch(fill(place, spool), last_seq=1)
    assert [part.before_reboot for part in parts] == [False, False]
    spool.finish_batch(parts[0])
    spool.close()
    spool = place.open(boot=place.OTHER_BOOT)
    assert known(spool.unfinished_batches()) == known(list(parts))
    assert [part.before_reboot for part in spool.unfinished_batches()] == [True, True]


@pytest.mark.parametrize("last_seq", [0, 3, 4])
def test_a_cut_lies_inside(place: Any, last_seq: int) -> None:
    spool = place.open()
    whole = fill(place, spool)
    with pytest.raises(ValueError, match="cannot end"):
        spool.split_batch(whole, last_seq=last_seq)
    with pytest.raises(ValueError, match="cannot be cut"):
        spool.split_record(whole, last_piece=1, pieces=2)
    assert known(spool.unfinished_batches()) == known([whole])


@pytest.mark.parametrize(("last_piece", "pieces"), [(0, 3), (3, 3), (1, 1), (4, 3)])
def test_a_record_is_cut_into_pieces_it_has(place: Any, last_piece: int, pieces: int) -> None:
    spool = place.open()
    whole = fill(place, spool, 1)
    with pytest.raises(ValueError, match="cannot be cut"):
        spool.split_record(whole, last_piece=last_piece, pieces=pieces)


def test_a_finished_batch_is_never_cut(place: Any) -> None:
    spool = place.open()
    whole = fill(place, spool)
    spool.finish_batch(whole)
    with pytest.raises(SpoolError, match="not waiting"):
        spool.split_batch(whole, last_seq=1)
    assert place.signal_status(spool, Signal.TRACES).records_waiting == 0
