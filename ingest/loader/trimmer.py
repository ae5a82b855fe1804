"""Has the spool forget what is in the store for good. The loader's clean-up calls it.

For an embedded store that is what a checkpoint covers. A server sees to that itself; there a batch is stored
for good once the server says so.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from ingest.loader.gate import Gate, StillBusyError
from ingest.signals import Signal
from ingest.spool.errors import SpoolError
from ingest.spool.spool import Spool
from ingest.store.checkpoints import Checkpoints, Draft
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreDamagedError, StoreError, StoreUnavailableError
from ingest.store.sql import load_sql
from ingest.store.telemetry import StoreMetrics

_log = structlog.get_logger(__name__)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NAMED = 10


class Trimmer:
    """Takes checkpoints and trims. Safe to call from any thread."""

    def __init__(
        self,
        spool: Spool,
        engine: Engine,
        checkpoints: Checkpoints | None,
        gate: Gate,
        metrics: StoreMetrics,
        *,
        patience_s: float,
    ) -> None:
        """`patience_s`: how long to wait for inserts that are under way."""
        self._spool = spool
        self._engine = engine
        self._checkpoints = checkpoints
        self._gate = gate
        self._metrics = metrics
        self._patience_s = patience_s
        self._session: Session | None = None
        self._busy = threading.Lock()
        self.broken_parts = 0
        """Parts that the engine has set aside as damaged, when it was opened."""

    def begin(self) -> bool:
        """Take the checkpoint that everything stored from now on can be taken away from; False if that
        failed, then nothing may be stored."""
        if self._checkpoints is None:
            return True
        try:
            with self._busy:
                self._checkpoint(self._checkpoints, self._patience_s)
                self._find_broken_parts()
        except (OSError, StoreError, SpoolError, StillBusyError) as error:
            _log.error("No checkpoint can be taken; nothing is stored before there is one", error=str(error))
            return False
        return True

    def trim(self, patience_s: float | None = None) -> None:
        """Forget in the spool what is durable in the store."""
        try:
            with self._busy:
                self._spool.trim(self._mark(self._patience_s if patience_s is None else patience_s))
        except StoreDamagedError as error:
            _log.error("There are no more checkpoints before the next start", error=str(error))
        except (StoreUnavailableError, StillBusyError) as error:
            _log.warning("The spool could not be cleaned up yet", error=str(error))
        except (OSError, StoreError, SpoolError):
            # Nothing is lost by keeping more than needed; the spool's limit says when it becomes a problem.
            _log.exception("The spool could not be cleaned up")

    def keep(self) -> None:
        """As `trim`, for whoever must know: it raises StoreUnavailableError if there is no checkpoint of the
        store as it is."""
        try:
            with self._busy:
                self._spool.trim(self._mark(self._patience_s))
        except (OSError, StoreError, SpoolError, StillBusyError) as error:
            raise StoreUnavailableError(
                f"What was changed in the store might not survive a kill of this process: {error}."
                " Repeat what changed it."
            ) from error

    @contextmanager
    def paused(self, patience_s: float) -> Iterator[None]:
        """Nothing is inserted and nothing trimmed while the block lasts. Raises StillBusyError."""
        with self._busy, self._gate.closed(patience_s):
            yield

    def failed(self) -> str:
        """Why nothing can ever be trimmed again; empty while it can."""
        if self._checkpoints is not None and self._checkpoints.disk_failed:
            return "making the store durable failed; repair the disk, then restart the machine"
        if self._gate.damage:
            return f"{self._gate.damage}; the next start goes back to before that"
        return ""

    def close(self) -> None:
        """Give the session back."""
        with self._busy:
            session, self._session = self._session, None
            if session is not None:
                session.close()

    def _mark(self, patience_s: float) -> int:
        if self._checkpoints is None:
            return self._spool.trim_mark()
        try:
            return self._checkpoint(self._checkpoints, patience_s)
        except OSError as error:
            if error.errno not in _FULL or self._checkpoints.disk_failed:
                raise
            # Trimming would give more room than this takes.
            self._spool.make_room()
            return self._checkpoint(self._checkpoints, patience_s)

    def _checkpoint(self, checkpoints: Checkpoints, patience_s: float) -> int:
        """Take one; returns the mark for all that is in it."""
        started = time.monotonic()
        mark, draft = self._look(checkpoints, patience_s)
        if checkpoints.keep(draft, self._covered(mark)):
            self._metrics.seconds.observe(time.monotonic() - started)
        return mark

    def _look(self, checkpoints: Checkpoints, patience_s: float) -> tuple[int, Draft]:
        session = self._opened()
        started = time.monotonic()
        with self._gate.closed(patience_s):
            mark = self._spool.trim_mark()
            draft = checkpoints.look(session)
        self._metrics.pause_seconds.observe(time.monotonic() - started)
        return mark, draft

    def _covered(self, mark: int) -> Mapping[Signal, int]:
        return {signal: self._spool.safe_seq_by(signal, mark) for signal in Signal}

    def _find_broken_parts(self) -> None:
        found = self._opened().rows(load_sql("ingest.store", "broken_parts"))
        self.broken_parts = len(found)
        self._metrics.broken_parts.set(len(found))
        if found:
            _log.error(
                "Parts of the store are damaged and were set aside by the engine; answers lack what is in"
                " them. Check the disk",
                parts=len(found), first=[f"{table}/{part}" for table, part in found[:_NAMED]],
            )  # fmt: skip

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._engine.session()
        return self._session
