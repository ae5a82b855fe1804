"""Rollups against a recomputation from the raw tables."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.signals import Signal
from ingest.store.engine import Session

NOW_NS = time.time_ns()
HOUR_NS = 3600 * 1_000_000_000

RED = """
SELECT service_name, operation, kind, minute, sum(requests) AS requests, sum(spans) AS spans,
    sum(errors) AS errors, sum(errors_weighted) AS errors_weighted, sum(duration_ns) AS duration_ns,
    arraySum(mapValues(sumMap(durations))) AS n
FROM red_1m WHERE tenant = {tenant:String}
GROUP BY service_name, operation, kind, minute ORDER BY ALL
"""
RED_AGAIN = """
SELECT ServiceName AS service_name, SpanName AS operation, SpanKind AS kind,
    toStartOfMinute(fromUnixTimestamp64Nano(toUnixTimestamp64Nano(Timestamp) + toInt64(Duration), 'UTC'))
        AS minute,
    sum(weight) AS requests, count() AS spans, countIf(StatusCode = 'Error') AS errors,
    sumIf(weight, StatusCode = 'Error') AS errors_weighted, sum(Duration) AS duration_ns, spans AS n
FROM
(
    SELECT *, toDecimal128(if(TraceState = 'ot=th:8', 2, 1), 6) AS weight FROM otel_traces
    WHERE tenant = {tenant:String} AND SpanKind IN ('Server', 'Consumer')
)
GROUP BY service_name, operation, kind, minute ORDER BY ALL
"""


@pytest.fixture
def some_spans(made: Any) -> list[Any]:
    draw = random.Random(7)
    found = []
    for number in range(400):
        start = NOW_NS - draw.randrange(48 * HOUR_NS)
        found.append(
            made(
                start,
                start + draw.randrange(1, 90 * 1_000_000_000),
                kind=draw.randrange(6),
                name=f"op-{draw.randrange(4)}",
                error=draw.random() < 0.3,
                trace_state=draw.choice(["", "ot=th:8"]),
                trace_id=draw.randbytes(16),
                span_id=number.to_bytes(8, "big"),
                parent=draw.choice([b"", draw.randbytes(8)]),
                links=[(draw.randbytes(16), draw.randbytes(8))] if number % 3 == 0 else (),
            )
        )
    return found


def test_rates_errors_and_durations(
    session: Session, insert: Callable[..., None], tenant: str, some_spans: list[Any], traces: Any
) -> None:
    for start in range(0, 400, 100):
        insert(Signal.TRACES, traces(some_spans[start : start + 100]), tenant=tenant)

    kept = session.rows(RED, {"tenant": tenant})

    assert len(kept) > 50
    assert kept == session.rows(RED_AGAIN, {"tenant": tenant})


def test_both_sides_of_every_call_are_kept(
    session: Session, insert: Callable[..., None], tenant: str, some_spans: list[Any], traces: Any
) -> None:
    insert(Signal.TRACES, traces(some_spans), tenant=tenant)

    kept = set(
        session.rows(
            "SELECT side, trace_id, edge_id, span_id FROM half_edges WHERE tenant = {tenant:String}",
            {"tenant": tenant},
        )
    )

    expected = set()
    for span in some_spans:
        trace, own = span.trace_id.hex(), span.span_id.hex()
        if span.kind in (3, 4):
            expected.add(("caller", trace, own, own))
        if span.kind in (2, 5) and span.parent:
            expected.add(("callee", trace, span.parent.hex(), own))
        if span.kind == 5:
            expected |= {("link", other.hex(), edge.hex(), own) for other, edge in span.links}
    assert kept == expected


@pytest.mark.parametrize(
    ("attributes", "peer"),
    [
        ({"db.system.name": "postgresql", "server.address": "db.local"}, ("database", "db.local")),
        ({"db.system": "redis"}, ("database", "redis")),
        ({"messaging.system": "kafka", "messaging.destination.name": "orders"}, ("messaging", "orders")),
        ({"rpc.system": "grpc", "rpc.service": "shop.Tax"}, ("rpc", "shop.Tax")),
        ({"server.address": "tax-rate", "peer.service": "tax"}, ("http", "tax")),
        ({}, ("http", "")),
    ],
)
def test_a_caller_says_what_it_called(
    session: Session, insert: Callable[..., None], tenant: str, made: Any, traces: Any,
    attributes: dict[str, str], peer: tuple[str, str],
) -> None:  # fmt: skip
    insert(Signal.TRACES, traces([made(NOW_NS, NOW_NS + 1, kind=3, attributes=attributes)]), tenant=tenant)

    assert session.rows(
        "SELECT peer_kind, peer_name FROM half_edges WHERE tenant = {tenant:String}", {"tenant": tenant}
    ) == [peer]


def test_volume_counts_every_row(
    session: Session, insert: Callable[..., None], tenant: str, some_spans: list[Any], traces: Any
) -> None:
    body = traces(some_spans)
    insert(Signal.TRACES, body, tenant=tenant)

    rows, size = session.rows(
        "SELECT sum(rows), sum(bytes) FROM telemetry_volume_1h WHERE tenant = {tenant:String}",
        {"tenant": tenant},
    )[0]

    sent = ExportTraceServiceRequest.FromString(body)
    assert (rows, size) == (400, sum(span.ByteSize() for span in sent.resource_spans[0].scope_spans[0].spans))


@pytest.mark.parametrize("kind", ["gauge", "sum", "histogram", "exponential_histogram", "summary"])
def test_volume_is_what_was_sent(
    session: Session, insert: Callable[..., None], tenant: str, kind: str
) -> None:
    """Of the points themselves: their resource and metric are many points'."""
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    entry.resource.attributes.add(key="service.name").value.string_value = "till"
    points = getattr(entry.scope_metrics.add().metrics.add(name="m"), kind).data_points
    for number in range(3):
        point = points.add(time_unix_nano=NOW_NS)
        point.attributes.add(key="route").value.string_value = "/" * number
    insert(Signal.METRICS, request.SerializeToString(), tenant=tenant)

    assert session.rows(
        "SELECT sum(rows), sum(bytes) FROM telemetry_volume_1h WHERE tenant = {tenant:String}",
        {"tenant": tenant},
    ) == [(3, sum(point.ByteSize() for point in points))]


