"""Which pieces an import has: slices of time, the oldest first, so that counters grow as they did; in each
slice names together, so that an answer stays small, and a name of many series by shorter times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

from lowtide.imports.prometheus.state import Chunk

SLICE_MS: Final = 6 * 3_600_000
CHUNK_SAMPLES: Final = 60_000
"""About so many in an answer: some megabytes."""
INTERVAL_MS: Final = 15_000
"""How far apart samples are taken to be. If they are closer, answers are larger by as much."""
_LEAST_MS: Final = 60_000
_MOST_NAMES: Final = 100


def chunks_of(series: Mapping[str, int], from_ms: int, to_ms: int) -> list[Chunk]:
    """The pieces of a slice `(from, to]`, given how many series there are of each name."""
    per_series = max(1, (to_ms - from_ms) // INTERVAL_MS)
    found: list[Chunk] = []
    together: list[str] = []
    expected = 0
    for name in sorted(series):
        samples = series[name] * per_series
        if samples > CHUNK_SAMPLES:
            found += pieces((name,), from_ms, to_ms, -(-samples // CHUNK_SAMPLES))
            continue
        if together and (expected + samples > CHUNK_SAMPLES or len(together) == _MOST_NAMES):
            found.append(Chunk(from_ms, to_ms, tuple(together)))
            together, expected = [], 0
        together.append(name)
        expected += samples
    if together:
        found.append(Chunk(from_ms, to_ms, tuple(together)))
    return sorted(found, key=lambda chunk: (chunk.to_ms, chunk.names))


def pieces(names: Iterable[str], from_ms: int, to_ms: int, count: int) -> list[Chunk]:
    """A time in `count` parts, of a minute at least."""
    count = max(1, min(count, (to_ms - from_ms) // _LEAST_MS))
    marks = [from_ms + (to_ms - from_ms) * number // count for number in range(count + 1)]
    return [Chunk(begin, end, tuple(names)) for begin, end in pairwise(marks)]


def halves(chunk: Chunk) -> list[Chunk]:
    """The same in two pieces, by time or by name; itself if it is as small as can be."""
    parts = pieces(chunk.names, chunk.from_ms, chunk.to_ms, 2)
    if len(parts) == 2 or len(chunk.names) == 1:
        return parts
    middle = len(chunk.names) // 2
    return [
        Chunk(chunk.from_ms, chunk.to_ms, chunk.names[:middle]),
        Chunk(chunk.from_ms, chunk.to_ms, chunk.names[middle:]),
    ]


def next_slice(planned_to_ms: int, until_ms: int) -> tuple[int, int]:
    """The slice behind what is planned; ends at even times, whenever the import began."""
    end = (planned_to_ms // SLICE_MS + 1) * SLICE_MS
    return planned_to_ms, min(end, until_ms)
