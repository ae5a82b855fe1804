"""How far batches may run ahead of one that is not stored yet. The loader has one for all its signals.

A batch that is held up may already lie in some tables, and only its token keeps a later attempt from storing
it there twice. Each table remembers so many inserts (`ingest.store.migrate`), so no more than some may pass
such a batch, of whatever signal: some tables are fed by all of them. Then the others wait for it.

The bound is not exact: batches that other signals begin at the same moment come on top, a few, and so do the
parts of one that is being divided. What is reckoned for an insert is far more than it usually takes.

The trap: how many passed a batch is not known after a restart. So what an earlier process left behind is
stored before anything else is begun.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from ingest.store.migrate import DEDUPLICATION_WINDOW

BLOCKS_OF_INSERT: Final = 400
"""What a table remembers of one insert at most: one for each day it has rows of, and that for each view that
writes into it. Two views and two hundred days are far from what anybody sends together."""
MOST_AHEAD: Final = DEDUPLICATION_WINDOW // BLOCKS_OF_INSERT


class Lead:
    """Which batches are under way, and how many inserts have passed each. Safe to call from any thread."""

    def __init__(self, most: int = MOST_AHEAD) -> None:
        """`most` inserts may pass a batch before nothing more is begun."""
        self._most = most
        self._inserts = 0
        self._since: dict[int, int] = {}
        """By batch id, the number of inserts before its first."""
        self._changed = threading.Condition()

    def left_behind(self, batch_ids: Iterable[int]) -> None:
        """Batches of an earlier process: nothing is begun before they are over."""
        with self._changed:
            self._since |= dict.fromkeys(batch_ids, -self._most)

    def begin(self, batch_id: int) -> None:
        """A batch, or a part of one, is under way; one that was left behind stays that."""
        with self._changed:
            self._since.setdefault(batch_id, self._inserts)

    def inserted(self, batch_id: int) -> None:
        """A batch is stored."""
        with self._changed:
            self._inserts += 1
        self.end(batch_id)

    def end(self, batch_id: int) -> None:
        """A batch will not be tried again: it is stored, or was divided."""
        with self._changed:
            self._since.pop(batch_id, None)
            self._changed.notify_all()

    def held_by(self, timeout_s: float) -> int | None:
        """Wait until another batch may be begun; if none may after so long, the id of the batch that all wait
        for, else None."""
        with self._changed:
            self._changed.wait_for(lambda: self._blocking() is None, timeout_s)
            return self._blocking()

    def _blocking(self) -> int | None:
        oldest = min(self._since, key=lambda batch_id: self._since[batch_id], default=None)
        return None if oldest is None or self._inserts - self._since[oldest] < self._most else oldest
