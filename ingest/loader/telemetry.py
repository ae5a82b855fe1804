"""What the loader counts about itself, in Prometheus's terms. Used by its pipes; served under `/metrics`."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.signals import Signal


class LoaderMetrics:
    """The loader's metrics on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("signal",)
        self._requests = Counter(
            "lowtide_loader_requests", "Requests that are stored.", labels, registry=registry
        )
        self._items = Counter(
            "lowtide_loader_items",
            "Spans, points and log records that are stored.",
            labels,
            registry=registry,
        )
        self._bytes = Counter(
            "lowtide_loader_bytes", "Bytes of requests that are stored.", labels, registry=registry
        )
        self._batches = Counter(
            "lowtide_loader_batches", "Batches that are stored.", labels, registry=registry
        )
        self.retries = Counter(
            "lowtide_loader_retries",
            "Attempts to read, begin or store a batch that failed.",
            labels,
            registry=registry,
        )
        self.quarantined = Counter(
            "lowtide_loader_quarantined",
            "Requests, or pieces of such, that the store cannot take and that lie in quarantine.",
            labels,
            registry=registry,
        )
        self.quarantined_items = Counter(
            "lowtide_loader_quarantined_items",
            "Spans, points and log records in those.",
            labels,
            registry=registry,
        )
        self._held_up = Gauge(
            "lowtide_loader_held_up_seconds",
            "For how long attempts at the same batch have failed; 0 when they do not. Alert on this.",
            labels,
            registry=registry,
        )
        self._under_way = Gauge(
            "lowtide_loader_batches_under_way",
            "Batches that are being stored; their records are in memory.",
            labels,
            registry=registry,
        )
        self._seconds = Histogram(
            "lowtide_loader_insert_seconds",
            "Time of the attempt that stored a batch.",
            labels,
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=registry,
        )
        self._last = Gauge(
            "lowtide_loader_last_insert_timestamp_seconds",
            "When a batch was last stored, Unix time.",
            labels,
            registry=registry,
        )
        for signal in Signal:
            for each in (
                self._requests, self._items, self._bytes, self._batches, self.retries, self.quarantined,
                self.quarantined_items,
            ):  # fmt: skip
                each.labels(signal)

    def watch(
        self, signal: Signal, held_up_s: Callable[[], float], batches_under_way: Callable[[], int]
    ) -> None:
        """Ask for how long a signal has been held up, and what is under way, whenever metrics are
        collected."""
        self._held_up.labels(signal).set_function(held_up_s)
        self._under_way.labels(signal).set_function(batches_under_way)

    def stored(self, signal: Signal, requests: int, items: int, size: int, took_s: float) -> None:
        """A batch is in the store."""
        self._requests.labels(signal).inc(requests)
        self._items.labels(signal).inc(items)
        self._bytes.labels(signal).inc(size)
        self._batches.labels(signal).inc()
        self._seconds.labels(signal).observe(took_s)
        self._last.labels(signal).set_to_current_time()
