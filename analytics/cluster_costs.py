"""What a day of clusters cost: every node-hour, divided over the containers that ran on it. Pure functions.

`analytics.costing` calls `cluster_costs`. The trap: a node is known by two kinds of samples, its own and its
containers'; where it never says how large it is, only what its containers hold can be priced.
"""

from __future__ import annotations

import polars as pl

from analytics import allocation, clock, dividing
from analytics.lines import (
    BY_CONTENTS,
    DEFAULT_RATES,
    NO_SPOT_PRICE,
    DayCosts,
    by_hour,
    node_hours,
    nothing_but,
    remarks,
)
from analytics.prices import PriceBook
from analytics.pricing import default_rates, priced_hours
from analytics.settings import AnalyticsSettings


def cluster_costs(
    names: pl.DataFrame,
    minutes: pl.DataFrame,
    nodes: pl.DataFrame,
    slots: pl.DataFrame,
    settings: AnalyticsSettings,
    book: PriceBook,
) -> DayCosts:
    """The lines of containers, sidecars, idle capacity and what the system keeps.

    `names` are the day's containers, `minutes` as `samples.placed` returns them, `nodes` as `pricing.sized`,
    `slots` cut to the day.
    """
    pieces = clock.by_hour(slots)
    held = allocation.container_hours(allocation.with_requests(minutes), slots)
    sized = priced_hours(pieces, nodes, book)
    loose_held = held.join(sized, on=["node_id", "hour"], how="anti")
    loose = dividing.unsized_node_hours(loose_held, default_rates(loose_held, book))
    hours = pl.concat([sized.select(dividing.HOUR_COLUMNS), loose.select(dividing.HOUR_COLUMNS)])
    who = minutes.select("container_id", "workload_id", "container").unique()
    where = pl.concat(
        [nodes.select("node_id", "cluster", "node"), minutes.select("node_id", "cluster", "node").unique()]
    ).unique("node_id", keep="first", maintain_order=True)
    there = nodes.join(pieces, on="node_id", how="semi")
    return DayCosts(
        lines=_lines(dividing.lines(hours, held), who, where, settings),
        names=names,
        nodes=node_hours(pieces.join(hours, on="node_id", how="semi"), hours, where, nodes),
        remarks=remarks(
            {
                DEFAULT_RATES: _named(there.filter(~pl.col("listed"))),
                BY_CONTENTS: _named(where.join(loose, on="node_id", how="semi")),
                NO_SPOT_PRICE: _named(there.filter("no_spot_price")),
            }
        ),
    )


def _lines(
    lines: pl.DataFrame, who: pl.DataFrame, where: pl.DataFrame, settings: AnalyticsSettings
) -> pl.DataFrame:
    """The lines of containers, by workload. What nobody bears belongs to the cluster of its node."""
    sidecar = pl.col("container").is_in(settings.sidecar_containers)
    return by_hour(
        lines.join(where, on="node_id", how="left")
        .join(who, on="container_id", how="left")
        .with_columns(
            **nothing_but("cpu_nano", "memory_nano", "used_nano"),
            line=pl.when((pl.col("line") == "container") & sidecar).then(pl.lit("sidecar")).otherwise("line"),
            paid_from="begin",
            paid_until="end",
        )
    )


def _named(nodes: pl.DataFrame) -> list[str]:
    return [name or "(unnamed)" for name in nodes["node"]]
