"""Brings what came over TLS to the gRPC server, which itself listens where only this process finds it.

`collector.grpc_server` uses it when TLS is on. Why not gRPC's own TLS: from Python it can require a client's
certificate or not ask for one, and nothing between; it tells nobody of handshakes that fail; and its rules
would be others than those of the listeners beside it (ADR 12 has what it costs).

The gRPC server listens on an abstract Unix socket, and each connection to it is bound to a random name. gRPC
tells a call's peer by that name, and `peer` says who is behind it: the address and the certificate. The
trap: anybody on this machine can connect to such a socket too, so a call from a name that is not known here
is nobody's and must be refused.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from collector.listen import ListenError
from collector.tls.certificate import CERTIFICATE, Certificate

_SCHEME = "unix-abstract:"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection."""

    address: str
    certificate: Certificate | None


class Relay:
    """All connections on their way to one gRPC server, in one event loop."""

    def __init__(self) -> None:
        """Raises ListenError where there are no such sockets."""
        if sys.platform != "linux":
            raise ListenError("TLS for OTLP/gRPC needs Linux; use OTLP/HTTP, or leave TLS to a proxy")
        self._name = _new_name()
        self._peers: dict[str, Peer] = {}
        self._ways: set[_Outside] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def address(self) -> str:
        """Where the gRPC server is to listen, as it writes addresses."""
        return _SCHEME + self._name

    def peer(self, name: str) -> Peer | None:
        """Who a call comes from, by gRPC's name for its peer; None for those who did not come through
        here.
        """
        return self._peers.get(name.removeprefix(_SCHEME))

    def protocol(self) -> asyncio.Protocol:
        """What serves one TLS connection."""
        return _Outside(self)

    async def drained(self, grace_s: float) -> None:
        """Wait until the gRPC server has hung up and all it said is sent, at most `grace_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle.wait()

    # --- for the two sides of a way ---

    def opened(self, way: _Outside, peer: Peer) -> socket.socket:
        """A connection to the gRPC server under a new name. Raises OSError if it takes none."""
        name = _new_name()
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.setblocking(False)
            connected.bind(f"\0{name}")
            self._peers[name] = peer
            self._ways.add(way)
            self._idle.clear()
            way.name = name
            connected.connect(f"\0{self._name}")  # at once or not at all, as Unix sockets do
        except OSError:
            self.closed(way)
            connected.close()
            raise
        return connected

    def closed(self, way: _Outside) -> None:
        """Forget who is behind a name. Must come before its socket is closed: until then nobody else can
        have the name.
        """
        self._ways.discard(way)
        if not self._ways:
            self._idle.set()
        self._peers.pop(way.name, None)


class _Side(asyncio.Protocol):
    """One side of a way: what comes here goes out there, no faster than it is taken."""

    transport: asyncio.Transport | None = None
    other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What streams have, although uvloop's does not say so.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _Outside(_Side):
    """The side of the TLS connection."""

    def __init__(self, relay: Relay) -> None:
        self.name = ""
        self._relay = relay
        self._reaching: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None  # noqa: S101 - just set
        self.transport.pause_reading()
        address = transport.get_extra_info("peername")
        peer = Peer(address[0] if address else "", transport.get_extra_info(CERTIFICATE))
        try:
            connected = self._relay.opened(self, peer)
        except OSError:
            self.transport.abort()
            return
        self._reaching = asyncio.get_running_loop().create_task(self._reach(connected))

    async def _reach(self, connected: socket.socket) -> None:
        """Join the two sides."""
        inside = _Inside(self._relay, self)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: inside, sock=connected)
        except OSError:
            connected.close()
            if self.transport is not None:
                self.transport.abort()
            return
        if self.transport is None:  # it has hung up meanwhile
            if inside.transport is not None:
                inside.transport.abort()
            return
        self.other = inside
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.other is None or self.other.transport is None:
            self._relay.closed(self)


class _Inside(_Side):
    """The side of the gRPC server; its end is the end of the way."""

    def __init__(self, relay: Relay, outside: _Outside) -> None:
        self._relay = relay
        self._outside = outside
        self.other = outside

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.closed(self._outside)
        super().connection_lost(exc)


def _new_name() -> str:
    return f"lowtide-{secrets.token_hex(16)}"
