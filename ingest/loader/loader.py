"""Everything that moves telemetry from the spool into the store: a pipe per signal, the writers they share,
and a thread that cleans up. `lowtide serve` starts and stops it.

The trap: an embedded engine syncs neither its parts nor its memory of stored batches. The spool is trimmed
only behind a checkpoint of the store, and nothing is stored before there is one to go back to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import structlog
from prometheus_client import CollectorRegistry

from ingest.loader.gate import Gate
from ingest.loader.lead import Lead
from ingest.loader.pipe import Pipe, PipeStatus
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.loader.trimmer import Trimmer
from ingest.loader.writers import Writers
from ingest.signals import Signal
from ingest.spool.errors import SpoolError
from ingest.spool.spool import Spool
from ingest.store.checkpoints import Checkpoints
from ingest.store.engine import Engine
from ingest.store.known_series import KnownSeries
from ingest.store.otlp import OtlpWriter
from ingest.store.telemetry import StoreMetrics

_log = structlog.get_logger(__name__)
_PATIENCE_S = 60.0
"""For an insert that is under way, before a checkpoint."""
_LAST_PATIENCE_S = 2.0
"""The same at the end, when it was waited for already."""
_BEGIN_AGAIN_S = 2.0
_FIRST_TRIM = 0.1
"""Of the interval, after a start; then twice as long each time. A process that is killed soon after each
start gets on only as far as its checkpoints."""


class Loader:
    """Loads every signal until it is stopped. The spool and the engine stay the caller's."""

    def __init__(
        self,
        spool: Spool,
        engine: Engine,
        settings: LoaderSettings,
        *,
        registry: CollectorRegistry,
        checkpoints: Checkpoints | None = None,
        store_metrics: StoreMetrics | None = None,
    ) -> None:
        """`checkpoints` of an embedded store, open; without them its files are never synced."""
        self._spool = spool
        self._settings = settings
        self._drain = threading.Event()
        self._halt = threading.Event()
        gate = self._gate = Gate()
        known = KnownSeries()
        self._writers = Writers(lambda: OtlpWriter(engine, gate.inserting, known), settings.inserts_at_once)
        metrics = LoaderMetrics(registry)
        self._lead = Lead()
        self._pipes = {
            signal: Pipe(signal, spool, self._writers, settings, metrics, self._drain, self._halt, self._lead)
            for signal in Signal
        }
        self._threads = {
            signal: threading.Thread(target=pipe.run, name=f"load-{signal}", daemon=True)
            for signal, pipe in self._pipes.items()
        }
        self._trimmer = Trimmer(
            spool, engine, checkpoints, gate, store_metrics or StoreMetrics(registry), patience_s=_PATIENCE_S
        )
        self._begun = threading.Event()
        self._cleaned = threading.Event()
        self._cleaner = threading.Thread(target=self._clean_up, name="load-clean", daemon=True)

    def start(self) -> None:
        """Start the threads. Batches that an earlier process left unfinished go first.

        Returns at once. Until there is a checkpoint to go back to, which waits for the disk, nothing is
        stored.
        """
        self._cleaner.start()

    def _begin(self) -> bool:
        """Start loading if there is a checkpoint to go back to; False if there is none."""
        if not self._trimmer.begin():
            return False
        if not self._halt.is_set():
            self._lead.left_behind(batch.batch_id for batch in self._spool.unfinished_batches())
            for thread in self._threads.values():
                thread.start()
            self._begun.set()
        return True

    def status(self) -> Mapping[Signal, PipeStatus]:
        """Where each signal stands."""
        return {signal: pipe.status for signal, pipe in self._pipes.items()}

    def failed(self) -> str:
        """Why loading has ended by itself, empty while it goes on."""
        found = [
            f"{signal}: {pipe.status.failed}" for signal, pipe in self._pipes.items() if pipe.status.failed
        ]
        return "; ".join([*found, *filter(None, [self._trimmer.failed()])])

    @property
    def broken_parts(self) -> int:
        """Parts of the store that the engine found damaged when it was opened."""
        return self._trimmer.broken_parts

    @contextmanager
    def paused(self, timeout_s: float) -> Iterator[None]:
        """While the block lasts nothing is inserted and the spool is not trimmed; what was stored before is
        durable, and the spool has forgotten it.

        Raises StillBusyError if an insert is under way for longer than `timeout_s`.
        """
        self._trimmer.trim(timeout_s)
        with self._trimmer.paused(timeout_s):
            yield

    def inserting(self) -> AbstractContextManager[None]:
        """For who else inserts: no checkpoint and no backup falls into the block. Waits while one is taken.

        Entering it raises StoreDamagedError.
        """
        return self._gate.inserting()

    def settle(self, timeout_s: float) -> bool:
        """Wait until every insert that is under way now has ended; False if that takes longer."""
        return self._gate.settle(timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Store what is waiting, for at most `timeout_s`, and end. False if something is left in the
        spool."""
        deadline = time.monotonic() + timeout_s
        self._drain.set()
        begun = self._begun.wait(timeout_s)
        alive = self._join(deadline)
        self._halt.set()
        if alive:
            # An insert cannot be broken off; it ends by itself, and the batch is repeated at the next start.
            self._join(time.monotonic() + min(5.0, timeout_s))
        self._cleaned.set()
        self._cleaner.join()
        if self._begun.is_set():
            self._trimmer.trim(_LAST_PATIENCE_S)
        self._trimmer.close()
        if not any(thread.is_alive() for thread in self._threads.values()):
            self._writers.close()
        return begun and not alive and not self.failed()

    def keep(self) -> None:
        """Take a checkpoint now, of what others have changed in the store for instance. Also after `stop`.

        Raises StoreUnavailableError if that fails; then the change may be gone after a kill.
        """
        try:
            self._trimmer.keep()
        finally:
            self._trimmer.close()

    def _join(self, deadline: float) -> bool:
        """Wait for the threads; True if one still runs."""
        for thread in self._threads.values():
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return any(thread.is_alive() for thread in self._threads.values())

    def _clean_up(self) -> None:
        while not self._begin():
            if self._cleaned.wait(_BEGIN_AGAIN_S):
                return
        share = _FIRST_TRIM
        while True:
            self._take_back()
            if self._cleaned.wait(share * self._settings.trim_interval_s):
                return
            self._trimmer.trim()
            share = min(1.0, 2 * share)

    def _take_back(self) -> None:
        """Put into the spool again what somebody wants to have tried once more."""
        try:
            self._spool.take_back()
        except SpoolError:
            _log.exception("Requests could not be taken back from quarantine")
