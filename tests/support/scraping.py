"""Targets of our own on loopback, a way in that keeps what it is given, and scrapes over both."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry

from collector.admission import Admission, Lease
from collector.replies import Kind, Outcome
from collector.scrape.fetch import Fetcher
from collector.scrape.scraping import Scraping
from support.remote_write import Request

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
NOW_NS = 1_790_000_000_000_000_000

Samples = dict[tuple[tuple[str, str], ...], Any]


def read_requests(bodies: list[bytes]) -> Any:
    """The series in remote write 2.0 requests, as protobuf reads them: pairs of labels and series."""
    for body in bodies:
        request = Request.FromString(body)
        for series in request.timeseries:
            refs = series.labels_refs
            texts = [request.symbols[ref] for ref in refs]
            yield tuple(zip(texts[::2], texts[1::2], strict=True)), series, request.symbols


@dataclass
class Page:
    """What a target answers."""

    body: bytes = b""
    content_type: str | None = TEXT
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    """Does it in its own way."""


@dataclass
class Exposed:
    """A target that is up."""

    page: Page
    address: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Paths and headers, lower case."""


@contextlib.contextmanager
def expose(page: Page) -> Iterator[Exposed]:
    exposed = Exposed(page)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = exposed.page
            exposed.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            if page.answer is not None:
                with contextlib.suppress(OSError):
                    page.answer(self)
                return
            self.send_response(page.status)
            if page.content_type is not None:
                self.send_header("content-type", page.content_type)
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(page.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    exposed.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield exposed
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Kept:
    """A way in that keeps the bodies; it answers with `outcome`."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.outcome = Outcome(Kind.OK)
        self.admission = Admission(1 << 28, common_bytes=1 << 28)

    def hold(self, tenant: str) -> Lease:
        return self.admission.lease(0, tenant)

    async def store(self, tenant: str, body: bytes) -> Outcome:
        self.bodies.append((tenant, body))
        return self.outcome

    def taken(self) -> Samples:
        """The samples since the last call: value and time in ms by labels; each series once."""
        found: Samples = {}
        for labels, series, _ in read_requests([body for _, body in self.bodies]):
            assert labels not in found
            (sample,) = series.samples
            found[labels] = sample
        self.bodies.clear()
        return found


@dataclass
class OneTarget:
    """The scrapes of one target, one after the other, at times of the test's own."""

    scraping: Scraping
    kept: Kept
    registry: CollectorRegistry
    fetcher: Fetcher
    now_ns: int = NOW_NS

    async def scrape(self) -> dict[str, float]:
        """Scrape; what is stored, by name and labels that are not the target's."""
        await self.scraping.scrape(self.now_ns)
        return {name: sample.value for name, sample in self.samples().items()}

    def samples(self) -> dict[str, Any]:
        found = {}
        for labels, sample in self.kept.taken().items():
            own = {n: v for n, v in labels if n not in ("__name__", "job", "instance")}
            inner = ",".join(f"{n}={v}" for n, v in own.items())
            found[dict(labels)["__name__"] + (f"{{{inner}}}" if inner else "")] = sample
        return found

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"lowtide_scrape_{name}", {"job": "test", **labels}) or 0.0
