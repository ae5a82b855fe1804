"""Virtual machines: their services bear all of their price."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.machines import cpu_time_hours

BOX = {"host_type": "box", "provider": "aws", "region": "eu-west-1", "cluster": ""}
PRICE = 200_000_000


def borne(costs: Any) -> dict[int, int]:
    lines = costs.lines.select("workload_id", pl.col("cpu_nano") + pl.col("memory_nano"))
    return dict(lines.rows())


def test_services_share_a_machine_by_their_cpu_time(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, at=range(0, 60, 5), **BOX)
    for at in range(0, 60, 5):
        one.process(1, 1, at, at * 3.0)
        one.process(2, 1, at, at * 1.0)

    costs = one.costs(book)

    assert borne(costs) == {1: PRICE * 3 // 4, 2: PRICE // 4}
    assert set(costs.lines["line"]) == {"machine"}


def test_services_without_cpu_time_share_evenly(estate: Any, book: Any, midnight: datetime) -> None:
    one = estate()
    one.node(1, at=range(0, 60, 5), **BOX)
    for workload in (1, 2):
        one.owner(workload, workload_kind="Service", cluster="", hosts=["node-1"])

    assert borne(one.costs(book)) == {1: PRICE // 2, 2: PRICE // 2}


def test_a_machine_on_which_nobody_is_seen_bears_its_cost_itself(
    estate: Any, book: Any, midnight: datetime
) -> None:
    one = estate()
    one.node(1, at=range(0, 120, 5), **BOX)
    one.owner(
        1, workload_kind="Service", cluster="", hosts=["node-1"],
        last_seen_at=midnight + timedelta(minutes=30),
    )  # fmt: skip

    costs = one.costs(book)

    assert borne(costs)[1] == PRICE
    (host,) = costs.names.filter(pl.col("workload_kind") == "Host").to_dicts()
    assert (host["workload_name"], borne(costs)[host["workload_id"]]) == ("node-1", PRICE)


def test_a_counter_that_fell_began_again(midnight: datetime) -> None:
    minutes = pl.DataFrame({
        "workload_id": [1] * 4, "node_id": [1] * 4,
        "minute": [midnight + timedelta(minutes=at) for at in (0, 10, 20, 30)],
        "counter": ["/user"] * 4, "cpu_time_s": [100.0, 130.0, 5.0, 8.0], "cpu_grown_s": [0.0] * 4,
    })  # fmt: skip

    assert cpu_time_hours(minutes)["cpu_s"].to_list() == [30.0 + 5.0 + 3.0]


def test_every_process_and_mode_counts_by_itself(midnight: datetime) -> None:
    minutes = pl.DataFrame({
        "workload_id": [1] * 6, "node_id": [1] * 6,
        "minute": [midnight + timedelta(minutes=at) for at in (0, 10)] * 3,
        "counter": ["7/user"] * 2 + ["7/system"] * 2 + ["8/user"] * 2,
        "cpu_time_s": [100.0, 130.0, 5.0, 9.0, 0.0, 0.0], "cpu_grown_s": [0.0] * 4 + [2.0, 3.0],
    })  # fmt: skip

    assert cpu_time_hours(minutes)["cpu_s"].to_list() == [30.0 + 4.0 + 5.0]


def test_growth_over_a_long_silence_belongs_to_no_hour(midnight: datetime) -> None:
    minutes = pl.DataFrame({
        "workload_id": [1] * 2, "node_id": [1] * 2,
        "minute": [midnight, midnight + timedelta(hours=3)],
        "counter": ["/user"] * 2, "cpu_time_s": [100.0, 10_000.0], "cpu_grown_s": [0.0] * 2,
    })  # fmt: skip

    assert cpu_time_hours(minutes)["cpu_s"].to_list() == [0.0, 0.0]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 118), st.floats(0, 1e5)), max_size=20))
def test_the_services_of_a_machine_bear_all_of_it(
    estate: Any, book: Any, processes: list[tuple[int, int, float]]
) -> None:
    one = estate()
    one.node(1, at=range(0, 120, 5), **BOX)
    for (workload, at), seconds in {(w, at): s for w, at, s in processes}.items():
        one.process(workload, 1, at, seconds)

    costs = one.costs(book, hours=(0, 2))

    assert sum(borne(costs).values()) == costs.totals.nodes_nano
    assert all(amount >= 0 for amount in borne(costs).values())
