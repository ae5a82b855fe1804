"""Where long questions wait for their turn: a few are worked on at a time, on threads, the others wait on the
event loop. `api.page` and `api.asking` ask here; `lowtide.serve.api_app` makes one for both.

The framework runs plain functions on forty threads, which all routers share: forty slow answers would hold
up `/metrics`. The trap: whoever asks what is being worked on already shares that answer, so the key must say
all that the answer depends on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from http import HTTPStatus
from typing import Any, TypeVar

from api.problems import ApiError

T = TypeVar("T")

AT_ONCE = 2
"""One for each core of the smallest machine; an answer of a large estate takes seconds and its memory."""
PLACES = 32
"""Requests that wait or are worked on. Beyond it a client is better told to come back than kept waiting."""
_RETRY_AFTER_S = 5


class Desk:
    """The turns of one event loop."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}
        self._waiting = 0

    async def ask(self, key: Hashable, work: Callable[[], T], keep: Callable[[T], None] | None = None) -> T:
        """What `work` returns, from a thread; shared by all who ask for the same `key` meanwhile. `keep` gets
        it on the event loop before the key can be asked for anew, so whoever keeps it is asked once.

        Raises what `work` raises, and ApiError (503) if too many wait already.
        """
        if self._waiting >= PLACES:
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                "Too many questions at a time",
                f"{PLACES} requests wait for answers that take long; ask again later.",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )
        self._waiting += 1
        try:
            # One who goes away must not take the answer from the others.
            return await asyncio.shield(self._task(key, work, keep))
        finally:
            self._waiting -= 1

    def _task(
        self, key: Hashable, work: Callable[[], T], keep: Callable[[T], None] | None
    ) -> asyncio.Task[T]:
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._in_turn(work, keep))
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return task

    async def _in_turn(self, work: Callable[[], T], keep: Callable[[T], None] | None) -> T:
        async with self._turns:
            found = await asyncio.to_thread(work)
        if keep is not None:
            keep(found)
        return found
