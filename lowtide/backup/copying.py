"""Copies files with their checksums, and compares those of files that lie there. `lowtide.backup.making` and
`lowtide.backup.restoring` call it.

The trap: a copy is durable only after `sync_filesystem` on its file system.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from lowtide.backup.errors import BackupDamagedError, NotEnoughRoomError
from lowtide.backup.manifest import DATA_FOLDER, FileSum
from lowtide.units import size as in_words

_CHUNK_BYTES: Final = 1024 * 1024
_BLOCK_BYTES: Final = 4096
_SPARE_BYTES: Final = 64 * 1024 * 1024
"""For folders, checksums, the manifest, and so that a disk is not left full."""
_SHOWN: Final = 5

Tell = Callable[[int], None]
"""Is told the bytes that are done so far."""


def copy_file(source: Path, target: Path, limit_bytes: int | None = None) -> tuple[str, int]:
    """Copy a file, or its first `limit_bytes`; returns the copy's SHA-256 and size. The copy has the time of
    the original and belongs to its owner only. Raises OSError, also if the source is shorter than that.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    done = 0
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as reader, os.fdopen(handle, "wb", buffering=0) as writer:
        found = os.fstat(reader.fileno())
        left = found.st_size if limit_bytes is None else limit_bytes
        while left and (chunk := reader.read(min(left, _CHUNK_BYTES))):
            digest.update(chunk)
            _write(writer.fileno(), chunk)
            left -= len(chunk)
            done += len(chunk)
        os.utime(writer.fileno(), ns=(found.st_mtime_ns, found.st_mtime_ns))
    if left:
        raise OSError(f"{source} is {left} bytes shorter than it was")
    return digest.hexdigest(), done


def _write(handle: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(handle, view) :]


def check_sums(backup: Path, sums: Iterable[FileSum], tell: Tell = lambda _: None) -> None:
    """Read every file of a backup. Raises BackupDamagedError that names those which are not what they were.

    Files that are not in the checksums are nobody's: they are neither read nor restored.
    """
    wrong = []
    done = 0
    for each in sums:
        path = backup / DATA_FOLDER / each.path
        try:
            digest, size = _sum_of(path)
        except OSError as error:
            wrong.append(f"{each.path}: {error.strerror or error}")
            continue
        if digest != each.sha256:
            wrong.append(f"{each.path}: other bytes than when the backup was made")
        done += size
        tell(done)
    if wrong:
        raise damaged(backup, wrong)


def damaged(backup: Path, wrong: list[str]) -> BackupDamagedError:
    """The error that names files and what is wrong with each."""
    more = f"\n... and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return BackupDamagedError(
        f"{backup} is damaged, {len(wrong)} of its files:\n" + "\n".join(wrong[:_SHOWN]) + more,
        hint="Nothing was restored. Take another copy of this backup, or an older one.",
    )


def _sum_of(path: Path) -> tuple[str, int]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    digest = hashlib.sha256()
    size = 0
    with os.fdopen(handle, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def check_room(folder: Path, sizes: Iterable[int]) -> None:
    """Raises NotEnoughRoomError if files of these sizes do not fit below `folder`, or below what is there of
    the way to it."""
    needed = _SPARE_BYTES + sum(-(-size // _BLOCK_BYTES) * _BLOCK_BYTES for size in sizes)
    there = next(each for each in (folder, *folder.parents) if each.exists())
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise NotEnoughRoomError(
            f"{there} has {in_words(free)} free, and {in_words(needed)} are needed.",
            hint="Make room, or choose another disk.",
        )
