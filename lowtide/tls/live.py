"""The certificates of the running server: read at the start, and again whenever their files have changed.

A thread looks at the files every few seconds, so that no event loop ever waits for a disk. New connections
are served with what was read last; open ones go on. What cannot be used is not taken: the old certificate
stays, the log says why, and every further look tries again.

The trap: commands of this machine know the server by its certificate's digest, so they are told of a new one
before it is used.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime

import structlog
from prometheus_client import CollectorRegistry

from collector.tls.telemetry import Listener
from lowtide.errors import LowtideError
from lowtide.tls.errors import TlsFileError
from lowtide.tls.files import Loaded, is_readable_by_others, load, stamp_of, warnings
from lowtide.tls.settings import TlsSettings
from lowtide.tls.telemetry import FileTelemetry

log = structlog.get_logger(__name__)


def _clock() -> datetime:
    return datetime.now(UTC)


class LiveTls:
    """Implements `collector.tls.gate.Contexts`. `start` begins to look at the files, `close` ends it."""

    def __init__(
        self, settings: TlsSettings, registry: CollectorRegistry, *, now: Callable[[], datetime] = _clock
    ) -> None:
        """Raises TlsFileError."""
        self._settings = settings
        self._telemetry = FileTelemetry(registry)
        self._now = now
        self._loaded = load(settings)
        self._telemetry.loaded(self._loaded.not_after)
        self._digests: tuple[str, ...] = (self._loaded.digest,)
        self._fault = ""
        self._warned_on: date | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._announce: Callable[[], None] = lambda: None
        self._warn()
        if settings.key is not None and is_readable_by_others(settings.key):
            log.warning("The key of TLS can be read by every user of this machine", path=str(settings.key))

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of the certificates a client may meet: the one in use, and the one before it."""
        return self._digests

    def context(self, listener: Listener, *, from_here: bool) -> ssl.SSLContext:
        """What a new connection is served with."""
        contexts = self._loaded.contexts
        return contexts.get((listener, not from_here)) or contexts[listener, False]

    def start(self, announce: Callable[[], None]) -> None:
        """Look at the files from now on. `announce` is called in that thread, before a new certificate is
        used.
        """
        self._announce = announce
        self._thread = threading.Thread(target=self._run, name="tls-files", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Take the files if they have changed. Raises nothing."""
        try:
            if stamp_of(self._settings) != self._loaded.stamp:
                self._take(load(self._settings))
            elif self._fault:
                self._mended()
        except TlsFileError as error:
            self._telemetry.failed()
            if str(error) != self._fault:
                self._fault = str(error)
                log.error(  # noqa: TRY400 - it says all
                    "The files of TLS have changed and cannot be used; the old certificate stays in use",
                    reason=str(error),
                    expires_at=self._loaded.not_after.isoformat(),
                )
        self._warn()

    def _take(self, loaded: Loaded) -> None:
        if loaded.digest != self._loaded.digest:
            self._digests = (self._loaded.digest, loaded.digest)
            self._tell()
        self._loaded = loaded
        self._telemetry.loaded(loaded.not_after)
        self._warned_on = None
        log.info("The files of TLS were read anew", expires_at=loaded.not_after.isoformat())
        self._fault = ""

    def _tell(self) -> None:
        """Announce a new certificate. Senders need it even if our own commands cannot be told."""
        try:
            self._announce()
        except (OSError, LowtideError) as error:
            log.warning("Commands of this machine cannot be told of the new certificate", reason=str(error))

    def _mended(self) -> None:
        """They are again what they were."""
        self._fault = ""
        log.info("The files of TLS are as they were")

    def _warn(self) -> None:
        """Once a day."""
        now = self._now()
        if self._warned_on == now.date():
            return
        for sentence in warnings(self._settings, self._loaded, now):
            self._warned_on = now.date()
            log.warning(sentence)

    def _run(self) -> None:
        while not self._ended.wait(self._settings.look_s):
            self.look()
