"""Keeps the embedded store within its share of the disk: a thread that looks once a minute. `lowtide serve`
starts and stops it. A store on a server is its owner's; nobody looks after that here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from ingest.disk import Disk, disk_of
from ingest.store.engine import Engine
from ingest.store.errors import StoreError
from ingest.store.shrink import Shrunk, shrink
from ingest.store.target import Embedded

log = structlog.get_logger(__name__)
LOOK_S = 60.0


class DiskKeeper:
    """Drops the oldest telemetry when the store takes more than `share` of its disk. The engine stays the
    caller's, and open until this is closed."""

    def __init__(
        self,
        engine: Engine,
        share: float,
        oldest_unsafe: Callable[[], int | None],
        *,
        registry: CollectorRegistry,
        disk: Callable[[Path], Disk] = disk_of,
        look_s: float = LOOK_S,
    ) -> None:
        """A share of 0 drops nothing. `oldest_unsafe` is as for `shrink`."""
        self._engine = engine
        self._share = share
        self._oldest_unsafe = oldest_unsafe
        self._disk = disk
        self._look_s = look_s
        self._told = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-disk", daemon=True)
        self._rows = _counter(registry, "rows", "Rows dropped because the store took too much of its disk.")
        self._dropped = _counter(registry, "bytes", "Their bytes on disk.")
        self._size = Gauge(
            "lowtide_store_bytes", "Bytes the tables of the embedded store take.", registry=registry
        )
        self._limit = Gauge(
            "lowtide_store_limit_bytes",
            "Above so many the oldest telemetry is dropped (store.max_disk_share).",
            registry=registry,
        )

    def start(self) -> None:
        """Begin to look, if there is anything to look after."""
        if self._share and isinstance(self._engine.target, Embedded):
            self._thread.start()

    def close(self) -> None:
        """Look no more; a round under way is waited for."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> Shrunk | None:
        """One round; None if the store or the disk did not answer."""
        target = self._engine.target
        assert isinstance(target, Embedded)  # noqa: S101 - asked by `start`
        try:
            limit_bytes = int(self._disk(target.directory).total_bytes * self._share)
            with self._engine.session() as session:
                done = shrink(session, limit_bytes, self._oldest_unsafe)
        except (StoreError, OSError) as error:
            log.warning("The store's share of the disk could not be looked after", error=str(error))
            return None
        self._limit.set(limit_bytes)
        self._size.set(done.store_bytes)
        for each in done.dropped:
            self._rows.labels(each.table).inc(each.rows)
            self._dropped.labels(each.table).inc(each.size_bytes)
        self._tell(done, limit_bytes)
        return done

    def _tell(self, done: Shrunk, limit_bytes: int) -> None:
        """Say once that there is nothing left to drop."""
        if not done.is_enough and not self._told:
            log.error(
                "The store takes too much of its disk and has nothing left that may be dropped; make room",
                store_bytes=done.store_bytes, limit_bytes=limit_bytes,
            )  # fmt: skip
        self._told = not done.is_enough

    def _run(self) -> None:
        while not self._stop.wait(self._look_s):
            self.look()


def _counter(registry: CollectorRegistry, name: str, text: str) -> Counter:
    return Counter(f"lowtide_store_dropped_{name}", text, ["table"], registry=registry)
