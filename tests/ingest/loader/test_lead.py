"""How far batches run ahead of one that is held up: counted over all signals, and not at all after a
restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from ingest.loader.lead import BLOCKS_OF_INSERT, MOST_AHEAD, Lead
from ingest.loader.loader import Loader
from ingest.loader.pipe import Pipe
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.signals import Signal
from ingest.spool.spool import Spool
from ingest.store.errors import StoreUnavailableError
from ingest.store.migrate import DEDUPLICATION_WINDOW
from support.waiting import PATIENCE_S, until

EACH_ONE = LoaderSettings(interval_ms=0, retry_max_s=0.01, batch_requests=1, inserts_at_once=2)


def test_a_table_remembers_what_passes_a_batch() -> None:
    assert MOST_AHEAD * BLOCKS_OF_INSERT <= DEDUPLICATION_WINDOW
    assert MOST_AHEAD > 100


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_no_batch_is_passed_by_more(most: int, steps: list[tuple[bool, int]]) -> None:
    """Whatever begins and ends in whatever order, as long as nothing begins that is held."""
    lead, under_way, passed, last = Lead(most), list[int](), dict[int, int](), 0
    for begins, which in steps:
        if begins:
            blocking = lead.held_by(0)
            assert (blocking is None) == all(count < most for count in passed.values())
            if blocking is None:
                last += 1
                lead.begin(last)
                under_way.append(last)
                passed[last] = 0
            else:
                assert passed[blocking] == max(passed.values())
        elif under_way:
            done = under_way.pop(which % len(under_way))
            lead.inserted(done)
            del passed[done]
            passed = {batch: count + 1 for batch, count in passed.items()}


def test_what_was_divided_or_set_aside_holds_nobody() -> None:
    lead = Lead(1)
    lead.begin(1)
    lead.begin(2)
    lead.inserted(2)
    assert lead.held_by(0) == 1
    lead.end(1)
    assert lead.held_by(0) is None


def test_what_was_left_behind_goes_before_everything_else() -> None:
    lead = Lead(10)
    lead.left_behind([1, 2])
    lead.begin(1)
    assert lead.held_by(0) in {1, 2}
    lead.inserted(1)
    assert lead.held_by(0) == 2
    lead.begin(2)
    lead.inserted(2)
    assert lead.held_by(0) is None


class Store:
    """Says it cannot be reached for the bodies of `away`; keeps the others."""

    def __init__(self, away: Iterable[bytes]) -> None:
        self.away = set(away)
        self.stored: list[bytes] = []
        self._lock = threading.Lock()

    def look(self, *_: object) -> None:
        return None

    def insert(self, _signal: Signal, _batch_id: int, _token: str, requests: list[Any]) -> None:
        (body,) = (request.body for request in requests)
        with self._lock:
            if body in self.away:
                raise StoreUnavailableError("away")
            self.stored.append(body)

    def holds(self, _signal: Signal, _batch_id: int) -> bool:
        return False

    def close(self) -> None:
        """As a writer."""


@pytest.fixture
def append(spool: Spool) -> Callable[..., None]:
    def put(signal: Signal, *bodies: bytes) -> None:
        for body in bodies:
            spool.append(signal, "default", body, items=1, received_ns=1).result()

    return put


def pipes(spool: Spool, store: Store, halt: threading.Event, lead: Lead) -> dict[Signal, Pipe]:
    metrics = LoaderMetrics(CollectorRegistry())
    return {
        signal: Pipe(signal, spool, store, EACH_ONE, metrics, threading.Event(), halt, lead)
        for signal in Signal
    }


def test_a_batch_that_is_held_up_holds_up_other_signals_in_the_end(
    spool: Spool, append: Callable[..., None]
) -> None:
    logs = [b"l%d" % number for number in range(5)]
    append(Signal.TRACES, b"t0")
    append(Signal.LOGS, *logs)
    store, halt = Store([b"t0"]), threading.Event()
    loading = pipes(spool, store, halt, Lead(3))
    threads = {
        signal: threading.Thread(target=loading[signal].run) for signal in (Signal.TRACES, Signal.LOGS)
    }
    try:
        threads[Signal.TRACES].start()
        until(lambda: bool(loading[Signal.TRACES].status.error))
        threads[Signal.LOGS].start()
        until(lambda: "nothing more is begun before batch" in loading[Signal.LOGS].status.error)
        # Two are under way at a time, so one more than three may have begun before the third was stored.
        assert store.stored in (logs[:3], logs[:4])
        assert loading[Signal.LOGS].held_up_s() > 0
        store.away.clear()
        until(lambda: loading[Signal.LOGS].status.inserted_requests == len(logs))
        assert not loading[Signal.LOGS].status.error
    finally:
        halt.set()
        for thread in threads.values():
            thread.join(PATIENCE_S)
    assert sorted(store.stored) == sorted([b"t0", *logs])


def test_after_a_restart_nothing_is_begun_before_what_was_left_behind(
    spool: Spool, append: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    append(Signal.TRACES, b"t0")
    left = spool.begin_batch(Signal.TRACES, spool.read(Signal.TRACES, 0, max_bytes=100, max_records=1))
    append(Signal.LOGS, b"l0")
    store = Store([b"t0"])
    monkeypatch.setattr("ingest.loader.loader.OtlpWriter", lambda *_: store)
    engine: Any = None
    loader = Loader(spool, engine, EACH_ONE, registry=CollectorRegistry())
    monkeypatch.setattr(loader._trimmer, "trim", lambda *_: None)
    loader.start()
    until(lambda: f"batch {left.batch_id}" in loader.status()[Signal.LOGS].error)
    assert store.stored == []
    store.away.clear()
    until(lambda: loader.status()[Signal.LOGS].inserted_requests == 1)
    assert loader.stop(PATIENCE_S)
    assert store.stored == [b"t0", b"l0"]
