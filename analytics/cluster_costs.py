"""What a day of clusters cost: every node-hour, divided over the containers that ran on it. Pure functions.

`analytics.costing` calls `cluster_costs`. The trap: a node is known by two kinds of samples, its own and its
containers'; where it never says how large it is, only what its containers hold can be priced.
"""

from __future__ import annotations

import polars as pl

from analytics import allocation, clock, ledger
from analytics.lines import AMOUNTS, LINE_SCHEMA, SPAN_SCHEMA, DayCosts, node_totals, nothing_but, paid_times
from analytics.prices import PriceBook
from analytics.pricing import default_rates, node_hours
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
    sized = node_hours(pieces, nodes, book)
    loose_held = held.join(sized, on=["node_id", "hour"], how="anti")
    loose = ledger.unsized_node_hours(loose_held, default_rates(loose_held, book))
    hours = pl.concat([sized.select(ledger.HOUR_COLUMNS), loose.select(ledger.HOUR_COLUMNS)])
    who = minutes.select("container_id", "workload_id", "container").unique()
    where = pl.concat(
        [nodes.select("node_id", "cluster", "node"), minutes.select("node_id", "cluster", "node").unique()]
    ).unique("node_id", keep="first", maintain_order=True)
    return DayCosts(
        lines=_lines(ledger.lines(hours, held), who, where, settings),
        names=names,
        spans=pieces.join(hours, on="node_id", how="semi").select(list(SPAN_SCHEMA)),
        paid=paid_times(
            [held.join(who, on="container_id").rename({"begin": "paid_from", "end": "paid_until"})]
        ),
        total_nano=int(hours["total_nano"].sum()),
        node_totals=node_totals(hours, where, nodes),
        estimated=_named(nodes.filter(~pl.col("listed")).join(pieces, on="node_id", how="semi")),
        unsized=_named(where.join(loose, on="node_id", how="semi")),
        no_spot_price=_named(nodes.filter("no_spot_price").join(pieces, on="node_id", how="semi")),
    )


def _lines(
    lines: pl.DataFrame, who: pl.DataFrame, where: pl.DataFrame, settings: AnalyticsSettings
) -> pl.DataFrame:
    """The ledger's lines, by workload. What nobody bears belongs to the cluster of its node."""
    sidecar = pl.col("container").is_in(settings.sidecar_containers)
    return (
        lines.join(where, on="node_id", how="left")
        .join(who, on="container_id", how="left")
        .with_columns(
            **nothing_but("cpu_nano", "memory_nano", "used_nano"),
            line=pl.when((pl.col("line") == "container") & sidecar).then(pl.lit("sidecar")).otherwise("line"),
        )
        .select(list(LINE_SCHEMA))
        .group_by("workload_id", "cluster", "line")
        .agg(pl.col(AMOUNTS).sum())
    )


def _named(nodes: pl.DataFrame) -> frozenset[str]:
    return frozenset(name or "(unnamed)" for name in nodes["node"])
