"""What each container held of its node: the larger of request and usage, over the time it ran. OpenCost's
definition.

Pure functions from frames to frames; `analytics.dividing` puts prices to their result. The trap: the average
of the maximum is not the maximum of the averages, so the maximum is taken in every slot before anything is
added up.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from analytics.clock import by_hour

REQUEST_TOLERANCE: Final = timedelta(hours=2)
"""How far a request is carried over scrapes that missed it."""


def with_requests(minutes: pl.DataFrame) -> pl.DataFrame:
    """Container minutes in which the container was seen to run, each with the request that held then.

    In and out: `container_id, minute, cpu_usage, memory_usage, cpu_request, memory_request` and whatever
    else. Usage and requests come from different scrapers: a request is taken from the nearest earlier minute
    that has one, else from the nearest later. A container that never has a usage sample is taken to run when
    its requests are seen.
    """
    found = running(minutes).drop("cpu_request", "memory_request").sort("container_id", "minute")
    for request in ("cpu_request", "memory_request"):
        known = minutes.filter(pl.col(request) > 0).select("container_id", "minute", request)
        found = _carried(found, known.sort("container_id", "minute"), request)
    return found


def running(minutes: pl.DataFrame) -> pl.DataFrame:
    """The minutes in which a container was seen to run: those with usage, or all if it never has any."""
    used = pl.col("cpu_usage").is_not_null() | pl.col("memory_usage").is_not_null()
    return minutes.filter(used | ~used.any().over("container_id"))


def _carried(frame: pl.DataFrame, known: pl.DataFrame, request: str) -> pl.DataFrame:
    later = f"{request}_later"
    for strategy, suffix in (("backward", ""), ("forward", "_later")):
        frame = frame.join_asof(
            known.rename({request: f"{request}{suffix}"}),
            on="minute",
            by="container_id",
            strategy=strategy,  # type: ignore[arg-type]  # one of the two literals above
            tolerance=REQUEST_TOLERANCE,
            check_sortedness=False,
        )
    return frame.with_columns(pl.coalesce(request, later, pl.lit(0.0)).alias(request)).drop(later)


def container_hours(minutes: pl.DataFrame, slots: pl.DataFrame) -> pl.DataFrame:
    """By node, container and hour: core-seconds and byte-seconds held (`cpu`, `memory`) and used (`*_used`),
    `seconds`, and when it began and ended to run (`begin`, `end`).

    `minutes` as `with_requests` returns them, with `node_id`; `slots` are the nodes' clocks, cut to the range
    that is asked for (`clock.within`). A container runs in a slot if it has a sample in it; several samples
    in one slot are averaged.
    """
    held_cpu = pl.max_horizontal(pl.col("cpu_usage").fill_null(0.0), "cpu_request")
    held_memory = pl.max_horizontal(pl.col("memory_usage").fill_null(0.0), "memory_request")
    placed = (
        minutes.sort("node_id", "minute")
        .join_asof(
            slots.sort("node_id", "sampled_at"),
            left_on="minute",
            right_on="sampled_at",
            by="node_id",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(pl.col("minute") < pl.col("until"))
    )
    in_slot = placed.group_by("node_id", "container_id", "begin", "end").agg(
        cpu=held_cpu.mean(),
        memory=held_memory.mean(),
        cpu_used=pl.col("cpu_usage").fill_null(0.0).mean(),
        memory_used=pl.col("memory_usage").fill_null(0.0).mean(),
    )
    amounts = ("cpu", "memory", "cpu_used", "memory_used")
    return (
        by_hour(in_slot)
        .group_by("node_id", "container_id", "hour")
        .agg(
            *((pl.col(name) * pl.col("seconds")).sum() for name in amounts),
            pl.col("seconds").sum(),
            pl.col("begin").min(),
            pl.col("end").max(),
        )
    )
