"""How long a workload would sleep, against a replay of every single second."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import gaps
from analytics.queries import TIME

DAY = 86_400
SCHEMA: dict[str, Any] = {
    "workload_id": pl.UInt64, "second": TIME, "starts": pl.Int64, "ends": pl.Int64, "carried": pl.Int64,
}  # fmt: skip
Spans = list[tuple[int, int]]


def rows_of(spans: Spans, midnight: datetime, *, workload: int = 1) -> list[dict[str, Any]]:
    """What `activity_1s` holds of spans that are given by their first and last second."""
    starts, ends, carried = Counter[int](), Counter[int](), Counter[int]()
    for first, last in spans:
        starts[first] += 1
        ends[last] += 1
        for day in range(first // DAY + 1, last // DAY + 1):
            carried[day * DAY] += 1
    return [
        {
            "workload_id": workload, "second": midnight + timedelta(seconds=at), "starts": starts[at],
            "ends": ends[at], "carried": carried[at],
        }
        for at in sorted({*starts, *ends, *carried})
    ]  # fmt: skip


def slept(spans: Spans, midnight: datetime, begin: int, end: int, keep_alive_s: float = 60) -> dict[str, Any]:
    bounds = pl.DataFrame({
        "workload_id": pl.Series([1], dtype=pl.UInt64),
        "begin": pl.Series([midnight + timedelta(seconds=begin)], dtype=TIME),
        "end": pl.Series([midnight + timedelta(seconds=end)], dtype=TIME),
    })  # fmt: skip
    seconds = pl.DataFrame(rows_of(spans, midnight), schema=SCHEMA)
    (row,) = gaps.sleep(seconds, bounds, keep_alive_s).to_dicts()
    return row


def replayed(spans: Spans, begin: int, end: int, keep_alive_s: int) -> tuple[int, int]:
    """Seconds awake and cold starts, second by second from the first midnight on.

    A workload is awake while a request is in flight and for the keep-alive after the second in which the last
    one ended, or began and ended. The second in which it falls asleep still finds it awake.
    """
    awake_s = cold_starts = 0
    awake_until = -1
    touched = {at for span in spans for at in span}
    for second in range(end):
        in_flight = any(first <= second < last for first, last in spans)
        starts = any(first == second for first, _ in spans)
        is_cold = second > awake_until
        if starts and is_cold and second >= begin:
            cold_starts += 1
        if in_flight:
            awake_until = max(awake_until, second + 1)
        if second in touched:
            awake_until = max(awake_until, second + keep_alive_s)
        if second < awake_until and second >= begin:
            awake_s += 1
    return awake_s, cold_starts


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 400)), max_size=25),
    st.integers(0, 700),
    st.integers(1, 1200),
    st.sampled_from([1, 60, 300]),
)
def test_the_estimate_is_a_replay_of_every_second(
    midnight: datetime, requests: list[tuple[int, int]], begin: int, length: int, keep_alive_s: int
) -> None:
    spans = [(start, start + duration) for start, duration in requests]

    found = slept(spans, midnight, begin, begin + length, keep_alive_s)

    awake_s, cold_starts = replayed(spans, begin, begin + length, keep_alive_s)
    assert found["awake_s"] == awake_s
    assert found["cold_starts"] == cold_starts
    assert found["span_s"] == length


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(DAY - 300, DAY + 300), st.integers(0, 400)), max_size=12))
def test_requests_over_midnight_keep_it_awake(midnight: datetime, requests: list[tuple[int, int]]) -> None:
    shift = DAY - 400
    spans = [(start, start + duration) for start, duration in requests]

    found = slept(spans, midnight, shift, DAY + 800)

    moved = [(first - shift, last - shift) for first, last in spans]
    awake_s, cold_starts = replayed(moved, 0, DAY + 800 - shift, 60)
    assert (found["awake_s"], found["cold_starts"]) == (awake_s, cold_starts)


@pytest.mark.parametrize(("gap_s", "cold_starts"), [(59, 1), (60, 1), (61, 2)])
def test_the_keep_alive_ends_after_sixty_seconds(midnight: datetime, gap_s: int, cold_starts: int) -> None:
    """A request in the very second in which it would fall asleep finds it awake: `replayed` at the border."""
    found = slept([(100, 100), (100 + gap_s, 100 + gap_s)], midnight, 0, 1000)

    assert found["cold_starts"] == cold_starts
    assert found["awake_s"] == min(gap_s, 60) + 60


def test_who_is_never_asked_sleeps_all_the_time(midnight: datetime) -> None:
    found = slept([], midnight, 0, 3600)

    assert found == {
        "workload_id": 1, "span_s": 3600.0, "awake_s": 0.0, "cold_starts": 0, "longest_gap_s": 3600.0,
    }  # fmt: skip


def test_the_longest_gap_may_be_the_first_one_or_the_last(midnight: datetime) -> None:
    assert slept([(500, 510), (600, 600)], midnight, 0, 700)["longest_gap_s"] == 500
    assert slept([(100, 110), (150, 150)], midnight, 0, 900)["longest_gap_s"] == 750
    assert slept([(100, 110), (650, 650)], midnight, 0, 700)["longest_gap_s"] == 540
