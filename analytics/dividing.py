"""Divides what every node-hour costs over what ran on it. The heart of the cost answer; pure functions.

Each node-hour is rounded to nano-USD once, split between CPU and memory, and each of these over containers,
idle capacity and what the system reserves, by largest remainder: the lines of a node-hour add up to its
cost exactly. The trap: a node whose containers hold more than it has is not billed more; their parts
shrink.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from analytics.money import NANO, SECONDS_PER_HOUR, split, weight

GIB: Final = 1024**3
CORE_UNITS: Final = 1_000_000
"""CPU weights are millionths of a core-second, memory weights are byte-seconds."""
HOUR_COLUMNS: Final = (
    "node_id", "hour", "seconds", "cpu_capacity", "cpu_allocatable", "memory_capacity", "memory_allocatable",
    "cpu_nano", "memory_nano", "total_nano",
)  # fmt: skip
IDLE_TIE: Final = 0
SYSTEM_TIE: Final = 1


def node_hours(slots: pl.DataFrame, nodes: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """The cost of every node-hour: `node_id, hour, seconds`, sizes, `cpu_nano, memory_nano, total_nano`.

    `slots` are spans of the window cut by hour (`node_id, hour, seconds`); `nodes` holds the sizes;
    `prices` holds `node_id, day, price_nano` (an hour's price) and `cpu_rate, memory_rate` (default prices
    of a core- and GiB-hour), whose ratio divides the price.
    """
    worth_cpu = pl.col("cpu_capacity") * pl.col("cpu_rate")
    worth_memory = pl.col("memory_capacity") / GIB * pl.col("memory_rate")
    share = (worth_cpu / (worth_cpu + worth_memory)).fill_nan(0.5).fill_null(0.5)
    total = (pl.col("price_nano") * pl.col("seconds") + SECONDS_PER_HOUR // 2) // SECONDS_PER_HOUR
    return (
        slots.group_by("node_id", "hour")
        .agg(pl.col("seconds").sum())
        .join(nodes, on="node_id")
        .with_columns(day=pl.col("hour").dt.date())
        .join(prices, on=["node_id", "day"])
        .with_columns(total_nano=total)
        .with_columns(cpu_nano=(pl.col("total_nano") * share).round().cast(pl.Int64))
        .with_columns(memory_nano=pl.col("total_nano") - pl.col("cpu_nano"))
        .drop("day")
    )


def unsized_node_hours(held: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """Node-hours of nodes that never said how large they are: what their containers hold, at the default
    rates.

    `held` is `container_hours` of those nodes, `rates` holds `day, cpu_rate, memory_rate` in US dollars.
    Such a node has no idle capacity that anyone could know of.
    """
    per_cpu = pl.col("cpu") / SECONDS_PER_HOUR * pl.col("cpu_rate") * NANO
    per_memory = pl.col("memory") / GIB / SECONDS_PER_HOUR * pl.col("memory_rate") * NANO
    return (
        held.with_columns(day=pl.col("hour").dt.date())
        .join(rates, on="day")
        .group_by("node_id", "hour")
        .agg(
            seconds=pl.col("seconds").max(),
            cpu_nano=per_cpu.sum().round().cast(pl.Int64),
            memory_nano=per_memory.sum().round().cast(pl.Int64),
        )
        .with_columns(
            cpu_capacity=pl.lit(0.0),
            cpu_allocatable=pl.lit(0.0),
            memory_capacity=pl.lit(0.0),
            memory_allocatable=pl.lit(0.0),
            total_nano=pl.col("cpu_nano") + pl.col("memory_nano"),
        )
    )


def lines(hours: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Who bears the cost of every node-hour: `node_id, hour, line, container_id, cpu_nano, memory_nano,
    used_nano`, and from when to when a container ran in it (`begin`, `end`).

    `hours` as `node_hours` returns them, `held` as `container_hours`. `line` is container, idle or system;
    `used_nano` is the part of a line that was used: what the system keeps counts as used, since nobody
    measures it. The sum over a node-hour is its cost.
    """
    rows = pl.concat([_of_containers(hours, held), _of_capacity(hours, held)], how="diagonal")
    rows = rows.join(
        hours.select("node_id", "hour", cpu_whole="cpu_nano", memory_whole="memory_nano"),
        on=["node_id", "hour"],
    )
    for resource, units in (("cpu", CORE_UNITS), ("memory", 1)):
        rows = rows.with_columns(_weights=weight(pl.col(resource) * units))
        rows = split(
            rows,
            amount=f"{resource}_whole",
            by=("node_id", "hour"),
            weights="_weights",
            ties="container_id",
            name=f"{resource}_nano",
        )
    whole = pl.col("cpu_nano") + pl.col("memory_nano")
    part = pl.col("cpu_nano") * _used_share("cpu") + pl.col("memory_nano") * _used_share("memory")
    used = pl.when(pl.col("line") == "system").then(whole).otherwise(part.round().cast(pl.Int64))
    return rows.with_columns(used_nano=used).select(
        "node_id", "hour", "line", "container_id", "cpu_nano", "memory_nano", "used_nano", "begin", "end"
    )


def _of_containers(hours: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    kept = held.join(hours.select("node_id", "hour"), on=["node_id", "hour"], how="semi")
    return kept.with_columns(line=pl.lit("container"))


def _of_capacity(hours: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """The two lines of a node-hour that no container bears: what is free, and what the system keeps."""
    sums = held.group_by("node_id", "hour").agg(pl.col("cpu").sum(), pl.col("memory").sum())
    both = hours.join(sums, on=["node_id", "hour"], how="left").with_columns(
        pl.col("cpu").fill_null(0.0), pl.col("memory").fill_null(0.0)
    )
    idle, system = [], []
    for resource in ("cpu", "memory"):
        capacity = pl.col(f"{resource}_capacity") * pl.col("seconds")
        allocatable = pl.col(f"{resource}_allocatable") * pl.col("seconds")
        free = (allocatable - pl.col(resource)).clip(0.0)
        # Containers that hold more than is allocatable eat into what the system keeps.
        kept = (capacity - pl.max_horizontal(allocatable, resource)).clip(0.0)
        idle.append(free.alias(resource))
        system.append(kept.alias(resource))
    names = (("idle", IDLE_TIE, idle), ("system", SYSTEM_TIE, system))
    return pl.concat(
        both.select(
            "node_id",
            "hour",
            *amounts,
            line=pl.lit(name),
            container_id=pl.lit(tie, pl.UInt64),
            cpu_used=pl.lit(0.0),
            memory_used=pl.lit(0.0),
        )
        for name, tie, amounts in names
    )


def _used_share(resource: str) -> pl.Expr:
    return (pl.col(f"{resource}_used") / pl.col(resource)).fill_nan(0.0).fill_null(0.0).clip(0.0, 1.0)
