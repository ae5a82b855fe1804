"""Makes a file system durable as a whole. A checkpoint calls it before it counts.

The engine syncs neither its parts nor its record of what it has inserted; the kernel is asked to write out
all of it at once. The trap: the kernel tells of a write that failed in the background only to who had a file
of that file system open by then, and only once. So a directory is kept open, and after one failure there is
no second try: it would say yes, and the pages would be gone.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


class FileSystem:
    """The file system that holds a directory. Close it."""

    def __init__(self, directory: Path) -> None:
        """Raises OSError."""
        self._directory = directory
        self._handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._failure: OSError | None = None

    def sync(self) -> None:
        """Write out everything (syncfs(2)). Raises OSError, and the same for ever after.

        Where the system has no syncfs, all file systems are written out (sync(2)).
        """
        if self._failure is not None:
            raise self._failure
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "syncfs"):
            os.sync()
        elif library.syncfs(self._handle) != 0:
            code = ctypes.get_errno()
            self._failure = OSError(code, os.strerror(code), str(self._directory))
            raise self._failure

    @property
    def has_failed(self) -> bool:
        """Whether nobody knows any more what is on the disk."""
        return self._failure is not None

    def close(self) -> None:
        """Let the directory go."""
        os.close(self._handle)


def sync_filesystem(directory: Path) -> None:
    """Write out everything once, of the file system that holds a directory. Raises OSError."""
    disk = FileSystem(directory)
    try:
        disk.sync()
    finally:
        disk.close()


def replace_durably(path: Path, content: bytes) -> None:
    """Write a small file so that either the old or the new one is there, whatever happens. Raises OSError."""
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    new.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]
