"""uvicorn's HTTP/1.1 protocol for the API, with what TLS has proved about the client, without a line in the
log for each request that cannot be read, and with bounds for the head of a request, for which uvicorn waits
for ever, and for its trailers, which it keeps. `lowtide.serve.listener` makes one per connection.

The trap: these are uvicorn's internals, so a new version of it must pass `tests/serve/test_listener.py`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from api.access import CERTIFICATE
from collector.tls.certificate import CERTIFICATE as OF_TRANSPORT
from collector.tls.gate import Gate
from collector.tls.seldom import Mistaken
from collector.tls.telemetry import Listener

HEAD_TIMEOUT_S = 10.0
"""For the line and headers of a request, from the first byte, or from the connection on."""
MAX_HEAD_BYTES = 64 * 1024
"""Of them. SQL in the address of a request has room."""

# uvicorn writes a warning for each broken request, so anybody could fill the log.
_quiet = logging.getLogger("lowtide.serve.api_protocol.uvicorn")
_quiet.setLevel(logging.CRITICAL + 1)
_quiet.propagate = False


class ApiProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], mistaken: Mistaken
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self.logger = _quiet
        self._mistaken: Mistaken | None = mistaken
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        """What came in a row that was no body: heads, trailers, what stands beside the length of a chunk."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self.app_state = {**self.app_state, CERTIFICATE: transport.get_extra_info(OF_TRANSPORT)}
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._mistaken is not None:
            self._mistaken.look(data, self.transport)
            self._mistaken = None  # what comes first is all that matters
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        self._end_wait()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()

    def _wait_for_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Protocols:
    """Makes the protocols of one listener, as uvicorn calls for them; over TLS if there is a gate."""

    def __init__(self, gate: Gate | None) -> None:
        self._gate = gate
        self._mistaken = Mistaken(Listener.API)

    def __call__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: object = None
    ) -> asyncio.Protocol:
        """A connection."""
        plain = ApiProtocol(config, server_state, app_state, self._mistaken)
        return plain if self._gate is None else self._gate.protocol(plain)
