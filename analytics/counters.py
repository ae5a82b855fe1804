"""From counters of CPU time to cores in use: what cAdvisor tells of containers, and the node exporter of
machines. Pure functions.

`analytics.samples` calls them. A counter belongs to one run of a container: after a restart
there is another one, which has counted from nothing since the container started. The trap: where the
container's id is not told, both runs share one counter, which then falls; and a counter that is seen for the
first time may be as old as the container, so all of it is not the growth of a minute.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

LONGEST_GAP: Final = timedelta(minutes=90)
"""A rate over a longer silence says little of its end (`clock.LONGEST_STEP`)."""
FALLEN: Final = 0.5
"""A counter that falls below this share of itself has begun again. One that falls by less was read by two
scrapers of a pair, of which the one that asked first was answered last.
"""
UNTOLD: Final = "cpu"
"""The counter of a container whose id is not told. The kubelet has one beside cAdvisor's, in
`/metrics/resource`, and one of its node."""


def node_cores(counters: pl.DataFrame) -> pl.DataFrame:
    """Use of nodes and machines by minute: `node_id, minute, cpu_counted, busy_counted`.

    `counters` holds the CPU time of all processors (counter `""`, or `UNTOLD`), which gives cores, or the
    time that each of them was idle, which gives the share in which they were busy.
    """
    renamed = counters.rename({"node_id": "container_id"})
    of_all = pl.col("counter").is_in(["", UNTOLD])
    whole, idle = renamed.filter(of_all), renamed.filter(~of_all)
    processors = idle.group_by("container_id").agg(processors=pl.col("counter").n_unique())
    busy = (
        container_cores(idle)
        .join(processors, on="container_id")
        .select(
            "container_id",
            "minute",
            busy_counted=1 - (pl.col("cpu_counted") / pl.col("processors")).clip(0, 1),
        )
    )
    return (
        container_cores(whole)
        .join(busy, on=["container_id", "minute"], how="full", coalesce=True)
        .rename({"container_id": "node_id"})
    )


def container_cores(counters: pl.DataFrame) -> pl.DataFrame:
    """Cores in use by container and minute: `container_id, minute, cpu_counted`.

    `counters` holds, by `container_id, counter, minute`, the value read last (`cpu_time_s`) and when
    (`read_at`), the highest one of the minute (`peak_s`), and when the run began (`started_at`, null where
    nobody told). A minute has the mean since the container was read before. The first one has the mean since
    the container started, and where that is not told, that of the next; a single one without has none.
    """
    rows = _told(counters).sort("container_id", "counter", "minute")
    by_container = (
        rows.group_by("container_id", "minute")
        .agg(container_at=pl.col("read_at").max())
        .sort("container_id", "minute")
        .with_columns(container_before=pl.col("container_at").shift(1).over("container_id"))
        .with_columns(
            container_before=pl.when(pl.col("container_at") - pl.col("container_before") <= LONGEST_GAP).then(
                "container_before"
            )
        )
    )
    grown = (
        rows.with_columns(
            before_s=pl.col("cpu_time_s").shift(1).over("container_id", "counter"),
            before_at=pl.col("read_at").shift(1).over("container_id", "counter"),
        )
        .join(by_container, on=["container_id", "minute"])
        .with_columns(age_s=_seconds(pl.col("read_at") - pl.col("started_at")))
        .with_columns(grown_s=_grown())
    )
    return (
        grown.group_by("container_id", "minute")
        .agg(
            grown_s=pl.col("grown_s").sum(),
            known=pl.col("grown_s").is_not_null().any(),
            since_start=_mean_since_start().sum(),
            aged=(pl.col("age_s") > 0).any(),
            elapsed_s=_seconds(pl.col("container_at") - pl.col("container_before")).first(),
        )
        .sort("container_id", "minute")
        .with_columns(
            cpu_counted=pl.when(pl.col("known") & (pl.col("elapsed_s") > 0))
            .then(pl.col("grown_s") / pl.col("elapsed_s"))
            .when(pl.col("aged"))
            .then("since_start")
        )
        .with_columns(cpu_counted=pl.col("cpu_counted").fill_null(strategy="backward").over("container_id"))
        .select("container_id", "minute", "cpu_counted")
    )


def _told(counters: pl.DataFrame) -> pl.DataFrame:
    """Without the kubelet's second account of a container, or a node, that cAdvisor counts."""
    named = pl.col("counter") != UNTOLD
    return counters.filter(named | ~named.any().over("container_id"))


def _grown() -> pl.Expr:
    """CPU-seconds since the container was read before; null where that cannot be told.

    A run that is new began after that moment, or at the share of its age that lies after it.
    """
    last, before, peak = pl.col("cpu_time_s"), pl.col("before_s"), pl.col("peak_s")
    up = pl.max_horizontal(peak - before, pl.lit(0.0))
    begun = (last < before * FALLEN) | (last < peak * FALLEN)
    again = pl.when(begun).then(last).otherwise(0.0)
    elapsed = _seconds(pl.col("read_at") - pl.col("container_before"))
    share = pl.when(pl.col("age_s") > elapsed).then(elapsed / pl.col("age_s")).otherwise(1.0)
    near = pl.col("read_at") - pl.col("before_at") <= LONGEST_GAP
    return (
        pl.when(near)
        .then(up + again)
        .when(pl.col("before_s").is_null() & pl.col("container_before").is_not_null())
        .then(last * share)
    )


def _mean_since_start() -> pl.Expr:
    return pl.when(pl.col("age_s") > 0).then(pl.col("cpu_time_s") / pl.col("age_s"))


def _seconds(span: pl.Expr) -> pl.Expr:
    return span.dt.total_microseconds() / 1e6
