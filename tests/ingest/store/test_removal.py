"""The demo's telemetry goes, everything else stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogram, Histogram, Metric, Summary

from ingest.signals import Signal
from ingest.store.engine import Session
from ingest.store.removal import EVIDENCE, RULES, Step, has_demo, remove_demo

NOW_NS = time.time_ns()
DEMO = {"lowtide.demo": "true"}


@pytest.fixture(autouse=True)
def without_demo(session: Session) -> None:
    """The tables are shared, and a removal is about all tenants: other tests have a demo too."""
    remove_demo(session)


@pytest.fixture
def send(insert: Any, tenant: str, made: Any, traces: Any) -> Callable[..., None]:
    """`send(name, resource)`: spans, points of every kind and a log record of a service."""
    numbers = iter(range(1, 1000))

    def run(name: str, resource: dict[str, str] | None = None) -> None:
        who = {
            "service.name": name, "k8s.cluster.name": "fra", "k8s.namespace.name": "shop",
            "k8s.deployment.name": name, "k8s.container.name": name, "k8s.node.name": f"node-of-{name}",
            **(resource or {}),
        }  # fmt: skip
        number = next(numbers)
        spans = [
            made(
                NOW_NS - 5_000_000_000 * n, NOW_NS - 1, kind=2 + n % 4, trace_id=number.to_bytes(16, "big"),
                span_id=bytes([n + 1]) * 8, parent=bytes([n]) * 8,
            )
            for n in range(1, 8)
        ]  # fmt: skip
        insert(Signal.TRACES, traces(spans, who | {"k8s.pod.name": name}), tenant=tenant)
        insert(Signal.METRICS, points(who), tenant=tenant)
        insert(Signal.LOGS, record(who), tenant=tenant)

    return run


def attributes(values: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items()]


def points(who: dict[str, str]) -> bytes:
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    entry.resource.attributes.extend(attributes(who))
    metrics = entry.scope_metrics.add().metrics
    for name in ("k8s.container.cpu_request", "k8s.node.cpu.usage", "container.cpu.usage"):
        metrics.add(name=name).gauge.data_points.add(time_unix_nano=NOW_NS, as_double=0.5)
    fact = metrics.add(name="kube_pod_info").gauge.data_points.add(time_unix_nano=NOW_NS, as_double=1)
    fact.attributes.extend(attributes({"namespace": "shop", "pod": who["service.name"]}))
    edge = metrics.add(name="response_total").gauge.data_points.add(time_unix_nano=NOW_NS, as_double=1)
    edge.attributes.extend(attributes({"direction": "inbound"}))
    wanted = metrics.add(name="kn.revision.pods.desired").gauge.data_points.add(
        time_unix_nano=NOW_NS, as_int=0
    )
    wanted.attributes.extend(attributes({"kn.revision.name": who["service.name"]}))
    histogram, exponential, summary = Histogram(), ExponentialHistogram(), Summary()
    histogram.data_points.add(
        time_unix_nano=NOW_NS, count=2, sum=3, bucket_counts=[1, 1], explicit_bounds=[1.0]
    )
    exponential.data_points.add(time_unix_nano=NOW_NS, count=1, sum=1, zero_count=1)
    summary.data_points.add(time_unix_nano=NOW_NS, count=1, sum=1)
    metrics.append(Metric(name="h", histogram=histogram))
    metrics.append(Metric(name="e", exponential_histogram=exponential))
    metrics.append(Metric(name="s", summary=summary))
    return request.SerializeToString()


def record(who: dict[str, str]) -> bytes:
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    entry.resource.attributes.extend(attributes(who))
    records = entry.scope_logs.add().log_records
    records.add(time_unix_nano=NOW_NS).body.string_value = "done"
    asked = records.add(time_unix_nano=NOW_NS, event_name="envoy.access")
    asked.attributes.extend(
        attributes({"method": "GET", "response_code": "200", "duration": "3", "upstream_service_time": "2"})
    )
    report = (
        "REPORT RequestId: c793869b-ee49-115b-a5b6-4fd21e8dedac\tDuration: 128.83 ms\tBilled Duration: 200 ms"
    )
    for line in (report, "INIT_REPORT Init Duration: 10009.13 ms\tPhase: init\tStatus: timeout"):
        records.add(time_unix_nano=NOW_NS).body.string_value = line
    entry.resource.attributes.extend(
        attributes({"k8s.object.kind": "Pod", "k8s.object.name": who["service.name"]})
    )
    records.add(time_unix_nano=NOW_NS).attributes.extend(attributes({"k8s.event.reason": "Started"}))
    return request.SerializeToString()


def engines(session: Session) -> dict[str, str]:
    """Tables that keep telemetry, with their engines; nobody plays bills and snapshots of clusters, and costs
    that are kept are computed anew.
    """
    return dict(
        session.rows(
            "SELECT name, engine FROM system.tables WHERE database = currentDatabase()"
            " AND engine LIKE '%MergeTree' AND name != 'schema_migrations' AND NOT startsWith(name, 'bill_')"
            " AND NOT startsWith(name, 'cost_')"
            " AND name NOT IN ('kubernetes_objects', 'kubernetes_snapshots')"
        )
    )


def contents(session: Session, tenant: str) -> dict[str, list[str]]:
    """Every row of the tenant in every table as text; those that merge later are merged now."""
    found = {}
    for table, engine in engines(session).items():
        final = "" if engine == "MergeTree" else "FINAL"
        columns = "* REPLACE finalizeAggregation(attributes) AS attributes" if table == "workloads" else "*"
        query = f"SELECT {columns} FROM {table} {final} WHERE tenant = {{tenant:String}} ORDER BY ALL"  # noqa: S608 - names of ours
        found[table] = [str(row) for row in session.rows(query, {"tenant": tenant})]
    return found


def test_every_table_has_its_rule(session: Session) -> None:
    assert engines(session).keys() == RULES.keys()


def test_everything_else_stays_as_it_is(session: Session, tenant: str, send: Callable[..., None]) -> None:
    send("quote")
    send("rates", {"lowtide.demo": "false"})
    before = contents(session, tenant)
    assert {table for table, rows in before.items() if not rows} == set(), "some table is not tested"
    assert not has_demo(session)

    for name in ("tax", "paper", "quotes"):
        send(name, DEMO)
    assert has_demo(session)
    removed = remove_demo(session)

    assert removed.finished
    assert {table for table, rows in removed.rows.items() if not rows} == set()
    assert contents(session, tenant) == before
    assert not has_demo(session)
    assert set(remove_demo(session).rows.values()) == {0}


def test_what_both_sent_under_one_name_stays_in_the_rollups(
    session: Session, tenant: str, send: Callable[..., None]
) -> None:
    send("quote", DEMO)
    send("quote", {"k8s.node.name": "mine"})
    before = contents(session, tenant)

    remove_demo(session)

    after = contents(session, tenant)
    assert len(after["otel_traces"]) == len(before["otel_traces"]) // 2 == 7
    assert "lowtide.demo" not in str(after)
    for rollup in ("activity_1s", "red_1m", "usage_1m", "telemetry_volume_1h"):
        assert after[rollup] == before[rollup]
    assert not has_demo(session)


@pytest.mark.parametrize("broken_at", ["metric_samples", "metric_series", "otel_traces", "workloads"])
def test_a_removal_that_broke_off_is_finished_by_the_next(
    session: Session, tenant: str, send: Callable[..., None], broken_at: str
) -> None:
    def breaks(step: Step) -> None:
        if step.table == broken_at:
            raise RuntimeError("broken off")

    send("quote")
    before = contents(session, tenant)
    send("tax", DEMO)
    with pytest.raises(RuntimeError):
        remove_demo(session, tell=breaks)

    assert remove_demo(session).finished
    assert contents(session, tenant) == before


@pytest.mark.parametrize("arrives_at", ["metric_samples", "red_1m", "otel_logs", "otel_traces", "workloads"])
def test_what_the_demo_sends_during_a_removal_goes_too(
    session: Session, tenant: str, send: Callable[..., None], arrives_at: str
) -> None:
    arrivals = iter(["late"])

    def sends(step: Step) -> None:
        if step.table == arrives_at and (name := next(arrivals, None)):
            send(name, DEMO)

    send("quote")
    before = contents(session, tenant)
    send("tax", DEMO)
    removed = remove_demo(session, tell=sends)

    assert removed.finished
    assert contents(session, tenant) == before


def test_a_demo_that_never_stops_is_told_apart_and_leaves_nothing_unknown(
    session: Session, tenant: str, send: Callable[..., None]
) -> None:
    def sends(step: Step) -> None:
        if step.table in {"red_1m", "workloads"}:
            send("tax", DEMO)

    send("quote")
    before = contents(session, tenant)
    send("tax", DEMO)

    removed = remove_demo(session, tell=sends)
    assert not removed.finished
    assert removed.rows["otel_traces"] >= 7
    assert has_demo(session)

    assert remove_demo(session).finished
    assert contents(session, tenant) == before


def test_an_insert_that_was_under_way_is_waited_for(
    session: Session, tenant: str, send: Callable[..., None]
) -> None:
    send("quote")
    before = contents(session, tenant)
    under_way = iter(["tax"])

    def settle() -> None:
        for name in under_way:
            send(name, DEMO)

    removed = remove_demo(session, settle=settle)

    assert removed.finished
    assert removed.rows["otel_traces"] == 7
    assert contents(session, tenant) == before


def test_parts_of_the_demo_alone_are_dropped_and_shared_ones_rewritten(
    session: Session, tenant: str, send: Callable[..., None]
) -> None:
    send("quote")
    send("tax", DEMO)
    session.execute("OPTIMIZE TABLE otel_traces FINAL")  # one part with both, a day
    before = session.value("SELECT count() FROM otel_traces WHERE tenant = {t:String}", {"t": tenant})
    send("paper", DEMO)

    removed = remove_demo(session)

    after = session.value("SELECT count() FROM otel_traces WHERE tenant = {t:String}", {"t": tenant})
    assert (before, removed.rows["otel_traces"], after) == (14, 14, 7)


def test_a_part_that_was_merged_meanwhile_is_left_to_the_next_round(
    session: Session, tenant: str, send: Callable[..., None]
) -> None:
    """What was looked at may be gone; nothing is lost, and nothing is counted twice."""

    def merges(step: Step) -> None:
        if step.round == 1 and step.table == "metric_samples":  # after the parts were noted
            for table in EVIDENCE:
                session.execute(f"OPTIMIZE TABLE {table} FINAL")

    send("quote")
    before = contents(session, tenant)
    send("tax", DEMO)
    send("tax", DEMO)

    removed = remove_demo(session, tell=merges)

    assert removed.finished
    assert removed.rows["otel_traces"] == 14
    assert contents(session, tenant) == before
