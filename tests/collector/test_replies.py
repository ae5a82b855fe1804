"""Replies by the OTLP specification, in both transports and both forms."""

from __future__ import annotations

import json

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.door import Form
from collector.replies import MAX_ERROR_CHARS, TABLE, Kind, Outcome, grpc_reply, http_reply
from ingest.signals import Signal

RESPONSES = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
}
# OTLP specification: what clients send again.
RETRIED_HTTP = {429, 502, 503, 504}
RETRIED_GRPC = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
# (kind, HTTP status, gRPC code): the table as the specification and our issue state it.
EXPECTED = [
    (Kind.OK, 200, grpc.StatusCode.OK),
    (Kind.PARTIAL, 400, grpc.StatusCode.INVALID_ARGUMENT),
    (Kind.BAD_DATA, 400, grpc.StatusCode.INVALID_ARGUMENT),
    (Kind.UNAUTHENTICATED, 401, grpc.StatusCode.UNAUTHENTICATED),
    (Kind.FORBIDDEN, 403, grpc.StatusCode.PERMISSION_DENIED),
    (Kind.UNDECIDED, 503, grpc.StatusCode.UNAVAILABLE),
    (Kind.NOT_FOUND, 404, grpc.StatusCode.UNIMPLEMENTED),
    (Kind.BAD_METHOD, 405, grpc.StatusCode.UNIMPLEMENTED),
    (Kind.SLOW_SENDER, 503, grpc.StatusCode.DEADLINE_EXCEEDED),
    (Kind.TOO_LARGE, 413, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Kind.UNSUPPORTED_TYPE, 415, grpc.StatusCode.INVALID_ARGUMENT),
    (Kind.LARGE_HEADERS, 431, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Kind.INTERNAL, 500, grpc.StatusCode.INTERNAL),
    (Kind.OVERLOADED, 503, grpc.StatusCode.UNAVAILABLE),
    (Kind.OVER_SHARE, 503, grpc.StatusCode.UNAVAILABLE),
    (Kind.TOO_FAST, 429, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Kind.SPOOL_FULL, 503, grpc.StatusCode.UNAVAILABLE),
    (Kind.DISK_LOW, 503, grpc.StatusCode.UNAVAILABLE),
    (Kind.SPOOL_FAILED, 503, grpc.StatusCode.UNAVAILABLE),
    (Kind.STOPPING, 503, grpc.StatusCode.UNAVAILABLE),
]


def details_of(status: status_pb2.Status) -> dict[str, object]:
    found: dict[str, object] = {}
    for packed in status.details:
        for kind in (error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            message = kind()
            if packed.Unpack(message):
                found[kind.__name__] = message
    return found


def test_the_table_is_complete() -> None:
    assert [kind for kind, _, _ in EXPECTED] == list(Kind)
    assert set(TABLE) == set(Kind)


@pytest.mark.parametrize(("kind", "http", "code"), EXPECTED)
def test_the_table(kind: Kind, http: int, code: grpc.StatusCode) -> None:
    assert (TABLE[kind].http, TABLE[kind].grpc) == (http, code)
    assert TABLE[kind].retry == (http in RETRIED_HTTP)
    # RESOURCE_EXHAUSTED is retried if RetryInfo is with it, and not otherwise.
    retried = code in RETRIED_GRPC or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and TABLE[kind].retry)
    assert (http in RETRIED_HTTP) == retried


@pytest.mark.parametrize("form", [Form.PROTOBUF, Form.JSON])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.OK])
def test_failures_are_statuses(kind: Kind, form: Form) -> None:
    reply = http_reply(Outcome(kind, "what happened"), Signal.TRACES, form, retry_after_s=7)
    headers = dict(reply.headers)
    assert reply.status == TABLE[kind].http
    assert headers[b"content-type"] == form.value.encode()
    assert headers[b"content-length"] == str(len(reply.body)).encode()
    assert (headers.get(b"retry-after") == b"7") == TABLE[kind].retry
    if form is Form.PROTOBUF:
        status = status_pb2.Status.FromString(reply.body)
        assert (status.code, status.message) == (TABLE[kind].grpc.value[0], "what happened")
        wanted = {"BadRequest"} if kind is Kind.BAD_DATA else {"RetryInfo"} if TABLE[kind].retry else set()
        assert set(details_of(status)) == wanted
    else:
        status_json = json.loads(reply.body)
        assert (status_json["code"], status_json["message"]) == (TABLE[kind].grpc.value[0], "what happened")


def test_bad_request_details_in_json() -> None:
    reply = http_reply(Outcome(Kind.BAD_DATA, "no"), Signal.LOGS, Form.JSON, retry_after_s=1)
    assert json.loads(reply.body)["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "body", "description": "no"}],
        }
    ]


@pytest.mark.parametrize("signal", Signal)
def test_plain_success_leaves_partial_success_unset(signal: Signal) -> None:
    assert http_reply(Outcome(Kind.OK), signal, Form.PROTOBUF, retry_after_s=1).body == b""
    assert http_reply(Outcome(Kind.OK), signal, Form.JSON, retry_after_s=1).body == b"{}"
    reply = grpc_reply(Outcome(Kind.OK), signal, retry_after_s=1)
    assert (reply.code, reply.body, reply.trailers) == (grpc.StatusCode.OK, b"", ())


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(("rejected", "message"), [(3, "too old"), (0, "only a warning"), (2**40, "many")])
def test_partial_success(signal: Signal, rejected: int, message: str) -> None:
    response, field, json_field = RESPONSES[signal]
    outcome = Outcome(Kind.OK, message, rejected)
    bodies = [
        http_reply(outcome, signal, Form.PROTOBUF, retry_after_s=1).body,
        grpc_reply(outcome, signal, retry_after_s=1).body,
    ]
    for body in bodies:
        partial = response.FromString(body).partial_success
        assert (getattr(partial, field), partial.error_message) == (rejected, message)
    written = json.loads(http_reply(outcome, signal, Form.JSON, retry_after_s=1).body)["partialSuccess"]
    assert written["errorMessage"] == message
    assert written.get(json_field, "0") == str(rejected)  # 64-bit integers are strings in JSON


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.OK])
def test_grpc_failures_carry_the_status(kind: Kind) -> None:
    reply = grpc_reply(Outcome(kind, "what happened"), Signal.METRICS, retry_after_s=7)
    ((name, value),) = reply.trailers
    status = status_pb2.Status.FromString(value)
    assert name == "grpc-status-details-bin"
    assert (reply.code, reply.message) == (TABLE[kind].grpc, "what happened")
    assert (status.code, status.message) == (reply.code.value[0], "what happened")
    retry = details_of(status).get("RetryInfo")
    assert (retry is not None) == TABLE[kind].retry
    if isinstance(retry, error_details_pb2.RetryInfo):
        assert retry.retry_delay.ToSeconds() == 7


def test_messages_are_short_and_always_encodable() -> None:
    reply = grpc_reply(Outcome(Kind.BAD_DATA, "\ud800" + "x" * 10_000), Signal.LOGS, retry_after_s=1)
    assert reply.message == "?" + "x" * (MAX_ERROR_CHARS - 1)
    # A gRPC client reads 8 KiB of metadata by default.
    assert len(reply.message) + 4 * len(reply.trailers[0][1]) // 3 < 4096
