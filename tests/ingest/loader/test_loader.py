"""The whole loader between a real spool and the real engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from prometheus_client import CollectorRegistry

from ingest.loader.loader import Loader
from ingest.loader.settings import LoaderSettings
from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.engine import Engine, Session

NOW_NS = time.time_ns()
COUNTS = {
    Signal.TRACES: "SELECT count() FROM otel_traces WHERE tenant = {tenant:String}",
    Signal.METRICS: "SELECT count() FROM metric_samples WHERE tenant = {tenant:String}",
    Signal.LOGS: "SELECT count() FROM otel_logs WHERE tenant = {tenant:String}",
}


def log_request(count: int) -> bytes:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for _ in range(count):
        records.add(time_unix_nano=NOW_NS).body.string_value = "paid"
    return request.SerializeToString()


@pytest.fixture
def bodies(traces: Callable[..., bytes], metrics: Callable[..., bytes], made: Any) -> dict[Signal, bytes]:
    """A request of three items for each signal."""
    spans = [made(NOW_NS, NOW_NS + 5, span_id=bytes([n]) * 8) for n in range(1, 4)]
    points = [("orders.placed", float(n), NOW_NS + n, {}) for n in range(3)]
    return {
        Signal.TRACES: traces(spans),
        Signal.METRICS: metrics(points, {"service.name": "orders"}),
        Signal.LOGS: log_request(3),
    }


def stored(session: Session, tenant: str) -> dict[Signal, int]:
    return {signal: session.value(sql, {"tenant": tenant}) for signal, sql in COUNTS.items()}


def test_stop_stores_what_waits_and_frees_the_spool(
    tmp_path: Path, migrated: Engine, session: Session, tenant: str, bodies: dict[Signal, bytes]
) -> None:
    registry = CollectorRegistry()
    with Spool.open(tmp_path, SpoolSettings(limit_bytes=1024 * 1024, segment_bytes=4096)) as spool:
        loader = Loader(spool, migrated, LoaderSettings(), registry=registry)
        for signal, body in bodies.items():
            for _ in range(4):
                spool.append(signal, tenant, body, items=3, received_ns=NOW_NS).result()
        loader.start()
        whole = loader.stop(60)
        status = spool.status()

    assert whole
    assert stored(session, tenant) == dict.fromkeys(Signal, 12)
    assert [each.records_waiting for each in status.signals] == [0, 0, 0]
    assert loader.failed() == ""
    for signal in Signal:
        labels = {"signal": signal.value}
        assert loader.status()[signal].inserted_items == 12
        assert registry.get_sample_value("lowtide_loader_items_total", labels) == 12
        assert registry.get_sample_value("lowtide_loader_requests_total", labels) == 4


def test_what_was_stored_but_not_noted_is_not_stored_again(
    tmp_path: Path, migrated: Engine, session: Session, tenant: str, bodies: dict[Signal, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A death between the store's answer and the spool's note, as the spool sees it after a restart."""
    for attempt in range(2):
        with Spool.open(tmp_path, SpoolSettings()) as spool:
            if attempt == 0:
                for signal, body in bodies.items():
                    spool.append(signal, tenant, body, items=3, received_ns=NOW_NS).result()
                monkeypatch.setattr(spool, "finish_batch", lambda batch: None)
            loader = Loader(spool, migrated, LoaderSettings(), registry=CollectorRegistry())
            loader.start()
            assert loader.stop(60)
            left = len(spool.unfinished_batches())
            assert left == (3 if attempt == 0 else 0)

    assert stored(session, tenant) == dict.fromkeys(Signal, 3)
