"""TLS as the server's parts see it: off, or the certificates with what listeners need to use them. Made by
`lowtide.serve.parts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from collector.tls.gate import Tls
    from lowtide.tls.live import LiveTls
    from lowtide.tls.settings import TlsSettings


class Secure:
    """`start` and `close` once each; whatever is asked while TLS is off has no effect."""

    def __init__(self, settings: TlsSettings, registry: CollectorRegistry) -> None:
        """Raises TlsFileError."""
        self.tls: Tls | None = None
        """For listeners; None if they are to speak plain text."""
        self._live: LiveTls | None = None
        if not settings.is_on:
            return
        from collector.tls.gate import Tls
        from collector.tls.telemetry import TlsTelemetry
        from lowtide.tls.live import LiveTls

        self._live = LiveTls(settings, registry)
        self.tls = Tls(self._live, TlsTelemetry(registry), settings.handshake_timeout_s)

    @property
    def digests(self) -> tuple[str, ...]:
        """How commands of this machine know the server."""
        return () if self._live is None else self._live.digests

    def start(self, announce: Callable[[], None]) -> None:
        """Look for renewed certificates from now on; `announce` is called, in a thread, before one is
        used.
        """
        if self._live is not None:
            self._live.start(announce)

    def close(self) -> None:
        """Look no more."""
        if self._live is not None:
            self._live.close()
