"""The life of a store in a process of its own, for tests of power failures: `python -m support.power_child`.

    live DIRECTORY BOOT PLAN...        open spool and store as a server does, and carry out the plan
    check DIRECTORY BOOT OUT           open them, store all that waits, and write down what is in the store
    expect DIRECTORY OUT NUMBERS       the same for a store that is given each of these requests once (JSON)

A plan is words: `send` (a request of each signal; its number is noted once all three are on disk), `store`
(wait until all is stored), `keep` (take a checkpoint and trim), `merge` (every table into one part a
partition), `unprotected` (first: without checkpoints) and `die` (SIGKILL). `send*7` is seven of them.

The trap: what a request says depends on its number only, so that all processes know it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from prometheus_client import CollectorRegistry

from ingest.loader.going_back import open_checkpoints
from ingest.loader.loader import Loader
from ingest.loader.settings import LoaderSettings
from ingest.loader.trust import trusted_since
from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.engine import Engine, Session
from ingest.store.migrate import migrate
from ingest.store.otlp import OtlpWriter, Request
from ingest.store.settings import StoreSettings
from ingest.store.target import Embedded
from ingest.store.telemetry import StoreMetrics

ITEMS = 8
SECOND_NS = 1_000_000_000
DAY_S = 86_400
MIDNIGHT_NS = (int(time.time()) // DAY_S - 2) * DAY_S * SECOND_NS
SETTINGS = LoaderSettings(interval_ms=0, trim_interval_s=3600)


def resource(number: int) -> Resource:
    named = {
        "service.name": f"service-{number % 3}", "service.version": str(number % 2),
        "k8s.cluster.name": "one", "k8s.namespace.name": "shop", "k8s.node.name": "node-1",
        "k8s.deployment.name": f"service-{number % 3}", "k8s.pod.name": f"service-{number % 3}-1",
        "k8s.container.name": "app",
    }  # fmt: skip
    return Resource(
        attributes=[KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in named.items()]
    )


def traces(number: int, draw: random.Random) -> bytes:
    """Spans of all kinds around a midnight, some of which run over it, some of days ago."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add(resource=resource(number)).scope_spans.add()
    for item in range(ITEMS):
        name = number * ITEMS + item
        begin = MIDNIGHT_NS + draw.randrange(-300 * SECOND_NS, 300 * SECOND_NS)
        if item == 0:
            begin -= draw.randrange(5) * DAY_S * SECOND_NS
        span = scope.spans.add(
            trace_id=struct.pack(">QQ", 1, name), span_id=struct.pack(">Q", name), kind=2 + item % 4,
            parent_span_id=struct.pack(">Q", 1 << 40 | name), name=f"op-{name % 5}",
            start_time_unix_nano=begin, end_time_unix_nano=begin + draw.randrange(600 * SECOND_NS),
        )  # fmt: skip
        span.status.code = 2 if draw.random() < 0.2 else 0
    return request.SerializeToString()


def metrics(number: int, draw: random.Random) -> bytes:
    """Points of use, of a machine, and a histogram. Whole numbers, so that sums are exact."""
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add(resource=resource(number)).scope_metrics.add()
    names = ("container.cpu.usage", "k8s.node.cpu.usage", "orders.placed")
    for item in range(ITEMS):
        at = MIDNIGHT_NS + draw.randrange(3600 * SECOND_NS)
        points = scope.metrics.add(name=names[item % 3]).gauge.data_points
        points.add(time_unix_nano=at, as_double=float(number * ITEMS + item))
    histogram = scope.metrics.add(name="latency").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(
        time_unix_nano=MIDNIGHT_NS + number, count=3, sum=6, bucket_counts=[1, 2], explicit_bounds=[2]
    )
    return request.SerializeToString()


def logs(number: int, draw: random.Random) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add(resource=resource(number)).scope_logs.add()
    for item in range(ITEMS):
        record = scope.log_records.add(time_unix_nano=MIDNIGHT_NS + draw.randrange(3600 * SECOND_NS))
        record.body.string_value = str(number * ITEMS + item)
    return request.SerializeToString()


MAKE = {Signal.TRACES: traces, Signal.METRICS: metrics, Signal.LOGS: logs}
NUMBERS = {
    Signal.TRACES: "SELECT DISTINCT intDiv(reinterpretAsUInt64(reverse(unhex(SpanId))), {items:UInt8})"
    " FROM otel_traces",
    Signal.METRICS: "SELECT DISTINCT toUInt64(intDiv(Value, {items:UInt8})) FROM metric_samples",
    Signal.LOGS: "SELECT DISTINCT intDiv(toUInt64(Body), {items:UInt8}) FROM otel_logs",
}
"""Which requests the store has anything of."""
COUNTS = {Signal.TRACES: ITEMS, Signal.METRICS: ITEMS + 1, Signal.LOGS: ITEMS}


def body(kind: Signal, number: int) -> bytes:
    """The request of a number."""
    return MAKE[kind](number, random.Random(f"{kind} {number}"))


