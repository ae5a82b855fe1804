"""Who may read now, where reading cannot be counted while it goes on. The gRPC receiver asks for each call.

A fixed number read at a time; the others wait in line. The trap is a reader that does not get on: a few
stalled senders would keep everybody else out. So a reader may take its time only while nobody waits. For each
one that does, the reader that began first has what is left of its patience, and is then told to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from collector.refusals import OverloadedError

T = TypeVar("T")

PATIENCE_S = 2.0
"""What a reader has at least: a megabyte at 5 Mbit/s."""
WAIT_S = 5.0
"""The longest wait for a turn: half of the export timeout of the SDKs, so that they hear of it."""
MAX_WAITING = 1024


class Turns:
    """`count` readers at a time; use it in one event loop."""

    def __init__(self, count: int, *, patience_s: float = PATIENCE_S, wait_s: float = WAIT_S) -> None:
        self._patience_s = patience_s
        self._wait_s = wait_s
        self._turns = asyncio.Semaphore(count)
        self._waiting = 0
        self._readers: dict[asyncio.Timeout, float] = {}  # when each began, the first one first

    async def take(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` returns, once it is its turn.

        Raises OverloadedError when the turn does not come in time, or is over before the end.
        """
        if self._turns.locked():
            await self._wait()
        else:
            await self._turns.acquire()
        try:
            return await self._read(read)
        finally:
            self._turns.release()

    async def _read(self, read: Callable[[], Awaitable[T]]) -> T:
        limit = asyncio.timeout(self._patience_s if self._waiting else None)
        try:
            async with limit:
                self._readers[limit] = asyncio.get_running_loop().time()
                return await read()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise OverloadedError(
                "the request arrived too slowly while others waited; send it again later"
            ) from error
        finally:
            self._readers.pop(limit, None)

    async def _wait(self) -> None:
        if self._waiting >= MAX_WAITING:
            raise OverloadedError("too many calls at a time; send this request again later")
        self._waiting += 1
        self._hurry()
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turns.acquire()
        except TimeoutError as error:
            raise OverloadedError("other requests are arriving slowly; send this one again later") from error
        finally:
            self._waiting -= 1

    def _hurry(self) -> None:
        """Give the reader that has no time limit yet, and began first, one."""
        now = asyncio.get_running_loop().time()
        for limit, began in self._readers.items():
            if limit.when() is None:
                limit.reschedule(max(now, began + self._patience_s))
                return
