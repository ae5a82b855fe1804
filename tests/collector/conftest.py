"""Both receivers over fakes: a spool in memory, a check that counts, and ports that are free."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from grpc import aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from collector.door import Arrival, Door, OpenDoor
from collector.errors import BadRequestError
from collector.grpc_server import GrpcReceiver
from collector.http import HttpListener
from collector.intake import Intake
from collector.later import Later
from collector.listen import Endpoint, bound_socket
from collector.remote_write.translate import Translated
from collector.replies import Written
from collector.server import series_limit
from collector.settings import CollectorSettings
from collector.telemetry import Telemetry
from collector.tls.gate import Tls
from collector.tls.telemetry import Listener
from ingest.signals import Signal
from ingest.spool.records import Receipt

REQUESTS = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


def request_with(signal: Signal, names: list[str]) -> Any:
    """An export request with one record per name."""
    request = REQUESTS[signal]()
    for name in names:
        match signal:
            case Signal.TRACES:
                request.resource_spans.add().scope_spans.add().spans.add(name=name)
            case Signal.METRICS:
                metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
                metric.gauge.data_points.add(as_int=1)
            case Signal.LOGS:
                record = request.resource_logs.add().scope_logs.add().log_records.add()
                record.body.string_value = name
    return request


def names_in(signal: Signal, body: bytes) -> list[str]:
    """The names `request_with` was given."""
    request = REQUESTS[signal].FromString(body)
    match signal:
        case Signal.TRACES:
            return [s.name for r in request.resource_spans for c in r.scope_spans for s in c.spans]
        case Signal.METRICS:
            return [m.name for r in request.resource_metrics for c in r.scope_metrics for m in c.metrics]
        case Signal.LOGS:
            return [
                i.body.string_value
                for r in request.resource_logs
                for c in r.scope_logs
                for i in c.log_records
            ]


@dataclass(frozen=True)
class Checked:
    body: bytes
    items: int
    rejected: int
    reason: str
    warning: str
    timed: bool = True
    dropped: int = 0
    hashed: int = 0


def fake_check(signal: Signal, body: bytes, *, now_ns: int) -> Checked:
    """Records named "reject" are refused, "warn" makes a warning, "boom" a defect of ours."""
    try:
        names = names_in(signal, body)
    except DecodeError as error:
        raise BadRequestError("the body is not an OTLP request") from error
    if "boom" in names:
        raise ZeroDivisionError("secret of the implementation")
    kept = [name for name in names if name != "reject"]
    rejected = len(names) - len(kept)
    return Checked(
        body=body if not rejected else request_with(signal, kept).SerializeToString(),
        items=len(kept),
        rejected=rejected,
        reason="records named reject are refused" if rejected else "",
        warning="something looks odd" if "warn" in names else "",
    )


def fake_look(signal: Signal, body: bytes, *, now_ns: int) -> Checked | None:
    """Settles what needs nothing done."""
    try:
        checked = fake_check(signal, body, now_ns=now_ns)
    except BadRequestError:
        return None
    return None if checked.rejected or checked.warning else checked


def fake_from_json(signal: Signal, body: bytes) -> bytes:
    try:
        if not body.lstrip().startswith(b"{"):
            raise BadRequestError("an OTLP JSON request is an object")
        return json_format.Parse(body, REQUESTS[signal]()).SerializeToString()
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise BadRequestError("the body is not OTLP JSON") from error


def fake_from_foreign(
    arrival: Arrival, body: bytes, *, now_ns: int, grow: Callable[[int], None]
) -> Translated:
    """What is sent is OTLP already; a body of `refuse` is refused."""
    grow(len(body))
    if body == b"refuse":
        return Translated(b"", Written(), 2, "both samples are refused")
    return Translated(body, Written(3, 2, 1))


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens soon; the test's own time limit ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - metrics and fakes have no event to wait for
        await asyncio.sleep(0.002)


@dataclass
class FakeSpool:
    """Keeps what it is given.

    `fail` is raised, `fail_later` comes through the future, `hold` delays all futures. If it `remembers`, a
    request is known by its digest; `overtaken`: only once it was checked. `on_disk` is read as a reply.
    """

    stored: list[tuple[Signal, str, bytes, int]] = field(default_factory=list)
    fail: Exception | None = None
    fail_later: Exception | None = None
    hold: bool = False
    held: list[Future[int]] = field(default_factory=list)
    received_ns: list[int] = field(default_factory=list)
    remembers: bool = False
    overtaken: bool = False
    on_disk: bytes | Exception | None = None
    no_room: Exception | None = None
    known: dict[bytes, Receipt] = field(default_factory=dict)

    def check_room(self, signal: Signal) -> None:
        if self.no_room is not None:
            raise self.no_room

    def append(
        self, signal: Signal, tenant: str, body: bytes, *, items: int, received_ns: int
    ) -> Future[int]:
        if self.fail is not None:
            raise self.fail
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # as the real spool's
        self.stored.append((signal, tenant, body, items))
        self.received_ns.append(received_ns)
        if self.hold:
            self.held.append(future)
        elif self.fail_later is not None:
            self.stored.pop()
            future.set_exception(self.fail_later)
        else:
            future.set_result(len(self.stored))
        return future

    def append_once(
        self, signal: Signal, tenant: str, body: bytes, *, items: int, received_ns: int, digest: bytes,
        reply: bytes,
    ) -> Receipt:  # fmt: skip
        known = self.known.get(digest)
        if known is not None:
            return known
        future = self.append(signal, tenant, body, items=items, received_ns=received_ns)
        if self.remembers:
            self.known[digest] = Receipt(future, is_resend=True, reply=reply)
        return Receipt(future, is_resend=False, reply=reply)

    def recall(self, signal: Signal, digest: bytes) -> Receipt | None:
        return None if self.overtaken else self.known.get(digest)

    def reply(self, receipt: Receipt) -> bytes | None:
        if isinstance(self.on_disk, Exception):
            raise self.on_disk
        return self.on_disk

    def release(self) -> None:
        self.hold = False
        while self.held:
            self.held.pop().set_result(1)

    def names(self) -> list[str]:
        return [name for signal, _, body, _ in self.stored for name in names_in(signal, body)]


@pytest.fixture(autouse=True)
def shortest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused senders are asked to come back as soon as any of them is."""
    monkeypatch.setattr(Later, "draw", staticmethod(lambda: 0.0))


