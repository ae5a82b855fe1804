"""Stopping the loader's threads between two attempts."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from ingest.loader.loader import Loader
from ingest.loader.settings import LoaderSettings
from ingest.loader.standstill import Standstill, StillBusyError
from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.engine import Engine
from ingest.store.target import Server


def test_who_works_is_waited_for() -> None:
    standstill, begun, end = Standstill(), threading.Event(), threading.Event()
    order = []

    def work() -> None:
        with standstill.work():
            begun.set()
            end.wait()
            order.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    threading.Timer(0.05, end.set).start()
    with standstill.stop(30):
        order.append("stopped")
    thread.join()
    assert order == ["worked", "stopped"]


def test_who_wants_to_work_waits() -> None:
    standstill = Standstill()
    order = []

    def work() -> None:
        with standstill.work():
            order.append("worked")

    thread = threading.Thread(target=work)
    with standstill.stop(0):
        thread.start()
        thread.join(0.05)
        order.append("stopped")
    thread.join()
    assert order == ["stopped", "worked"]


def test_one_that_takes_too_long() -> None:
    standstill = Standstill()
    with standstill.work(), pytest.raises(StillBusyError, match="more than 0 s"), standstill.stop(0):
        pytest.fail("it was not still")
    with standstill.work():
        pass
    with standstill.stop(0), pytest.raises(StillBusyError, match="somebody else"), standstill.stop(0):
        pytest.fail("there were two")
    with standstill.stop(0):
        pass


class Gathering:
    """A writer that takes all there is; the engine is never asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def insert(self, signal: Signal, batch_id: int, token: str, requests: list[Any]) -> None:
        self.bodies += [request.body for request in requests]

    def close(self) -> None:
        pass


def test_while_the_loader_is_paused_nothing_is_stored_and_all_that_was_is_trimmed(
    spool: Spool, fill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Gathering()
    monkeypatch.setattr("ingest.loader.loader.OtlpWriter", lambda _: writer)
    engine = Engine(Server("host", 1, "default", "", "lowtide", secure=False))
    loader = Loader(spool, engine, LoaderSettings(interval_ms=0), registry=CollectorRegistry())
    loader.start()
    fill(spool, [b"before"])
    while spool.status().signals[0].records_waiting:
        threading.Event().wait(0.005)

    with loader.paused(30):
        assert spool.unfinished_batches() == []
        fill(spool, [b"meanwhile"])
        threading.Event().wait(0.3)
        assert writer.bodies == [b"before"]
        with spool.still() as directory:
            shutil.copytree(directory, tmp_path / "copy")
    assert loader.stop(30)
    assert writer.bodies == [b"before", b"meanwhile"]
    # Elsewhere, where nothing that was not made safe is believed, it does not come again.
    with Spool.open(tmp_path / "copy", SpoolSettings(), boot_id=lambda: None) as copied:
        assert copied.unfinished_batches() == []
        assert copied.status().signals[0].records_waiting == 1
