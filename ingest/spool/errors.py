"""What can go wrong in the spool."""

from __future__ import annotations


class SpoolError(Exception):
    """Base of all errors of the spool."""


class SpoolFullError(SpoolError):
    """The spool has reached its size limit; there is room again once the loader has caught up (retryable)."""


class SpoolFailedError(SpoolError):
    """A write or an fsync failed and the spool takes nothing more until it is opened anew."""
