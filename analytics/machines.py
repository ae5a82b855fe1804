"""Divides what a virtual machine costs over the services seen on it. Pure functions, beside
`analytics.dividing`.

A machine is kept for what runs on it, so its services bear all of its price, by their share of the CPU
time; how much of it they leave unused is told as a figure of its own. The trap: a service that sends traces
only has no CPU time; then nobody's is compared, and the services share evenly.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from analytics.money import split, weight

CPU_TIME_UNITS: Final = 1_000_000
LONGEST_GAP: Final = timedelta(hours=2)


def cpu_time_hours(minutes: pl.DataFrame) -> pl.DataFrame:
    """CPU-seconds by service, machine and hour: `workload_id, node_id, hour, cpu_s`.

    `minutes` holds the cumulative `cpu_time_s` and the growth `cpu_grown_s` by `workload_id, node_id,
    counter, minute`; a process reports one of the two, and its CPU modes are counters of their own. A counter
    that fell was restarted and has counted from nothing; the growth belongs to the hour of the sample that
    shows it.
    """
    by = ("workload_id", "node_id", "counter")
    before = pl.col("cpu_time_s").shift(1).over(by)
    near = pl.col("minute") - pl.col("minute").shift(1).over(by) <= LONGEST_GAP
    grown = (
        pl.when(pl.col("cpu_time_s") >= before).then(pl.col("cpu_time_s") - before).otherwise("cpu_time_s")
    )
    return (
        minutes.sort("workload_id", "node_id", "counter", "minute")
        .with_columns(
            cpu_s=pl.when(near.fill_null(value=False)).then(grown).otherwise(0.0) + pl.col("cpu_grown_s")
        )
        .group_by("workload_id", "node_id", hour=pl.col("minute").dt.truncate("1h"))
        .agg(pl.col("cpu_s").sum())
    )


def machine_lines(hours: pl.DataFrame, tenants: pl.DataFrame, usage: pl.DataFrame) -> pl.DataFrame:
    """Who bears the cost of every machine-hour: `node_id, hour, workload_id, cpu_nano, memory_nano,
    used_nano`.

    `hours` as `dividing.node_hours` returns them; `tenants` holds `node_id, hour, workload_id, cpu_s`, at
    least one for each hour; `usage` holds `node_id, hour, cpu_usage, memory_usage` (cores, bytes; null
    where nobody measured, which counts as used, since waste is not claimed on a guess).
    """
    everyone_measured = (pl.col("cpu_s") > 0).all().over("node_id", "hour")
    rows = (
        hours.join(tenants, on=["node_id", "hour"])
        .join(usage, on=["node_id", "hour"], how="left")
        .with_columns(cpu_s=pl.when(everyone_measured).then("cpu_s").otherwise(1.0))
        .with_columns(_weights=weight(pl.col("cpu_s") * CPU_TIME_UNITS))
        .rename({"cpu_nano": "cpu_whole", "memory_nano": "memory_whole"})
    )
    for resource in ("cpu", "memory"):
        rows = split(
            rows,
            amount=f"{resource}_whole",
            by=("node_id", "hour"),
            weights="_weights",
            ties="workload_id",
            name=f"{resource}_nano",
        )
    used = pl.col("cpu_nano") * _used_share("cpu") + pl.col("memory_nano") * _used_share("memory")
    return rows.with_columns(used_nano=used.round().cast(pl.Int64)).select(
        "node_id", "hour", "workload_id", "cpu_nano", "memory_nano", "used_nano"
    )


def _used_share(resource: str) -> pl.Expr:
    share = pl.col(f"{resource}_usage") / pl.col(f"{resource}_capacity")
    return share.fill_nan(1.0).fill_null(1.0).clip(0.0, 1.0)
