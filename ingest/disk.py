"""How large a file system is and how much of it is free. The spool and the store ask."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Disk:
    """Without what only root may use."""

    free_bytes: int
    total_bytes: int


def disk_of(path: Path) -> Disk:
    """The file system that holds a path. Raises OSError."""
    found = os.statvfs(path)
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    return Disk(found.f_bavail * found.f_frsize, usable * found.f_frsize)
