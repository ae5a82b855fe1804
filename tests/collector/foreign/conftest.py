"""A real collector over a spool that remembers, for what comes in other protocols."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from collector.check.check import TimeGate
from collector.check.scrub import Scrubber
from collector.door import Arrival, Caller, bearer_of
from collector.refusals import ForbiddenError, UnauthenticatedError
from collector.server import OtlpServer
from collector.settings import CollectorSettings, ScrubSettings
from ingest.signals import Signal

HOUR_NS = 3600 * 10**9


class TokenDoor:
    """Tokens are names of tenants; one may send traces only, and one nothing."""

    def admit(self, arrival: Arrival) -> Caller:
        tenant = bearer_of(arrival.headers) if "authorization" in arrival.headers else "default"
        if not tenant:
            raise UnauthenticatedError("a valid token is needed")
        if tenant == "nothing" or (tenant == "traces" and arrival.signal is not Signal.TRACES):
            raise ForbiddenError(f"this token may not send {arrival.signal}")
        return Caller(tenant)


@dataclass
class Collector:
    """Ports of a running collector, and what it stored."""

    server: OtlpServer
    spool: Any
    registry: CollectorRegistry
    http: httpx2.AsyncClient

    @property
    def stored(self) -> list[tuple[Signal, str, int]]:
        """Signal, tenant and number of records of each request."""
        return [(signal, tenant, items) for signal, tenant, _, items in self.spool.stored]

    def bodies(self) -> list[bytes]:
        return [body for _, _, body, _ in self.spool.stored]

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"lowtide_collector_{name}", labels) or 0.0

    async def post(self, path: str, body: bytes, kind: str | None, **headers: str) -> httpx2.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind is not None:
            sent["content-type"] = kind
        return await self.http.post(path, content=body, headers=sent)


@pytest.fixture
async def collector(fake_spool: Any, request: pytest.FixtureRequest) -> AsyncIterator[Collector]:
    """A real one over a spool that remembers, with the deny list that holds if nobody says another. As an
    indirect parameter: settings.
    """
    fake_spool.remembers = True
    registry = CollectorRegistry()
    server = OtlpServer(
        CollectorSettings(
            http_port=0,
            grpc_port=0,
            max_body_bytes=1 << 20,
            max_wire_bytes=1 << 20,
            max_repair_bytes=1 << 24,
            **getattr(request, "param", {}),
        ),
        spool=fake_spool,
        gate=TimeGate(retention_ns=100 * 365 * 24 * HOUR_NS, ahead_ns=HOUR_NS),
        registry=registry,
        door=TokenDoor(),
        scrubber=Scrubber.of(ScrubSettings(), bytes(32)),
    )
    await server.start()
    async with httpx2.AsyncClient(base_url=server.http_url, trust_env=False, timeout=60) as client:
        yield Collector(server, fake_spool, registry, client)
    await server.stop(1)


@pytest.fixture
def now_us() -> int:
    return time.time_ns() // 1000
