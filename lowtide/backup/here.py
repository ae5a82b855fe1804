"""Holds the moment of a backup where no server runs. `lowtide backup` calls it.

The same engine holds the store as in a server, under the same locks. The trap: the spool is not opened,
because opening repairs and notes things; its files are taken as they are, as after a kill. The store goes
back to its last checkpoint, as at a start: repeated batches do not mend all that a kill leaves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.loader.going_back import go_back
from ingest.spool.place import lock_directory
from ingest.store.engine import Engine
from ingest.store.target import Embedded
from lowtide.backup.cut import take_cut
from lowtide.backup.errors import BackupPlaceError
from lowtide.instance_lock import InstanceLock
from lowtide.store_access import spool_directory, target_of

if TYPE_CHECKING:
    from lowtide.settings import Settings


def hold_here(settings: Settings) -> None:
    """Hold the data directory as it is now. Raises AlreadyRunningError, SpoolError, StoreError, BackupError,
    OSError."""
    target = target_of(settings)
    owner = settings.data.stat().st_uid
    if isinstance(target, Embedded) and owner != os.geteuid():
        raise BackupPlaceError(
            f"{settings.data} belongs to user {owner}, this is user {os.geteuid()}; the engine would leave "
            "files there that the server could not change.",
            hint="Run it as that user, or while the server runs.",
        )
    with ExitStack() as closing:
        closing.callback(InstanceLock.acquire(settings.data).release)
        spool = spool_directory(settings)
        closing.enter_context(_locked(spool))
        engine = None
        if isinstance(target, Embedded) and target.directory.is_dir():
            go_back(spool, target)
            engine = Engine.open(target)
            closing.callback(engine.close)
        take_cut(settings.data, nullcontext(spool), target, engine)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Nobody else opens the spool meanwhile."""
    if not directory.is_dir():
        yield
        return
    handle = lock_directory(directory)
    try:
        yield
    finally:
        os.close(handle)
