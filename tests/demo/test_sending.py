"""The sender against a real HTTP server: retries, partial success, refusals, nobody there."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from ingest.signals import Signal
from lowtide.demo.packing import Request
from lowtide.demo.sending import Sender, SendError, retry_after_s

REQUESTS = [Request(Signal.TRACES, b"\x0a\x00" * 100 + bytes([n]), 10, n) for n in range(7)]


def _send(
    address: str, requests: list[Request], *, give_up_after_s: float = 5.0, token: str | None = None
) -> Any:
    with Sender(address, in_flight=2, timeout_s=5.0, give_up_after_s=give_up_after_s, token=token) as sender:
        sender.send_all(iter(requests), lambda _: None)
        return sender.sent


def test_everything_arrives_unchanged_and_is_counted(sink: Any) -> None:
    sent = _send(sink.address, REQUESTS)
    assert sorted(sink.received) == sorted(("/v1/traces", request.body) for request in REQUESTS)
    assert sent.items[Signal.TRACES] == sent.acknowledged[Signal.TRACES] == 70
    assert sent.requests[Signal.TRACES] == 7
    assert sent.retries == 0
    assert sent.wire_bytes < sent.body_bytes


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_receiver_gets_the_same_bytes_again(sink: Any, status: int) -> None:
    sink.answers = [(status, {"Retry-After": "0"}, b""), (status, {}, b"")]
    sent = _send(sink.address, REQUESTS[:1])
    assert sink.received == [("/v1/traces", REQUESTS[0].body)]
    assert sent.retries == 2


def test_what_is_refused_for_good_is_said_at_once(sink: Any) -> None:
    sink.answers = [(400, {}, Status(code=3, message="span ids are too short").SerializeToString())]
    with pytest.raises(SendError, match=r"400 span ids are too short. It is not tried again"):
        _send(sink.address, REQUESTS[:1])
    assert sink.received == []


def test_it_gives_up_when_the_wait_asked_for_is_too_long(sink: Any) -> None:
    sink.answers = [(503, {"Retry-After": "3600"}, b"later")]
    with pytest.raises(SendError, match="took no request for 1 s, last answer: 503"):
        _send(sink.address, REQUESTS[:1], give_up_after_s=1.0)


def test_rejected_records_are_not_counted_as_acknowledged(sink: Any) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=4, error_message="too old")
    sink.answers = [(200, {}, ExportTraceServiceResponse(partial_success=partial).SerializeToString())]
    sent = _send(sink.address, REQUESTS[:2])
    assert sent.acknowledged[Signal.TRACES] == 16
    assert sent.rejected[Signal.TRACES] == 4
    assert sent.reasons == {"too old": 1}


def test_an_answer_that_is_not_otlp_is_an_error(sink: Any) -> None:
    sink.answers = [(200, {}, b"<html>")]
    with pytest.raises(SendError, match="not OTLP"):
        _send(sink.address, REQUESTS[:1])


def test_nobody_listening_is_said_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening
        with pytest.raises(SendError, match=r"nobody listens at .* Start `lowtide serve`"):
            _send(f"http://127.0.0.1:{taken.getsockname()[1]}", REQUESTS[:1])


def test_retry_after_may_be_seconds_or_a_date_or_nonsense() -> None:
    def asked(value: str) -> float:
        return retry_after_s(httpx2.Response(503, headers={"Retry-After": value}))

    assert asked("2.5") == 2.5
    assert asked("-3") == 0.0
    assert 50 < asked(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)) <= 60
    assert asked(format_datetime(datetime.now(UTC) - timedelta(seconds=60), usegmt=True)) == 0.0
    assert asked("soon") == 0.0
    assert retry_after_s(httpx2.Response(503)) == 0.0
