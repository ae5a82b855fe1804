"""What senders are answered: one table of outcomes with both transports' codes, and the bodies that go
with them.

The intake decides on an `Outcome`; the receivers turn it into bytes here and nowhere else. OTLP
specification, sections "OTLP/gRPC Response", "OTLP/HTTP Response" and "Failures". The trap: what a
sender retries is fixed by the code alone (HTTP 429, 502, 503 and 504; gRPC UNAVAILABLE and a few more),
and RESOURCE_EXHAUSTED is retried exactly if RetryInfo is with it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.door import Form
from ingest.signals import Signal

# A gRPC client reads 8 KiB of trailers by default; the message travels there twice, once in base64.
MAX_ERROR_CHARS = 500
MAX_PARTIAL_CHARS = 4000
_KEPT = struct.Struct("<4Q")


class Kind(StrEnum):
    """How a request ended."""

    OK = "ok"
    PARTIAL = "partial"
    BAD_DATA = "bad_data"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    UNDECIDED = "undecided"
    NOT_FOUND = "not_found"
    BAD_METHOD = "bad_method"
    SLOW_SENDER = "slow_sender"
    TOO_LARGE = "too_large"
    UNSUPPORTED_TYPE = "unsupported_type"
    LARGE_HEADERS = "large_headers"
    INTERNAL = "internal"
    OVERLOADED = "overloaded"
    OVER_SHARE = "over_share"
    TOO_FAST = "too_fast"
    SPOOL_FULL = "spool_full"
    DISK_LOW = "disk_low"
    SPOOL_FAILED = "spool_failed"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Codes:
    """One line of the table; `retry` adds Retry-After and RetryInfo."""

    http: int
    grpc: grpc.StatusCode
    retry: bool = False


# A body that came too slowly is 503 and not 408: nothing is wrong with the data, and OTLP senders drop what
# is answered 408 (the retryable statuses are 429, 502, 503 and 504, and most SDKs and the Collector keep to
# them). Closing without an answer is no better: not every SDK tries again after a broken connection.
# Remote write has no partial success: what was refused must be told as a failure, which is not sent again.
# Overload is 503 and not 429: it is ours, not this sender's doing. Too fast is 429: it is this tenant's.
TABLE: dict[Kind, Codes] = {
    Kind.OK: Codes(200, grpc.StatusCode.OK),
    Kind.PARTIAL: Codes(400, grpc.StatusCode.INVALID_ARGUMENT),
    Kind.BAD_DATA: Codes(400, grpc.StatusCode.INVALID_ARGUMENT),
    Kind.UNAUTHENTICATED: Codes(401, grpc.StatusCode.UNAUTHENTICATED),
    Kind.FORBIDDEN: Codes(403, grpc.StatusCode.PERMISSION_DENIED),
    Kind.UNDECIDED: Codes(503, grpc.StatusCode.UNAVAILABLE, retry=True),
    Kind.NOT_FOUND: Codes(404, grpc.StatusCode.UNIMPLEMENTED),
    Kind.BAD_METHOD: Codes(405, grpc.StatusCode.UNIMPLEMENTED),
    Kind.SLOW_SENDER: Codes(503, grpc.StatusCode.DEADLINE_EXCEEDED, retry=True),
    Kind.TOO_LARGE: Codes(413, grpc.StatusCode.RESOURCE_EXHAUSTED),
    Kind.UNSUPPORTED_TYPE: Codes(415, grpc.StatusCode.INVALID_ARGUMENT),
    Kind.LARGE_HEADERS: Codes(431, grpc.StatusCode.RESOURCE_EXHAUSTED),
    Kind.INTERNAL: Codes(500, grpc.StatusCode.INTERNAL),
    Kind.OVERLOADED: Codes(503, grpc.StatusCode.UNAVAILABLE, retry=True),
    Kind.OVER_SHARE: Codes(503, grpc.StatusCode.UNAVAILABLE, retry=True),
    Kind.TOO_FAST: Codes(429, grpc.StatusCode.RESOURCE_EXHAUSTED, retry=True),
    Kind.DISK_LOW: Codes(503, grpc.StatusCode.UNAVAILABLE, retry=True),
    Kind.SPOOL_FULL: Codes(503, grpc.StatusCode.UNAVAILABLE, retry=True),
    Kind.SPOOL_FAILED: Codes(503, grpc.StatusCode.UNAVAILABLE, retry=True),
    Kind.STOPPING: Codes(503, grpc.StatusCode.UNAVAILABLE, retry=True),
}


@dataclass(frozen=True, slots=True)
class Written:
    """How many elements of a remote write request are stored, by sort."""

    samples: int = 0
    histograms: int = 0
    exemplars: int = 0


NOTHING_WRITTEN = Written()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, in neither transport's words.

    `rejected` and a message with OK make a partial success. `retry_after_s` is set where it is known that
    coming back before is in vain. Only remote write says what was `written`.
    """

    kind: Kind
    message: str = ""
    rejected: int = 0
    retry_after_s: int | None = None
    written: Written = NOTHING_WRITTEN

    @property
    def codes(self) -> Codes:
        """Its line of the table."""
        return TABLE[self.kind]


