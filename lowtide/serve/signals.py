"""Turns SIGTERM and SIGINT into a request to stop. `lowtide.serve.lifecycle` waits for it.

The first signal asks, the second leaves at once. The trap: leaving at once skips every close; that is safe
only because whatever was acknowledged is already synced in the spool.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _leave(code: int) -> NoReturn:
    os._exit(code)


class StopRequest:
    """Whether this process was asked to stop. Belongs to one event loop."""

    def __init__(self, leave: Callable[[int], None] = _leave) -> None:
        self._asked = asyncio.Event()
        self._leave = leave

    @property
    def is_made(self) -> bool:
        """Whether it was asked already."""
        return self._asked.is_set()

    def make(self) -> None:
        """Ask it to stop; calling it again changes nothing."""
        self._asked.set()

    async def wait(self) -> None:
        """Return once it was asked to."""
        await self._asked.wait()

    def listen(self) -> None:
        """Take over the signals in the running event loop."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.received, number)

    def ignore(self) -> None:
        """Give the signals back to the system."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def received(self, number: int) -> None:
        """What a signal does: the first asks to stop, any other leaves with 128 plus its number."""
        if not self.is_made:
            self.make()
            return
        sys.stderr.write(
            "Stopped at once. What was acknowledged lies in the spool and is stored at the next start.\n"
        )
        sys.stderr.flush()
        self._leave(128 + number)
