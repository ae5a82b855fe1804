"""Numbers of records that are gone, as ranges. Batches must be contiguous but for these.

The log of a signal and its reader share one; it may be used from any thread.
"""

from __future__ import annotations

import threading
from bisect import bisect_left


class Lost:
    """A set of numbers, kept as sorted ranges that neither touch nor overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ranges: list[tuple[int, int]] = []

    def add(self, first: int, last: int) -> int:
        """Add a range, both ends included; returns how many of it are new."""
        if last < first:
            return 0
        with self._lock:
            new = (last - first + 1) - self._count(first, last)
            kept = []
            for low, high in self._ranges:
                if high < first - 1 or low > last + 1:
                    kept.append((low, high))
                else:
                    first, last = min(first, low), max(last, high)
            kept.insert(bisect_left(kept, (first, last)), (first, last))
            self._ranges = kept
            return new

    def count(self, first: int, last: int) -> int:
        """How many numbers of a range are in the set."""
        with self._lock:
            return self._count(first, last)

    def has(self, number: int) -> bool:
        """Whether a number is in the set."""
        ranges = self._ranges  # replaced as a whole, never changed
        return bool(ranges) and any(low <= number <= high for low, high in ranges)

    def _count(self, first: int, last: int) -> int:
        return sum(
            min(high, last) - max(low, first) + 1
            for low, high in self._ranges
            if low <= last and high >= first
        )

    def forget(self, upto: int) -> None:
        """Drop everything up to a number."""
        with self._lock:
            self._ranges = [(max(low, upto + 1), high) for low, high in self._ranges if high > upto]

    def ranges(self) -> list[tuple[int, int]]:
        """The ranges, in order, both ends included."""
        with self._lock:
            return list(self._ranges)
