"""What can go wrong in the spool. Receivers tell `SpoolFullError` (retryable) from `SpoolFailedError`."""

from __future__ import annotations


class SpoolError(Exception):
    """Base of all errors of the spool."""


class SpoolFullError(SpoolError):
    """The spool has reached its size limit or the disk is full (retryable).

    There is room again once the loader has caught up.
    """


class SpoolDiskLowError(SpoolFullError):
    """Little is free on the disk, and that is left to what was accepted before (retryable)."""


class SpoolFailedError(SpoolError):
    """A write or an fsync failed and the spool takes nothing more until it is opened anew."""


class SpoolLockedError(SpoolError):
    """Another process has this spool open."""


class SpoolReadError(SpoolError):
    """The disk does not give back what is stored; nothing was changed, the read may be repeated."""
