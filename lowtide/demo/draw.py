"""Random numbers that depend on the seed and on names, never on the order of calls. Used by every part that
draws.

The trap: a stream shared by two parts would make one part's change move the other's numbers; each part
names its own.
"""

from __future__ import annotations

import zlib

import numpy as np

from lowtide.demo.wire import Floats


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator for (seed, names): the same arguments always give the same numbers."""
    words = [seed, *(name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names)]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(words)))


def lognormal(rng: np.random.Generator, median: float, spread: float, count: int) -> Floats:
    """Log-normal values with this median and sigma of the logarithm."""
    if spread == 0.0:
        return np.full(count, median)
    return median * np.exp(spread * rng.standard_normal(count))
