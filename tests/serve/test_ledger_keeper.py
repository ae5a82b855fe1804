"""The thread that keeps the ledger of costs up to date."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client import CollectorRegistry

from analytics.answers import Basis
from analytics.ledger_job import FIRST
from analytics.settings import AnalyticsSettings
from ingest.signals import Signal
from ingest.store.engine import Engine
from ingest.store.errors import StoreUnavailableError
from ingest.store.migrate import migrate
from ingest.store.otlp import OtlpWriter, Request
from ingest.store.settings import StoreSettings
from lowtide.serve.ledger_keeper import LedgerKeeper
from support.waiting import until

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
NODE = {"k8s.cluster.name": "fra", "k8s.node.name": "node-1", "host.type": "m6i.xlarge",
        "cloud.provider": "aws", "cloud.region": "eu-central-1"}  # fmt: skip
DAYS = "SELECT tenant, day, total_nano FROM cost_days ORDER BY tenant, day, posting"
INDEX = 1 << 41


class Loading:
    """A loader that nobody uses but the keeper; `broken` is what its next inserts raise."""

    def __init__(self) -> None:
        self.broken: Exception | None = None

    def inserting(self) -> Any:
        if self.broken is not None:
            raise self.broken
        return nullcontext()

    def settle(self, timeout_s: float) -> bool:
        return timeout_s > 0


def of_a_day(day: datetime) -> bytes:
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    for key, text in NODE.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    metric = entry.scope_metrics.add().metrics.add(name="k8s.node.cpu.usage")
    for hour in range(24):
        at = day + timedelta(hours=hour)
        metric.gauge.data_points.add(time_unix_nano=int(at.timestamp()) * 10**9, as_double=1.0)
    return request.SerializeToString()


@pytest.fixture
def kept(store: Engine) -> Iterator[tuple[LedgerKeeper, Loading, CollectorRegistry]]:
    """The keeper of a store with two tenants: one of two days, one of the second only."""
    with store.session() as session:
        migrate(session, StoreSettings())
    midnight = NOW.replace(hour=0)
    bodies = [("b", midnight - timedelta(days=1)), ("a", midnight - timedelta(days=2)),
              ("a", midnight - timedelta(days=1))]  # fmt: skip
    writer = OtlpWriter(store)
    requests = [Request(tenant, 1, of_a_day(day)) for tenant, day in bodies]
    writer.insert(Signal.METRICS, INDEX, "keeper", requests)
    writer.close()
    loading, registry = Loading(), CollectorRegistry()
    keeper = LedgerKeeper(
        store, loading, lambda: Basis.load(AnalyticsSettings(), "USD", UTC),
        registry=registry, interval_s=3600.0, first_after_s=0.01,
    )  # fmt: skip
    yield keeper, loading, registry
    keeper.close()


def test_every_tenants_days_are_kept_once(
    store: Engine, kept: tuple[LedgerKeeper, Loading, CollectorRegistry]
) -> None:
    keeper, _, registry = kept

    assert (keeper.run_once(NOW), keeper.run_once(NOW + timedelta(hours=1))) == (3, 0)

    first, second = ((NOW - timedelta(days=number)).date() for number in (2, 1))
    whole = 24 * 230_000_000
    with store.session() as session:
        assert session.rows(DAYS) == [("a", first, whole), ("a", second, whole), ("b", second, whole)]
    assert registry.get_sample_value("lowtide_ledger_days_total", {"because": FIRST}) == 3
    done_at = registry.get_sample_value("lowtide_ledger_complete_timestamp_seconds")
    assert done_at == (NOW + timedelta(hours=1)).timestamp()


def test_what_fails_is_counted_and_done_later(
    store: Engine, kept: tuple[LedgerKeeper, Loading, CollectorRegistry]
) -> None:
    keeper, loading, registry = kept
    loading.broken = StoreUnavailableError("the disk is full")

    assert keeper.run_once(NOW) == 0
    assert registry.get_sample_value("lowtide_ledger_failures_total") == 1
    assert registry.get_sample_value("lowtide_ledger_complete_timestamp_seconds") == 0
    loading.broken = None
    assert keeper.run_once(NOW) == 3


def test_it_runs_by_itself_until_it_is_closed(kept: tuple[LedgerKeeper, Loading, CollectorRegistry]) -> None:
    keeper, _, registry = kept

    keeper.start()
    until(lambda: bool(registry.get_sample_value("lowtide_ledger_complete_timestamp_seconds")))
    keeper.close()

    assert "ledger" not in {thread.name for thread in threading.enumerate()}
    assert keeper.run_once(NOW) == 0, "one that is closed begins no day"
