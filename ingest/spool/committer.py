"""The writer thread: takes what has queued up, has it made durable by one fsync, and resolves the futures.

While the disk is busy, requests queue up for the next group, so groups grow with the load by themselves. If
the last group had several, the thread waits for as many again, but not longer than an fsync takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from ingest.signals import Signal
from ingest.spool.errors import SpoolError, SpoolFailedError, SpoolFullError
from ingest.spool.health import Health
from ingest.spool.pending import Pending
from ingest.spool.settings import SpoolSettings
from ingest.spool.signal_log import SignalLog
from ingest.spool.telemetry import SpoolMetrics

log = structlog.get_logger(__name__)
_FREE_PART = 64
"""Of the limit: a 64th must be free again before requests are taken after the spool was full."""


class Committer:
    """The queue before the disk, and the thread that empties it."""

    def __init__(
        self,
        logs: Mapping[Signal, SignalLog],
        settings: SpoolSettings,
        *,
        health: Health,
        metrics: SpoolMetrics,
        stored_bytes: Callable[[], int],
        committed: Callable[[], None],
    ) -> None:
        """`stored_bytes` says how much is on disk; `committed` is called after each group."""
        self._logs = logs
        self._settings = settings
        self._health = health
        self._metrics = metrics
        self._count_stored = stored_bytes
        self._committed = committed
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._queue: list[Pending] = []
        self._queued_bytes = 0
        self._stored_bytes = stored_bytes()
        self._wanted = 1
        self._is_full = False
        self._stopping = False
        self._last_requests = 1
        self._last_s = 0.0
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def submit(self, pending: Pending) -> None:
        """Queue a request. Raises SpoolFullError or SpoolFailedError."""
        size = pending.size
        limits = self._settings
        pending.future.set_running_or_notify_cancel()
        with self._lock:
            if self._stopping:
                raise SpoolFailedError("the spool is closed; open it anew")
            if self._stored_bytes + self._queued_bytes + size > limits.limit_bytes:
                self._is_full = True
                full = self._full()
            elif self._queued_bytes > limits.queue_bytes:
                full = self._behind()
            else:
                self._queue.append(pending)
                self._queued_bytes += size
                if len(self._queue) >= self._wanted:
                    self._changed.notify()
                return
        self._metrics.refused(pending.signal)
        raise SpoolFullError(f"{full}; send again later")

    def check_room(self) -> None:
        """Raises SpoolFullError while there is no room for anything.

        Once a request was refused for the limit, all are until a part of it is free again: else the small
        ones would fill what is given back, and a large one would never fit.
        """
        with self._lock:
            free_bytes = self._settings.limit_bytes - self._stored_bytes - self._queued_bytes
            self._is_full = self._is_full and free_bytes < self._settings.limit_bytes // _FREE_PART
            if self._is_full:
                raise SpoolFullError(f"{self._full()}; send again later")
            if self._queued_bytes > self._settings.queue_bytes:
                raise SpoolFullError(f"{self._behind()}; send again later")

    def _full(self) -> str:
        return f"the spool holds {self._settings.limit_bytes} bytes, its limit (spool.limit_bytes)"

    def _behind(self) -> str:
        return f"more than {self._settings.queue_bytes} bytes wait for the disk (spool.queue_bytes)"

    def recount(self) -> None:
        """Room was given back."""
        with self._lock:
            self._stored_bytes = self._count_stored()

    def stop(self) -> None:
        """Write what is queued, and end the thread."""
        with self._lock:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._take():
            began = time.perf_counter()
            try:
                self._write(group)
            except Exception as error:  # noqa: BLE001 - the thread's last place: nobody may wait for ever
                self._refuse(group, self._health.failed("the spool's writer failed", error))
            self._last_s = time.perf_counter() - began
            self._last_requests = len(group)
            self._metrics.group(len(group), self._last_s)
            self._settle(sum(pending.size for pending in group))
            del group  # the bodies must not stay in memory until the next one comes
            self._committed()

    def _take(self) -> list[Pending]:
        """The next group; empty when the thread should end."""
        with self._lock:
            while not self._queue and not self._stopping:
                self._changed.wait()
            self._linger()
            group, self._queue = self._queue, []
            return group

    def _linger(self) -> None:
        """Wait until as many have come as last time."""
        longest_s = min(self._last_s, self._settings.group_commit_ms / 1000)
        end = time.monotonic() + longest_s
        self._wanted = self._last_requests
        while len(self._queue) < self._wanted and not self._stopping:
            left = end - time.monotonic()
            if left <= 0:
                break
            self._changed.wait(left)
        self._wanted = 1

    def _write(self, group: list[Pending]) -> None:
        by_signal: dict[Signal, list[Pending]] = {}
        for pending in group:
            by_signal.setdefault(pending.signal, []).append(pending)
        for signal, part in by_signal.items():
            try:
                self._logs[signal].append(part)
            except SpoolError as error:
                self._refuse(part, error)

    def _refuse(self, group: list[Pending], error: SpoolError) -> None:
        """Give the error to all that are not on disk, to each an error of its own."""
        left = [pending for pending in group if not pending.future.done()]
        if isinstance(error, SpoolFullError):
            for pending in left:
                self._metrics.refused(pending.signal)
        for pending in left:
            pending.future.set_exception(type(error)(str(error)))

    def _settle(self, group_bytes: int) -> None:
        with self._lock:
            self._stored_bytes = self._count_stored()
            self._queued_bytes -= group_bytes
