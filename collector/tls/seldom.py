"""Logs that nobody outside can fill: a line a minute at most, with how many were left out since the last.

`Seldom` decides for the gate; `Mistaken` tells of TLS that is spoken to a port of plain text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from collector.tls.telemetry import Listener

log = structlog.get_logger(__name__)

HANDSHAKE_RECORD: Final = 0x16
"""The first byte of every TLS connection."""
_EVERY_S: Final = 60.0


class Seldom:
    """One kind of line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_at = float("-inf")
        self._untold = 0

    def turn(self) -> int | None:
        """How many lines were left out since the last one; None if this one is left out too."""
        now = self._clock()
        if now < self._next_at:
            self._untold += 1
            return None
        untold, self._untold = self._untold, 0
        self._next_at = now + _EVERY_S
        return untold


class Mistaken:
    """Of one listener that speaks plain text: its protocols show it what comes first."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._seldom = Seldom()

    def look(self, data: bytes, transport: asyncio.BaseTransport) -> None:
        """Tell of a sender that speaks TLS; it is answered like anything that cannot be read."""
        if data[:1] != bytes([HANDSHAKE_RECORD]):
            return
        untold = self._seldom.turn()
        if untold is not None:
            peer = transport.get_extra_info("peername")
            log.warning(
                "TLS is spoken to a port of plain text; its address begins with http://, or set "
                "tls.certificate and tls.key",
                listener=self._listener.value,
                peer=peer[0] if peer else None,
                untold=untold,
            )
