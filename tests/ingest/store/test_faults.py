"""A store that fails in the middle of an insert: in view k of n, of too many parts, with an answer that
never comes, and one that has forgotten tokens. The same batch again under the same token makes it whole, in
every table.

Every table is compared with a store to which nothing happened, row by row.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from ingest.loader.lead import Lead
from ingest.loader.pipe import Pipe
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.loader.writers import Writers
from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreError, StoreRefusedError, StoreUnavailableError
from ingest.store.migrate import migrate
from ingest.store.otlp import TABLES, OtlpWriter, Request
from ingest.store.settings import Retention, StoreSettings
from ingest.store.target import Server
from support import faults, power_child
from support.power_child import MIDNIGHT_NS
from support.store_server_process import StoreProcess
from support.waiting import until

TOO_MANY_PARTS = 252
THROWN = 395
DAY_NS = 86_400 * 10**9


def traces_of_every_kind(number: int) -> bytes:
    """With what has views of its own: a request that runs over a midnight for certain, and is the run of a
    function."""
    request = ExportTraceServiceRequest.FromString(power_child.body(Signal.TRACES, number))
    first = request.resource_spans[0].scope_spans[0].spans[0]
    first.end_time_unix_nano = first.start_time_unix_nano + DAY_NS
    first.attributes.add(key="faas.invocation_id").value.string_value = f"run-{number}"
    return request.SerializeToString()


def metrics_of_every_kind(number: int) -> bytes:
    """Beside use and histograms also what has a view of its own; all of series that nobody knows yet, since
    those that are known are not stored again.
    """
    request = ExportMetricsServiceRequest.FromString(power_child.body(Signal.METRICS, number))
    request.resource_metrics[0].resource.attributes.add(key="request").value.int_value = number
    scope = request.resource_metrics[0].scope_metrics[0]
    exponential = scope.metrics.add(name="wait").exponential_histogram
    exponential.aggregation_temporality = 2
    exponential.data_points.add(time_unix_nano=MIDNIGHT_NS + number, count=2, sum=3, scale=1)
    summary = scope.metrics.add(name="size").summary
    summary.data_points.add(time_unix_nano=MIDNIGHT_NS + number, count=2, sum=number)
    for name, attributes in KNOWN.items():
        point = scope.metrics.add(name=name).gauge.data_points.add(
            time_unix_nano=MIDNIGHT_NS + number, as_double=number
        )
        for key, text in attributes.items():
            point.attributes.add(key=key).value.string_value = text
    durations = scope.metrics.add(name="istio_request_duration_milliseconds").histogram
    durations.aggregation_temporality = 2
    point = durations.data_points.add(time_unix_nano=MIDNIGHT_NS + number, count=2, sum=number)
    for key, text in KNOWN["istio_requests_total"].items():
        point.attributes.add(key=key).value.string_value = text
    return request.SerializeToString()


def logs_of_every_kind(number: int) -> bytes:
    """With what has views of its own: a line of an access log in Istio's own text, two of Lambda's reports,
    and an event of a pod."""
    request = ExportLogsServiceRequest.FromString(power_child.body(Signal.LOGS, number))
    at_ns = MIDNIGHT_NS + number
    at = datetime.fromtimestamp(MIDNIGHT_NS / 10**9, UTC)
    records = request.resource_logs[0].scope_logs[0].log_records
    records.add(time_unix_nano=at_ns).body.string_value = (
        f'[{at:%Y-%m-%dT%H:%M:%S}.000Z] "GET /cart HTTP/1.1" 200 - via_upstream - "-" 0 {number} 12 11 "-"'
        ' "curl/8" "0000" "cart:80" "10.0.0.7:8080" inbound|8080|| 127.0.0.6:41 10.0.0.7:8080 10.0.0.9:55'
        " outbound_.80_._.cart.shop.svc.cluster.local default"
    )
    records.add(time_unix_nano=at_ns).body.string_value = (
        f"REPORT RequestId: 00000000-0000-0000-0000-{number:012d}\tDuration: 12.34 ms\t"
        "Billed Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 64 MB\t"
    )
    records.add(
        time_unix_nano=at_ns
    ).body.string_value = f"INIT_REPORT Init Duration: {number + 1}.5 ms\tPhase: init\tStatus: error"
    entry = request.resource_logs.add()
    for key, text in (("k8s.object.kind", "Pod"), ("k8s.object.name", "cart-1"), ("k8s.object.uid", "u")):
        entry.resource.attributes.add(key=key).value.string_value = text
    event = entry.scope_logs.add().log_records.add(time_unix_nano=at_ns)
    event.attributes.add(key="k8s.event.reason").value.string_value = "Scheduled"
    return request.SerializeToString()


KNOWN: dict[str, dict[str, str]] = {
    "kube_pod_info": {"namespace": "shop", "pod": "cart-1", "node": "node-1"},
    "kube_pod_container_resource_requests": {
        "namespace": "shop", "pod": "cart-1", "container": "app", "resource": "cpu", "node": "node-1",
    },
    "kube_node_status_capacity": {"node": "node-1", "resource": "cpu"},
    "container_cpu_usage_seconds_total": {
        "namespace": "shop", "pod": "cart-1", "container": "app", "image": "cart:1", "id": "/pod/app",
    },
    "node_memory_MemTotal_bytes": {},
    "istio_requests_total": {
        "reporter": "destination", "source_workload": "web", "destination_workload": "cart",
        "response_code": "200",
    },
    "autoscaler_desired_pods": {"namespace_name": "shop", "revision_name": "cart-1"},
}  # fmt: skip
"""Metrics of every family that views look for, with what names somebody in them."""


def batch(signal: Signal, number: int) -> list[Request]:
    """Two requests that depend on the number only."""
    make = {
        Signal.TRACES: traces_of_every_kind,
        Signal.METRICS: metrics_of_every_kind,
        Signal.LOGS: logs_of_every_kind,
    }[signal]
    return [Request("default", MIDNIGHT_NS + one, make(one)) for one in (2 * number, 2 * number + 1)]


def insert(writer: OtlpWriter, signal: Signal, number: int) -> None:
    writer.insert(signal, number, f"{signal} {number}", batch(signal, number))


def dump(engine: Engine) -> dict[str, list[str]]:
    with engine.session() as session:
        return power_child.dump(session)


@pytest.fixture
def tables(engine: Engine) -> Iterator[Callable[..., Engine]]:
    """`tables()`: the process's engine on a database of its own, with Lowtide's tables."""
    made: list[Engine] = []

    def make(settings: StoreSettings | None = None) -> Engine:
        opened = Engine.open(replace(engine.target, database=f"test_{uuid4().hex}"))
        made.append(opened)
        with opened.session() as session:
            migrate(session, settings or StoreSettings())
        return opened

    yield make
    for opened in made:
        with opened.session() as session:
            session.execute(f"DROP DATABASE {opened.target.database} SYNC")
        opened.close()


def views(session: Session) -> dict[str, str]:
    """The query of every view that stores."""
    rows = session.rows(
        "SELECT name, as_select FROM system.tables"
        " WHERE database = currentDatabase() AND engine = 'MaterializedView' ORDER BY name"
    )
    return {str(name): str(query) for name, query in rows}


def seen_by(session: Session) -> dict[str, Signal]:
    """Whose batches each table or view sees, followed from where they enter. Some see several, the first
    counts; what none of them reaches is left out."""
    reads: dict[str, set[str]] = {}
    writes: dict[str, str] = {}
    for name, query, made in session.rows(
        "SELECT name, as_select, create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND engine = 'MaterializedView'"
    ):
        writes[name] = re.findall(r" TO (?:[\w`]+\.)?`?(\w+)`?", made)[0]
        reads[name] = set(re.findall(r"\bFROM (?:[\w`]+\.)?`?(\w+)`?", query)) - {writes[name]}
    found: dict[str, Signal] = {}
    for signal, table in TABLES.items():
        reached = {table}
        while (
            new := {
                one for name, sources in reads.items() if sources & reached for one in (name, writes[name])
            }
            - reached
        ):
            reached |= new
        found = dict.fromkeys(reached, signal) | found
    return found


def some(names: list[str], short: int) -> list[tuple[int, str]]:
    """So many of them, all in the long form, with a number for the batch of each."""
    chosen = random.Random(faults.SEED).sample(names, min(faults.times(short, 100), len(names)))
    return list(enumerate(chosen, 2))


def fails(writer: OtlpWriter, signal: Signal, number: int, code: int, kind: type[StoreError]) -> None:
    """Twice, in the same way."""
    for _ in range(2):
        with pytest.raises(kind) as caught:
            insert(writer, signal, number)
        assert caught.value.code == code, caught.value


def both(tables: Callable[..., Engine]) -> tuple[Engine, OtlpWriter, Engine, OtlpWriter]:
    """A store that will be broken, and one to which nothing happens, with a batch of each signal in both."""
    broken, whole = tables(), tables()
    writer, other = OtlpWriter(broken), OtlpWriter(whole)
    for signal in Signal:
        insert(writer, signal, 1)
        insert(other, signal, 1)
    with whole.session() as session:
        empty = [
            name
            for name in seen_by(session).keys() & power_child.own_tables(session).keys()
            if not session.value(f"SELECT count() FROM {name}")  # noqa: S608 - a table's name
        ]
        assert empty == [], "a fault in what feeds them would not be met"
    return broken, writer, whole, other


@pytest.mark.timeout(faults.times(300, 2000))
def test_an_exception_in_any_view(tables: Callable[..., Engine]) -> None:
    broken, writer, whole, other = both(tables)
    with broken.session() as session:
        queries = views(session)
        assert len(queries) > 30
        seen = seen_by(session)
        assert seen.keys() >= queries.keys()
        for number, name in some(list(queries), 4):
            # Not a constant: else the statement that changes the view would fail.
            broken_query = f"SELECT * FROM ({queries[name]}) WHERE throwIf(rand() >= 0) = 0"  # noqa: S608 - ours
            session.execute(f"ALTER TABLE {name} MODIFY QUERY {broken_query}")
            fails(writer, seen[name], number, THROWN, StoreRefusedError)
            session.execute(f"ALTER TABLE {name} MODIFY QUERY {queries[name]}")
            faults.done["exceptions in a view"] += 2
            insert(writer, seen[name], number)
            insert(other, seen[name], number)
    writer.close()
    other.close()

    assert dump(broken) == dump(whole)


@pytest.mark.timeout(faults.times(300, 2000))
def test_too_many_parts_in_any_table(tables: Callable[..., Engine]) -> None:
    broken, writer, whole, other = both(tables)
    with broken.session() as session:
        seen = seen_by(session)
        for number, name in some([name for name in power_child.own_tables(session) if name in seen], 2):
            session.execute(f"SYSTEM STOP MERGES {name}")
            session.execute(
                f"ALTER TABLE {name} MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 0"
            )
            fails(writer, seen[name], number, TOO_MANY_PARTS, StoreUnavailableError)
            session.execute(f"ALTER TABLE {name} RESET SETTING parts_to_throw_insert, parts_to_delay_insert")
            session.execute(f"SYSTEM START MERGES {name}")
            faults.done["tables of too many parts"] += 1
            insert(writer, seen[name], number)
            insert(other, seen[name], number)
    writer.close()
    other.close()

    assert dump(broken) == dump(whole)


def test_a_batch_of_more_days_than_an_insert_may_usually_have(tables: Callable[..., Engine]) -> None:
    """101 of them, each a partition, in every table; the engine's own limit is 100."""
    year = Retention(traces_days=400)
    engine = tables(StoreSettings(retention=year))
    draw = random.Random(1)
    requests = []
    for day in range(101):
        message = ExportTraceServiceRequest.FromString(power_child.traces(day, draw))
        for span in message.resource_spans[0].scope_spans[0].spans:
            shift_ns = day * 86_400 * 1_000_000_000
            span.start_time_unix_nano -= shift_ns
            span.end_time_unix_nano -= shift_ns
        requests.append(Request("default", MIDNIGHT_NS, message.SerializeToString()))
    writer = OtlpWriter(engine)
    for _ in range(2):
        writer.insert(Signal.TRACES, 1, "days", requests)
    writer.close()

    spans = 101 * power_child.ITEMS
    with engine.session() as session:
        assert session.rows("SELECT count(), uniqExact(SpanId) FROM otel_traces") == [(spans, spans)]
        assert session.value("SELECT sum(rows) FROM telemetry_volume_1h") == spans
        assert session.value("SELECT uniqExact(toDate(Timestamp)) FROM otel_traces") >= 101


