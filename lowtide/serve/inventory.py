"""Imports snapshots of clusters into an open store: the server's, through the API, or that of a command where
none runs. One code path for both.

The trap: as with bills, an import is only done once there is a checkpoint of it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from ingest.inventory.importing import import_snapshot
from ingest.inventory.report import InventoryReport
from ingest.inventory.snapshot import Snapshot
from lowtide.serve.bills import Holding

log = structlog.get_logger(__name__)


class StoreInventory:
    """Takes snapshots in."""

    def __init__(self, parts: Holding) -> None:
        self._parts = parts

    def take(self, snapshot: Snapshot, *, tenant: str, cluster: str, taken_at: datetime) -> InventoryReport:
        """Import what was read; blocks until it would survive a kill. Raises InventoryError, StoreError."""
        parts = self._parts
        with parts.engine.session() as session:
            report = import_snapshot(
                session,
                snapshot,
                tenant=tenant,
                cluster=cluster,
                taken_at=taken_at,
                now=datetime.now(UTC),
                inserting=parts.loader.inserting,
            )
        # What counts already may wait for its checkpoint since a first try.
        parts.loader.keep()
        log.info(
            "A snapshot of a cluster was taken in",
            status=report.status, cluster=cluster, objects=report.objects, is_latest=report.is_latest,
        )  # fmt: skip
        return report
