"""The handles on which statements from outside run: few, limited, read-only, and apart from the writers'.
Used by `api.sql.service`, from worker threads.

A handle belongs to one tenant, or to none and then sees all; it is only lent for the same again. The trap:
in the embedded engine a statement that fails after it began to write its answer leaves what it wrote in the
handle, and the next statement's answer begins with it. A handle that saw an error is therefore closed,
never used again; opening one takes about 10 ms.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from api.settings import SqlSettings
from api.sql.errors import SqlBusyError, SqlError, SqlRefusedError, SqlRequestError, engine_error
from api.sql.telemetry import HANDLES_DISCARDED
from api.sql.tenants import confinement
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreError

log = structlog.get_logger(__name__)

_BUSY: Final = "All handles for SQL are taken and the queue is full"


def limits(settings: SqlSettings) -> dict[str, str | int]:
    """The engine's settings for a handle, in the order in which they are set: read-only last, which ends all
    changing.
    """
    return {
        "max_execution_time": settings.max_execution_s,
        "timeout_overflow_mode": "throw",
        "max_memory_usage": settings.max_memory_bytes,
        # Memory that runs short is an error. Otherwise sorting and grouping would go on in files and fill the
        # disk.
        "max_bytes_before_external_group_by": 0,
        "max_bytes_ratio_before_external_group_by": 0,
        "max_bytes_before_external_sort": 0,
        "max_bytes_ratio_before_external_sort": 0,
        "max_result_rows": settings.max_result_rows,
        "max_result_bytes": settings.max_result_bytes,
        "result_overflow_mode": "throw",
        "max_rows_to_read": settings.max_rows_to_read,
        "max_bytes_to_read": settings.max_bytes_to_read,
        "read_overflow_mode": "throw",
        "max_threads": settings.max_threads,
        "max_ast_depth": settings.max_depth,
        "max_parser_depth": settings.max_depth,
        "max_ast_elements": settings.max_elements,
        "max_expanded_ast_elements": 10 * settings.max_elements,
        # The statement grows when it is normalised and wrapped; how long it may be is checked before.
        "max_query_size": 4 * settings.max_statement_bytes,
        "allow_introspection_functions": 0,
        "allow_ddl": 0,
        # The guard reads the tree that this analyzer builds, so this one must run.
        "enable_analyzer": 1,
        # Clients look at this one to learn whether they may ask for compressed answers.
        "enable_http_compression": 1,
        "readonly": 1,
    }


class ReadPool:
    """At most `workers` handles at work and `queue` callers waiting. Any thread may borrow."""

    def __init__(self, engine: Engine, settings: SqlSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._limits = limits(settings)
        self._changed = threading.Condition()
        self._idle: list[tuple[str | None, Session]] = []
        self._taken = 0
        self._waiting = 0
        self._closed = False

    @contextmanager
    def borrow(self, tenant: str | None) -> Iterator[Session]:
        """A read-only handle for one statement, which sees this tenant only (None: all). An error that
        leaves the block ends the handle, unless it says that the statement was not run.

        Raises SqlBusyError if none becomes free in time, SqlEngineError if none can be opened.
        """
        session, surplus = self._take(tenant)
        kept = False
        try:
            if surplus is not None:
                _close(surplus)
            if session is None:
                session = self._open(tenant)
            yield session
            kept = True
        except (SqlRefusedError, SqlRequestError):
            kept = session is not None  # nothing of it was run
            raise
        finally:
            self._give_back(tenant, session, kept=kept)

    def close(self) -> None:
        """Close the idle handles and refuse new statements; those at work are closed as they end."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for _, session in idle:
            session.close()

    def _take(self, tenant: str | None) -> tuple[Session | None, Session | None]:
        """The right to work, with a handle of this tenant if there is one idle, and else with one of
        another that must be closed, if there are as many as may be.
        """
        until = time.monotonic() + self._settings.queue_wait_s
        with self._changed:
            if self._taken >= self._settings.workers and self._waiting >= self._settings.queue:
                raise SqlBusyError(_BUSY)
            self._waiting += 1
            try:
                while self._taken >= self._settings.workers and not self._closed:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise SqlBusyError("No handle for SQL became free in time")
                    self._changed.wait(left)
            finally:
                self._waiting -= 1
            if self._closed:
                raise SqlBusyError("The server is stopping")
            self._taken += 1
            for number, (owner, session) in enumerate(self._idle):
                if owner == tenant:
                    del self._idle[number]
                    return session, None
            is_full = self._taken + len(self._idle) > self._settings.workers
            return None, self._idle.pop(0)[1] if is_full else None

    def _open(self, tenant: str | None) -> Session:
        try:
            if tenant is None:
                return self._engine.session(self._limits)
            with self._engine.session() as own:
                confined = confinement(own, tenant)
            return self._engine.session({**confined, **self._limits})
        except StoreError as error:
            raise engine_error(error) from error

    def _give_back(self, tenant: str | None, session: Session | None, *, kept: bool) -> None:
        with self._changed:
            self._taken -= 1
            kept = kept and not self._closed
            if session is not None and kept:
                self._idle.append((tenant, session))
            self._changed.notify()
        if session is not None and not kept:
            HANDLES_DISCARDED.inc()
            _close(session)


def _close(session: Session) -> None:
    try:
        session.close()
    except (StoreError, SqlError, OSError) as error:
        log.warning("a handle for SQL could not be closed", error=type(error).__name__)
