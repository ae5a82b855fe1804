"""Checkpoints of a real engine: they hold what the tables hold, whatever is merged meanwhile, and let go of
the rest."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.store.checkpoint_format import LOGS_NAME, KeptTable, decode, is_part
from ingest.store.checkpoints import Checkpoints, Draft, Position
from ingest.store.durable import FileSystem, replace_durably
from ingest.store.engine import Engine
from ingest.store.errors import StoreDamagedError, StoreUnavailableError
from ingest.store.target import Embedded

NOWHERE = {signal: Position(0, 0) for signal in Signal}
COVERED = dict.fromkeys(Signal, 0)
of_the_engine = pytest.mark.embedded("checkpoints are links to the files of an engine")


@pytest.fixture
def target(store: Engine) -> Embedded:
    assert isinstance(store.target, Embedded)
    with store.session() as session:
        session.execute(
            "CREATE TABLE t (day UInt8, a UInt64) ENGINE = MergeTree ORDER BY a PARTITION BY day"
            " SETTINGS non_replicated_deduplication_window = 1000"
        )
    return store.target


@pytest.fixture
def checkpoints(target: Embedded) -> Iterator[Checkpoints]:
    opened = Checkpoints(target)
    assert opened.open(NOWHERE) is None
    yield opened
    opened.close()


def insert(session: Any, number: int) -> None:
    session.execute(
        "INSERT INTO t SELECT number % 2, {n:UInt64} FROM numbers(10)",
        {"n": number},
        {"insert_deduplication_token": f"token {number}", "insert_deduplicate": 1},
    )


def of(draft: Draft) -> KeptTable:
    (table,) = draft.tables
    return table


def folder_of(target: Embedded) -> Path:
    return target.directory / "checkpoint" / target.database


@of_the_engine
def test_parts_and_tokens_agree_whatever_is_merged(
    target: Embedded, store: Engine, checkpoints: Checkpoints
) -> None:
    ended = threading.Event()

    def merge() -> None:
        with store.session() as session:
            while not ended.is_set():
                session.execute("OPTIMIZE TABLE t FINAL")

    merging = threading.Thread(target=merge)
    merging.start()
    try:
        with store.session() as session:
            for number in range(25):
                insert(session, number)
                draft = checkpoints.look(session)
                checkpoints.keep(draft, COVERED)
                table = of(draft)
                copies = folder_of(target) / "parts" / table.key
                for part, kept in table.parts.items():
                    names = [path for path in (copies / kept.copy).rglob("*") if path.is_file()]
                    assert len(names) == kept.files > 5, part
                (log,) = table.logs
                written = (target.directory.resolve() / table.folder / LOGS_NAME / log.name).read_bytes()
                noted = [line.split(b"\t")[1].decode() for line in written[: log.size_bytes].splitlines()]
                assert len(noted) == 2 * (number + 1)
                for name in noted:
                    day, block, _, _ = name.split("_")
                    assert any(
                        day == each.split("_")[0]
                        and int(each.split("_")[1]) <= int(block) <= int(each.split("_")[2])
                        for each in table.parts
                    ), name
    finally:
        ended.set()
        merging.join()


@of_the_engine
@pytest.mark.parametrize("file", ["data.bin", "count.txt", "columns.txt", "checksums.txt"])
def test_a_part_that_is_not_whole(
    target: Embedded, store: Engine, checkpoints: Checkpoints, file: str
) -> None:
    """A full disk may leave empty files, and the engine goes by what it remembers of them."""
    with store.session() as session:
        insert(session, 1)
        before = checkpoints.look(session)
        checkpoints.keep(before, COVERED)
        insert(session, 2)
        place = target.directory / of(before).folder
        broken = next(
            path for path in place.iterdir() if is_part(path.name) and path.name not in of(before).parts
        )
        os.truncate(broken / file, 0)

        for _ in range(2):
            with pytest.raises(StoreDamagedError, match=f"t: .* {broken.name} "):
                checkpoints.look(session)
    # What was there before is still what a start goes back to.
    last = decode((folder_of(target) / "checkpoint.json").read_bytes())
    assert of(Draft(last.tables)).parts == of(before).parts


@of_the_engine
def test_what_was_merged_is_let_go_with_the_next(
    target: Embedded, store: Engine, checkpoints: Checkpoints
) -> None:
    with store.session() as session:
        insert(session, 1)
        insert(session, 2)
        first = checkpoints.look(session)
        assert checkpoints.keep(first, COVERED)
        assert not checkpoints.keep(checkpoints.look(session), COVERED)
        assert checkpoints.keep(checkpoints.look(session), dict.fromkeys(Signal, 1))
        session.execute("OPTIMIZE TABLE t FINAL")
        second = checkpoints.look(session)
        copies = folder_of(target) / "parts" / of(first).key
        # Not before the second is on the disk.
        assert {path.name for path in copies.iterdir()} == {*of(first).parts, *of(second).parts}
        checkpoints.keep(second, COVERED)

    assert {path.name for path in copies.iterdir()} == set(of(second).parts)
    assert set(of(second).parts).isdisjoint(of(first).parts)


@of_the_engine
def test_a_number_that_is_given_again(target: Embedded, store: Engine, checkpoints: Checkpoints) -> None:
    """After a start the engine may give a part the name of one that is gone. Its copy must not be taken for
    that of the new one."""
    with store.session() as session:
        insert(session, 1)
        draft = checkpoints.look(session)
        checkpoints.keep(draft, COVERED)
        first, second = of(draft).parts
        again = Checkpoints(target)
        again.open(NOWHERE)
        checksums = folder_of(target) / "parts" / of(draft).key / first / "checksums.txt"
        written = checksums.read_bytes()
        checksums.unlink()
        checksums.write_bytes(written)  # as another part with the same rows would have it

        parts = of(again.look(session)).parts

        assert (parts[first].copy, parts[second].copy) == (first + "+", second)
        again.close()


@of_the_engine
def test_an_idle_start_takes_no_checkpoint(target: Embedded, store: Engine, checkpoints: Checkpoints) -> None:
    with store.session() as session:
        insert(session, 1)
        checkpoints.keep(checkpoints.look(session), COVERED)
        again = Checkpoints(target)
        again.open(NOWHERE)

        assert not again.keep(again.look(session), COVERED)
        again.close()


@of_the_engine
def test_a_disk_that_has_failed_is_not_asked_again(
    store: Engine, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of it once; then it says yes."""
    answers = [-1, 0, 0]

    def failing(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(syncfs=lambda _: answers.pop(0))

    with store.session() as session:
        insert(session, 1)
        draft = checkpoints.look(session)
        with monkeypatch.context() as patch:
            patch.setattr(ctypes, "CDLL", failing)
            patch.setattr(ctypes, "get_errno", lambda: errno.EIO)
            for _ in range(2):
                with pytest.raises(OSError, match="Input/output error"):
                    checkpoints.keep(draft, COVERED)
    assert checkpoints.disk_failed
    assert checkpoints.taken_at_ns == 0
    assert len(answers) == 2


def test_where_there_is_no_syncfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr("os.sync", lambda: calls.append(None))
    disk = FileSystem(tmp_path)

    disk.sync()

    assert len(calls) == 1
    disk.close()


@of_the_engine
def test_checkpoints_that_are_closed_keep_nothing(store: Engine, checkpoints: Checkpoints) -> None:
    with store.session() as session:
        insert(session, 1)
        draft = checkpoints.look(session)
    checkpoints.close()

    with pytest.raises(StoreUnavailableError):
        checkpoints.keep(draft, COVERED)


# --- when a store goes back: the files of a table are looked at in test_put_back


@pytest.fixture
def place(tmp_path: Path) -> Embedded:
    return Embedded(tmp_path / "store")


def opened(place: Embedded, position: dict[Signal, Position] = NOWHERE) -> Any:
    checkpoints = Checkpoints(place)
    try:
        return checkpoints.open(position)
    finally:
        checkpoints.close()


def kept(place: Embedded, covered: int) -> None:
    checkpoints = Checkpoints(place)
    checkpoints.open(NOWHERE)
    checkpoints.keep(Draft(()), dict.fromkeys(Signal, covered))
    checkpoints.close()


def test_a_store_goes_back_at_each_start(place: Embedded) -> None:
    assert opened(place) is None  # there is nothing to go back to
    kept(place, 0)
    for _ in range(2):
        done = opened(place)
        assert done is not None
        assert done.problems == []


@pytest.mark.parametrize(
    ("safe_seq", "cursor", "fits"), [(3, 9, True), (5, 5, True), (6, 9, False), (0, 4, False)]
)
def test_a_checkpoint_of_another_spool(place: Embedded, safe_seq: int, cursor: int, *, fits: bool) -> None:
    """One that has already forgotten what is not in it, or that never had it."""
    kept(place, 5)

    done = opened(place, {signal: Position(safe_seq, cursor) for signal in Signal})

    assert bool(done.problems) is not fits


def test_a_spool_that_counts_on_what_came_later(place: Embedded) -> None:
    """It was opened as that of a server."""
    kept(place, 5)

    done = opened(place, {signal: Position(5, 9, is_trusted=True) for signal in Signal})

    assert "without checkpoints" in done.problems[0]


def test_a_checkpoint_that_cannot_be_read(place: Embedded) -> None:
    kept(place, 0)
    (folder_of(place) / "checkpoint.json").write_bytes(b"00000000\n{}")

    assert "cannot be read" in opened(place).problems[0]


def test_a_small_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "it"
    for content in (b"long" * 1000, b"short"):
        replace_durably(path, content)
        assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["it"]
