"""Nodes of clusters that are heard twice, the second time from somebody who does not say the cluster. Pure
functions.

`analytics.costing` calls `merged` before anything is priced: a node is paid for once. The trap: such a sender
may know more than the other one: how large the node is, or which containers run on it.
"""

from __future__ import annotations

import polars as pl


def merged(nodes: pl.DataFrame, minutes: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The nodes without their twins, and the minutes of containers on the nodes that are left.

    `nodes` as the query of that name, `minutes` as `samples.placed`. A twin has no cluster, and the name of a
    node of one cluster only. What it says fills in what the node does not; its containers are on the node,
    unless the node has some itself: then they are the same ones.
    """
    named = (
        nodes.filter(pl.col("cluster") != "")
        .group_by("node")
        .agg(pl.len().alias("clusters"), pl.col("node_id").first().alias("twin_of"), of="cluster")
        .filter(pl.col("clusters") == 1)
        .select("node", "twin_of", pl.col("of").list.first())
    )
    twins = nodes.filter(pl.col("cluster") == "").join(named, on="node").select("node_id", "twin_of", "of")
    if twins.is_empty():
        return nodes, minutes
    return _filled(nodes, twins), _moved(minutes, twins)


def _filled(nodes: pl.DataFrame, twins: pl.DataFrame) -> pl.DataFrame:
    """Of each node what it says itself, then what its twin says."""
    texts = [name for name, kind in nodes.schema.items() if kind == pl.String and name != "cluster"]
    sizes = [name for name, kind in nodes.schema.items() if kind == pl.Float64]
    return (
        nodes.join(twins, on="node_id", how="left")
        .with_columns(node_id=pl.coalesce("twin_of", "node_id"), cluster=pl.coalesce("of", "cluster"))
        .sort("node_id", pl.col("twin_of").is_not_null())
        .group_by("node_id", "cluster", maintain_order=True)
        .agg(
            *(pl.col(name).filter(pl.col(name) != "").first().fill_null("") for name in texts),
            *(pl.col(name).filter(pl.col(name) > 0).first().fill_null(0.0) for name in sizes),
        )
        .select(nodes.columns)
    )


def _moved(minutes: pl.DataFrame, twins: pl.DataFrame) -> pl.DataFrame:
    has_its_own = minutes.select(twin_of="node_id").unique()
    return (
        minutes.join(twins, on="node_id", how="left")
        .join(has_its_own, on="twin_of", how="anti")
        .with_columns(node_id=pl.coalesce("twin_of", "node_id"), cluster=pl.coalesce("of", "cluster"))
        .drop("twin_of", "of")
    )