# --- a window that is too small


def forgetful(engine: Engine, window: int) -> Engine:
    """Its tables remember so few inserts."""
    with engine.session() as session:
        for name in power_child.own_tables(session):
            session.execute(
                f"ALTER TABLE {name} MODIFY SETTING non_replicated_deduplication_window = {window}"
            )
    return engine


def test_tokens_that_are_forgotten_are_those_of_batches_that_are_over(tables: Callable[..., Engine]) -> None:
    """More batches than a window holds, one after the other, harm nobody.

    The engine is shown to forget: an early batch would be stored again.
    """
    engine, whole = forgetful(tables(), 3), tables()
    batches = 5
    writer, other = OtlpWriter(engine), OtlpWriter(whole)
    for number in range(1, batches + 1):
        for _ in range(2):  # as after a kill between the store's answer and the note of it
            insert(writer, Signal.LOGS, number)
        insert(other, Signal.LOGS, number)
    assert dump(engine) == dump(whole)

    insert(writer, Signal.LOGS, 1)
    writer.close()
    other.close()
    with engine.session() as session:
        assert session.value("SELECT count() FROM otel_logs") == (batches + 1) * 2 * (power_child.ITEMS + 4)


class HeldUp:
    """Stores every batch, but nobody learns that the first is stored until `free` is set."""

    def __init__(self, engine: Engine) -> None:
        self.free = threading.Event()
        self._tokens: list[str] = []
        self._writers = Writers(lambda: OtlpWriter(engine), 2)
        self.holds, self.look, self.close = self._writers.holds, self._writers.look, self._writers.close

    def insert(self, signal: Signal, batch_id: int, token: str, requests: list[Request]) -> None:
        is_known = token in self._tokens
        self._tokens.append(token)
        if not is_known or self.free.is_set():
            self._writers.insert(signal, batch_id, token, requests)
        if token == self._tokens[0] and not self.free.is_set():
            raise StoreUnavailableError("no answer")


