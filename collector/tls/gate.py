"""What the TLS connections of one listener share: certificates, limits, counts, and a log that nobody can
fill.

`Tls.gate` makes one per listener; its `protocol` wraps what would serve a plain connection. The trap: a
connection counts from the moment it is accepted. Whoever connects and never finishes the handshake would
otherwise be seen by no limit at all.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

import structlog

from collector.tls.connection import TlsConnection
from collector.tls.seldom import Seldom
from collector.tls.telemetry import MEANINGS, Listener, Reason, TlsTelemetry

log = structlog.get_logger(__name__)

_QUIET = frozenset({Reason.GONE})
"""Port scans and probes of load balancers, all day long: counted, not told."""


class Contexts(Protocol):
    """Knows the certificates of the moment."""

    def context(self, listener: Listener, *, from_here: bool) -> ssl.SSLContext:
        """What a new connection is served with. `from_here`: it comes from this very machine."""


class Gate:
    """All TLS connections of one listener, in one event loop."""

    def __init__(
        self,
        listener: Listener,
        contexts: Contexts,
        telemetry: TlsTelemetry,
        *,
        max_connections: int,
        handshake_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.handshake_s = handshake_s
        self._listener = listener
        self._contexts = contexts
        self._telemetry = telemetry
        self._max_connections = max_connections
        self._clock = clock
        self._open: set[TlsConnection] = set()
        self._told: dict[Reason, Seldom] = {}

    def protocol(self, inner: asyncio.Protocol) -> asyncio.Protocol:
        """A connection that speaks TLS to the network, and plainly to `inner`."""
        return TlsConnection(inner, self)

    def enter(self, connection: TlsConnection, transport: asyncio.BaseTransport) -> ssl.SSLContext | None:
        """Count a new connection; None if it is one too many."""
        if len(self._open) >= self._max_connections:
            self.failed(Reason.CROWDED, transport)
            return None
        self._open.add(connection)
        self._telemetry.connections(self._listener, len(self._open))
        return self._contexts.context(self._listener, from_here=is_from_here(transport))

    def leave(self, connection: TlsConnection) -> None:
        """It is gone."""
        self._open.discard(connection)
        self._telemetry.connections(self._listener, len(self._open))

    def failed(self, reason: Reason, transport: asyncio.BaseTransport, detail: str = "") -> None:
        """Count a connection that came to nothing, and now and then tell of it."""
        self._telemetry.failed(self._listener, reason)
        if reason in _QUIET:
            return
        untold = self._told.setdefault(reason, Seldom(self._clock)).turn()
        if untold is None:
            return
        peer = transport.get_extra_info("peername")
        log.warning(
            "A TLS connection came to nothing",
            listener=self._listener.value,
            why=MEANINGS[reason],
            detail=detail or None,
            peer=peer[0] if peer else None,
            untold=untold,
        )

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in list(self._open):
            connection.abort()


@dataclass(frozen=True, slots=True)
class Tls:
    """All that listeners need in order to speak TLS."""

    contexts: Contexts
    telemetry: TlsTelemetry
    handshake_s: float

    def gate(self, listener: Listener, *, max_connections: int) -> Gate:
        """The gate of one listener."""
        return Gate(
            listener,
            self.contexts,
            self.telemetry,
            max_connections=max_connections,
            handshake_s=self.handshake_s,
        )


def is_from_here(transport: asyncio.BaseTransport) -> bool:
    """Whether the other side is on this machine: over loopback, or from the very address it connects to,
    which nobody elsewhere can have.
    """
    peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if not peer or not own:
        return False
    try:
        address = ip_address(peer[0].partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or peer[0] == own[0]
