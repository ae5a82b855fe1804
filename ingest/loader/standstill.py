"""Lets the loader's threads be stopped for a moment between two attempts, for a copy of spool and store that
belong together. `ingest.loader.loader` has one; its pipes and its clean-up work inside it.

The trap: an attempt is never broken off, so the stop waits for those that are under way, and gives up after a
while.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StillBusyError(Exception):
    """Something is under way for longer than anybody wanted to wait; nothing was stopped."""


class Standstill:
    """Any number of workers, and one who stops them all. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = 0
        self._stopped = False

    @contextmanager
    def work(self) -> Iterator[None]:
        """Something that must not be under way during a stop; waits while there is one."""
        with self._changed:
            self._changed.wait_for(lambda: not self._stopped)
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    @contextmanager
    def stop(self, timeout_s: float) -> Iterator[None]:
        """Nobody works while the block lasts. Raises StillBusyError if one has not ended after `timeout_s`,
        or somebody else stops them."""
        with self._changed:
            if self._stopped:
                raise StillBusyError("the loader is stopped by somebody else already")
            self._stopped = True
            if not self._changed.wait_for(lambda: not self._working, timeout_s):
                self._go_on()
                raise StillBusyError(f"a batch is on its way into the store for more than {timeout_s:g} s")
        try:
            yield
        finally:
            with self._changed:
                self._go_on()

    def _go_on(self) -> None:
        self._stopped = False
        self._changed.notify_all()