@pytest.mark.parametrize(("most", "times"), [(2, 1), (1000, 2)], ids=["few", "many"])
def test_a_batch_that_is_held_up_while_others_pass(
    tables: Callable[..., Engine], tmp_path: Path, most: int, times: int
) -> None:
    """It is stored once if few pass it. It is shown to be stored twice if more do than a window holds."""
    engine, batches = forgetful(tables(), 8), 12
    store, halt, lead = HeldUp(engine), threading.Event(), Lead(most)
    settings = LoaderSettings(interval_ms=0, retry_max_s=0.01, batch_requests=1, inserts_at_once=2)
    with Spool.open(tmp_path, SpoolSettings()) as spool:
        for number in range(batches):
            body = power_child.body(Signal.LOGS, number)
            spool.append(
                Signal.LOGS, "default", body, items=power_child.ITEMS, received_ns=MIDNIGHT_NS
            ).result()
        metrics = LoaderMetrics(CollectorRegistry())
        pipe = Pipe(Signal.LOGS, spool, store, settings, metrics, threading.Event(), halt, lead)
        thread = threading.Thread(target=pipe.run)
        thread.start()
        try:
            until(lambda: lead.held_by(0) is not None or pipe.status.inserted_batches == batches - 1)
            store.free.set()
            until(lambda: pipe.status.inserted_batches == batches)
        finally:
            halt.set()
            thread.join()
    store.close()
    stored = (batches - 1 + times) * power_child.ITEMS
    with engine.session() as session:
        assert session.value("SELECT count() FROM otel_logs") == stored
        assert session.value("SELECT sum(rows) FROM telemetry_volume_1h") == stored


