"""What is counted about the files of TLS. Connections are counted in `collector.tls.telemetry`."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge


class FileTelemetry:
    """The metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._expiry = Gauge(
            "lowtide_tls_certificate_expiry_timestamp_seconds",
            "When the server's certificate in use ends, as Unix time.",
            registry=registry,
        )
        self._failures = Counter(
            "lowtide_tls_reload_failures",
            "Looks at changed files of TLS that could not be used. While it rises, an old certificate is in "
            "use.",
            registry=registry,
        )

    def loaded(self, not_after: datetime) -> None:
        """A certificate is in use."""
        self._expiry.set(not_after.timestamp())

    def failed(self) -> None:
        """New files could not be used."""
        self._failures.inc()
