"""Requests over OTLP/HTTP, compressed, a few at once, with the retry rules of the protocol. Used by the
command.

Only 429, 502, 503 and 504 (and a broken connection) are tried again, after Retry-After or a growing pause;
anything else is final. The trap: 200 may still carry a partial_success, so what was acknowledged is
counted from the answer.
"""

from __future__ import annotations

import ssl
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event
from time import monotonic
from typing import Self
from uuid import uuid4

import httpx2
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ingest.signals import Signal
from lowtide.demo.packing import Request
from lowtide.trust import is_about_tls

RETRYABLE = frozenset({429, 502, 503, 504})
HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "User-Agent": "lowtide-demo"}
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
GZIP_LEVEL = 1


class SendError(Exception):
    """The demo cannot go on: what was sent, where, what came back, what to do."""


@dataclass(slots=True)
class Sent:
    """Totals of one showing, by signal."""

    items: Counter[Signal] = field(default_factory=Counter)
    acknowledged: Counter[Signal] = field(default_factory=Counter)
    rejected: Counter[Signal] = field(default_factory=Counter)
    requests: Counter[Signal] = field(default_factory=Counter)
    retries: int = 0
    body_bytes: int = 0
    wire_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Why records were rejected, as the receiver says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request ended."""

    request: Request
    rejected: int
    reason: str
    retries: int
    wire_bytes: int


class Sender:
    """Sends requests to one endpoint. A context manager: leaving it closes connections and stops waiting
    senders."""

    def __init__(
        self,
        endpoint: str,
        *,
        in_flight: int,
        timeout_s: float,
        give_up_after_s: float,
        token: str | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.in_flight = in_flight
        self.give_up_after_s = give_up_after_s
        self.sent = Sent()
        # Played twice within minutes, the demo says the same in the same bytes, and wants it counted twice.
        headers = {**HEADERS, "Idempotency-Key": uuid4().hex}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        limits = httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
        self._client = httpx2.Client(
            headers=headers,
            timeout=timeout_s,
            limits=limits,
            trust_env=False,
            verify=True if trust is None else trust,
        )
        self._pool = ThreadPoolExecutor(max_workers=in_flight, thread_name_prefix="demo-send")
        self._waiting: deque[Future[Answer]] = deque()
        self._stopping = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def send_all(self, requests: Iterable[Request], progress: Callable[[Request], None]) -> None:
        """Send everything, at most `in_flight` at once. Raises SendError at the first request that cannot
        be sent."""
        for request in requests:
            while len(self._waiting) >= self.in_flight:
                self._take_oldest()
            self._waiting.append(self._pool.submit(self._send, request))
            progress(request)
        while self._waiting:
            self._take_oldest()

    def _take_oldest(self) -> None:
        answer = self._waiting.popleft().result()
        signal, items = answer.request.signal, answer.request.items
        sent = self.sent
        sent.items[signal] += items
        sent.acknowledged[signal] += items - answer.rejected
        sent.rejected[signal] += answer.rejected
        sent.requests[signal] += 1
        sent.retries += answer.retries
        sent.body_bytes += len(answer.request.body)
        sent.wire_bytes += answer.wire_bytes
        if answer.reason:
            sent.reasons[answer.reason] += 1

    def _send(self, request: Request) -> Answer:
        """One request until it is acknowledged or hopeless. The same bytes every time, so it can be
        recognised."""
        url = f"{self.endpoint}/v1/{request.signal.value}"
        body = zlib.compress(request.body, GZIP_LEVEL, wbits=31)
        deadline = monotonic() + self.give_up_after_s
        pause, retries = FIRST_PAUSE_S, 0
        while True:
            response, problem = self._post(url, body)
            if response is not None and response.status_code == 200:
                rejected, reason = partial_success(request.signal, response.content)
                return Answer(request, rejected, reason, retries, len(body))
            if response is not None and response.status_code not in RETRYABLE:
                raise SendError(
                    f"{url} refused a request of {request.items} records: {problem}. It is not tried again."
                )
            wait_s = max(pause, retry_after_s(response)) if response is not None else pause
            if monotonic() + wait_s > deadline:
                raise SendError(
                    f"{url} took no request for {self.give_up_after_s:.0f} s, last answer: {problem}."
                    " Is the server keeping up? See its /readyz."
                )
            if self._stopping.wait(wait_s):
                raise SendError(f"stopped while waiting to send to {url} again")
            pause, retries = min(pause * 2, LONGEST_PAUSE_S), retries + 1

    def _post(self, url: str, body: bytes) -> tuple[httpx2.Response | None, str]:
        """The answer and, unless it is 200, what is wrong in words. None: the connection broke."""
        try:
            response = self._client.post(url, content=body)
        except httpx2.ConnectError as error:
            if is_about_tls(error):
                raise SendError(
                    f"{self.endpoint} cannot be reached over TLS ({error})."
                    " If its CA is your own, name it with --ca-file."
                ) from error
            raise SendError(
                f"nobody listens at {self.endpoint} ({error})."
                " Start `lowtide serve`, or name it with --endpoint."
            ) from error
        except httpx2.TransportError as error:
            return None, f"{type(error).__name__}: {error}"
        return response, f"{response.status_code} {status_message(response)}".strip()


def status_message(response: httpx2.Response) -> str:
    """The message of a google.rpc.Status body, or the beginning of whatever text came."""
    if response.headers.get("content-type", "").startswith("application/x-protobuf"):
        try:
            return str(Status.FromString(response.content).message)
        except DecodeError:
            return "with an unreadable body"
    return response.text[:200]


def retry_after_s(response: httpx2.Response) -> float:
    """Seconds the receiver asks to wait: a number or a date; 0 if it does not say or says nonsense."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo else 0.0


def partial_success(signal: Signal, content: bytes) -> tuple[int, str]:
    """Records rejected and why, from the body of a 200. Raises SendError if the body is not OTLP."""
    try:
        if signal is Signal.TRACES:
            traces = ExportTraceServiceResponse.FromString(content).partial_success
            return traces.rejected_spans, traces.error_message
        if signal is Signal.METRICS:
            metrics = ExportMetricsServiceResponse.FromString(content).partial_success
            return metrics.rejected_data_points, metrics.error_message
        logs = ExportLogsServiceResponse.FromString(content).partial_success
    except DecodeError as error:
        raise SendError("the answer is not OTLP: is this a collector's address?") from error
    return logs.rejected_log_records, logs.error_message
