"""Small showings of the demo estate, decoded once, and a collector's stand-in that speaks OTLP/HTTP."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.signals import Signal
from lowtide.demo.estate import Estate, load_estate
from lowtide.demo.manifest import Manifest
from lowtide.demo.packing import Request
from lowtide.demo.player import Player
from lowtide.demo.settings import DemoSettings
from lowtide.demo.stage import Stage, set_up

NOW = datetime(2026, 11, 19, 14, 0, tzinfo=UTC)  # a Thursday, 15:00 in Berlin
MESSAGES = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes as a mapping; nested values stay messages."""
    found = {}
    for pair in attributes:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind) if kind else None
    return found


@dataclass(frozen=True, repr=False)
class SpanSeen:
    """A span with the resource and scope it came with."""

    span: Any
    resource: dict[str, Any]
    scope: str
    attributes: dict[str, Any]

    @property
    def identity(self) -> tuple[bytes, bytes]:
        """Trace id and span id."""
        return self.span.trace_id, self.span.span_id

    @property
    def proxy(self) -> bool:
        """A sidecar's span."""
        return self.attributes.get("component") == "proxy"


@dataclass(repr=False)
class Showing:
    """One showing, its requests, and all of it decoded."""

    stage: Stage
    player: Player
    manifest: Manifest
    requests: list[Request]
    decoded: list[Any] = field(default_factory=list)
    spans: list[SpanSeen] = field(default_factory=list)
    by_identity: dict[tuple[bytes, bytes], SpanSeen] = field(default_factory=dict)

    def decode(self) -> None:
        """Parse every request and index the spans."""
        for request in self.requests:
            message = MESSAGES[request.signal].FromString(request.body)
            self.decoded.append(message)
            if request.signal is Signal.TRACES:
                self._take(message)
        self.by_identity = {seen.identity: seen for seen in self.spans}

    def _take(self, message: Any) -> None:
        for group in message.resource_spans:
            resource = plain(group.resource.attributes)
            for scope in group.scope_spans:
                for span in scope.spans:
                    self.spans.append(SpanSeen(span, resource, scope.scope.name, plain(span.attributes)))

    def metrics(self) -> Iterator[tuple[dict[str, Any], Any]]:
        """(resource attributes, metric) of everything sent."""
        for request, message in zip(self.requests, self.decoded, strict=True):
            if request.signal is Signal.METRICS:
                for group in message.resource_metrics:
                    resource = plain(group.resource.attributes)
                    for scope in group.scope_metrics:
                        for metric in scope.metrics:
                            yield resource, metric


def play(estate: Estate, **given: Any) -> Showing:
    """Play a small history to its end."""
    settings = DemoSettings.ending(NOW, **given)
    stage = set_up(estate, settings)
    manifest = Manifest()
    player = Player(stage, manifest)
    return Showing(stage, player, manifest, list(player.history()))


@pytest.fixture(scope="session")
def estate() -> Estate:
    return load_estate()


@pytest.fixture(scope="session")
def show() -> Callable[..., Showing]:
    """Plays other showings: `show(estate, **settings)`."""
    return play


@pytest.fixture(scope="session")
def showing(estate: Estate) -> Showing:
    """Thirty hours, the last three of them whole: both kinds of traces, a night, a job and both peaks."""
    found = play(estate, days=1.25, whole_days=0.125, rate=1.0, metric_steps=((0.125, 5), (1.0, 30)))
    found.decode()
    return found


REMOVED = (
    200,
    {"Content-Type": "application/json"},
    b'{"rows": {"otel_traces": 1200, "otel_logs": 0}, "finished": true}',
)


@dataclass
class Sink:
    """What arrived, and how to answer: statuses and headers to use up first, then 200."""

    address: str = ""
    received: list[tuple[str, bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    deleted: list[tuple[str, str | None]] = field(default_factory=list)
    stored: bool = False
    """Whether GET says that the demo is there."""
    lock: threading.Lock = field(default_factory=threading.Lock)


@pytest.fixture
def sink() -> Iterator[Sink]:
    found = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with found.lock:
                status, headers, answer = found.answers.pop(0) if found.answers else (200, {}, b"")
                if status == 200:
                    found.received.append((self.path, gzip.decompress(body)))
            self._answer(status, headers, answer)

        def do_DELETE(self) -> None:
            found.deleted.append((self.path, self.headers.get("Authorization")))
            status, headers, answer = found.answers.pop(0) if found.answers else REMOVED
            self._answer(status, headers, answer)

        def do_GET(self) -> None:
            said = json.dumps({"stored": found.stored, "removal": None}).encode()
            self._answer(200, {"Content-Type": "application/json"}, said)

        def _answer(self, status: int, headers: dict[str, str], answer: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/x-protobuf", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