@pytest.mark.parametrize(
    ("resource", "workload"),
    [
        ({"k8s.deployment.name": "shop", "k8s.replicaset.name": "shop-1"}, ("Deployment", "shop")),
        ({"k8s.cronjob.name": "nightly", "k8s.job.name": "nightly-2"}, ("CronJob", "nightly")),
        ({"k8s.replicaset.name": "loose"}, ("ReplicaSet", "loose")),
        ({"faas.name": "resize", "service.name": "img"}, ("Function", "resize")),
        ({"service.name": "tax", "host.name": "vm-1"}, ("Service", "tax")),
        ({"k8s.pod.name": "bare", "service.name": "x"}, ("Pod", "bare")),
        ({"host.name": "vm-1"}, ("Host", "vm-1")),
        ({"colour": "blue"}, ("", "")),
    ],
)
def test_who_a_resource_is(
    session: Session, insert: Callable[..., None], tenant: str, made: Any, traces: Any,
    resource: dict[str, str], workload: tuple[str, str],
) -> None:  # fmt: skip
    own = {"k8s.cluster.name": "fra", "deployment.environment": "live", **resource}
    insert(Signal.TRACES, traces([made(NOW_NS, NOW_NS + 1)], own), tenant=tenant)

    found = session.rows(
        "SELECT cluster, environment, workload_kind, workload_name FROM activity_1s"
        " WHERE tenant = {tenant:String}"
        " UNION DISTINCT SELECT cluster, environment, workload_kind, workload_name FROM workloads"
        " WHERE tenant = {tenant:String}",
        {"tenant": tenant},
    )
    assert found == [("fra", "live", *workload)]


def test_the_latest_attributes_of_a_workload_are_kept(
    session: Session, insert: Callable[..., None], tenant: str, made: Any, traces: Any
) -> None:
    for age_h, team in ((1, "new"), (30, "old")):
        start = NOW_NS - age_h * HOUR_NS
        insert(
            Signal.TRACES,
            traces([made(start, start + 5)], {"service.name": "quote", "team": team}),
            tenant=tenant,
        )

    found = session.rows(
        "SELECT argMaxMerge(attributes)['team'], date_diff('hour', min(first_seen_at), max(last_seen_at))"
        " FROM workloads WHERE tenant = {tenant:String}",
        {"tenant": tenant},
    )
    assert found == [("new", 29)]


def test_sums_of_long_spans_do_not_wrap(
    session: Session, insert: Callable[..., None], tenant: str, made: Any, traces: Any
) -> None:
    long_ns = 80 * 24 * HOUR_NS
    spans = [made(NOW_NS - long_ns, NOW_NS, kind=2, span_id=n.to_bytes(8, "big")) for n in range(1, 3001)]
    insert(Signal.TRACES, traces(spans), tenant=tenant)

    for sql in (
        "SELECT sum(busy_ns) FROM activity_1s WHERE tenant = {tenant:String}",
        "SELECT sum(duration_ns) FROM red_1m WHERE tenant = {tenant:String}",
    ):
        assert session.value(sql, {"tenant": tenant}) == 3000 * long_ns > 2**64
    rows = "SELECT count(), sum(carried) FROM activity_1s WHERE tenant = {tenant:String}"
    assert session.rows(rows, {"tenant": tenant}) == [(82, 3000 * 80)]
