"""OTLP over HTTP: the listener, which accepts connections until it is stopped. `collector.server` has one."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from collector.http_message import Writer
from collector.http_protocol import Connections, HttpConnection, Shared
from collector.intake import Intake
from collector.later import Later
from collector.listen import BACKLOG
from collector.peers import Peers
from collector.settings import CollectorSettings
from collector.tls.gate import Gate
from collector.tls.seldom import Mistaken
from collector.tls.telemetry import Listener

_HANG_UP_S = 1.0
"""How long the loop may take to tell that connections are gone."""


class HttpListener:
    """Accepts connections on a bound socket; over TLS if there is a gate."""

    def __init__(self, settings: CollectorSettings, intake: Intake, gate: Gate | None = None) -> None:
        self._gate = gate
        self._shared = Shared(
            settings=settings,
            intake=intake,
            writer=Writer(Later(settings.retry_after_s)),
            peers=Peers(settings.max_per_address),
            mistaken=Mistaken(Listener.OTLP_HTTP),
        )
        self._connections = Connections()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self, bound: socket.socket) -> None:
        """Listen on `bound`, which is closed when the listener stops."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=bound, backlog=BACKLOG)

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let requests in progress end, hang up on the rest after `grace_s`: to a sender
        that is a failed connection, and it tries again.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        self._connections.shutdown()
        await self._gone(grace_s)
        self._connections.abort()
        if self._gate is not None:
            self._gate.close()
        await self._gone(_HANG_UP_S)
        await server.wait_closed()

    async def _gone(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._connections.all_gone.wait()

    def _connection(self) -> asyncio.Protocol:
        plain = HttpConnection(self._shared, self._connections)
        return plain if self._gate is None else self._gate.protocol(plain)