# --- answers that never come


class Between(BaseHTTPRequestHandler):
    """Passes requests on to a store, and does with an insert and its answer as `fate` says."""

    protocol_version = "HTTP/1.1"
    store = ""
    fate = "pass"
    release = threading.Event()
    passed = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = type(self)
        fate = kind.fate if b"INSERT" in body[:200].upper() or "INSERT" in self.path.upper() else "pass"
        if fate == "lost request":
            self.close_connection = True
            return
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ("host", "content-length")
        }
        answer = httpx2.post(
            kind.store + self.path, content=body, headers=headers, timeout=60, trust_env=False
        )
        if fate != "pass":
            assert answer.status_code == 200, answer.text
            kind.passed += 1
            if fate == "silence":
                kind.release.wait(60)
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "content-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST  # noqa: N815 - the base class names it so

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Quiet."""


@pytest.fixture
def between(stand_in: StoreProcess) -> Iterator[type[Between]]:
    """A proxy before the stand-in for a server."""

    class Mine(Between):
        store = f"http://127.0.0.1:{stand_in.port}"
        release = threading.Event()
        passed = 0

    with ThreadingHTTPServer(("127.0.0.1", 0), Mine) as proxy:
        Mine.port = proxy.server_port  # type: ignore[attr-defined]  # for the test
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield Mine
        Mine.release.set()
        proxy.shutdown()
        thread.join()


@pytest.mark.parametrize("fate", ["lost request", "lost answer", "silence"])
def test_nobody_knows_whether_it_is_stored(
    stand_in: StoreProcess, between: Any, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    """The connection ends before the answer, or no answer comes in time. Stored or not, the same again."""
    direct = stand_in.target(f"test_{uuid4().hex}")
    assert isinstance(direct, Server)
    near = Engine.open(direct)
    with near.session() as session:
        migrate(session, StoreSettings())
    far = Engine.open(replace(direct, port=between.port))
    between.fate = fate
    with monkeypatch.context() as impatient:
        impatient.setattr("ingest.store.engine._ANSWER_TIMEOUT_S", 2)
        writer = OtlpWriter(far)
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                insert(writer, Signal.TRACES, 1)
        writer.close()
    if fate == "lost request":
        assert between.passed == 0
    else:
        until(lambda: between.passed > 0)  # the driver may have repeated it as well
    between.fate = "pass"
    between.release.set()
    writer = OtlpWriter(far)
    insert(writer, Signal.TRACES, 1)
    writer.close()

    with near.session() as session:
        spans = 2 * power_child.ITEMS
        assert session.rows("SELECT count(), uniqExact(SpanId) FROM otel_traces") == [(spans, spans)]
        assert session.value("SELECT sum(rows) FROM telemetry_volume_1h") == spans
    far.close()
    near.close()
