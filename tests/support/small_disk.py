"""A disk of so many bytes, in memory, that a test can fill to the last one. Only root may mount it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE_BYTES = 4096


class SmallDisk:
    """Where it is mounted, and how to leave little room on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def free(self) -> int:
        """Bytes that can still be written."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def leave(self, room: int) -> None:
        """Fill it until no more than `room` bytes are free, whoever else writes meanwhile."""
        with self._ballast.open("ab", buffering=0) as file:
            while (surplus := self.free() - room) >= PAGE_BYTES:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), surplus // PAGE_BYTES * PAGE_BYTES)
                except OSError:
                    continue  # somebody else took some of it
                file.seek(0, os.SEEK_END)

    def make_room(self) -> None:
        """Give back what `leave` took."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mounted for the block; skips the test where that is not allowed."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    path.mkdir()
    options = f"size={size_bytes},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
