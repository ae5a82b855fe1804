"""What a container held of its node: the larger of request and usage, minute by minute."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import allocation, clock
from analytics.samples import placed, slots_of

GIB = 1024**3


def held(estate: Any, midnight: datetime, *, first: int = 0, until: int = 24 * 60) -> pl.DataFrame:
    samples = estate.samples
    minutes = placed(samples)
    slots = clock.within(
        slots_of(samples, minutes, midnight + timedelta(days=2)),
        midnight + timedelta(minutes=first),
        midnight + timedelta(minutes=until),
    )
    return allocation.container_hours(allocation.with_requests(minutes), slots).sort("container_id", "hour")


def with_one_container(estate: Any) -> Any:
    one = estate()
    one.node(1)
    one.container(11, workload=1)
    return one


def test_the_larger_of_request_and_usage_counts(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    one.sample(11, 0, cpu_usage=0.2, memory_usage=3.0 * GIB, cpu_request=0.5, memory_request=1.0 * GIB)

    (row,) = held(one, midnight).to_dicts()

    assert (row["cpu"], row["memory"]) == (0.5 * 60, 3.0 * GIB * 60)
    assert (row["cpu_used"], row["memory_used"]) == (0.2 * 60, 3.0 * GIB * 60)


def test_it_is_the_average_of_the_maximum(estate: Any, midnight: datetime) -> None:
    """Usage 0 and 1 at a request of 0.5: max(0, 0.5) and max(1, 0.5), not max(0.5, 0.5) twice."""
    one = with_one_container(estate)
    one.sample(11, 0, cpu_usage=0.0, cpu_request=0.5)
    one.sample(11, 1, cpu_usage=1.0, cpu_request=0.5)

    assert held(one, midnight)["cpu"].to_list() == [(0.5 + 1.0) * 60]


def test_usage_counts_where_nothing_is_requested(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    one.sample(11, 0, cpu_usage=0.25)

    assert held(one, midnight)["cpu"].to_list() == [0.25 * 60]


def test_requests_count_where_usage_was_never_seen(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    one.sample(11, 0, cpu_request=0.5)
    one.sample(11, 1, cpu_request=0.5)

    (row,) = held(one, midnight).to_dicts()

    assert (row["cpu"], row["cpu_used"]) == (0.5 * 120, 0.0)


def test_a_request_is_carried_over_scrapes_that_missed_it(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    one.sample(11, 0, cpu_usage=0.1)
    one.sample(11, 5, cpu_request=0.5)  # the cluster's scraper alone: no sign that the container ran
    one.sample(11, 10, cpu_usage=0.1)
    one.sample(11, 200, cpu_usage=0.1)

    minutes = allocation.with_requests(placed(one.samples)).sort("minute")

    assert minutes["cpu_request"].to_list() == [0.5, 0.5, 0.0]


def test_a_minute_that_was_missed_is_the_last_samples(estate: Any, midnight: datetime) -> None:
    """Samples at 0, 1 and 4: the second one stands for three minutes."""
    one = with_one_container(estate)
    for at, usage in ((0, 1.0), (1, 2.0), (4, 4.0)):
        one.sample(11, at, cpu_usage=usage)

    assert held(one, midnight)["cpu"].to_list() == [1.0 * 60 + 2.0 * 180 + 4.0 * 180]


def test_a_container_without_a_sample_did_not_run_then(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    one.container(12, workload=2)
    for at in range(4):
        one.sample(11, at, cpu_usage=1.0)
    one.sample(12, 2, cpu_usage=1.0)

    assert held(one, midnight)["cpu"].to_list() == [240.0, 60.0]


def test_a_pod_that_moved_is_on_each_node_when_it_was_there(estate: Any, midnight: datetime) -> None:
    one = estate()
    one.node(1)
    one.node(2)
    one.container(11, workload=1, node="node-2")
    for at, node in ((0, "node-1"), (1, "node-1"), (2, "node-2")):
        one.sample(11, at, cpu_usage=1.0, node=node)

    found = held(one, midnight).sort("node_id")

    assert found.select("node_id", "cpu").rows() == [(1, 120.0), (2, 60.0)]


def test_only_the_part_within_the_range_counts(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    for at in range(0, 180, 15):
        one.sample(11, at, cpu_usage=1.0)

    found = held(one, midnight, first=50, until=130)

    assert found["cpu"].to_list() == [600.0, 3600.0, 600.0]


def test_hours_do_not_depend_on_where_the_range_was_cut(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    for at in range(0, 360, 7):
        one.sample(11, at, cpu_usage=at / 100, cpu_request=1.0)

    whole = held(one, midnight, until=240)
    parts = [held(one, midnight, first=cut, until=cut + 60) for cut in range(0, 240, 60)]

    assert pl.concat(parts).select("hour", "cpu").equals(whole.select("hour", "cpu"))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30, unique=True))
def test_slots_do_not_overlap_and_cover_up_to_the_next_sample(
    estate: Any, midnight: datetime, at: list[int]
) -> None:
    one = with_one_container(estate)
    for minute in at:
        one.sample(11, minute, cpu_usage=1.0)
    samples = one.samples

    slots = slots_of(samples, placed(samples), midnight + timedelta(days=2))

    rows = slots.select("sampled_at", "until").rows()
    assert [start for start, _ in rows] == [midnight + timedelta(minutes=m) for m in sorted(at)]
    for (_, until), (start, _) in itertools.pairwise(rows):
        assert until <= start
        assert until == start or start - until > timedelta(0)
    assert all(timedelta(minutes=1) <= until - start <= clock.LONGEST_STEP for start, until in rows)


def test_a_long_silence_is_an_outage_and_not_a_long_minute(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    for at in (0, 1, 2, 2 + 91, 2 + 92):
        one.sample(11, at, cpu_usage=1.0)

    assert held(one, midnight)["seconds"].sum() == 5 * 60


def test_nothing_is_known_of_the_time_after_now(estate: Any, midnight: datetime) -> None:
    one = with_one_container(estate)
    for at in (0, 15, 30):
        one.sample(11, at, cpu_usage=1.0)
    samples = one.samples
    now = midnight + timedelta(minutes=32)

    assert slots_of(samples, placed(samples), now)["until"].max() == now


def test_a_node_is_measured_by_its_own_samples_where_no_container_is_heard(
    estate: Any, midnight: datetime
) -> None:
    one = estate()
    one.node(1, at=range(10))
    one.container(11, workload=1)
    for at in (0, 1):
        one.sample(11, at, cpu_usage=1.0)
    samples = one.samples

    slots = slots_of(samples, placed(samples), midnight + timedelta(days=1))

    covered = slots.select((pl.col("until") - pl.col("sampled_at")).sum()).item()
    assert covered == timedelta(minutes=10)


@pytest.mark.parametrize("usage", [None, 0.0])
def test_nothing_used_and_nothing_requested_holds_nothing(
    estate: Any, midnight: datetime, usage: float | None
) -> None:
    one = with_one_container(estate)
    one.sample(11, 0, cpu_usage=usage, memory_usage=1.0)

    assert held(one, midnight)["cpu"].to_list() == [0.0]
