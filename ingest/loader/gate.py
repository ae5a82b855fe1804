"""Holds inserts back while a checkpoint is looked at or a backup is cut. The loader has one for all its
signals.

The trap: neither must fall between what an insert writes into a table and what it notes there, so the gate
closes only when nobody is inside, and who comes meanwhile waits. An insert is never broken off. Once the
store is known to be damaged, by an insert or by a look at it, nobody is let in and it does not close any
more: a checkpoint or a backup would have the damage in it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.store.errors import StoreDamagedError


class StillBusyError(Exception):
    """An insert is under way for longer than anybody wanted to wait; nothing was held back."""


class Gate:
    """Lets any number of inserts through at once, or none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: set[int] = set()
        self._entered = 0
        self._closing = False
        self.damage = ""
        """What is wrong with the store: the first StoreDamagedError of a block. Empty while nothing is."""

    @contextmanager
    def inserting(self) -> Iterator[None]:
        """Wait until it is open, and hold it open for the block. Raises StoreDamagedError."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closing)
            self._check()
            number = self._entered = self._entered + 1
            self._inside.add(number)
        try:
            with self._noting():
                yield
        finally:
            with self._changed:
                self._inside.discard(number)
                self._changed.notify_all()

    def settle(self, timeout_s: float) -> bool:
        """Wait until every insert that is under way now has ended; False if that takes longer. Others may
        begin.
        """
        with self._changed:
            under_way = set(self._inside)
            return self._changed.wait_for(lambda: under_way.isdisjoint(self._inside), timeout_s)

    @contextmanager
    def closed(self, timeout_s: float) -> Iterator[None]:
        """Let nobody in, wait until nobody is inside, and keep it so for the block. One thread at a time.

        Raises StillBusyError if that takes too long; then it is open again. Raises StoreDamagedError.
        """
        with self._changed:
            self._closing = True
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: not self._inside, timeout_s):
                    raise StillBusyError(f"an insert has been under way for more than {timeout_s:g} s")
                self._check()
            with self._noting():
                yield
        finally:
            with self._changed:
                self._closing = False
                self._changed.notify_all()

    def _check(self) -> None:
        if self.damage:
            raise StoreDamagedError(self.damage)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except StoreDamagedError as error:
            with self._changed:
                self.damage = self.damage or str(error)
            raise
