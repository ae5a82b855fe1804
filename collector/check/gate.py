"""Which times a record may have. `collector.check.check` makes a window for every request; the rules read it.

A record far from today would open a partition of its own, and beyond 2106 its expiry wraps around: some such
records in a request are enough to stop inserts. The trap: times of OTLP are unsigned 64-bit numbers up to the
year 2554, and the window must stay inside them whatever the settings say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_NS: Final = 1_000_000_000
_LAST_NS: Final = (1 << 64) - 1


def written_time(time_ns: int) -> str:
    """A time in ns since 1970 (0 to 2^64 - 1) as RFC 3339 in UTC, with as many decimals as it needs."""
    seconds, rest = divmod(time_ns, _NS)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


@dataclass(frozen=True, slots=True)
class Window:
    """Accepted times in ns since 1970, both ends included."""

    earliest_ns: int
    latest_ns: int

    def __contains__(self, time_ns: int) -> bool:
        return self.earliest_ns <= time_ns <= self.latest_ns

    def __str__(self) -> str:
        """To the second: the ends move with the clock, finer digits only distract."""
        return f"[{self._second(self.earliest_ns)}, {self._second(self.latest_ns)}]"

    @staticmethod
    def _second(time_ns: int) -> str:
        return written_time(time_ns - time_ns % _NS)


@dataclass(frozen=True, slots=True)
class TimeGate:
    """How far from the present a record's time may lie (design section 4).

    `retention_ns`: into the past, as long as raw data is kept - what is older would expire at once.
    `ahead_ns`: into the future, for clocks that run ahead.
    """

    retention_ns: int
    ahead_ns: int = 600 * _NS

    def window(self, now_ns: int) -> Window:
        """The accepted times at this moment, cut to what OTLP can say."""
        return Window(
            earliest_ns=min(max(now_ns - self.retention_ns, 0), _LAST_NS),
            latest_ns=min(max(now_ns + self.ahead_ns, 0), _LAST_NS),
        )
