"""The directory of a spool: made durably, and owned by one process. `Spool.open` calls it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import structlog

from ingest.spool.errors import SpoolLockedError
from ingest.spool.files import Files

log = structlog.get_logger(__name__)
LOCK_NAME = "spool.lock"


def make_directory(files: Files, directory: Path) -> None:
    """Make the directory and those above it that are missing, and their names durable. Raises OSError."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        files.mkdir(each)
    for each in missing or [directory]:
        try:
            files.sync_directory(each.parent)
        except PermissionError:
            # A directory we may not even read is not one whose entries were made just now.
            log.debug("The directory above the spool cannot be synced", directory=str(each.parent))


def lock_directory(directory: Path) -> int:
    """Own the spool in a directory until the returned handle is closed, or the process ends.

    Raises SpoolLockedError if it is owned already, OSError.
    """
    handle = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise SpoolLockedError(
            f"the spool in {directory} is open in another process; stop that one, or choose another directory"
        ) from error
    except OSError:
        os.close(handle)
        raise
    return handle
