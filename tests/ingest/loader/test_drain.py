"""The store is away until the spool is full, and comes back: everything arrives once, in large batches, while
more is taken; in order if one batch is inserted at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from ingest.loader.pipe import Pipe, PipeStatus
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.signals import Signal
from ingest.spool.errors import SpoolFullError
from ingest.spool.records import request_digest
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.errors import StoreUnavailableError
from support.waiting import PATIENCE_S, until

SMALL = SpoolSettings(segment_bytes=64 * 1024, limit_bytes=1024 * 1024, group_commit_ms=0)
BATCH = LoaderSettings(interval_ms=0, retry_max_s=0.01, batch_bytes=128 * 1024)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Spool]:
    with Spool.open(tmp_path / "spool", SMALL) as opened:
        yield opened


def body_of(number: int) -> bytes:
    return b"%06d" % number + bytes(10_000)


def take(spool: Spool, number: int) -> bool:
    """Send a request as the collector does; whether it was recognised as sent before."""
    spool.check_room(Signal.TRACES)
    body = body_of(number)
    receipt = spool.append_once(
        Signal.TRACES, "default", body, items=1, received_ns=1, reply=b"",
        digest=request_digest(Signal.TRACES, "default", "form", body),
    )  # fmt: skip
    receipt.stored.result()
    return receipt.is_resend


def fill(spool: Spool, first: int) -> int:
    """Send until it is refused; returns the number that was."""
    for number in range(first, 10_000):
        try:
            take(spool, number)
        except SpoolFullError:
            return number
    raise AssertionError("the spool is never full")


class AwayStore:
    """Away until told otherwise. Once it is back, what it refused comes first, since nothing can be trimmed
    before that is stored; and what `between` does comes after each insert."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.asked = threading.Semaphore(0)
        self.stored: list[bytes] = []
        self.batches: list[int] = []
        self.between: Any = lambda: None
        self._refused: set[int] = set()
        self._one_by_one = threading.Condition()

    def look(self, *_: object) -> None:
        return None

    def insert(self, signal: Signal, batch_id: int, token: str, requests: list[Any]) -> None:
        self.asked.release()
        with self._one_by_one:
            if not self.back.is_set():
                self._refused.add(batch_id)
                raise StoreUnavailableError("away")
            assert self._one_by_one.wait_for(
                lambda: not self._refused or batch_id in self._refused, PATIENCE_S
            )
            self.stored += [request.body[:6] for request in requests]
            self.batches.append(sum(len(request.body) for request in requests))
            self.between()
            self._refused.discard(batch_id)
            self._one_by_one.notify_all()

    def holds(self, signal: Signal, batch_id: int) -> bool:
        return False


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_full_spool_drains_in_order_while_more_is_taken(small: Spool, at_once: int) -> None:
    store = AwayStore()
    settings = BATCH.model_copy(update={"inserts_at_once": at_once})
    drain, halt = threading.Event(), threading.Event()
    pipe = Pipe(Signal.TRACES, small, store, settings, LoaderMetrics(CollectorRegistry()), drain, halt)
    thread = threading.Thread(target=pipe.run)
    thread.start()
    refused = fill(small, 0)
    assert refused > 50
    for _ in range(5):
        assert store.asked.acquire(timeout=30), "it is tried again and again"
    assert pipe.status.error
    with pytest.raises(SpoolFullError):
        take(small, refused)
    taken = [refused]

    def trim_and_take() -> None:
        """What the collector and the clean-up do meanwhile, after each batch but the last few."""
        small.trim(small.trim_mark())
        if len(taken) < 20:
            try:
                assert not take(small, taken[-1])
            except SpoolFullError:
                return
            taken.append(taken[-1] + 1)

    store.between = trim_and_take
    store.back.set()
    until(lambda: not pipe.status.error and len(store.stored) >= refused)
    drain.set()
    thread.join(30)
    assert not pipe.status.failed

    assert len(taken) > 2, "more was taken while it drained"
    everything = [b"%06d" % number for number in range(taken[-1])]
    assert (store.stored if at_once == 1 else sorted(store.stored)) == everything
    # The first were begun with the little that was there; those of the backlog are as large as may be.
    backlog = sorted(store.batches[: refused // 12])[at_once:]
    assert min(backlog) > 0.9 * BATCH.batch_bytes
    # Who sends again what was taken before the outage, or during it, is recognised.
    assert take(small, 0)
    assert take(small, taken[-1] - 1)
    assert len(store.stored) == taken[-1]


def test_the_speed_is_that_of_the_last_batches() -> None:
    status = PipeStatus()
    assert status.bytes_per_s is None
    status.timed(0, 1.0, 1.0)
    assert status.bytes_per_s is None
    status.timed(1000, 1.0, 2.0)
    assert status.bytes_per_s == 1000
    for second in range(2, 22):
        status.timed(64_000, second, second + 1)
    assert status.bytes_per_s == pytest.approx(64_000, rel=0.05)


def test_batches_at_the_same_time_are_no_slower_for_it() -> None:
    """Two that take two seconds each, the second a second after the first: three seconds for both."""
    status = PipeStatus()
    status.timed(300, 1.0, 3.0)
    status.timed(300, 2.0, 4.0)
    assert status.bytes_per_s == pytest.approx((300 + 300 * 0.8) / (1 + 2 * 0.8))
