"""What is counted about TLS, on all listeners. `lowtide.serve.parts` makes it, since several listeners share
it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge


class Listener(StrEnum):
    """Where somebody connects; a metric label."""

    OTLP_HTTP = "otlp_http"
    OTLP_GRPC = "otlp_grpc"
    API = "api"


class Reason(StrEnum):
    """Why a connection never got as far as a request; a metric label."""

    PLAIN_TEXT = "plain_text"
    SLOW = "slow"
    CROWDED = "crowded"
    GONE = "gone"
    CERTIFICATE = "certificate"
    REFUSED_US = "refused_us"
    NO_COMMON_GROUND = "no_common_ground"
    BROKEN = "broken"


MEANINGS: Final = {
    Reason.PLAIN_TEXT: "plain text was spoken to a port of TLS; its address begins with https://",
    Reason.SLOW: "the handshake took too long",
    Reason.CROWDED: "there are too many connections",
    Reason.GONE: "the other side hung up in the middle of the handshake",
    Reason.CERTIFICATE: "the client's certificate is missing, or leads to none of the client CAs",
    Reason.REFUSED_US: "the client does not trust the server's certificate",
    Reason.NO_COMMON_GROUND: "the client speaks no version or cipher that is allowed here",
    Reason.BROKEN: "what came is no TLS that can be read",
}


class TlsTelemetry:
    """The metrics in one registry. Two of them cannot share a registry: names would clash."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "lowtide_tls_handshakes_failed",
            "Connections that ended before their TLS handshake was over, by why.",
            ["listener", "reason"],
            registry=registry,
        )
        self._connections = Gauge(
            "lowtide_tls_connections",
            "Open TLS connections, those in their handshake included.",
            ["listener"],
            registry=registry,
        )
        for listener in Listener:
            self._connections.labels(listener)
            for reason in Reason:
                self._failures.labels(listener, reason)

    def failed(self, listener: Listener, reason: Reason) -> None:
        """Count one."""
        self._failures.labels(listener, reason).inc()

    def connections(self, listener: Listener, count: int) -> None:
        """Note how many there are now."""
        self._connections.labels(listener).set(count)
