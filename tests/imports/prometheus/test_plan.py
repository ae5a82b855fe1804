"""The pieces of a slice have every series at every time, once, in the order of time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.store.known_metrics import known_metric_names
from lowtide.imports.prometheus.importing import asked_names, selector_of
from lowtide.imports.prometheus.plan import (
    CHUNK_SAMPLES,
    INTERVAL_MS,
    SLICE_MS,
    chunks_of,
    halves,
    next_slice,
)
from lowtide.imports.prometheus.state import Chunk

NAMES = st.dictionaries(st.text("abc_", min_size=1, max_size=4), st.integers(1, 100_000), max_size=200)


def covered(chunks: list[Chunk]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for chunk in chunks:
        for name in chunk.names:
            found.setdefault(name, []).append((chunk.from_ms, chunk.to_ms))
    return found


def joined(times: list[tuple[int, int]]) -> tuple[int, int]:
    """One stretch, if they follow each other."""
    for (_, end), (begin, _) in pairwise(times):
        assert end == begin
    return times[0][0], times[-1][1]


@given(NAMES, st.integers(0, 10**12), st.integers(1, SLICE_MS))
def test_each_name_is_asked_for_once_at_each_time(series: dict[str, int], begin: int, length: int) -> None:
    chunks = chunks_of(series, begin, begin + length)
    assert {name: joined(times) for name, times in covered(chunks).items()} == dict.fromkeys(
        series, (begin, begin + length)
    )
    assert [chunk.to_ms for chunk in chunks] == sorted(chunk.to_ms for chunk in chunks)
    for chunk in chunks:
        minutes = (chunk.to_ms - chunk.from_ms) / 60_000
        expected = sum(series[name] for name in chunk.names) * (chunk.to_ms - chunk.from_ms) / INTERVAL_MS
        assert expected <= CHUNK_SAMPLES * 1.1 or minutes < 2


@given(
    st.integers(0, 10**12),
    st.integers(1, SLICE_MS),
    st.lists(st.text("ab", min_size=1), min_size=1, unique=True),
)
def test_halves_are_the_same_in_two_pieces(begin: int, length: int, names: list[str]) -> None:
    chunk = Chunk(begin, begin + length, tuple(sorted(names)))
    parts = halves(chunk)
    assert {name: joined(times) for name, times in covered(parts).items()} == {
        name: joined(times) for name, times in covered([chunk]).items()
    }
    assert len(parts) == 2 or parts == [chunk]


def test_slices_end_at_even_times() -> None:
    assert next_slice(5, 10 * SLICE_MS) == (5, SLICE_MS)
    assert next_slice(SLICE_MS, 10 * SLICE_MS) == (SLICE_MS, 2 * SLICE_MS)
    assert next_slice(SLICE_MS, SLICE_MS + 7) == (SLICE_MS, SLICE_MS + 7)


def test_what_cost_needs_is_the_list_that_the_store_knows() -> None:
    names = asked_names(known_metric_names())
    assert {"container_cpu_usage_seconds_total", "kube_pod_info", "istio_requests_total"} <= names
    assert not any("." in name for name in names)
    assert selector_of(["b", "a"]) == '{__name__=~"a|b"}'
