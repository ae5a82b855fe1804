"""Makes a file system durable as a whole. The loader calls it before the spool forgets what was inserted.

The engine syncs neither its parts nor its record of what it has inserted; the kernel is asked to write out
all of it at once.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def sync_filesystem(directory: Path) -> None:
    """Write out everything of the file system that holds `directory` (syncfs(2)). Raises OSError.

    Where the system has no syncfs, all file systems are written out (sync(2)).
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "syncfs"):
            os.sync()
        elif library.syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(directory))
    finally:
        os.close(handle)
