"""The folder for temporary files of the server: `tmp` in the data directory, emptied at every start.

`lowtide.serve.parts` takes it with the lock of the data directory, which makes it this process's own. The
trap: it counts for the whole process, so nothing else may set `tempfile.tempdir`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lowtide.instance_lock import DataDirectoryError

SCRATCH_FOLDER = "tmp"


def take_scratch(data: Path) -> Path:
    """Make the folder, empty and for its owner only, and use it for every temporary file from now on.

    Raises DataDirectoryError.
    """
    folder = (data / SCRATCH_FOLDER).resolve(strict=False)
    try:
        # What a link leads to is not ours to empty.
        if (data / SCRATCH_FOLDER).is_symlink():
            raise DataDirectoryError(
                f"{data / SCRATCH_FOLDER} is a link, and what it leads to would be deleted.",
                hint="Remove the link; Lowtide makes the folder itself.",
            )
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise DataDirectoryError(
            f"{folder} cannot be emptied for temporary files: {error.strerror or error}.",
            hint="Make it writable, or delete it.",
        ) from error
    # Where there are no files in memory, the embedded engine is handed its inserts by one from here. In the
    # system's own folder a small /tmp would stop storing, and what a killed process left would stay for good.
    tempfile.tempdir = str(folder)
    return folder


def leave_scratch() -> None:
    """Back to the system's folder; what is left is emptied by the next start."""
    tempfile.tempdir = None
