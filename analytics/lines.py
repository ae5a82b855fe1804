"""The shape of priced lines, and what they are put together from: the table that every costing module fills.

A line says what one workload, or nobody, bears: `cluster_costs` and `machine_costs` make them for a day,
`costing` for functions, and `cost` groups them. The trap: amounts are whole nano-USD and are only ever
added, so that all lines together are what was divided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from analytics.queries import TIME

LINE_SCHEMA: Final = {
    "workload_id": pl.UInt64,
    "cluster": pl.String,
    "line": pl.String,
    "cpu_nano": pl.Int64,
    "memory_nano": pl.Int64,
    "functions_nano": pl.Int64,
    "storage_nano": pl.Int64,
    "used_nano": pl.Int64,
}
"""`line` is container, sidecar, machine, function, volume, idle or system; the last two belong to no
workload.
"""
NAME_SCHEMA: Final = {
    "workload_id": pl.UInt64,
    "cluster": pl.String,
    "environment": pl.String,
    "namespace": pl.String,
    "workload_kind": pl.String,
    "workload_name": pl.String,
}
SPAN_SCHEMA: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "node_id": pl.UInt64,
    "begin": TIME,
    "end": TIME,
    "seconds": pl.Int64,
    "hour": TIME,
}
PAID_SCHEMA: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "workload_id": pl.UInt64,
    "paid_from": TIME,
    "paid_until": TIME,
}
NODE_TOTAL_SCHEMA: Final = {"cluster": pl.String, "node": pl.String, "host_type": pl.String, "nano": pl.Int64}
"""What each node cost; `host_type` is empty where nobody said."""
VOLUME_TOTAL_SCHEMA: Final = {"cluster": pl.String, "volume": pl.String, "nano": pl.Int64}
COSTS: Final = ("cpu_nano", "memory_nano", "functions_nano", "storage_nano")
"""What a line costs is the sum of these."""
AMOUNTS: Final = (*COSTS, "used_nano")


@dataclass(frozen=True, slots=True)
class DayCosts:
    """What one day cost on one kind of machine, or for volumes. `total_nano` (of machines) and `volumes_nano`
    are what the lines add up to.

    `names` has the columns of NAME_SCHEMA, maybe with repetitions; `spans` are the times that samples cover
    (SPAN_SCHEMA); `paid` says from when to when each workload bore anything (PAID_SCHEMA); `node_totals` what
    each node cost (NODE_TOTAL_SCHEMA), `volume_totals` each volume (VOLUME_TOTAL_SCHEMA); the rest are names
    of nodes: priced by default rates, by what they hold, not at all, and spot nodes priced as if on demand;
    and of volumes: priced by a default, and not.
    """

    lines: pl.DataFrame
    names: pl.DataFrame
    spans: pl.DataFrame
    paid: pl.DataFrame
    total_nano: int
    node_totals: pl.DataFrame
    estimated: frozenset[str] = frozenset()
    unsized: frozenset[str] = frozenset()
    unpriced: frozenset[str] = frozenset()
    no_spot_price: frozenset[str] = frozenset()
    volumes_nano: int = 0
    volume_totals: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=VOLUME_TOTAL_SCHEMA))
    estimated_volumes: frozenset[str] = frozenset()
    unpriced_volumes: frozenset[str] = frozenset()


def nothing_but(*amounts: str) -> dict[str, pl.Expr]:
    """The columns of all other AMOUNTS, as nothing."""
    return {name: pl.lit(0, pl.Int64).alias(name) for name in AMOUNTS if name not in amounts}


def summed(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Lines of the same workload, cluster and kind as one."""
    whole = pl.concat(
        [pl.DataFrame(schema=LINE_SCHEMA), *(frame.select(list(LINE_SCHEMA)) for frame in frames)],
        how="vertical_relaxed",
    )
    return whole.group_by("workload_id", "cluster", "line").agg(pl.col(AMOUNTS).sum())


def node_totals(hours: pl.DataFrame, where: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """What each node cost (NODE_TOTAL_SCHEMA), from `node_id, total_nano` of its hours. `where` says what a
    node_id is called, `nodes` of which type it is.
    """
    return (
        hours.group_by("node_id")
        .agg(nano=pl.col("total_nano").sum())
        .join(where.select("node_id", "cluster", "node"), on="node_id", how="left")
        .join(nodes.select("node_id", "host_type"), on="node_id", how="left")
        .select(pl.col("cluster", "node", "host_type").fill_null(""), "nano")
    )


def named(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """What each workload is called, once."""
    texts = [frame.select(list(NAME_SCHEMA)).cast(NAME_SCHEMA) for frame in frames]  # type: ignore[arg-type]  # polars wants its keys invariant
    return pl.concat([pl.DataFrame(schema=NAME_SCHEMA), *texts]).unique("workload_id", keep="first")


def paid_times(spans: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """From when to when each workload bore anything, from `workload_id, paid_from, paid_until`."""
    whole = pl.concat([pl.DataFrame(schema=PAID_SCHEMA), *(s.select(list(PAID_SCHEMA)) for s in spans)])
    return whole.group_by("workload_id").agg(pl.col("paid_from").min(), pl.col("paid_until").max())
