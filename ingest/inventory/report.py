"""What an import of a cluster's objects says about itself: what was understood, what was not, what was left
out.

The API serves it, the command prints it. The trap: it is the API's contract, so a field may be added, but not
renamed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KindCount(_Part):
    """The objects of one kind."""

    group: str = Field(description="API group; empty for the core's.")
    kind: str
    objects: int
    kept: Literal["fields", "metadata", "nothing"] = Field(
        description="fields: what is needed of its spec and status, and its metadata. metadata: name, "
        "labels, owner and the like. nothing: not even its name."
    )
    why: str = Field(description="Why nothing is kept; empty otherwise.")


class InventoryReport(_Part):
    """What an import did, or why there was nothing to do."""

    status: Literal["imported", "unchanged"] = Field(
        description="unchanged: this very file is a snapshot of this cluster already; nothing was written."
    )
    snapshot_id: str
    cluster: str
    taken_at: datetime
    is_latest: bool = Field(description="Whether this snapshot counts: none of its cluster is newer.")
    previous_taken_at: datetime | None = Field(
        description="When the snapshot was taken that counted until now; null if there was none, or it "
        "counts still."
    )
    file: str
    digest: str = Field(description="SHA-256 of the file.")
    objects: int = Field(description="Stored.")
    kinds: tuple[KindCount, ...]
    repeated: int = Field(description="Objects that were in the file before; the last one was taken.")
    unknown_owners: int = Field(
        description="Pods and jobs whose ReplicaSet or Job is not in the file: their workload is that one, "
        "not the Deployment or CronJob behind it."
    )
    absent_kinds: tuple[str, ...] = Field(
        description="Kinds that were looked for and of which there is none."
    )
    notes: tuple[str, ...]
