"""Work over time as the metric writers ask for it, and the moments at which metrics are collected.

Used by the player and the usage writer. The trap: a point stands for the step before it, so means look back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lowtide.demo.arrivals import DAY_NS, MINUTE_NS
from lowtide.demo.wire import Floats, Integers

MOST_TIMES = 72


class Load:
    """Work per service over consecutive minutes from `start_ns` on, asked for as means over steps."""

    def __init__(
        self,
        start_ns: int,
        cores: Mapping[str, Floats],
        calls: Mapping[str, Floats],
        hops: Mapping[str, Floats],
        egress_bytes_per_s: Mapping[str, float],
    ) -> None:
        """Per service and minute: cores burnt beyond the floor, requests taken, passages through sidecars."""
        self.start_ns = start_ns
        self.egress_bytes_per_s = egress_bytes_per_s
        self._running = {
            what: {key: np.concatenate([[0.0], np.cumsum(series)]) for key, series in values.items()}
            for what, values in (("cores", cores), ("calls", calls), ("hops", hops))
        }

    def mean(self, what: str, key: str, times_ns: Integers, step_minutes: int) -> Floats:
        """Mean over the step before each time; over what there is at the very beginning."""
        total = self._running[what].get(key)
        if total is None:
            return np.zeros(len(times_ns))
        end = np.clip((times_ns - self.start_ns) // MINUTE_NS, 1, len(total) - 1)
        begin = np.clip(end - step_minutes, 0, None)
        mean: Floats = (total[end] - total[begin]) / (end - begin)
        return mean


@dataclass(frozen=True)
class Beat:
    """Points in time with one distance between them."""

    times_ns: Integers
    step_minutes: int


def beats(start_ns: int, end_ns: int, now_ns: int, steps: Sequence[tuple[float, int]]) -> list[Beat]:
    """When metrics are collected in [start, end), oldest first: hourly, and denser within the days that
    `steps` name ((days before now, minutes), nearest first). Cut at midnights and at 72 points."""
    found: list[Beat] = []
    high = end_ns
    for days, step in (*steps, (math.inf, 60)):
        low = start_ns if math.isinf(days) else min(high, max(start_ns, now_ns - round(days * DAY_NS)))
        first = -(-low // (step * MINUTE_NS)) * step * MINUTE_NS
        times = np.arange(first, high, step * MINUTE_NS, dtype=np.int64)
        era = []
        for day in np.unique(times // DAY_NS).tolist():
            of_day = times[times // DAY_NS == day]
            era += [Beat(of_day[at : at + MOST_TIMES], step) for at in range(0, len(of_day), MOST_TIMES)]
        found = era + found
        high = low
    return found
