"""Why a request is refused besides being malformed: one exception per reason, raised by the receivers and
the intake, turned into an outcome in `collector.outcomes` only. Every message is written to be sent back to
the sender.
"""

from __future__ import annotations

from collector.errors import CollectorError


class RefusedError(CollectorError):
    """Base of the reasons below."""


class TooLargeError(RefusedError):
    """A request is above a size limit (permanent: the sender must split it)."""


class UnsupportedTypeError(RefusedError):
    """Media type or content encoding is not one we read (permanent)."""


class UnauthenticatedError(RefusedError):
    """The sender did not say who it is, or could not prove it (permanent)."""


class ForbiddenError(RefusedError):
    """The sender is known, but may not write this signal (permanent)."""


class UndecidedError(RefusedError):
    """Who the sender is cannot be found out now (retryable)."""


class SlowSenderError(RefusedError):
    """The headers or the body did not arrive in time (retryable)."""


class OverloadedError(RefusedError):
    """Too much at a time: bytes, connections or calls (retryable)."""


class OverShareError(OverloadedError):
    """Too much of one tenant at a time while others are waiting (retryable)."""


class TooFastError(RefusedError):
    """A tenant sends more bytes a second than it may (retryable after `retry_after_s`)."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoppingError(RefusedError):
    """The collector is shutting down (retryable)."""