class Life:
    """Spool, store and loader, opened as a server opens them."""

    def __init__(self, directory: Path, boot: str, *, protected: bool = True) -> None:
        registry = CollectorRegistry()
        store_metrics = StoreMetrics(registry)
        self.directory = directory
        target = Embedded(directory / "store")
        self.spool = Spool.open(
            directory / "spool", SpoolSettings(group_commit_ms=0), registry=registry,
            boot_id=lambda: trusted_since(target) if protected else boot,
        )  # fmt: skip
        self.checkpoints = open_checkpoints(self.spool, target, store_metrics) if protected else None
        self.engine = Engine(target, lambda session: migrate(session, StoreSettings()))
        self.engine.reach()
        self.loader = Loader(
            self.spool, self.engine, SETTINGS, registry=registry, checkpoints=self.checkpoints,
            store_metrics=store_metrics,
        )  # fmt: skip
        self.registry = registry
        self.loader.start()

    def send(self, number: int) -> None:
        note(self.directory, "tried", number)
        futures = [
            self.spool.append(
                kind, "default", body(kind, number), items=COUNTS[kind], received_ns=MIDNIGHT_NS + number
            )
            for kind in Signal
        ]
        for future in futures:
            future.result()
        note(self.directory, "sent", number)

    def store(self) -> None:
        until = time.monotonic() + 60
        while any(one.records_waiting for one in self.spool.status().signals):
            assert time.monotonic() < until, self.loader.status()
            time.sleep(0.005)

    def merge(self) -> None:
        with self.engine.session() as session:
            for name in own_tables(session):
                session.execute("OPTIMIZE TABLE {name:Identifier} FINAL", {"name": name})

    def close(self) -> None:
        assert self.loader.stop(60)
        self.engine.close()
        if self.checkpoints is not None:
            self.checkpoints.close()
        self.spool.close()


def live(directory: Path, boot: str, plan: list[str]) -> None:
    life = Life(directory, boot, protected=plan[0] != "unprotected")
    sys.stdout.write("open\n")
    sys.stdout.flush()
    number = len(noted(directory, "tried"))
    for word in plan:
        action, _, times = word.partition("*")
        for _ in range(int(times or 1)):
            match action:
                case "send":
                    life.send(number)
                    number += 1
                case "store":
                    life.store()
                case "keep":
                    life.loader.keep()
                case "merge":
                    life.merge()
                case "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "unprotected":
                    pass
                case unknown:
                    raise ValueError(unknown)
    life.close()


def note(directory: Path, what: str, number: int) -> None:
    with (directory / what).open("a") as file:
        file.write(f"{number}\n")


def noted(directory: Path, what: str) -> set[int]:
    """The numbers of requests that were `tried`, or `sent`: all three were acknowledged."""
    try:
        return {int(line) for line in (directory / what).read_text().splitlines()}
    except FileNotFoundError:
        return set()


def own_tables(session: Session) -> dict[str, str]:
    """Engine by table."""
    rows = session.rows(
        "SELECT name, engine FROM system.tables WHERE database = currentDatabase()"
        " AND engine LIKE '%MergeTree' AND name != 'schema_migrations' ORDER BY name"
    )
    return {str(name): str(engine) for name, engine in rows}


def dump(session: Session) -> dict[str, list[str]]:
    """The rows of every table as sorted text, rollups as they are read."""
    found = {}
    for table, engine in own_tables(session).items():
        columns = session.rows(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase()"
            " AND table = {table:String} AND name != '_batch' AND default_kind != 'ALIAS'",
            {"table": table},
        )
        names = ", ".join(
            f"finalizeAggregation(`{name}`)" if kind.startswith("AggregateFunction") else f"`{name}`"
            for name, kind in columns
        )
        final = "" if engine == "MergeTree" else "FINAL"
        rows = session.raw(f"SELECT {names} FROM {table} {final}", fmt="TSV")  # noqa: S608 - our own tables
        found[table] = sorted(rows.decode().splitlines())
    return found


def check(directory: Path, boot: str, out: Path) -> None:
    life = Life(directory, boot)
    life.store()
    with life.engine.session() as session:
        rows = dump(session)
        found = {
            kind: [int(number) for (number,) in session.rows(query, {"items": ITEMS})]
            for kind, query in NUMBERS.items()
        }
    samples = {
        name: life.registry.get_sample_value(f"lowtide_store_{name}", labels)
        for name, labels in (
            ("put_back_parts", {"done": "returned"}), ("put_back_problems", {}), ("broken_parts", {}),
        )
    }  # fmt: skip
    life.close()
    out.write_text(json.dumps({"rows": rows, "samples": samples, "found": found}))


def expect(directory: Path, out: Path, wanted: dict[str, list[int]]) -> None:
    engine = Engine(Embedded(directory), lambda session: migrate(session, StoreSettings()))
    writer = OtlpWriter(engine)
    for at, kind in enumerate(Signal):
        requests = [
            Request("default", MIDNIGHT_NS + number, body(kind, number)) for number in sorted(wanted[kind])
        ]
        writer.insert(kind, at + 1, str(kind), requests)
    writer.close()
    with engine.session() as session:
        out.write_text(json.dumps({"rows": dump(session)}))
    engine.close()


if __name__ == "__main__":
    command, place, *words = sys.argv[1:]
    if command == "live":
        live(Path(place), words[0], words[1:])
    elif command == "check":
        check(Path(place), words[0], Path(words[1]))
    else:
        expect(Path(place), Path(words[0]), json.loads(words[1]))
