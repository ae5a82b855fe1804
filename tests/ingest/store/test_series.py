"""What a series is is stored once for each day that it has points of, however many come."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogram, Histogram, Metric, Summary

from ingest.signals import Signal
from ingest.store.engine import Engine, Session
from ingest.store.otlp import OtlpWriter, Request
from ingest.store.settings import StoreSettings

DAY_NS = 86_400 * 1_000_000_000
MIDNIGHT_NS = time.time_ns() // DAY_NS * DAY_NS - 10 * DAY_NS
MIDNIGHT = date(1970, 1, 1) + timedelta(days=MIDNIGHT_NS // DAY_NS)
POD = {"k8s.pod.name": "checkout-1"}


def stored(session: Session, tenant: str) -> list[tuple[str, int]]:
    """The rows as they are, merged or not: whose series, and for which day, counted from `MIDNIGHT`."""
    rows = session.rows(
        "SELECT Attributes['route'], toDate(last_seen_at) FROM metric_series WHERE tenant = {t:String}"
        " ORDER BY ALL",
        {"t": tenant},
    )
    return [(route, (day - MIDNIGHT).days) for route, day in rows]


def unmatched(session: Session, tenant: str) -> int:
    """Points without a series that was seen on their day or later."""
    found = session.value(
        "SELECT count() FROM metric_samples AS point LEFT JOIN"
        " (SELECT fingerprint, max(last_seen_at) AS seen_at FROM metric_series WHERE tenant = {t:String}"
        "  GROUP BY fingerprint) AS series ON point.fingerprint = series.fingerprint"
        " WHERE tenant = {t:String} AND toDate(TimeUnix) > toDate(series.seen_at)",
        {"t": tenant},
    )
    return int(found)


@pytest.fixture
def unmerged(session: Session) -> Iterator[None]:
    """Rows stay as they were inserted; of one insert, only the newest of a series is kept even so."""
    session.execute("SYSTEM STOP MERGES metric_series")
    yield
    session.execute("SYSTEM START MERGES metric_series")


@pytest.fixture
def send(insert: Callable[..., None], tenant: str, metrics: Any) -> Callable[..., None]:
    """Send points in one batch: (route, day, hour)."""

    def run(*points: tuple[str, int, int], resource: dict[str, str] = POD) -> None:
        body = metrics(
            [
                ("http.requests", 1.0, MIDNIGHT_NS + day * DAY_NS + hour * DAY_NS // 24, {"route": route})
                for route, day, hour in points
            ],
            resource,
        )
        insert(Signal.METRICS, body, tenant=tenant)

    return run


@pytest.mark.usefixtures("unmerged")
def test_points_of_a_day_store_their_series_once(
    session: Session, tenant: str, send: Callable[..., None]
) -> None:
    send(("/a", 0, 1), ("/a", 0, 2), ("/b", 0, 2))
    send(("/a", 0, 3), ("/c", 0, 3))
    send(("/a", 0, 23))

    assert stored(session, tenant) == [("/a", 0), ("/b", 0), ("/c", 0)]


@pytest.mark.usefixtures("unmerged")
def test_every_day_stores_it_again(session: Session, tenant: str, send: Callable[..., None]) -> None:
    send(("/a", 0, 23))
    send(("/a", 1, 5), ("/b", 1, 5))
    send(("/a", 0, 23), ("/a", 1, 6), ("/a", 2, 0))
    send(("/a", 2, 1), ("/a", 1, 7))

    assert stored(session, tenant) == [("/a", 0), ("/a", 1), ("/a", 2), ("/b", 1)]


def test_no_point_is_without_its_series(session: Session, tenant: str, send: Callable[..., None]) -> None:
    """In whatever order days come, and whatever was merged meanwhile."""
    chance = random.Random(7)
    for number in range(12):
        send(*(("/" + chance.choice("abcd"), chance.randrange(5), chance.randrange(24)) for _ in range(4)))
        if number % 4 == 3:
            session.execute("OPTIMIZE TABLE metric_series FINAL")
        assert unmatched(session, tenant) == 0


@pytest.mark.usefixtures("unmerged")
def test_of_the_demo_every_batch_stores_it(session: Session, tenant: str, send: Callable[..., None]) -> None:
    demo = {**POD, "lowtide.demo": "true"}
    for _ in range(3):
        send(("/a", 0, 1), ("/a", 0, 2), resource=demo)
    send(("/a", 0, 1))

    assert stored(session, tenant) == [("/a", 0)] * 4


def test_a_series_that_was_deleted_comes_back(
    migrated: Engine, session: Session, tenant: str, send: Callable[..., None], metrics: Any
) -> None:
    """With the next process, or on the next day: the one that stored it takes it for known."""
    send(("/a", 0, 1))
    session.execute(
        "ALTER TABLE metric_series DELETE WHERE tenant = {t:String}", {"t": tenant}, {"mutations_sync": 2}
    )
    body = metrics([("http.requests", 1.0, MIDNIGHT_NS, {"route": "/a"})], POD)
    writer = OtlpWriter(migrated)
    writer.insert(Signal.METRICS, 900_003, f"next of {tenant}", [Request(tenant, 1, body)])
    writer.close()

    assert stored(session, tenant) == [("/a", 0)]


@pytest.mark.usefixtures("unmerged")
def test_one_tenant_does_not_know_anothers(
    session: Session, tenant: str, insert: Callable[..., None], metrics: Any
) -> None:
    body = metrics([("http.requests", 1.0, MIDNIGHT_NS, {"route": "/a"})], POD)
    for whose in (f"{tenant}-a", f"{tenant}-b", f"{tenant}-a"):
        insert(Signal.METRICS, body, tenant=whose)

    assert [stored(session, f"{tenant}-{letter}") for letter in "ab"] == [[("/a", 0)]] * 2


@pytest.mark.usefixtures("unmerged")
def test_every_kind_of_point_has_its_series(
    session: Session, tenant: str, insert: Callable[..., None]
) -> None:
    histogram, exponential, summary = Histogram(), ExponentialHistogram(), Summary()
    for data in (histogram, exponential, summary):
        data.data_points.add(time_unix_nano=MIDNIGHT_NS, count=1)
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    entry.scope_metrics.add().metrics.extend([
        Metric(name="h", histogram=histogram), Metric(name="e", exponential_histogram=exponential),
        Metric(name="s", summary=summary),
    ])  # fmt: skip
    for _ in range(2):
        insert(Signal.METRICS, request.SerializeToString(), tenant=tenant)

    assert session.rows(
        "SELECT MetricName, kind FROM metric_series WHERE tenant = {t:String} ORDER BY ALL", {"t": tenant}
    ) == [("e", "exponential_histogram"), ("h", "histogram"), ("s", "summary")]


@pytest.mark.usefixtures("unmerged")
def test_a_batch_that_is_repeated_completes_its_series(
    migrated: Engine, session: Session, tenant: str, metrics: Any
) -> None:
    """As after an insert that failed between the tables: what is missing comes, and nothing twice."""
    points = [("http.requests", 1.0, MIDNIGHT_NS, {"route": route}) for route in ("/a", "/b")]
    writer = OtlpWriter(migrated)
    writer.insert(
        Signal.METRICS, 900_001, f"first of {tenant}", [Request(tenant, 1, metrics(points[:1], POD))]
    )
    for _ in range(3):
        writer.insert(
            Signal.METRICS, 900_002, f"second of {tenant}", [Request(tenant, 1, metrics(points, POD))]
        )
    writer.close()

    samples = session.value("SELECT count() FROM metric_samples WHERE tenant = {t:String}", {"t": tenant})
    assert (samples, stored(session, tenant)) == (3, [("/a", 0), ("/b", 0)])


def test_a_series_is_kept_longer_than_its_points(session: Session) -> None:
    days = StoreSettings().retention.metrics_days
    (definition,) = session.rows(
        "SELECT create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND name = 'metric_series'"
    )[0]
    assert f"TTL (last_seen_at + toIntervalHour(24)) + toIntervalDay({days})" in definition
