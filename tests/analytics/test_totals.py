"""Days by the hour, and what they add up to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from analytics.costing import day_costs
from analytics.lines import COSTS, DayCosts
from analytics.settings import AnalyticsSettings
from analytics.totals import Totals
from analytics.window import Window
from support.estates import NODE, SAMPLE, invented

NODES = st.lists(NODE, min_size=1, max_size=3)
SAMPLES = st.lists(SAMPLE, max_size=25)
BORNE = pl.sum_horizontal(COSTS)


def priced(one: Any, book: Any, start: datetime, end: datetime) -> list[DayCosts]:
    now = start + timedelta(days=2)
    return list(day_costs(one.samples, AnalyticsSettings(), book, one.owned, Window(start, end), now))


@settings(max_examples=60)
@given(NODES, SAMPLES, st.integers(1, 240))
def test_every_node_hour_is_borne_to_the_last_nano(
    estate: Any, book: Any, midnight: datetime, nodes: list[Any], samples: list[Any], minutes: int
) -> None:
    one = invented(estate, nodes, samples)
    keys = ["hour", "cluster", "node"]

    for part in priced(one, book, midnight, midnight + timedelta(minutes=minutes)):
        borne = part.lines.group_by(keys).agg(nano=BORNE.sum())
        costs = part.nodes.group_by(keys).agg(nano=pl.sum_horizontal("cpu_nano", "memory_nano").sum())
        both = borne.join(costs, on=keys, how="full", coalesce=True).with_columns(
            pl.col("^nano.*$").fill_null(0)
        )
        assert both["nano"].to_list() == both["nano_right"].to_list()
        assert part.nodes["seconds"].is_between(0, 3600).all()
        inside = (pl.col("begin") >= pl.col("hour")) & (pl.col("end") <= pl.col("hour").dt.offset_by("1h"))
        assert part.nodes.select(inside.all()).item()


@settings(max_examples=40)
@given(NODES, SAMPLES, st.integers(1, 3))
def test_parts_of_a_day_add_up_to_the_day(
    estate: Any, book: Any, midnight: datetime, nodes: list[Any], samples: list[Any], hours: int
) -> None:
    one = invented(estate, nodes, samples)
    cut, end = midnight + timedelta(hours=hours), midnight + timedelta(hours=5)

    whole = Totals.added(map(Totals.of, priced(one, book, midnight, end)))
    parts = [*priced(one, book, cut, end), *priced(one, book, midnight, cut)]
    cut_up = Totals.added([Totals.added([Totals.of(part)]) for part in parts])

    for name in ("lines", "paid", "nodes", "volumes", "remarks"):
        keys = ["workload_id", "cluster", "line"] if name == "lines" else ["workload_id"]
        order = keys if name in ("lines", "paid") else None
        one_way, other = (getattr(found, name) for found in (whole, cut_up))
        if order:
            one_way, other = one_way.sort(order), other.sort(order)
        assert_frame_equal(one_way, other)
    assert whole.nodes_nano == cut_up.nodes_nano == sum(int(n) for n in whole.lines.select(BORNE).to_series())
