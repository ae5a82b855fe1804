"""When a refused sender is asked to come back. Both receivers write it into their replies.

After an outage all senders come at once, and those that are refused together would come back together, again
and again. So each is given a time of its own, between the setting and twice that.
"""

from __future__ import annotations

import random


class Later:
    """Whole seconds, drawn anew for each refusal."""

    def __init__(self, least_s: int) -> None:
        self._least_s = least_s

    @staticmethod
    def draw() -> float:
        """A number from 0 to below 1."""
        return random.random()  # noqa: S311 - spreads retries, no secret

    def seconds(self, least_s: int | None = None) -> int:
        """From the setting, or from what is known to be too early, to twice that."""
        from_s = self._least_s if least_s is None else max(self._least_s, least_s)
        return from_s + int(self.draw() * (from_s + 1))
