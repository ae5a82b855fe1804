"""One signal's way from the spool to the store, with a store that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from ingest.loader.pipe import Pipe
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.signals import Signal
from ingest.spool.errors import SpoolFullError, SpoolReadError
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.errors import StoreDamagedError, StoreRefusedError, StoreUnavailableError
from ingest.unfolded import unfolded_bytes

BODIES = [bytes([number]) * 10 for number in range(5)]


def spans_of(name: str) -> ExportTraceServiceRequest:
    """A hundred empty spans."""
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add()
    entry.resource.attributes.add(key="service.name").value.string_value = name
    scope = entry.scope_spans.add()
    for _ in range(100):
        scope.spans.add()
    return request


def waiting(spool: Spool) -> int:
    return next(each.records_waiting for each in spool.status().signals if each.signal == Signal.TRACES)


def test_everything_arrives_once_and_in_order(spool: Spool, writer: Any, load: Any, fill: Any) -> None:
    fill(spool, BODIES)

    pipe = load(spool, writer)

    assert [body for bodies in writer.stored.values() for body in bodies] == BODIES
    assert (pipe.status.inserted_requests, pipe.status.inserted_items) == (5, 10)
    assert (pipe.status.failed, pipe.status.error, waiting(spool)) == ("", "", 0)


def test_a_batch_holds_no_more_than_it_may(spool: Spool, writer: Any, load: Any, fill: Any) -> None:
    fill(spool, BODIES)

    load(spool, writer, LoaderSettings(interval_ms=0, batch_requests=2, inserts_at_once=1))

    assert [len(bodies) for bodies in writer.stored.values()] == [2, 2, 1]


def test_a_batch_takes_no_more_memory_than_it_may(spool: Spool, writer: Any, load: Any, fill: Any) -> None:
    """But one request is a batch, however much it takes: here those that repeat a long resource."""
    short, wide = (spans_of("r" * length).SerializeToString() for length in (1, 100_000))
    assert len(wide) < 2 * 100_000 < 100 * 100_000 < unfolded_bytes(Signal.TRACES, wide)
    fill(spool, [short, short, wide, wide, short, short])

    limit = 1024 * 1024
    assert 2 * unfolded_bytes(Signal.TRACES, short) < limit < unfolded_bytes(Signal.TRACES, wide)
    load(spool, writer, LoaderSettings(interval_ms=0, batch_memory_bytes=limit, inserts_at_once=1))

    assert [len(bodies) for bodies in writer.stored.values()] == [2, 1, 1, 2]


def test_an_insert_that_may_not_be_repeated_here(spool: Spool, writer: Any, load: Any, fill: Any) -> None:
    fill(spool, BODIES)
    writer.errors = [StoreDamagedError("a part has no name")]

    pipe = load(spool, writer)

    assert len(writer.attempts) == 1
    assert "a part has no name" in pipe.status.failed
    assert waiting(spool) == 5


@pytest.mark.parametrize("keeps_first", [True, False])
@pytest.mark.parametrize("error", [StoreUnavailableError("away"), StoreRefusedError("never")])
def test_a_failed_insert_is_repeated_unchanged(
    spool: Spool, writer: Any, load: Any, fill: Any, error: Exception, keeps_first: bool
) -> None:
    fill(spool, BODIES)
    writer.errors, writer.keeps_first = [error, error], keeps_first

    pipe = load(spool, writer)

    assert len(writer.attempts) == 3
    assert len(set(writer.attempts)) == 1
    assert list(writer.stored.values()) == [tuple(BODIES)]
    assert (pipe.status.error, waiting(spool)) == ("", 0)


def test_a_batch_left_behind_goes_first_and_unchanged(
    tmp_path: Path, writer: Any, load: Any, fill: Any
) -> None:
    settings = SpoolSettings(group_commit_ms=0)
    with Spool.open(tmp_path / "spool", settings) as first:
        fill(first, BODIES[:3])
        records = first.read(Signal.TRACES, 0, max_bytes=10**6, max_records=100)
        batch = first.begin_batch(Signal.TRACES, records)
        fill(first, BODIES[3:])

    with Spool.open(tmp_path / "spool", settings) as second:
        load(second, writer)

    assert writer.attempts[0] == (batch.batch_id, batch.token, tuple(BODIES[:3]))
    assert [bodies for _, _, bodies in writer.attempts] == [tuple(BODIES[:3]), tuple(BODIES[3:])]


@pytest.mark.parametrize("error", [SpoolFullError("no room"), SpoolReadError("no answer")])
@pytest.mark.parametrize("where", ["read", "begin_batch"])
def test_a_disk_in_trouble_is_waited_for(
    spool: Spool, writer: Any, load: Any, fill: Any, monkeypatch: pytest.MonkeyPatch, error: Exception,
    where: str,
) -> None:  # fmt: skip
    fill(spool, BODIES)
    real, failures = getattr(spool, where), [error, error]

    def sometimes(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(*args, **kwargs)

    monkeypatch.setattr(spool, where, sometimes)

    pipe = load(spool, writer)

    assert list(writer.stored.values()) == [tuple(BODIES)]
    assert (pipe.status.failed, pipe.status.error) == ("", "")


def test_a_fault_of_ours_ends_the_thread_and_is_told(spool: Spool, writer: Any, load: Any, fill: Any) -> None:
    fill(spool, BODIES)
    writer.errors = [KeyError("a fault")]

    pipe = load(spool, writer)

    assert pipe.status.failed == "KeyError: 'a fault'"
    assert waiting(spool) == 5


def test_halt_ends_even_a_store_that_never_answers(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES)
    halt, drain, tried = threading.Event(), threading.Event(), threading.Event()

    class Never:
        def look(self, *_: object) -> None:
            return None

        def insert(self, *_: object) -> None:
            tried.set()
            raise StoreUnavailableError("away")

    metrics = LoaderMetrics(CollectorRegistry())
    pipe = Pipe(Signal.TRACES, spool, Never(), LoaderSettings(retry_max_s=30), metrics, drain, halt)
    thread = threading.Thread(target=pipe.run)
    thread.start()
    assert tried.wait(30)
    halt.set()
    thread.join(30)

    assert not thread.is_alive()
    assert pipe.status.failed == ""
    assert waiting(spool) == 5


def test_a_batch_whose_records_are_all_gone_is_finished(
    spool: Spool, writer: Any, load: Callable[..., Pipe], fill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(spool, BODIES)
    spool.begin_batch(Signal.TRACES, spool.read(Signal.TRACES, 0, max_bytes=10**6, max_records=100))
    monkeypatch.setattr(spool, "read_batch", lambda batch: [])

    load(spool, writer)

    assert writer.attempts == []
    assert spool.unfinished_batches() == []
