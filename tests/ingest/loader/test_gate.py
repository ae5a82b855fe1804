"""Holding inserts back for a moment."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from ingest.loader.gate import Gate, StillBusyError
from ingest.loader.loader import Loader
from ingest.loader.settings import LoaderSettings
from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.engine import Engine
from ingest.store.errors import StoreDamagedError
from ingest.store.target import Server


def test_the_gate_closes_when_nobody_is_inside() -> None:
    gate = Gate()
    entered, leave, closed = threading.Event(), threading.Event(), threading.Event()

    def inside() -> None:
        with gate.inserting():
            entered.set()
            assert leave.wait(20)

    def close() -> None:
        with gate.closed(20):
            closed.set()

    threads = [threading.Thread(target=each) for each in (inside, close)]
    threads[0].start()
    assert entered.wait(20)
    threads[1].start()
    assert not closed.wait(0.05)
    leave.set()
    assert closed.wait(20)
    for thread in threads:
        thread.join()


def test_what_is_under_way_is_waited_for_and_not_what_comes_after() -> None:
    gate = Gate()
    first, settled = gate.inserting(), threading.Event()
    first.__enter__()

    def settle() -> None:
        assert gate.settle(20)
        settled.set()

    thread = threading.Thread(target=settle)
    thread.start()
    assert not gate.settle(0.01), "the first is still inside"
    with gate.inserting():
        assert not settled.is_set()
        first.__exit__(None, None, None)
        assert settled.wait(20), "the second began later"
    thread.join()
    assert gate.settle(0)


@pytest.mark.parametrize("by", ["an insert", "a look"])
def test_a_damaged_store_is_left_alone(by: str) -> None:
    gate = Gate()
    with pytest.raises(StoreDamagedError), gate.inserting() if by == "an insert" else gate.closed(1):
        raise StoreDamagedError("a part is not whole")

    assert gate.damage == "a part is not whole"
    with pytest.raises(StoreDamagedError), gate.closed(1):
        pytest.fail("a checkpoint would have it")
    with pytest.raises(StoreDamagedError), gate.inserting():
        pytest.fail("it may be passed over")


def test_another_error_is_no_damage() -> None:
    gate = Gate()
    with pytest.raises(ValueError, match="other"), gate.inserting():
        raise ValueError("other")

    with gate.closed(1):
        assert gate.damage == ""


def test_who_comes_while_it_is_closed_waits() -> None:
    gate = Gate()
    entered = threading.Event()

    def inside() -> None:
        with gate.inserting():
            entered.set()

    thread = threading.Thread(target=inside)
    with gate.closed(1):
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(20)
    thread.join()


def test_the_gate_does_not_wait_for_ever() -> None:
    gate = Gate()
    with gate.inserting():
        with pytest.raises(StillBusyError, match=r"more than 0\.01 s"), gate.closed(0.01):
            pytest.fail("it was not empty")
        with gate.inserting():  # open again
            pass


class Gathering:
    """A writer that takes all there is; the engine is never asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.inserting: Any = None

    def look(self, *_: object) -> None:
        return None

    def insert(self, signal: Signal, batch_id: int, token: str, requests: list[Any]) -> None:
        with self.inserting():
            self.bodies += [request.body for request in requests]

    def close(self) -> None:
        pass


def test_while_the_loader_is_paused_nothing_is_stored_and_all_that_was_is_trimmed(
    spool: Spool, fill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Gathering()

    def gathering(_: Engine, inserting: Any, known: Any) -> Gathering:
        writer.inserting = inserting
        return writer

    monkeypatch.setattr("ingest.loader.loader.OtlpWriter", gathering)
    engine = Engine(Server("host", 1, "default", "", "lowtide", secure=False))
    loader = Loader(spool, engine, LoaderSettings(interval_ms=0), registry=CollectorRegistry())
    loader.start()
    fill(spool, [b"before"])
    while spool.status().signals[0].records_waiting:
        threading.Event().wait(0.005)

    with loader.paused(30):
        assert spool.unfinished_batches() == []
        fill(spool, [b"meanwhile"])
        while spool.cursor(Signal.TRACES) < 2:  # it is begun, and waits
            threading.Event().wait(0.005)
        assert writer.bodies == [b"before"]
        with spool.still() as directory:
            shutil.copytree(directory, tmp_path / "copy")
    assert loader.stop(30)
    assert writer.bodies == [b"before", b"meanwhile"]
    # Elsewhere, where nothing that was not made safe is believed, only what came meanwhile comes again.
    with Spool.open(tmp_path / "copy", SpoolSettings(), boot_id=lambda: None) as copied:
        assert [batch.first_seq for batch in copied.unfinished_batches()] == [2]
        assert copied.status().signals[0].records_waiting == 1
