"""The writers that all signals share: as many as there may be inserts at once. The loader makes them, its
pipes insert through them.

Each holds as much memory as its last batch took, so their number bounds what inserting takes, however many
signals there are.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ingest.signals import Signal
from ingest.store.known_series import Looked
from ingest.store.otlp import OtlpWriter, Request


class Writers:
    """A writer for many threads: whoever inserts waits until one is free. The one that was used last comes
    first, so that those nobody needs never take any memory."""

    def __init__(self, make: Callable[[], OtlpWriter], count: int) -> None:
        self._all = [make() for _ in range(count)]
        self._free: queue.LifoQueue[OtlpWriter] = queue.LifoQueue()
        for writer in self._all:
            self._free.put(writer)

    def look(self, signal: Signal, tenant: str, body: bytes) -> Looked | None:
        """As `OtlpWriter.look`: what one knows all know."""
        return self._all[0].look(signal, tenant, body)

    def insert(self, signal: Signal, batch_id: int, token: str, requests: Sequence[Request]) -> None:
        """As `OtlpWriter.insert`."""
        with self._taken() as writer:
            writer.insert(signal, batch_id, token, requests)

    def holds(self, signal: Signal, batch_id: int) -> bool:
        """As `OtlpWriter.holds`."""
        with self._taken() as writer:
            return writer.holds(signal, batch_id)

    def close(self) -> None:
        """Give all sessions back. Nobody may be inserting."""
        for writer in self._all:
            writer.close()

    @contextmanager
    def _taken(self) -> Iterator[OtlpWriter]:
        writer = self._free.get()
        try:
            yield writer
        finally:
            self._free.put(writer)
