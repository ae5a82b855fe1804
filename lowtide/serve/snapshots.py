"""Holds the data directory of the running server for a backup. The API calls it (`api.snapshots`).

The loader stands still meanwhile, so that spool and store belong together; what comes in is acknowledged
into the spool as always. The trap: what is held must be released by whoever has copied it, since only that
one knows when; a server that starts takes away what a killed one left.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from api.snapshots import SnapshotRefusedError, SnapshotTaken
from ingest.loader.gate import StillBusyError
from ingest.spool.errors import SpoolError
from lowtide.backup.cut import SnapshotError, release, take_cut
from lowtide.backup.errors import BackupRunsError
from lowtide.backup.making import backup_lock

if TYPE_CHECKING:
    from ingest.loader.loader import Loader
    from ingest.spool.spool import Spool
    from ingest.store.engine import Engine
    from ingest.store.target import Target

log = structlog.get_logger(__name__)
BUSY_S: Final = 60.0
"""For a batch that is under way: an insert of the largest takes some seconds, a store that hangs longer."""


class Holding(Protocol):
    """The open parts of the server."""

    @property
    def spool(self) -> Spool:
        """The open spool."""

    @property
    def engine(self) -> Engine:
        """The open store."""

    @property
    def loader(self) -> Loader:
        """The running loader."""


class ServerSnapshots:
    """Takes one at a time."""

    def __init__(self, data: Path, parts: Holding, *, busy_s: float = BUSY_S) -> None:
        self._data = data
        self._parts = parts
        self._busy_s = busy_s
        self._taking = threading.Lock()

    def take(self) -> SnapshotTaken:
        """Hold everything. Raises SnapshotRefusedError, StoreError."""
        if not self._taking.acquire(blocking=False):
            raise SnapshotRefusedError("Another request is at it.", is_held=True)
        parts = self._parts
        began = time.monotonic()
        try:
            with parts.loader.paused(self._busy_s):
                engine = parts.engine if parts.engine.is_embedded else None
                cut = take_cut(self._data, parts.spool.still(), parts.engine.target, engine)
            paused_s = time.monotonic() - began
        except SnapshotError as error:
            raise SnapshotRefusedError(str(error), is_held=True) from error
        except StillBusyError as error:
            raise SnapshotRefusedError(f"{str(error).capitalize()}. Try again.", is_held=False) from error
        except (OSError, SpoolError) as error:
            raise SnapshotRefusedError(f"The files cannot be held: {error}.", is_held=False) from error
        finally:
            self._taking.release()
        log.info("The data directory is held for a backup", paused_s=round(paused_s, 3))
        return SnapshotTaken(taken_at=cut.taken_at, loading_paused_s=paused_s)


def forget_snapshot(data: Path, target: Target) -> None:
    """Release what a backup left that was killed; one that is still being copied is left alone."""
    try:
        with backup_lock(data):
            release(data, target)
    except BackupRunsError:
        log.info("A backup that was begun before is still being copied")
    except OSError as error:
        # It costs room, and the doctor says so; that must not keep a server from starting.
        log.warning("What a killed backup left cannot be taken away", error=str(error))
