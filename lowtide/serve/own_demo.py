"""The demo that this server plays itself, as the API sees it: it can be ended, and waited for until stored.

Quickstart says what it plays; a plain `lowtide serve` plays nothing. The trap: the API's handlers run in
threads of their own, the demo's process belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from api.pipeline import PipelineState

_POLL_S = 0.1
_END_S = 30.0
"""To end the demo's process: far above what it is granted before it is killed."""
SETTLE_S = 900.0
"""To store what was accepted. The whole history of the demo takes some minutes."""


class Ending(Protocol):
    """A demo that can be ended."""

    async def end(self) -> None:
        """Return once it sends nothing more."""


class OwnDemo:
    """What this server plays. `end`, `settle` and `keep` block, and are called from threads."""

    def __init__(
        self,
        state: Callable[[], PipelineState],
        is_stopping: Callable[[], bool],
        keep: Callable[[], None] = lambda: None,
        *,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._state = state
        self._is_stopping = is_stopping
        self._keep = keep
        self._settle_s = settle_s
        self._playing: tuple[asyncio.AbstractEventLoop, Ending] | None = None

    def plays(self, demo: Ending) -> None:
        """Note what is played. On the event loop it belongs to."""
        self._playing = (asyncio.get_running_loop(), demo)

    def end(self) -> None:
        """End it, if anything is played."""
        if self._playing is not None:
            loop, demo = self._playing
            asyncio.run_coroutine_threadsafe(demo.end(), loop).result(_END_S)

    def settle(self) -> bool:
        """Return once everything accepted by now is stored; False if the server stops or it takes too
        long."""
        marks = accepted(self._state())
        until = time.monotonic() + self._settle_s
        while waiting(self._state(), marks):
            if self._is_stopping() or time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)
        return True

    def keep(self) -> None:
        """Have the store be as it is now also after a kill."""
        self._keep()


def accepted(state: PipelineState) -> Mapping[str, int]:
    """How many requests this process had to store by then, by signal."""
    return {one.signal: one.requests_spooled + one.requests_waiting_at_start for one in state.signals}


def waiting(state: PipelineState, marks: Mapping[str, int]) -> int:
    """Requests below the marks that are not stored yet."""
    return sum(max(0, marks[one.signal] - one.requests_inserted) for one in state.signals)
