"""Several batches of a signal under way at the same time, and how many there may be of all signals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client import CollectorRegistry

from ingest.loader.pipe import Pipe
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.loader.writers import Writers
from ingest.signals import Signal
from ingest.spool.spool import Spool
from ingest.store.errors import StoreDamagedError, StoreUnavailableError
from ingest.store.known_series import Looked
from ingest.store.otlp import Request
from ingest.unfolded import unfolded_bytes
from support.waiting import PATIENCE_S, until

EACH_ONE = LoaderSettings(interval_ms=0, retry_max_s=0.01, batch_requests=1, inserts_at_once=2)
BODIES = [b"%d" % number for number in range(6)]


class Doors:
    """A writer in which each body waits until it is let through, or is refused."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: dict[bytes, Exception | None] = {}
        self._inside: set[bytes] = set()
        self.most = 0
        self.tries = 0
        self.stored: list[bytes] = []
        self.tokens: dict[bytes, set[str]] = {}

    def look(self, *_: object) -> None:
        return None

    def insert(self, _signal: Signal, _batch_id: int, token: str, requests: list[Any]) -> None:
        (body,) = (request.body for request in requests)
        with self._changed:
            self.tries += 1
            self.tokens.setdefault(body, set()).add(token)
            self._inside.add(body)
            self.most = max(self.most, len(self._inside))
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: body in self._open, PATIENCE_S)
            self._inside.discard(body)
            if (error := self._open[body]) is not None:
                self._changed.notify_all()
                raise error
            self.stored.append(body)
            self._changed.notify_all()

    def holds(self, _signal: Signal, _batch_id: int) -> bool:
        return False

    def answer(self, *bodies: bytes, error: Exception | None = None) -> None:
        """From now on these are stored, or fail."""
        with self._changed:
            self._open |= dict.fromkeys(bodies, error)
            self._changed.notify_all()

    def wait(self, until: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(until, PATIENCE_S)

    def inside(self) -> set[bytes]:
        return set(self._inside)


class Taking:
    """A writer that stores at once, and says the same of every request."""

    def __init__(self, looked: Looked | None = None) -> None:
        self.looked = looked
        self.requests: list[list[Request]] = []

    @property
    def batches(self) -> list[list[bytes]]:
        return [[request.body for request in requests] for requests in self.requests]

    def look(self, *_: object) -> Looked | None:
        return self.looked

    def insert(self, _signal: Signal, _batch_id: int, _token: str, requests: list[Request]) -> None:
        self.requests.append(requests)

    def holds(self, _signal: Signal, _batch_id: int) -> bool:
        return False


def gauge_of(points: int) -> bytes:
    """A metric of which each point has ten attributes."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for number in range(points):
        point = metric.gauge.data_points.add(time_unix_nano=number)
        for key in "abcdefghij":
            point.attributes.add(key=key).value.string_value = "a value"
    return request.SerializeToString()


@contextmanager
def running(
    spool: Spool,
    writer: Any,
    settings: LoaderSettings = EACH_ONE,
    registry: CollectorRegistry | None = None,
    signal: Signal = Signal.TRACES,
) -> Iterator[Pipe]:
    """A pipe that ends with the block, after what it has begun."""
    halt = threading.Event()
    metrics = LoaderMetrics(CollectorRegistry() if registry is None else registry)
    pipe = Pipe(signal, spool, writer, settings, metrics, threading.Event(), halt)
    thread = threading.Thread(target=pipe.run)
    thread.start()
    try:
        yield pipe
    finally:
        halt.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_one_batch_need_not_wait_for_another(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES)
    doors = Doors()
    with running(spool, doors) as pipe:
        doors.wait(lambda: doors.inside() == set(BODIES[:2]))
        doors.answer(*BODIES[1:])
        doors.wait(lambda: doors.stored == BODIES[1:])
        doors.answer(BODIES[0])
        until(lambda: pipe.status.inserted_requests == len(BODIES))
    assert doors.most == 2
    assert doors.tries == len(BODIES)
    assert spool.unfinished_batches() == []


def test_a_full_batch_never_waits(spool: Spool, fill: Any) -> None:
    """After a small one, the next begins as soon as it is full, though the interval is far from over."""
    taken = Taking()
    with running(spool, taken, LoaderSettings(interval_ms=60_000, batch_requests=3)) as pipe:
        fill(spool, BODIES[:1])
        until(lambda: pipe.status.inserted_requests == 1)
        fill(spool, BODIES[1:4])
        until(lambda: pipe.status.inserted_requests == 4)
    assert [len(bodies) for bodies in taken.batches] == [1, 3]


@pytest.mark.parametrize("knows", [False, True])
def test_points_of_known_series_lie_in_larger_batches(spool: Spool, fill: Any, *, knows: bool) -> None:
    """Each request by what was said of it, and that goes with it to the insert."""
    body, known = gauge_of(300), np.full(300, knows, np.uint8)
    fits = 2 * unfolded_bytes(Signal.METRICS, body)
    for _ in range(8):
        spool.append(Signal.METRICS, "t", body, items=300, received_ns=1).result()
    taken = Taking(Looked(np.zeros(300, np.uint64), known, np.zeros(0, np.uint64)))
    settings = LoaderSettings(interval_ms=0, batch_memory_bytes=fits, inserts_at_once=1)
    with running(spool, taken, settings, signal=Signal.METRICS) as pipe:
        until(lambda: pipe.status.inserted_requests == 8)
    assert len(taken.batches) == (2 if knows else 4)
    assert all(request.points is taken.looked for requests in taken.requests for request in requests)


def test_what_is_held_up_is_told_while_others_go_on(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES)
    doors = Doors()
    doors.answer(BODIES[0], error=StoreUnavailableError("away"))
    with running(spool, doors) as pipe:
        doors.answer(*BODIES[1:])
        doors.wait(lambda: doors.stored == BODIES[1:])
        until(lambda: "away" in pipe.status.error)
        assert pipe.held_up_s() > 0
        doors.answer(BODIES[0])
        until(lambda: pipe.status.inserted_requests == len(BODIES))
        assert (pipe.status.error, pipe.held_up_s()) == ("", 0)
    assert all(len(tokens) == 1 for tokens in doors.tokens.values()), "a batch is repeated as it was"


def test_two_that_are_held_up_hold_up_the_rest(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES)
    doors = Doors()
    doors.answer(*BODIES[:2], error=StoreUnavailableError("away"))
    with running(spool, doors):
        doors.wait(lambda: doors.tries > 10)
        assert set(doors.tokens) == set(BODIES[:2])
        assert len(spool.unfinished_batches()) == 2


def test_damage_ends_it_once_all_attempts_have_ended(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES)
    doors = Doors()
    with running(spool, doors) as pipe:
        doors.wait(lambda: doors.inside() == set(BODIES[:2]))
        doors.answer(BODIES[1], error=StoreDamagedError("a part has no name"))
        until(lambda: "no name" in pipe.status.failed)
        assert doors.inside() == {BODIES[0]}
        doors.answer(BODIES[0])
    assert doors.stored == [BODIES[0]]
    assert len(spool.unfinished_batches()) == 1


def test_damage_is_told_though_nothing_else_waits(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES[:1])
    doors = Doors()
    with running(spool, doors) as pipe:
        doors.wait(lambda: doors.inside() == {BODIES[0]})
        time.sleep(0.01)  # it looks for more, and there is none
        doors.answer(BODIES[0], error=StoreDamagedError("a part has no name"))
        until(lambda: "no name" in pipe.status.failed)


def test_what_is_stored_is_not_kept(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES)
    doors = Doors()
    doors.answer(*BODIES)
    with running(spool, doors) as pipe:
        until(lambda: pipe.status.inserted_requests == len(BODIES))
        until(lambda: not pipe.batches_under_way())


def test_what_is_under_way_and_held_up_is_measured(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES[:1])
    doors, registry = Doors(), CollectorRegistry()

    def measured(name: str) -> float:
        value = registry.get_sample_value(f"lowtide_loader_{name}", {"signal": "traces"})
        assert value is not None
        return value

    with running(spool, doors, registry=registry):
        doors.wait(lambda: bool(doors.inside()))
        assert (measured("batches_under_way"), measured("held_up_seconds")) == (1, 0)
        doors.answer(BODIES[0], error=StoreUnavailableError("away"))
        until(lambda: measured("held_up_seconds") > 0)
        assert measured("batches_under_way") == 1
        doors.answer(BODIES[0])
        until(lambda: (measured("batches_under_way"), measured("held_up_seconds")) == (0, 0))


def test_what_an_earlier_process_left_is_under_way_too(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES[:1])
    spool.begin_batch(Signal.TRACES, spool.read(Signal.TRACES, 0, max_bytes=100, max_records=1))
    doors = Doors()
    with running(spool, doors) as pipe:
        doors.wait(lambda: bool(doors.inside()))
        assert pipe.batches_under_way() == 1
        doors.answer(BODIES[0])
        until(lambda: not pipe.batches_under_way())


def test_nothing_is_under_way_once_it_has_failed(spool: Spool, fill: Any) -> None:
    fill(spool, BODIES[:2])
    doors = Doors()
    with running(spool, doors) as pipe:
        doors.wait(lambda: doors.inside() == set(BODIES[:2]))
        doors.answer(*BODIES[:2], error=StoreDamagedError("a part has no name"))
        until(lambda: bool(pipe.status.failed) and not pipe.batches_under_way())


class Counting:
    """A writer of a pool: who is in it, and whether it was ever needed."""

    def __init__(self, gate: threading.Event, inside: list[int]) -> None:
        self._gate, self._inside = gate, inside
        self.uses = 0
        self.is_closed = False

    def insert(self, *_: object) -> None:
        self.uses += 1
        self._inside[0] += 1
        self._inside[1] = max(self._inside)
        assert self._gate.wait(PATIENCE_S)
        self._inside[0] -= 1

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("signals", [list(Signal), [Signal.LOGS] * 5])
def test_no_more_inserts_at_once_than_there_are_writers(signals: list[Signal]) -> None:
    gate, inside, made = threading.Event(), [0, 0], []

    def make() -> Any:
        made.append(Counting(gate, inside))
        return made[-1]

    writers = Writers(make, 2)
    threads = [threading.Thread(target=writers.insert, args=(signal, 1, "t", [])) for signal in signals]
    for thread in threads:
        thread.start()
    until(lambda: inside[0] == 2)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert inside == [0, 2]
    assert sum(writer.uses for writer in made) == len(signals)

    writers.close()
    writers.close()
    assert [writer.is_closed for writer in made] == [True, True]


def test_who_comes_alone_always_gets_the_same_writer() -> None:
    gate, made = threading.Event(), []
    gate.set()

    def make() -> Any:
        made.append(Counting(gate, [0, 0]))
        return made[-1]

    writers = Writers(make, 3)
    for _ in range(4):
        writers.insert(Signal.LOGS, 1, "t", [])
    assert sorted(writer.uses for writer in made) == [0, 0, 4]
