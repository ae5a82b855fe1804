"""What a connection waits for, and until when: one thing at a time. Each `HttpConnection` has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Of one connection. The last one is not put off by anything that comes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self.is_idle = False
        """The next request is waited for, which nobody owes."""
        self.is_last = False

    @property
    def is_set(self) -> bool:
        """Whether something is waited for."""
        return self._handle is not None

    def wait(self, seconds: float, late: Callable[[], None], *, is_idle: bool = False) -> None:
        """Wait for this instead of what was waited for; `late` is called if it does not come."""
        self.end()
        if not self.is_last:
            self._handle = self._loop.call_later(seconds, late)
            self.is_idle = is_idle

    def wait_last(self, seconds: float, late: Callable[[], None]) -> None:
        """Wait for this and nothing after it."""
        self.wait(seconds, late)
        self.is_last = True

    def end(self) -> None:
        """What was waited for is here."""
        if not self.is_last:
            self._cancel()

    def close(self) -> None:
        """Nothing is waited for any more, not even the last."""
        self._cancel()
        self.is_last = True

    def _cancel(self) -> None:
        self.is_idle = False
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
