"""What can go wrong with backups. Raised by `lowtide.backup`, shown by `lowtide backup` and `restore`.

BackupError
+-- BackupPlaceError      a backup cannot be written, or restored, there (wrong usage)
+-- NotEnoughRoomError    the disk has too little room for it
+-- BackupRunsError       another backup is being made (retryable)
+-- BackupUnfinishedError this is no backup, or one that was never finished
+-- BackupDamagedError    files of it are missing, or are not what they were
+-- BackupTooNewError     a later version of Lowtide or of its engine made it
"""

from __future__ import annotations

from lowtide.errors import ExitCode, LowtideError


class BackupError(LowtideError):
    """Base of the errors of backups."""


class BackupPlaceError(BackupError):
    """A backup cannot be written there, or nothing can be restored there."""

    exit_code = ExitCode.USAGE


class NotEnoughRoomError(BackupError):
    """The disk has too little room."""


class BackupRunsError(BackupError):
    """Another backup of this data directory is being made."""


class BackupUnfinishedError(BackupError):
    """There is no manifest: no backup at all, or one that was broken off."""


class BackupDamagedError(BackupError):
    """Files are missing, or have other bytes than when the backup was made."""


class BackupTooNewError(BackupError):
    """This version cannot read what a later one wrote."""
