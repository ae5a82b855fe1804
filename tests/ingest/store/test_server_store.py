"""The store on a server, whatever other tests run on: opened, migrated, written once, read, away and back.

The server is the stand-in of `support.store_server`; those tests that kill it have one of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from ingest.signals import Signal
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreRefusedError, StoreUnavailableError
from ingest.store.migrate import migrate, migrations, plan
from ingest.store.otlp import OtlpWriter, Request
from ingest.store.settings import StoreSettings
from ingest.store.target import Server
from support.store_server_process import PASSWORD, StoreProcess

NOW_NS = time.time_ns()
RESOURCE = {
    "service.name": "quote-api", "k8s.namespace.name": "shop", "k8s.deployment.name": "quote-api",
    "k8s.pod.name": "quote-api-1", "k8s.container.name": "app", "k8s.node.name": "node-1",
}  # fmt: skip
WRITTEN = {
    "otel_traces": "count()", "otel_logs": "count()", "metric_samples": "count()", "metric_series": "count()",
    "activity_1s": "sum(requests)", "red_1m": "sum(spans)", "usage_1m": "count()",
    "telemetry_volume_1h": "sum(rows)", "otel_traces_trace_id_ts": "count()", "workloads": "count()",
}  # fmt: skip
"""A figure for each table that one batch of every signal changes, as long as no insert is repeated."""


def opened(server: StoreProcess) -> Engine:
    """The store in an empty database of that server, migrated."""
    engine = Engine.open(server.target(f"test_{uuid4().hex}"))
    with engine.session() as session:
        migrate(session, StoreSettings())
    return engine


@pytest.fixture(scope="module")
def far(stand_in: StoreProcess) -> Iterator[Engine]:
    engine = opened(stand_in)
    yield engine
    engine.close()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[StoreProcess]:
    """A server for this test alone."""
    server = StoreProcess(tmp_path / "server").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def batch(made: Any, traces: Any, metrics: Any) -> Callable[[Signal, int], list[Request]]:
    """`batch(signal, number)`: two requests of two records each, other ones for each number."""

    def of(signal: Signal, number: int) -> list[Request]:
        at = NOW_NS - 60_000_000_000 + number * 1_000_000
        match signal:
            case Signal.TRACES:
                ids = [number.to_bytes(7, "big") + bytes([one]) for one in (1, 2)]
                spans = [
                    made(at, at + 1_000_000, span_id=one, trace_id=one * 2, parent=b"\3" * 8) for one in ids
                ]
                body = traces(spans, RESOURCE)
            case Signal.METRICS:
                points = [("container.cpu.usage", 0.5, at, {}), ("container.memory.usage", 1e6, at, {})]
                body = metrics(points, RESOURCE)
            case Signal.LOGS:
                body = log_request(at, number)
        return [Request("default", NOW_NS, body), Request("default", NOW_NS, body)]

    return of


def log_request(at: int, number: int) -> bytes:
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    entry.resource.attributes.extend(
        KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in RESOURCE.items()
    )
    scope = entry.scope_logs.add()
    for line in range(2):
        scope.log_records.add(time_unix_nano=at, body=AnyValue(string_value=f"line {number} {line} 'ß'\n"))
    return request.SerializeToString()


def figures(session: Session) -> dict[str, int]:
    return {
        table: int(session.value(f"SELECT {figure} FROM {{table:Identifier}}", {"table": table}))  # noqa: S608 - ours
        for table, figure in WRITTEN.items()
    }


# --- opened and migrated ---


def test_the_tables_are_made_once(stand_in: StoreProcess) -> None:
    engine = Engine.open(stand_in.target(f"test_{uuid4().hex}"))
    with engine.session() as session:
        assert plan(session, StoreSettings()) == migrations(StoreSettings())
        assert migrate(session, StoreSettings()) == migrations(StoreSettings())
        assert migrate(session, StoreSettings()) == []
    engine.close()

    again = Engine.open(engine.target)
    with again.session() as session:
        assert plan(session, StoreSettings()) == []
        assert session.value("EXISTS TABLE otel_traces") == 1
    again.close()


def test_it_is_prepared_when_it_answers_and_only_once(mortal: StoreProcess) -> None:
    target = mortal.target(f"test_{uuid4().hex}")
    mortal.stop()
    prepared: list[int] = []
    engine = Engine(target, lambda session: prepared.append(session.value("SELECT 1")))
    for attempt in (engine.reach, engine.session):
        with pytest.raises(StoreUnavailableError):
            attempt()
    assert prepared == []
    mortal.start()
    engine.session().close()
    engine.session().close()
    assert prepared == [1]
    engine.close()


def test_a_wrong_password_is_said_and_not_repeated(stand_in: StoreProcess) -> None:
    with pytest.raises(StoreRefusedError, match="Authentication failed") as caught:
        Engine.open(replace(stand_in.target(), password="n0t the one"))  # noqa: S106 - a wrong one
    assert caught.value.code == 516
    assert "n0t" not in str(caught.value)
    assert PASSWORD not in f"{stand_in.target()} {stand_in.target()!r}"


# --- written ---


def test_a_batch_of_every_signal_is_stored_once(
    stand_in: StoreProcess, batch: Callable[[Signal, int], list[Request]]
) -> None:
    engine = opened(stand_in)
    writer = OtlpWriter(engine)
    with engine.session() as session:
        for signal in Signal:
            writer.insert(signal, 1, f"{signal}-1", batch(signal, 1))
        first = figures(session)
        for signal in Signal:
            writer.insert(signal, 1, f"{signal}-1", batch(signal, 1))
        assert figures(session) == first

        assert {name: first[name] for name in ("otel_traces", "otel_logs", "metric_samples")} == {
            "otel_traces": 4, "otel_logs": 4, "metric_samples": 4,
        }  # fmt: skip
        assert (first["activity_1s"], first["red_1m"], first["telemetry_volume_1h"]) == (4, 4, 12)
        assert min(first.values()) > 0, first
        assert session.rows("SELECT DISTINCT _batch, tenant FROM otel_logs") == [(1, "default")]
        assert session.rows("SELECT DISTINCT Body FROM otel_logs ORDER BY Body") == [
            ("line 1 0 'ß'\n",), ("line 1 1 'ß'\n",),
        ]  # fmt: skip
    writer.close()
    engine.close()


def test_a_large_batch_arrives_whole_and_once(far: Engine, made: Any, traces: Any) -> None:
    ids = [number.to_bytes(8, "big") for number in range(1, 20_001)]
    spans = [made(NOW_NS, NOW_NS + 1_000, span_id=one, trace_id=one * 2, name="x" * 200) for one in ids]
    requests = [
        Request("large", NOW_NS, traces(spans[at : at + 500], RESOURCE)) for at in range(0, 20_000, 500)
    ]
    writer = OtlpWriter(far)
    for _ in range(2):
        writer.insert(Signal.TRACES, 2, "large", requests)
    writer.close()

    with far.session() as session:
        read = "SELECT count(), uniqExact(SpanId) FROM otel_traces WHERE tenant = 'large'"
        assert session.rows(read) == [(20_000, 20_000)]


def test_bytes_that_are_no_request_are_refused_for_good(far: Engine) -> None:
    writer = OtlpWriter(far)
    with pytest.raises(StoreRefusedError) as caught:
        writer.insert(Signal.TRACES, 3, "nonsense", [Request("default", NOW_NS, b"\x0a\xff\xff\xff")])
    writer.close()
    assert str(caught.value).startswith(f"Code: {caught.value.code}. DB::Exception: ")


# --- read ---


def test_the_shapes_of_an_answer(far: Engine) -> None:
    read = "SELECT number, toString(number) AS text FROM numbers({n:UInt64})"
    with far.session() as session:
        assert session.frame(read, {"n": 2}).to_dicts() == [
            {"number": 0, "text": "0"}, {"number": 1, "text": "1"},
        ]  # fmt: skip
        assert session.arrow(read, {"n": 200_000}).num_rows == 200_000
        assert session.frame("SELECT 'x' AS name WHERE 0").columns == ["name"]
        assert session.raw(read, {"n": 2}, fmt="CSV") == b'0,"0"\n1,"1"\n'
        assert session.value("SELECT length({v:String})", {"v": "ß" * 50_000}) == 100_000
        assert session.rows(
            "SELECT [1, 2], map('a', NULL), toLowCardinality('x'),"
            " toDateTime64('2026-01-02 03:04:05', 9, 'UTC')"
        ) == [([1, 2], {"a": None}, "x", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))]
        assert (
            len(session.rows("SELECT toLowCardinality(toString(number % 9)) FROM numbers(150000)")) == 150_000
        )


def test_settings_are_of_a_session_or_of_a_call(far: Engine) -> None:
    read = "SELECT getSetting('max_block_size') AS n"
    with far.session({"max_block_size": 123}) as narrow, far.session() as usual:
        assert narrow.value(read) == 123
        assert narrow.frame(read, settings={"max_block_size": 45})["n"].to_list() == [45]
        assert narrow.value(read) == 123
        assert usual.value(read) not in (45, 123)


def test_what_is_wrong_is_said_in_the_engines_words_alone(far: Engine) -> None:
    long = ", ".join(f"column_{number}" for number in range(200))
    with far.session() as session:
        for statement in ("SELECT no_such_column", f"SELECT no_such_column, {long}"):
            for ask in (session.rows, session.frame, session.execute):
                with pytest.raises(StoreRefusedError) as caught:
                    ask(statement)
                assert caught.value.code == 47
                assert str(caught.value).startswith("Code: 47. DB::Exception: ")
                for word in ("version", "http", "server response"):
                    assert word not in str(caught.value)


# --- away and back ---


def test_a_server_that_dies_and_comes_back(
    mortal: StoreProcess, batch: Callable[[Signal, int], list[Request]]
) -> None:
    engine = opened(mortal)
    writer, session = OtlpWriter(engine), engine.session()
    writer.insert(Signal.TRACES, 1, "one", batch(Signal.TRACES, 1))
    before = figures(session)

    mortal.kill()
    for ask in (
        lambda: session.value("SELECT 1"),
        lambda: session.frame("SELECT 1"),
        lambda: session.execute("SELECT 1"),
        lambda: writer.insert(Signal.TRACES, 2, "two", batch(Signal.TRACES, 2)),
        engine.session,
    ):
        with pytest.raises(StoreUnavailableError, match=r"the store does not answer: .*Connection refused"):
            ask()

    mortal.start()
    writer.insert(Signal.TRACES, 1, "one", batch(Signal.TRACES, 1))
    assert figures(session) == before, "it remembers what it stored before it died"
    writer.insert(Signal.TRACES, 2, "two", batch(Signal.TRACES, 2))
    assert session.value("SELECT count() FROM otel_traces") == 2 * before["otel_traces"]
    writer.close()
    engine.close()


def test_killed_while_it_stores_it_has_every_batch_once(
    mortal: StoreProcess, batch: Callable[[Signal, int], list[Request]]
) -> None:
    """Some batches are then stored in a part of the tables only; the same again makes them whole."""
    engine = opened(mortal)
    writer = OtlpWriter(engine)
    stored, failed, enough = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    last = 0

    def store() -> None:
        nonlocal last
        while not enough.is_set():
            last += 1
            while not attempt(last):
                failed.release()
                time.sleep(0.01)
            stored.release()

    def attempt(number: int) -> bool:
        try:
            writer.insert(Signal.TRACES, number, f"batch {number}", batch(Signal.TRACES, number))
        except StoreUnavailableError:
            return False
        return True

    thread = threading.Thread(target=store)
    thread.start()
    for _ in range(2):
        for _ in range(4):
            assert stored.acquire(timeout=60)
        while failed.acquire(blocking=False):
            """Those of the time before."""
        mortal.kill()
        assert failed.acquire(timeout=60)
        mortal.start()
    enough.set()
    thread.join(60)
    assert not thread.is_alive()

    with engine.session() as session:
        assert session.rows("SELECT _batch, count() FROM otel_traces GROUP BY 1 ORDER BY 1") == [
            (number, 4) for number in range(1, last + 1)
        ]
        for figure in ("sum(requests) FROM activity_1s", "sum(spans) FROM red_1m"):
            assert session.value(f"SELECT {figure}") == last * 4, figure
    writer.close()
    engine.close()


def test_an_answer_from_something_between_is_no_answer_of_the_store() -> None:
    """A proxy whose store is away."""

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(self.server.status)  # type: ignore[attr-defined]  # set below

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            for status in (502, 503, 504):
                proxy.status = status  # type: ignore[attr-defined]  # for its handler
                with pytest.raises(
                    StoreUnavailableError, match=f"^the store does not answer: HTTP status {status}$"
                ):
                    Engine.open(Server("127.0.0.1", proxy.server_port, "ann", "", "lowtide", secure=False))
        finally:
            proxy.shutdown()
            thread.join()