@dataclass
class Receivers:
    """Running listeners and what is behind them."""

    settings: CollectorSettings
    spool: FakeSpool
    intake: Intake
    registry: CollectorRegistry
    http: HttpListener
    grpc: GrpcReceiver
    http_port: int
    grpc_port: int
    client: httpx2.AsyncClient
    channel: aio.Channel
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def post(
        self, path: str, body: Any = b"", *, kind: str | None = "application/x-protobuf", **headers: str
    ) -> httpx2.Response:
        """POST a body; header names with underscores, as keywords."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind is not None:
            sent["content-type"] = kind
        return await self.client.post(path, content=body, headers=sent)

    until = staticmethod(until)

    def export(self, signal: Signal, body: bytes, **options: Any) -> aio.UnaryUnaryCall:
        """Call the gRPC method of a signal with raw bytes."""
        return self.channel.unary_unary(METHODS[signal])(body, **options)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A plain connection to the HTTP port, closed after the test."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http_port)
        self.opened.append(writer)
        return reader, writer

    def count(self, name: str, **labels: str) -> float:
        """A metric's value, 0 if it was never touched."""
        return self.registry.get_sample_value(name, labels) or 0.0

    async def stop(self, grace_s: float = 1.0) -> None:
        self.intake.refuse_new()
        await asyncio.gather(self.http.stop(grace_s), self.grpc.stop(grace_s))
        await self.intake.close(grace_s)


StartReceivers = Callable[..., Awaitable[Receivers]]


@pytest.fixture
async def start_receivers() -> AsyncIterator[StartReceivers]:
    """Start receivers with some settings changed; they are stopped after the test. With `tls` the client
    speaks it too, and believes whom `trust` believes; the channel does not.
    """
    running: list[Receivers] = []

    async def start(
        *,
        door: Door | None = None,
        tls: Tls | None = None,
        trust: ssl.SSLContext | None = None,
        **changed: Any,
    ) -> Receivers:
        settings = CollectorSettings(**{"http_port": 0, "grpc_port": 0, **changed})
        registry = CollectorRegistry()
        telemetry = Telemetry(registry)
        spool = FakeSpool()
        intake = Intake(
            settings,
            spool=spool,
            look=fake_look,
            check=fake_check,
            from_json=fake_from_json,
            from_foreign=fake_from_foreign,
            door=door or OpenDoor(),
            telemetry=telemetry,
            series=series_limit(settings),
        )
        gates = [
            tls and tls.gate(listener, max_connections=settings.max_connections)
            for listener in (Listener.OTLP_HTTP, Listener.OTLP_GRPC)
        ]
        http = HttpListener(settings, intake, gates[0])
        grpc_receiver = GrpcReceiver(settings, intake, gates[1])
        bound = bound_socket(Endpoint("127.0.0.1", 0, "--otlp-http-port"))
        http_port = bound.getsockname()[1]
        await http.start(bound)
        grpc_port = await grpc_receiver.start(Endpoint("127.0.0.1", 0, "--otlp-grpc-port"))
        receivers = Receivers(
            settings,
            spool,
            intake,
            registry,
            http,
            grpc_receiver,
            http_port,
            grpc_port,
            httpx2.AsyncClient(
                base_url=f"{'http' if tls is None else 'https'}://127.0.0.1:{http_port}",
                timeout=30,
                trust_env=False,
                verify=trust or True,
            ),
            aio.insecure_channel(
                f"127.0.0.1:{grpc_port}",
                options=[("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)],
            ),
        )
        running.append(receivers)
        return receivers

    yield start
    for receivers in running:
        receivers.spool.release()
        await receivers.client.aclose()
        await receivers.channel.close()
        for writer in receivers.opened:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await receivers.stop()


@pytest.fixture
async def receivers(start_receivers: StartReceivers) -> Receivers:
    """Receivers with the default settings."""
    return await start_receivers()


@pytest.fixture
def make_request() -> Callable[[Signal, list[str]], bytes]:
    """Make an export request with one record per name."""
    return lambda signal, names: request_with(signal, names).SerializeToString()


@pytest.fixture
def fake_spool() -> FakeSpool:
    return FakeSpool()


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that something else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@dataclass
class Fakes:
    """What an intake is made of in a test."""

    spool: type[FakeSpool]
    look: Any
    check: Any
    from_json: Any
    from_foreign: Any
    until: Any
    door: Door | None = None


@pytest.fixture
def fakes() -> Fakes:
    return Fakes(FakeSpool, fake_look, fake_check, fake_from_json, fake_from_foreign, until)
