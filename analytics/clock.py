"""Turns samples into time: which span of time each sample of a node stands for. Used by
`analytics.allocation`.

A sample stands for the time until the node's next one; the clock is the node's, so that all containers of a
node are measured over the same slots and add up. The trap: containers and nodes may be scraped at different
paces. The clock follows the containers' samples where there are any, and the node's own only where no
container is heard.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

LONGEST_STEP: Final = timedelta(minutes=90)
"""A longer silence is an outage of the telemetry, not a slow scrape; hourly history still counts."""
SHORTEST_STEP: Final = timedelta(minutes=1)
MARGIN: Final = timedelta(hours=2)
"""Samples needed before and after a range, so that its slots do not depend on where it was cut."""


def slots(own: pl.DataFrame, containers: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Slots of time by node: `node_id, sampled_at, until`, without overlap, in order.

    `own` and `containers` hold `node_id, minute`: when the node itself, and any container on it, was
    sampled. A slot ends with the next sample; where none comes within 90 minutes, it lasts as long as the
    step before it did. `now` ends every slot.
    """
    theirs = _with_ends(containers.select("node_id", "minute").unique())
    mine = own.select("node_id", "minute").unique()
    # The node's own samples count where its containers have been silent for two of their steps.
    silent = (
        mine.sort("node_id", "minute")
        .join_asof(
            theirs.select("node_id", "step", sampled="minute").sort("node_id", "sampled"),
            left_on="minute",
            right_on="sampled",
            by="node_id",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(pl.col("sampled").is_null() | (pl.col("minute") >= pl.col("sampled") + 2 * pl.col("step")))
    )
    clock = pl.concat([theirs.select("node_id", "minute"), silent.select("node_id", "minute")]).unique()
    return (
        _with_ends(clock)
        .select("node_id", sampled_at="minute", until=pl.min_horizontal("end", pl.lit(now)))
        .filter(pl.col("sampled_at") < pl.col("until"))
        .sort("node_id", "sampled_at")
    )


def within(slots: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """The slots that touch the range, with `begin` and `end` of their part in it."""
    return slots.filter((pl.col("until") > start) & (pl.col("sampled_at") < end)).with_columns(
        begin=pl.max_horizontal("sampled_at", pl.lit(start)), end=pl.min_horizontal("until", pl.lit(end))
    )


def by_hour(spans: pl.DataFrame) -> pl.DataFrame:
    """Spans (`begin`, `end`) cut at full hours of UTC, with `hour` and `seconds` (Int64)."""
    hours = pl.datetime_ranges(pl.col("begin").dt.truncate("1h"), pl.col("end"), "1h", closed="left")
    return (
        spans.with_columns(hour=hours)
        .explode("hour")
        .with_columns(
            begin=pl.max_horizontal("begin", "hour"),
            end=pl.min_horizontal("end", pl.col("hour").dt.offset_by("1h")),
        )
        .with_columns(seconds=(pl.col("end") - pl.col("begin")).dt.total_seconds())
    )


def _with_ends(samples: pl.DataFrame) -> pl.DataFrame:
    """`node_id, minute` with `end` and `step`, the time a sample stands for."""
    following = pl.col("minute").shift(-1).over("node_id") - pl.col("minute")
    preceding = pl.col("minute") - pl.col("minute").shift(1).over("node_id")
    usual = pl.when(preceding <= LONGEST_STEP).then(preceding).otherwise(pl.lit(SHORTEST_STEP))
    step = pl.when(following <= LONGEST_STEP).then(following).otherwise(usual.fill_null(SHORTEST_STEP))
    return (
        samples.sort("node_id", "minute")
        .with_columns(step=step)
        .with_columns(end=pl.col("minute") + pl.col("step"))
    )
