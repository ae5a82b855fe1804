"""Second names for the files of a part. The engine never changes a file of a part, it only makes and removes
them, so a second name keeps the content whatever the engine does, and takes no room before it does.

The trap: the engine may remove a part while it is being linked. It renames the folder first, so a folder that
is still there afterwards was whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_UNFINISHED = "tmp_"
"""The engine clears folders away whose names begin so."""
_CHECKSUMS = "checksums.txt"
_UNCOUNTED = frozenset({
    _CHECKSUMS, "columns.txt", "columns_substreams.txt", "default_compression_codec.txt",
    "metadata_version.txt",
})  # fmt: skip
"""Files that are not in a part's checksums, and so not in its size as the engine says it. Never empty."""


def link_part(source: Path, target: Path) -> int:
    """Give all files of a part a second name in a new folder; returns how many there are.

    Raises FileNotFoundError if the part goes meanwhile, OSError.
    """
    before = source.stat().st_ino
    unfinished = target.with_name(_UNFINISHED + target.name)
    shutil.rmtree(unfinished, ignore_errors=True)
    count = _link_all(source, unfinished)
    if source.stat().st_ino != before:
        raise FileNotFoundError(f"{source} was replaced")
    unfinished.rename(target)
    return count


def remove_part(folder: Path) -> None:
    """Remove a part so that a crash in between leaves nothing that looks like one. Raises OSError."""
    gone = folder.with_name(_UNFINISHED + folder.name)
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone)


def is_linked(part: Path, copy: Path) -> bool:
    """Whether a copy is of this very part, by the file that every part has. Raises OSError."""
    try:
        return (part / _CHECKSUMS).samefile(copy / _CHECKSUMS)
    except FileNotFoundError:
        return False


def is_whole(part: Path, size_bytes: int) -> bool:
    """Whether its files are as long as the engine says it wrote them (`bytes_on_disk`). Raises OSError."""
    sizes = dict(_sizes(part))
    return size_bytes == sum(size for name, size in sizes.items() if name not in _UNCOUNTED) and all(
        size for name, size in sizes.items() if name in _UNCOUNTED
    )


def files_of(folder: Path) -> dict[str, int] | None:
    """The inodes of a part's files by their path in it; None if there is no such folder. Raises OSError."""
    try:
        return dict(_walk(folder, ""))
    except FileNotFoundError:
        return None


def _walk(folder: Path, prefix: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found += _walk(folder / entry.name, f"{prefix}{entry.name}/")
            else:
                found.append((prefix + entry.name, entry.inode()))
    return found


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _sizes(folder / entry.name)
            else:
                yield entry.name, entry.stat(follow_symlinks=False).st_size


def _link_all(source: Path, target: Path) -> int:
    target.mkdir()
    count = 0
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                count += _link_all(source / entry.name, target / entry.name)
            else:
                os.link(entry.path, target / entry.name, follow_symlinks=False)
                count += 1
    return count