@dataclass(frozen=True, slots=True)
class HttpReply:
    """Status, headers as names and values, and body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class GrpcReply:
    """Status code and message, trailers, and the body of a success."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, bytes], ...]
    body: bytes


def kept(outcome: Outcome) -> bytes:
    """A success in the form in which the spool keeps it, for whoever sends the same request again."""
    written = outcome.written
    if not outcome.rejected and not outcome.message and written == NOTHING_WRITTEN:
        return b""
    numbers = _KEPT.pack(outcome.rejected, written.samples, written.histograms, written.exemplars)
    return numbers + clean(outcome.message, MAX_PARTIAL_CHARS).encode()


def outcome_of(data: bytes) -> Outcome:
    """The outcome that was `kept`."""
    if not data:
        return Outcome(Kind.OK)
    rejected, *written = _KEPT.unpack_from(data)
    return Outcome(Kind.OK, data[_KEPT.size :].decode(), rejected, written=Written(*written))


def http_reply(outcome: Outcome, signal: Signal | None, form: Form, *, retry_after_s: int) -> HttpReply:
    """The reply over HTTP, written as the request was. `signal` may be unknown for failures only."""
    if outcome.kind is Kind.OK and signal is not None:
        body = _success(outcome, signal, form)
    else:
        body = _written(_status(outcome, retry_after_s), form)
    headers = [(b"content-type", form.value.encode()), (b"content-length", str(len(body)).encode())]
    if outcome.codes.retry:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    if outcome.kind is Kind.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b'Bearer realm="Lowtide"'))
    return HttpReply(outcome.codes.http, headers, body)


def grpc_reply(outcome: Outcome, signal: Signal, *, retry_after_s: int) -> GrpcReply:
    """The reply over gRPC; a failure carries google.rpc.Status in `grpc-status-details-bin`."""
    if outcome.kind is Kind.OK:
        return GrpcReply(grpc.StatusCode.OK, "", (), _success(outcome, signal, Form.PROTOBUF))
    status = _status(outcome, retry_after_s)
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    return GrpcReply(outcome.codes.grpc, status.message, trailers, b"")


def _success(outcome: Outcome, signal: Signal, form: Form) -> bytes:
    """Export*ServiceResponse.

    `partial_success` stays unset when there is nothing to say, as the specification asks.
    """
    if not outcome.rejected and not outcome.message:
        return b"" if form is Form.PROTOBUF else b"{}"
    message = clean(outcome.message, MAX_PARTIAL_CHARS)
    response: Message
    match signal:
        case Signal.TRACES:
            response = ExportTraceServiceResponse()
            response.partial_success.rejected_spans = outcome.rejected
            response.partial_success.error_message = message
        case Signal.METRICS:
            response = ExportMetricsServiceResponse()
            response.partial_success.rejected_data_points = outcome.rejected
            response.partial_success.error_message = message
        case Signal.LOGS:
            response = ExportLogsServiceResponse()
            response.partial_success.rejected_log_records = outcome.rejected
            response.partial_success.error_message = message
    return _written(response, form)


def _status(outcome: Outcome, retry_after_s: int) -> status_pb2.Status:
    """google.rpc.Status with BadRequest for bad data and RetryInfo for what may be sent again."""
    message = clean(outcome.message, MAX_ERROR_CHARS)
    status = status_pb2.Status(code=outcome.codes.grpc.value[0], message=message)
    if outcome.kind is Kind.BAD_DATA:
        details = error_details_pb2.BadRequest()
        details.field_violations.add(field="body", description=message)
        status.details.add().Pack(details)
    if outcome.codes.retry:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromSeconds(retry_after_s)
        status.details.add().Pack(info)
    return status


def clean(message: str, max_chars: int) -> str:
    """Short enough, and always encodable: a message may quote what the sender wrote."""
    return message[:max_chars].encode("utf-8", "replace").decode()


def _written(message: Message, form: Form) -> bytes:
    if form is Form.JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()
