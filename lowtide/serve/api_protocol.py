"""uvicorn's HTTP/1.1 protocol for the API, with what TLS has proved about the client, and without a line in
the log for each request that cannot be read. `lowtide.serve.listener` makes one per connection.
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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self.app_state = {**self.app_state, CERTIFICATE: transport.get_extra_info(OF_TRANSPORT)}

    def data_received(self, data: bytes) -> None:
        if self._mistaken is not None:
            self._mistaken.look(data, self.transport)
            self._mistaken = None  # what comes first is all that matters
        super().data_received(data)


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
