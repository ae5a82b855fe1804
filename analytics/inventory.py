"""What was imported of clusters: for each the snapshot that counts, and how much there is of each kind."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from analytics import queries
from analytics.inventory_documents import ClusterSnapshot, InventoryAnswer, KindOfObjects
from analytics.queries import Session


def inventory_answer(session: Session, *, now: datetime, tenant: str) -> InventoryAnswer:
    """The latest snapshot of each cluster. Raises what the session raises."""
    found = queries.read(session, "inventory", tenant)
    return InventoryAnswer(
        rows=tuple(_snapshot(kinds, now) for kinds in found.partition_by("cluster", maintain_order=True))
    )


def _snapshot(kinds: pl.DataFrame, now: datetime) -> ClusterSnapshot:
    """From the rows of one cluster. One that was taken by a clock ahead of ours is of now."""
    about = kinds.row(0, named=True)
    return ClusterSnapshot(
        cluster=about["cluster"],
        snapshot_id=about["snapshot_id"],
        taken_at=about["taken_at"],
        imported_at=about["imported_at"],
        age_s=max(0.0, (now - about["taken_at"]).total_seconds()),
        file=about["file"],
        digest=about["digest"],
        objects=kinds["objects"].sum(),
        kinds=tuple(
            KindOfObjects(group=group, kind=kind, objects=objects)
            for group, kind, objects in kinds.select("api_group", "kind", "objects").iter_rows()
        ),
        snapshots=about["snapshots"],
    )
