"""What the answer about snapshots of clusters looks like. As `analytics.documents`: the API's contract, no
logic."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from analytics.documents import Document


class KindOfObjects(Document):
    """The objects of one kind in a snapshot."""

    group: str = Field(description="API group; empty for the core's.")
    kind: str
    objects: int


class ClusterSnapshot(Document):
    """The snapshot of a cluster that counts: its latest."""

    cluster: str = Field(description="As it was named at the import; empty if without a name.")
    snapshot_id: str
    taken_at: datetime
    imported_at: datetime
    age_s: float = Field(description="How long ago it was taken, at the time of the answer.")
    file: str
    digest: str = Field(description="SHA-256 of the file.")
    objects: int
    kinds: tuple[KindOfObjects, ...]
    snapshots: int = Field(description="How many are kept of this cluster, with this one.")


class InventoryAnswer(Document):
    """What snapshots say there is, by cluster."""

    rows: tuple[ClusterSnapshot, ...]
