"""Imports bills into an open store, one at a time: the server's, through the API, or that of a command where
none runs. One code path for both.

The trap: the embedded store goes back to its last checkpoint at the next start, so an import is only done
once there is one of it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

from api.bills import ImportRunsError
from ingest.bills.importing import import_bill
from ingest.bills.report import BillReport
from ingest.loader.loader import Loader
from ingest.store.engine import Engine

log = structlog.get_logger(__name__)


class Holding(Protocol):
    """The open store."""

    @property
    def engine(self) -> Engine:
        """The open engine."""

    @property
    def loader(self) -> Loader:
        """Its loader."""


class StoreBills:
    """Takes bills in."""

    def __init__(self, parts: Holding) -> None:
        self._parts = parts
        self._importing = threading.Lock()

    def take(self, path: Path, name: str, *, tenant: str, add: bool) -> BillReport:
        """Import a file; blocks until it would survive a kill. Raises BillError, ImportRunsError, StoreError,
        OSError; it may count then, and is to be repeated.
        """
        if not self._importing.acquire(blocking=False):
            raise ImportRunsError
        parts = self._parts
        try:
            with parts.engine.session() as session:
                report = import_bill(
                    session,
                    path,
                    name,
                    tenant=tenant,
                    now=datetime.now(UTC),
                    add=add,
                    inserting=parts.loader.inserting,
                )
            # What counts already may wait for its checkpoint since a first try.
            parts.loader.keep()
        finally:
            self._importing.release()
        log.info("A bill was taken in", status=report.status, rows=report.rows, slices=len(report.slices))
        return report
