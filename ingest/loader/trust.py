"""Since when a store still has what it was given. Whoever opens a spool, or looks into one, asks here.

The trap: a spool that trusts an embedded store for longer loses what that store forgets when it goes back.
"""

from __future__ import annotations

from uuid import uuid4

from ingest.spool.boot import kernel_boot_id
from ingest.store.target import Embedded, Target


def trusted_since(target: Target) -> str | None:
    """A name for that time, for `Spool.open`: of the machine's boot for a server, None if nobody knows it; of
    this moment for an embedded store, which goes back to its last checkpoint at each start.
    """
    return str(uuid4()) if isinstance(target, Embedded) else kernel_boot_id()
