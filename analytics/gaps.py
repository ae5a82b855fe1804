"""Arithmetic of silence: how long a workload would sleep, and how often it would have to be woken. Pure
functions.

From the seconds in which requests began or ended; the seconds in between follow. The trap: a request that
still runs keeps its workload awake, so the number in flight is carried along; it restarts at every midnight
UTC, where `carried` says how many ran over it.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl


def sleep(seconds: pl.DataFrame, bounds: pl.DataFrame, keep_alive_s: float) -> pl.DataFrame:
    """By workload: `span_s, awake_s, cold_starts, longest_gap_s` within its bounds.

    `seconds` holds `workload_id, second, starts, ends, carried`, beginning at the midnight UTC before the
    bounds; `bounds` holds `workload_id, begin, end`. A workload falls asleep `keep_alive_s` after the last
    second in which anything was in flight, and a request that finds it asleep is a cold start. Before its
    first row it sleeps.
    """
    by = pl.col("workload_id")
    in_flight = (
        (pl.col("starts") + pl.col("carried") - pl.col("ends"))
        .cum_sum()
        .over("workload_id", pl.col("second").dt.date())
    )
    alive = timedelta(seconds=keep_alive_s)
    rows = (
        seconds.join(bounds, on="workload_id")
        .filter(pl.col("second") < pl.col("end"))
        .sort("workload_id", "second")
        .with_columns(busy=in_flight > 0, following=pl.coalesce(pl.col("second").shift(-1).over(by), "end"))
        .with_columns(
            asleep_at=pl.when("busy")
            .then("following")
            .otherwise(pl.min_horizontal(pl.col("second") + alive, "following"))
        )
        .with_columns(slept_from=pl.col("asleep_at").shift(1).over(by))
    )
    awake = pl.min_horizontal("asleep_at", "end") - pl.max_horizontal("second", "begin")
    quiet = pl.min_horizontal("following", "end") - pl.max_horizontal("second", "begin")
    cold = (
        (pl.col("second") >= pl.col("begin"))
        & (pl.col("starts") > 0)
        & (pl.col("slept_from").is_null() | (pl.col("slept_from") < pl.col("second")))
    )
    found = rows.group_by("workload_id").agg(
        awake_s=awake.dt.total_seconds(fractional=True).clip(0).sum(),
        cold_starts=cold.sum().cast(pl.Int64),
        quiet_s=pl.when(~pl.col("busy")).then(quiet.dt.total_seconds()).otherwise(0).max(),
        first_s=(pl.col("second").min() - pl.col("begin").first()).dt.total_seconds(),
    )
    span = (pl.col("end") - pl.col("begin")).dt.total_seconds()
    return (
        bounds.with_columns(span_s=span.cast(pl.Float64))
        .join(found, on="workload_id", how="left")
        .select(
            "workload_id",
            "span_s",
            pl.col("awake_s").fill_null(0.0),
            pl.col("cold_starts").fill_null(0),
            longest_gap_s=pl.max_horizontal("quiet_s", "first_s").fill_null(span).cast(pl.Float64),
        )
    )
