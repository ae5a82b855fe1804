"""Spans of many requests at once: queues, batches, cold starts, failures."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.demo.calls import Role, unfold
from lowtide.demo.draw import stream
from lowtide.demo.estate import Estate
from lowtide.demo.fleet import Fleet
from lowtide.demo.functions import KEEP_ALIVE_NS, FunctionPools
from lowtide.demo.timing import Timing, play


def _played(estate: Estate, operation: str, count: int, seed: int = 3, gap_ms: float = 500.0) -> Timing:
    rng = stream(seed, "timing")
    arrivals = np.cumsum(rng.exponential(gap_ms, count))
    return play(unfold(estate, operation), arrivals, rng)


def test_parents_stand_before_their_children(estate: Estate) -> None:
    for name in estate.operations:
        for node in unfold(estate, name).nodes:
            assert node.parent < node.index
            assert node.cause < node.index


def test_own_time_and_waiting_add_up_to_the_duration(estate: Estate) -> None:
    timing = _played(estate, "buy", 500)
    for node in timing.plan.nodes:
        groups: dict[int, list[int]] = {}
        for child in timing.plan.nodes:
            if child.parent == node.index and child.group >= 0:
                groups.setdefault(child.group, []).append(child.index)
        waited = np.zeros(500)
        for members in groups.values():
            waited += np.max([timing.duration_ms[m] * timing.active[m] for m in members], axis=0)
        np.testing.assert_allclose(timing.duration_ms[node.index], timing.own_ms[node.index] + waited)


@given(seed=st.integers(0, 10**6), gap_ms=st.floats(10, 20_000))
def test_a_queue_with_two_workers_is_served_in_order(estate: Estate, seed: int, gap_ms: float) -> None:
    """Against a plain simulation: each worker takes every second message and one at a time."""
    timing = _played(estate, "compress-images", 120, seed, gap_ms)
    consumer = next(node for node in timing.plan.nodes if node.role is Role.CONSUMER)
    start, lasting = timing.start_ms[consumer.index], timing.duration_ms[consumer.index]
    order = np.argsort(start, kind="stable")
    running: list[float] = []
    for index in order:
        while running and running[0] <= start[index] + 1e-6:
            heapq.heappop(running)
        heapq.heappush(running, start[index] + lasting[index])
        assert len(running) <= 2
    sent = timing.start_ms[consumer.cause] + timing.duration_ms[consumer.cause]
    assert np.all(start >= sent)


def test_every_tenth_message_closes_a_batch(estate: Estate) -> None:
    timing = _played(estate, "events", 1005)
    consumer = next(node for node in timing.plan.nodes if node.role is Role.CONSUMER)
    assert np.flatnonzero(timing.active[consumer.index]).tolist() == list(range(9, 1005, 10))


def test_a_failure_reaches_the_root_unless_it_is_optional(estate: Estate) -> None:
    timing = _played(estate, "upload", 4000)
    for node in timing.plan.nodes:
        failed = timing.failed[node.index]
        assert not np.any(failed & ~timing.active[node.index])
        if (
            node.parent >= 0
            and node.group >= 0
            and not (node.call and node.call.optional and node.role is Role.CLIENT)
        ):
            assert not np.any(failed & ~timing.failed[node.parent])
    assert any(node.call and node.call.optional for node in timing.plan.nodes)


@given(
    st.lists(st.tuples(st.integers(0, 3 * 10**12), st.integers(1, 20 * 10**9)), min_size=1, max_size=60),
)
def test_environments_take_one_request_and_live_ten_minutes(
    small_fleet: Fleet, requests: list[tuple[int, int]]
) -> None:
    starts = np.asarray(sorted(start for start, _ in requests), dtype=np.int64)
    ends = starts + np.asarray([lasting for _, lasting in requests], dtype=np.int64)
    pools = FunctionPools(small_fleet, 1)
    node = next(n for n in unfold(small_fleet.calendar.estate, "csv").nodes if n.role is Role.SERVER)
    cold, units = pools.serve(node, starts, ends, np.ones(len(starts), dtype=np.bool_))
    idle_since: dict[int, int] = {}
    for start, end, is_cold, unit in zip(
        starts.tolist(), ends.tolist(), cold.tolist(), units.tolist(), strict=True
    ):
        warm = {u: since for u, since in idle_since.items() if start - KEEP_ALIVE_NS <= since <= start}
        assert is_cold == (not warm)
        if warm:
            assert warm[unit] == max(warm.values()), "the most recently used one"
        idle_since[unit] = end


@pytest.fixture(scope="module")
def small_fleet(estate: Estate) -> Fleet:
    from lowtide.demo.arrivals import Calendar

    return Fleet(
        Calendar(1_700_000_000 * 10**9 // 60_000_000_000 * 60_000_000_000, 60, 1_700_000_040 * 10**9, estate),
        {},
        1,
    )
