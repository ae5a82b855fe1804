"""What the way from receiver to store says about itself, as Prometheus metrics.

Sizes and ages are asked for when somebody looks; only events are counted as they happen. The trap: gauges of
a closed spool must go, so `SpoolMetrics.watch` is undone by the spool's `close`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ingest.signals import Signal

if TYPE_CHECKING:
    from ingest.spool.records import SpoolStatus

_COMMIT_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class SpoolMetrics:
    """The spool's metrics in one registry; a spool that is given none gets a registry of its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = registry or CollectorRegistry()
        self._watched: _Watch | None = None
        self._requests = self._counter("requests", "Requests that are on disk.")
        self._items = self._counter("items", "Spans, data points and log records that are on disk.")
        self._bytes = self._counter("bytes", "Bytes of requests that are on disk.")
        self._refused = self._counter("refused", "Requests refused because the spool or the disk was full.")
        self._torn = self._counter("torn_tails", "Broken last records that were cut off at the start.")
        self._damaged = self._counter("damaged_bytes", "Bytes that were no record and were set aside.")
        self._lost = self._counter("lost_records", "Records found missing or damaged.")
        self._resends = self._counter("resends", "Requests recognised as sent again, and not stored again.")
        self._commit_s = Histogram(
            "lowtide_spool_commit_seconds",
            "Time to write a group of requests and make it durable.",
            buckets=_COMMIT_S,
            registry=self._registry,
        )
        self._group = Histogram(
            "lowtide_spool_commit_requests",
            "Requests made durable together.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self._registry,
        )

    def _counter(self, name: str, text: str) -> Counter:
        counter = Counter(f"lowtide_spool_{name}", text, ["signal"], registry=self._registry)
        for signal in Signal:
            counter.labels(signal.value)
        return counter

    def committed(self, signal: Signal, requests: int, items: int, body_bytes: int) -> None:
        """Requests are on disk."""
        self._requests.labels(signal.value).inc(requests)
        self._items.labels(signal.value).inc(items)
        self._bytes.labels(signal.value).inc(body_bytes)

    def group(self, requests: int, seconds: float) -> None:
        """A group of requests of all signals was written."""
        self._group.observe(requests)
        self._commit_s.observe(seconds)

    def refused(self, signal: Signal, requests: int = 1) -> None:
        """Requests found no room."""
        self._refused.labels(signal.value).inc(requests)

    def torn(self, signal: Signal) -> None:
        """A broken last record was cut off."""
        self._torn.labels(signal.value).inc()

    def damaged(self, signal: Signal, size_bytes: int) -> None:
        """Bytes were set aside."""
        self._damaged.labels(signal.value).inc(size_bytes)

    def lost(self, signal: Signal, records: int) -> None:
        """Records are gone."""
        self._lost.labels(signal.value).inc(records)

    def resent(self, signal: Signal) -> None:
        """A request was recognised."""
        self._resends.labels(signal.value).inc()

    def watch(self, status: Callable[[], SpoolStatus]) -> None:
        """Ask for the status whenever metrics are collected."""
        self._watched = _Watch(status)
        self._registry.register(self._watched)

    def unwatch(self) -> None:
        """Do so no more."""
        if self._watched is not None:
            self._registry.unregister(self._watched)
            self._watched = None


class _Watch(Collector):
    def __init__(self, status: Callable[[], SpoolStatus]) -> None:
        self._status = status

    def describe(self) -> Iterator[Gauge]:
        """Nothing: registering must not ask for the status of a spool that is just being opened."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        status = self._status()
        for name, text, value in (
            ("disk_bytes", "Bytes the spool takes on disk.", status.total_bytes),
            ("limit_bytes", "Bytes it may take.", status.limit_bytes),
            ("failed", "1 after a write or an fsync failed, until it is opened anew.", bool(status.failed)),
        ):
            yield GaugeMetricFamily(f"lowtide_spool_{name}", text, value=float(value))
        for name, text, number in (
            (
                "quarantine_requests",
                "Requests that the store cannot take, and pieces of such.",
                status.held[0],
            ),
            ("quarantine_bytes", "Bytes they take on disk.", status.held[1]),
        ):
            yield GaugeMetricFamily(f"lowtide_spool_{name}", text, value=float(number))
        if status.room is not None:
            for name, text, number in (
                ("disk_free_bytes", "Bytes that are free on the disk of the spool.", status.room.free_bytes),
                (
                    "disk_least_free_bytes",
                    "Below so many requests are refused (spool.min_free_share). Alert well above it.",
                    status.room.least_bytes,
                ),
                ("disk_low", "1 while requests are refused for that.", int(status.room.is_low)),
            ):
                yield GaugeMetricFamily(f"lowtide_spool_{name}", text, value=float(number))
        if status.resends is not None:
            yield GaugeMetricFamily(
                "lowtide_spool_resend_entries",
                "Requests that would be recognised if they were sent again.",
                value=float(status.resends.entries),
            )
            yield GaugeMetricFamily(
                "lowtide_spool_resend_window_seconds",
                "How long ago such a request may have come; below spool.resend_window_s if there are many.",
                value=status.resends.window_s,
            )
        records = _family("waiting_requests", "Durable requests that no finished batch holds.")
        size = _family("waiting_bytes", "Bytes of those.")
        age = _family("waiting_seconds", "Time since the oldest of those arrived; 0 if there is none.")
        now_ns = time.time_ns()
        for each in status.signals:
            labels = [each.signal.value]
            records.add_metric(labels, each.records_waiting)
            size.add_metric(labels, each.bytes_waiting)
            oldest_ns = now_ns if each.oldest_received_ns is None else each.oldest_received_ns
            age.add_metric(labels, max(0, now_ns - oldest_ns) / 1e9)
        yield from (records, size, age)


def _family(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"lowtide_spool_{name}", text, labels=["signal"])
