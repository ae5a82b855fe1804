"""The few system calls the spool makes, in one object, so that a test can make any of them fail.

The rest of `ingest.spool` touches the disk through a `Files` only. The trap: a file's name is durable only
after its directory was synced, its bytes only after `sync`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from ingest.disk import Disk, disk_of

MOST_BUFFERS = 1024
"""IOV_MAX of Linux and macOS: more buffers in one writev are refused."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


class Files:
    """System calls. All raise OSError. Files belong to their owner only."""

    def create(self, path: Path) -> int:
        """A new file for reading and appending; it must not exist."""
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def open_append(self, path: Path) -> int:
        """An existing file for reading and appending."""
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)

    def open_read(self, path: Path) -> int:
        """An existing file for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self, handle: int) -> None:
        """Close a file."""
        os.close(handle)

    def writev(self, handle: int, buffers: Sequence[bytes | memoryview]) -> int:
        """Append buffers; returns the bytes written, which may be fewer than given."""
        return os.writev(handle, buffers)

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at an offset."""
        return os.pread(handle, size, offset)

    def sync(self, handle: int) -> None:
        """Make the file's bytes and length durable."""
        if _FULL_SYNC is not None:
            fcntl.fcntl(handle, _FULL_SYNC)
        else:
            os.fdatasync(handle)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def truncate(self, handle: int, size: int) -> None:
        """Cut a file to a length."""
        os.ftruncate(handle, size)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, replacing what has it."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def mkdir(self, path: Path) -> None:
        """Create a directory; one that exists is left alone."""
        path.mkdir(mode=0o700, exist_ok=True)

    def disk(self, path: Path) -> Disk:
        """The file system that holds a path."""
        return disk_of(path)


def write_all(files: Files, handle: int, buffers: Sequence[bytes]) -> None:
    """Append all buffers, in as many calls as it takes. Raises OSError, perhaps after a part was written."""
    left: list[bytes | memoryview] = list(buffers)
    at = 0
    while at < len(left):
        written = files.writev(handle, left[at : at + MOST_BUFFERS])
        if not written and any(left[at : at + MOST_BUFFERS]):
            raise OSError(errno.EIO, "the disk takes nothing and says nothing")
        while at < len(left) and written >= len(left[at]):
            written -= len(left[at])
            at += 1
        if written:
            left[at] = memoryview(left[at])[written:]


def read_whole(files: Files, path: Path) -> bytes:
    """The content of a small file. Raises OSError."""
    handle = files.open_read(path)
    try:
        return read_exactly(files, handle, os.fstat(handle).st_size, 0)
    finally:
        files.close(handle)


def read_exactly(files: Files, handle: int, size: int, offset: int) -> bytes:
    """`size` bytes at an offset, fewer only where the file ends."""
    data = files.pread(handle, size, offset)
    if len(data) == size or not data:
        return data
    parts = [data]
    got = len(data)
    while got < size and (data := files.pread(handle, size - got, offset + got)):
        parts.append(data)
        got += len(data)
    return b"".join(parts)


def is_full(error: OSError) -> bool:
    """Whether the disk or a quota is full: the one failed write that leaves nothing unknown behind."""
    return error.errno in _FULL


def is_scarce(error: OSError) -> bool:
    """Whether no file could be opened because too many are open, or memory is short: that passes."""
    return error.errno in _SCARCE
