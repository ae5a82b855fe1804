"""The collector as one component: both OTLP listeners over one intake. `lowtide serve` makes, starts and
stops it.

    server = OtlpServer(settings.collector, spool=spool, gate=TimeGate(...), registry=registry)
    await server.start()     # raises PortInUseError or ListenError
    server.http_url, server.grpc_url
    await server.stop()

It runs in the event loop that calls `start` and installs no signal handlers. The trap: the spool must
stay open until `stop` has returned, because requests in flight are still being written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from collector.check import series
from collector.check.check import TimeGate, check, look
from collector.check.check import warm_up as warm_up_check
from collector.check.scrub import Scrubber
from collector.door import Door, OpenDoor, Transport
from collector.errors import CollectorError
from collector.foreign.protocols import Limits, translate
from collector.grpc_server import GrpcReceiver
from collector.http import HttpListener
from collector.http_protocol import SPARE_CONNECTIONS
from collector.intake import Intake
from collector.listen import Endpoint, bound_socket, host_port
from collector.needs import Spool
from collector.otlp_json import request_from_json
from collector.own import OwnRequests
from collector.remote_write.translate import warm_up as warm_up_remote_write
from collector.settings import CollectorSettings
from collector.telemetry import Telemetry
from collector.tls.gate import Tls
from collector.tls.telemetry import Listener

log = structlog.get_logger(__name__)


class OtlpServer:
    """OTLP over HTTP and gRPC into one spool.

    Starts once; `stop` may be called at any time and any number of times.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        *,
        spool: Spool,
        gate: TimeGate,
        registry: CollectorRegistry,
        door: Door | None = None,
        scrubber: Scrubber | None = None,
        tls: Tls | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`gate` says which timestamps are taken, `registry` gets the metrics, `door` decides who may
        send (all may), `scrubber` takes out attributes that must not be stored (none), `tls` has the
        certificates (plain text is spoken).
        """
        telemetry = Telemetry(registry)
        self._settings = settings
        self._scheme = "http" if tls is None else "https"
        self._intake = Intake(
            settings,
            spool=spool,
            look=partial(look, gate=gate, store_bytes=settings.max_store_bytes, scrubber=scrubber),
            check=partial(
                check,
                gate=gate,
                memory_bytes=settings.max_repair_bytes,
                store_bytes=settings.max_store_bytes,
                scrubber=scrubber,
            ),
            from_json=partial(request_from_json, memory_bytes=settings.max_repair_bytes),
            from_foreign=partial(
                translate, limits=Limits(settings.max_body_bytes, settings.max_repair_bytes)
            ),
            door=door or OpenDoor(),
            telemetry=telemetry,
            series=series_limit(settings),
            clock_ns=clock_ns,
        )
        self.scraped = OwnRequests(self._intake, Transport.SCRAPE)
        """The way in for what the scraper has fetched."""
        http_gate = grpc_gate = None
        if tls is not None:
            http_gate = tls.gate(
                Listener.OTLP_HTTP, max_connections=settings.max_connections + SPARE_CONNECTIONS
            )
            grpc_gate = tls.gate(Listener.OTLP_GRPC, max_connections=settings.max_connections)
        self._http = HttpListener(settings, self._intake, http_gate)
        self._grpc = GrpcReceiver(settings, self._intake, grpc_gate)
        self._http_port = 0
        self._grpc_port = 0
        self._started = False
        self._stopping: asyncio.Task[None] | None = None

    @property
    def http_port(self) -> int:
        """The port OTLP/HTTP is really on."""
        return self._http_port

    @property
    def grpc_port(self) -> int:
        """The port OTLP/gRPC is really on."""
        return self._grpc_port

    @property
    def http_url(self) -> str:
        """What to set as OTEL_EXPORTER_OTLP_ENDPOINT for HTTP."""
        return f"{self._scheme}://{host_port(self._settings.listen, self._http_port)}"

    @property
    def grpc_url(self) -> str:
        """What to set as OTEL_EXPORTER_OTLP_ENDPOINT for gRPC."""
        return f"{self._scheme}://{host_port(self._settings.listen, self._grpc_port)}"

    async def start(self) -> None:
        """Listen on both ports or on none. Raises PortInUseError or ListenError."""
        if self._started or self._stopping is not None:
            raise CollectorError("a collector starts once; make a new one")
        self._started = True
        await asyncio.to_thread(_warm_up)
        if self._settings.tenant_series:
            await asyncio.to_thread(series.warm_up)
        listen = self._settings.listen
        bound = bound_socket(Endpoint(listen, self._settings.http_port, "--otlp-http-port"))
        try:
            self._grpc_port = await self._grpc.start(
                Endpoint(listen, self._settings.grpc_port, "--otlp-grpc-port")
            )
        except BaseException:
            bound.close()
            raise
        self._http_port = bound.getsockname()[1]
        await self._http.start(bound)
        log.info("OTLP is received", http=self.http_url, grpc=self.grpc_url)

    async def stop(self, grace_s: float | None = None) -> None:
        """Accept nothing more and finish what is in flight, for `grace_s` seconds at most."""
        if self._stopping is None:
            grace = self._settings.stop_grace_s if grace_s is None else grace_s
            self._stopping = asyncio.create_task(self._stop(grace))
        await asyncio.shield(self._stopping)

    async def _stop(self, grace_s: float) -> None:
        self._intake.refuse_new()
        deadline = time.monotonic() + grace_s
        await asyncio.gather(self._http.stop(grace_s), self._grpc.stop(grace_s))
        # What is left has nobody to answer any more, but is still on its way to the disk.
        await self._intake.close(max(0.0, deadline - time.monotonic()))
        if self._started:
            log.info("OTLP is no longer received")


def series_limit(settings: CollectorSettings) -> series.SeriesLimit | None:
    """None if there is no limit."""
    if not settings.tenant_series:
        return None
    return series.SeriesLimit(settings.tenant_series, memory_bytes=settings.max_repair_bytes)


def _warm_up() -> None:
    """What is compiled is there before the first request: compiling takes longer than senders wait."""
    warm_up_check()
    warm_up_remote_write()
