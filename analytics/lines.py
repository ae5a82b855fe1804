"""The shape of priced lines, hour by hour: the tables that every costing module fills.

A line says what one workload, or nobody, bears: `cluster_costs` and `machine_costs` make them for a day,
`volumes` and `costing` for volumes and functions; `totals` adds them up. The trap: amounts are whole nano-USD
and are only ever added, so that all lines together are what was divided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import polars as pl

from analytics.queries import TIME

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

COSTS: Final = ("cpu_nano", "memory_nano", "functions_nano", "storage_nano")
"""What a line costs is the sum of these."""
AMOUNTS: Final = (*COSTS, "used_nano")
LINE_SCHEMA: Final[Schema] = {
    "workload_id": pl.UInt64,
    "cluster": pl.String,
    "line": pl.String,
    **dict.fromkeys(AMOUNTS, pl.Int64),
}
"""`line` is container, sidecar, machine, function, volume, idle or system; the last two belong to no
workload.
"""
HOUR_LINE_SCHEMA: Final[Schema] = {
    "hour": TIME,
    "node": pl.String,
    **LINE_SCHEMA,
    "paid_from": TIME,
    "paid_until": TIME,
}
"""`paid_from` and `paid_until` are when in the hour a workload ran on the node; null where nobody knows, or
nobody does.
"""
NAME_SCHEMA: Final[Schema] = {
    "workload_id": pl.UInt64,
    "cluster": pl.String,
    "environment": pl.String,
    "namespace": pl.String,
    "workload_kind": pl.String,
    "workload_name": pl.String,
}
NODE_HOUR_SCHEMA: Final[Schema] = {
    "hour": TIME,
    "node_id": pl.UInt64,
    "cluster": pl.String,
    "node": pl.String,
    "host_type": pl.String,
    "begin": TIME,
    "end": TIME,
    "seconds": pl.Int64,
    "cpu_nano": pl.Int64,
    "memory_nano": pl.Int64,
}
"""What a node costs in an hour, and for how long of it, from when to when, samples know it; `host_type` is
empty where nobody said.
"""
VOLUME_HOUR_SCHEMA: Final[Schema] = {
    "hour": TIME,
    "cluster": pl.String,
    "volume": pl.String,
    "nano": pl.Int64,
}
REMARK_SCHEMA: Final[Schema] = {"remark": pl.String, "name": pl.String}

DEFAULT_RATES: Final = "node at default rates"
BY_CONTENTS: Final = "node by what it holds"
NO_SIZE: Final = "node without size"
NO_SPOT_PRICE: Final = "node without spot price"
DEFAULT_VOLUME: Final = "volume at default price"
NO_VOLUME_PRICE: Final = "volume without price"
DEFAULT_PLAN: Final = "function at default plan"
NO_MEMORY: Final = "function without memory"


@dataclass(frozen=True, slots=True)
class DayCosts:
    """What one day cost on one kind of machine, for volumes or for functions. What `lines` (HOUR_LINE_SCHEMA)
    add up to is what `nodes` (NODE_HOUR_SCHEMA), `volumes` (VOLUME_HOUR_SCHEMA) and functions cost.

    `names` (NAME_SCHEMA) says what workloads are called, maybe with repetitions. `remarks` (REMARK_SCHEMA)
    say of what a price is not known, or not that of a list: the constants above, and a name.
    """

    lines: pl.DataFrame
    names: pl.DataFrame
    nodes: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=NODE_HOUR_SCHEMA))
    volumes: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=VOLUME_HOUR_SCHEMA))
    remarks: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=REMARK_SCHEMA))


def nothing_but(*amounts: str) -> dict[str, pl.Expr]:
    """The columns of all other AMOUNTS, as nothing."""
    return {name: pl.lit(0, pl.Int64).alias(name) for name in AMOUNTS if name not in amounts}


def by_hour(lines: pl.DataFrame) -> pl.DataFrame:
    """Lines of the same hour, node, workload, cluster and kind as one. Where `lines` have no times, nobody
    knows them.
    """
    times = {name: pl.lit(None, TIME) for name in ("paid_from", "paid_until") if name not in lines.columns}
    return (
        lines.with_columns(**times)
        .group_by("hour", "node", "workload_id", "cluster", "line")
        .agg(pl.col(AMOUNTS).sum(), pl.col("paid_from").min(), pl.col("paid_until").max())
        .select(list(HOUR_LINE_SCHEMA))
    )


def node_hours(
    pieces: pl.DataFrame, costs: pl.DataFrame, where: pl.DataFrame, nodes: pl.DataFrame
) -> pl.DataFrame:
    """What each node costs in each hour (NODE_HOUR_SCHEMA), from the times that samples know it (`pieces`,
    cut by hour) and `node_id, hour, cpu_nano, memory_nano`. `where` says what a node_id is called, `nodes` of
    which type it is.
    """
    return (
        pieces.group_by("hour", "node_id")
        .agg(pl.col("begin").min(), pl.col("end").max(), pl.col("seconds").sum())
        .join(costs.select("hour", "node_id", "cpu_nano", "memory_nano"), on=["hour", "node_id"], how="left")
        .join(where.select("node_id", "cluster", "node"), on="node_id", how="left")
        .join(nodes.select("node_id", "host_type"), on="node_id", how="left")
        .with_columns(
            pl.col("cpu_nano", "memory_nano").fill_null(0),
            pl.col("cluster", "node", "host_type").fill_null(""),
        )
        .select(list(NODE_HOUR_SCHEMA))
    )


def remarks(names: Mapping[str, Iterable[str]]) -> pl.DataFrame:
    """Names by what there is to remark of them, one of the constants above; each once."""
    rows = [(remark, name) for remark, found in names.items() for name in sorted(set(found))]
    return pl.DataFrame(rows, schema=REMARK_SCHEMA, orient="row")


def named(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """What each workload is called, once."""
    texts = [frame.select(list(NAME_SCHEMA)).cast(NAME_SCHEMA) for frame in frames]  # type: ignore[arg-type]  # polars wants its keys invariant
    return pl.concat([pl.DataFrame(schema=NAME_SCHEMA), *texts]).unique("workload_id", keep="first")
