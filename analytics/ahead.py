"""Reads ahead: while one part of an answer is computed, a thread reads the next from the store.
`analytics.answers` plans an answer's reads with it.

The trap: a session belongs to one thread at a time, so while a reader is open, everything that its session is
asked goes through the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

_AHEAD = 1
"""Reads beyond the one that is wanted. More would only hold more of a large estate in memory."""


class Reader:
    """Reads one after the other, in the order planned, on a thread of its own. Use it in a `with` block."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._planned: list[Callable[[], Any]] = []
        self._begun: dict[int, Future[Any]] = {}
        self._next = 0

    def plan(self, read: Callable[[], T]) -> Callable[[], T]:
        """What to read after all that is planned so far; the returned function waits for it and gives it,
        once. It raises what `read` raises.
        """
        number = len(self._planned)
        self._planned.append(read)

        def take() -> T:
            self._begin(number + _AHEAD)
            result: T = self._begun.pop(number).result()
            return result

        return take

    def _begin(self, upto: int) -> None:
        while self._next <= min(upto, len(self._planned) - 1):
            self._begun[self._next] = self._thread.submit(self._planned[self._next])
            self._next += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Returns when the session is free again."""
        self._thread.shutdown(cancel_futures=True)
