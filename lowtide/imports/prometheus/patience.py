"""How long something is tried again that may pass: growing pauses, for some minutes at most. The first pause
is told, so that nobody waits without knowing for what."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


@dataclass(slots=True)
class Patience:
    """For one thing that is tried."""

    give_up_after_s: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[str], None] | None = None
    _began: float = field(init=False, default=-1.0)
    _pause_s: float = field(init=False, default=FIRST_PAUSE_S)

    def wait(self, why: str, least_s: float = 0.0) -> bool:
        """Wait before the next attempt, `least_s` at least; False if there should be none."""
        now = self.clock()
        if self._began < 0:
            self._began = now
        pause_s = max(least_s, self._pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret
        if now + pause_s > self._began + self.give_up_after_s:
            return False
        if self.tell is not None and now == self._began:
            self.tell(f"{why}; trying again for up to {self.give_up_after_s:g} s.")
        self.sleep(pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return True
