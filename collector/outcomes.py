"""The outcome of each error. The intake asks; the receivers take `INTERNAL_ERROR` and the labels of metrics
from here."""

from __future__ import annotations

from collector.door import Transport
from collector.errors import BadRequestError, CollectorError
from collector.refusals import (
    ForbiddenError,
    OverloadedError,
    OverShareError,
    SlowSenderError,
    StoppingError,
    TooFastError,
    TooLargeError,
    UnauthenticatedError,
    UndecidedError,
    UnsupportedTypeError,
)
from collector.replies import Kind, Outcome
from ingest.spool.errors import SpoolDiskLowError, SpoolFailedError, SpoolFullError, SpoolReadError

_KINDS: dict[type[CollectorError], Kind] = {
    BadRequestError: Kind.BAD_DATA,
    TooLargeError: Kind.TOO_LARGE,
    UnsupportedTypeError: Kind.UNSUPPORTED_TYPE,
    UnauthenticatedError: Kind.UNAUTHENTICATED,
    ForbiddenError: Kind.FORBIDDEN,
    UndecidedError: Kind.UNDECIDED,
    SlowSenderError: Kind.SLOW_SENDER,
    OverShareError: Kind.OVER_SHARE,
    OverloadedError: Kind.OVERLOADED,
    TooFastError: Kind.TOO_FAST,
    StoppingError: Kind.STOPPING,
}
_SPOOL_OUTCOMES: dict[type[Exception], Outcome] = {
    SpoolFullError: Outcome(
        Kind.SPOOL_FULL, "the collector's disk buffer is full; send this request again later"
    ),
    SpoolDiskLowError: Outcome(
        Kind.DISK_LOW, "the collector's disk is nearly full; send this request again later"
    ),
    SpoolFailedError: Outcome(
        Kind.SPOOL_FAILED,
        "the collector cannot write to its disk until that is repaired; send this request again later",
    ),
    SpoolReadError: Outcome(
        Kind.SPOOL_FAILED,
        "the collector cannot read on its disk what it answered to this request; send it again later",
    ),
}
INTERNAL_ERROR = Outcome(Kind.INTERNAL, "the collector failed on this request; its log says why")


def outcome_of_error(error: Exception) -> Outcome | None:
    """What a sender is told of an error; None if nobody expected it."""
    if type(error) in _SPOOL_OUTCOMES:
        return _SPOOL_OUTCOMES[type(error)]
    kind = next((kind for known, kind in _KINDS.items() if isinstance(error, known)), None)
    if kind is None:
        return None
    return Outcome(kind, str(error), retry_after_s=getattr(error, "retry_after_s", None))


def spool_kind_of(error: Exception) -> Kind:
    """How a request ends that the spool does not take."""
    return _SPOOL_OUTCOMES.get(type(error), INTERNAL_ERROR).kind


def code_of(outcome: Outcome, transport: Transport) -> str:
    """The metric label of an outcome: the HTTP status or the gRPC code's name."""
    return outcome.codes.grpc.name if transport is Transport.GRPC else str(outcome.codes.http)
