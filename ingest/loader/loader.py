"""Everything that moves telemetry from the spool into the store: a thread per signal, and one that cleans up.
`lowtide serve` starts and stops it.

The trap: the spool is trimmed only after the file system of the store was synced, because the engine syncs
neither its parts nor its memory of stored batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from ingest.loader.durable import sync_filesystem
from ingest.loader.pipe import Pipe, PipeStatus
from ingest.loader.settings import LoaderSettings
from ingest.loader.standstill import Standstill
from ingest.loader.telemetry import LoaderMetrics
from ingest.signals import Signal
from ingest.spool.errors import SpoolError
from ingest.spool.spool import Spool
from ingest.store.engine import Engine
from ingest.store.otlp import OtlpWriter
from ingest.store.target import Embedded

_log = structlog.get_logger(__name__)


class Loader:
    """Loads every signal until it is stopped. The spool and the engine stay the caller's."""

    def __init__(
        self, spool: Spool, engine: Engine, settings: LoaderSettings, *, registry: CollectorRegistry
    ) -> None:
        self._spool = spool
        self._settings = settings
        self._drain = threading.Event()
        self._halt = threading.Event()
        self._writers = {signal: OtlpWriter(engine) for signal in Signal}
        self._standstill = Standstill()
        metrics = LoaderMetrics(registry)
        self._pipes = {
            signal: Pipe(
                signal, spool, self._writers[signal], settings, metrics, self._drain, self._halt,
                self._standstill,
            )
            for signal in Signal
        }  # fmt: skip
        self._threads = {
            signal: threading.Thread(target=pipe.run, name=f"load-{signal}", daemon=True)
            for signal, pipe in self._pipes.items()
        }
        for signal, pipe in self._pipes.items():
            metrics.watch(signal, pipe.held_up_s)
        self._sync = _sync_of(engine)
        self._cleaned = threading.Event()
        self._cleaner = threading.Thread(target=self._clean_up, name="load-clean", daemon=True)

    def start(self) -> None:
        """Start the threads. Batches that an earlier process left unfinished go first."""
        for thread in self._threads.values():
            thread.start()
        self._cleaner.start()

    def status(self) -> Mapping[Signal, PipeStatus]:
        """Where each signal stands."""
        return {signal: pipe.status for signal, pipe in self._pipes.items()}

    def failed(self) -> str:
        """Why loading has ended by itself, empty while it goes on."""
        return "; ".join(
            f"{signal}: {pipe.status.failed}" for signal, pipe in self._pipes.items() if pipe.status.failed
        )

    @contextmanager
    def paused(self, timeout_s: float) -> Iterator[None]:
        """While the block lasts nothing is inserted and the spool is not trimmed; what has been stored is
        durable, and the spool has forgotten it.

        Raises StillBusyError if a batch is under way for longer than `timeout_s`.
        """
        with self._standstill.stop(timeout_s):
            self._trim()
            yield

    def stop(self, timeout_s: float) -> bool:
        """Store what is waiting, for at most `timeout_s`, and end. False if something is left in the
        spool."""
        deadline = time.monotonic() + timeout_s
        self._drain.set()
        alive = self._join(deadline)
        self._halt.set()
        if alive:
            # An insert cannot be broken off; it ends by itself, and the batch is repeated at the next start.
            self._join(time.monotonic() + min(5.0, timeout_s))
        self._cleaned.set()
        self._cleaner.join()
        self._trim()
        if not any(thread.is_alive() for thread in self._threads.values()):
            for writer in self._writers.values():
                writer.close()
        return not alive and not self.failed()

    def _join(self, deadline: float) -> bool:
        """Wait for the threads; True if one still runs."""
        for thread in self._threads.values():
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return any(thread.is_alive() for thread in self._threads.values())

    def _clean_up(self) -> None:
        while True:
            self._take_back()
            if self._cleaned.wait(self._settings.trim_interval_s):
                return
            with self._standstill.work():
                self._trim()

    def _take_back(self) -> None:
        """Put into the spool again what somebody wants to have tried once more."""
        try:
            self._spool.take_back()
        except SpoolError:
            _log.exception("Requests could not be taken back from quarantine")

    def _trim(self) -> None:
        """Forget in the spool what is durable in the store."""
        mark = self._spool.trim_mark()
        try:
            self._sync()
            self._spool.trim(mark)
        except (OSError, SpoolError):
            # Nothing is lost by keeping more than needed; the spool's limit says when it becomes a problem.
            _log.exception("The spool could not be cleaned up")


def _sync_of(engine: Engine) -> Callable[[], None]:
    """What makes stored batches durable. A server sees to that itself."""
    if not isinstance(engine.target, Embedded):
        return lambda: None
    directory: Path = engine.target.directory
    return lambda: sync_filesystem(directory)
