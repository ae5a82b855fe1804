"""The file by which the embedded engine is handed its inserts. Sessions of `ingest.store.engine` have one.

The engine reads inserts from files. This one lies in memory and is written over with each batch: a new file
for each would need as many fresh pages as it is long, which cost more than what is written to them, and a
place for temporary files that may be full. It keeps as much memory as the last batch was long.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


class Handover:
    """One file, opened when it is first filled. Not for two threads at once."""

    def __init__(self) -> None:
        self._handle = -1
        self._path = ""
        self._is_named = False

    def fill(self, pieces: Iterable[bytes]) -> str:
        """Write these instead of what was there, and return the path. Raises OSError."""
        if self._handle < 0:
            self._open()
        at = 0
        for piece in pieces:
            left = memoryview(piece)
            while left:
                written = os.pwrite(self._handle, left, at)
                at += written
                left = left[written:]
        os.ftruncate(self._handle, at)
        return self._path

    def close(self) -> None:
        """Give the memory back; calling it twice is fine."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
            if self._is_named:
                Path(self._path).unlink(missing_ok=True)

    def _open(self) -> None:
        if hasattr(os, "memfd_create"):
            self._handle = os.memfd_create("lowtide-insert")
            self._path = f"/proc/self/fd/{self._handle}"
        else:
            self._handle, self._path = tempfile.mkstemp(prefix="lowtide-insert-")
            self._is_named = True
