"""Serves the API in the event loop of the process. Made by `lowtide.serve.parts`, run by the lifecycle.

The trap: uvicorn would install signal handlers of its own and raise the signal again when it ends; both
are left to `lowtide.serve.signals`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from collector.listen import Endpoint, bound_socket, host_port
from collector.tls.gate import Tls
from collector.tls.telemetry import Listener
from lowtide.serve.api_protocol import Protocols

_STOP_GRACE_S = 5
"""Answers under way get this long when the server stops; the longest ones are large SQL results."""
_MAX_CONNECTIONS = 512
"""Connections and requests at a time; beyond it 503. Readers are few: people, dashboards, scrapers."""
_SPARE_CONNECTIONS = 64
"""TLS connections beyond them that still get a proper 503; the ones above that are only closed."""


class _QuietServer(uvicorn.Server):
    """uvicorn without signal handlers, and with an event for the moment it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiListener:
    """An ASGI application on one address. `bind` and `start` once each; `stop` may be called at any time."""

    def __init__(self, app: Any, host: str, port: int, tls: Tls | None = None) -> None:
        """`app` is an ASGI application; without `tls` plain text is spoken."""
        self._endpoint = Endpoint(host, port, "--api-port")
        self._scheme = "http" if tls is None else "https"
        self._gate = None
        if tls is not None:
            self._gate = tls.gate(Listener.API, max_connections=_MAX_CONNECTIONS + _SPARE_CONNECTIONS)
        config = uvicorn.Config(
            app,
            http=Protocols(self._gate),  # type: ignore[arg-type]  # it is called, whatever it is
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_STOP_GRACE_S,
        )
        self._server = _QuietServer(config)
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._bound: socket.socket | None = None
        self.port = 0
        """The port it is really on, once bound."""

    @property
    def url(self) -> str:
        """Where to reach it."""
        return f"{self._scheme}://{host_port(self._endpoint.host, self.port)}"

    def bind(self) -> None:
        """Claim the address; whoever connects waits for `start`. Raises PortInUseError or ListenError."""
        self._bound = bound_socket(self._endpoint)
        self.port = self._bound.getsockname()[1]

    def unbind(self) -> None:
        """Give the address up, if it was not given up already."""
        if self._bound is not None:
            self._bound.close()

    async def start(self) -> None:
        """Answer on the address claimed before."""
        bound = self._bound
        if bound is None:
            raise RuntimeError("the API was started before its address was claimed")
        self._task = asyncio.create_task(self._server.serve(sockets=[bound]), name="api")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            bound.close()
            await self._task

    def failed(self) -> str:
        """Why it has ended by itself, empty while it serves."""
        if self._task is None or self._stopping or not self._task.done():
            return ""
        error = None if self._task.cancelled() else self._task.exception()
        return f"{type(error).__name__}: {error}" if error is not None else "it has ended"

    async def stop(self) -> None:
        """Accept nothing more and let answers under way end."""
        self._stopping = True
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._gate is not None:
            self._gate.close()
