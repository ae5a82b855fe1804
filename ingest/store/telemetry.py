"""What the embedded store's checkpoints say about themselves, in Prometheus's terms, for `/metrics`."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram

from ingest.store.put_back import PutBack


class StoreMetrics:
    """The metrics of one store on a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._taken = Gauge(
            "lowtide_store_checkpoint_timestamp_seconds",
            "When all of the store was last known to be on the disk, Unix time; 0 for never.",
            registry=registry,
        )
        self.seconds = Histogram(
            "lowtide_store_checkpoint_seconds",
            "Time to take a checkpoint.",
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=registry,
        )
        self.pause_seconds = Histogram(
            "lowtide_store_checkpoint_pause_seconds",
            "How long inserts waited for a checkpoint.",
            buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=registry,
        )
        self._parts = Gauge(
            "lowtide_store_put_back_parts",
            "Parts that were returned or removed at the start, because of a restart of the machine.",
            ("done",),
            registry=registry,
        )
        self._problems = Gauge(
            "lowtide_store_put_back_problems",
            "What could not be put back then; rows may be missing or doubled. Alert on this.",
            registry=registry,
        )
        self.broken_parts = Gauge(
            "lowtide_store_broken_parts",
            "Parts that the engine has set aside because their files are damaged. Alert on this.",
            registry=registry,
        )
        self.put_back(PutBack())

    def watch(self, taken_at_ns: Callable[[], int]) -> None:
        """Ask when the last checkpoint was taken whenever metrics are collected."""
        self._taken.set_function(lambda: taken_at_ns() / 1e9)

    def put_back(self, done: PutBack) -> None:
        """What was done at the start."""
        self._parts.labels("returned").set(done.returned)
        self._parts.labels("removed").set(done.removed)
        self._problems.set(len(done.problems))
