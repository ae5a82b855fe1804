"""Reads the samples of a day, with a margin on both sides, and finds out over which times they speak.

`analytics.costing` reads; `cluster_costs` and `machine_costs` take the result. The trap: without the margin,
the first and last slots of a range would depend on where it was cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from analytics import allocation, clock
from analytics.counters import container_cores, node_cores
from analytics.queries import Session, read_range
from analytics.window import Window

_CORES: Final = 1e6
_BYTES: Final = 2.0**50
_SECONDS: Final = 1e12
MOST: Final = {
    "cpu_usage": _CORES, "memory_usage": _BYTES, "cpu_request": _CORES, "memory_request": _BYTES,
    "cpu_capacity": _CORES, "cpu_allocatable": _CORES, "memory_capacity": _BYTES,
    "memory_allocatable": _BYTES, "cpu_time_s": _SECONDS, "cpu_grown_s": _SECONDS,
}  # fmt: skip
"""What is believed of a node, a machine or a container at most: a million cores, a PiB."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one day with their margins, as the queries of the same names return them; `volumes` as
    volume_hours, `mounts` as volume_mounts, both without margins; `mounts` has no columns where there are no
    volumes.
    """

    containers: pl.DataFrame
    container_minutes: pl.DataFrame
    nodes: pl.DataFrame
    node_minutes: pl.DataFrame
    host_services: pl.DataFrame
    volumes: pl.DataFrame
    mounts: pl.DataFrame

    @property
    def is_empty(self) -> bool:
        """Whether nothing was heard of nodes, machines and what runs on them."""
        frames = (
            self.containers, self.container_minutes, self.nodes, self.node_minutes, self.host_services
        )  # fmt: skip
        return all(frame.is_empty() for frame in frames)


def days(window: Window) -> Iterator[Window]:
    """The window, cut at midnight UTC."""
    start = window.start
    while start < window.end:
        end = min(start.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1), window.end)
        yield Window(start, end)
        start = end


def read_samples(session: Session, window: Window, tenant: str) -> Samples:
    """The samples of the window and two hours before and after it. Raises what the session raises."""
    first, last = window.start - clock.MARGIN, window.end + clock.MARGIN
    containers, minutes, counters, nodes, node_minutes, node_counters, host_services = (
        read_range(session, query, tenant, first, last)
        for query in (
            "containers", "container_minutes", "container_counters",
            "nodes", "node_minutes", "node_counters", "host_services",
        )
    )  # fmt: skip
    within = (tenant, window.start, window.end)
    volumes = read_range(session, "volume_hours", *within)
    mounts = read_range(session, "volume_mounts", *within) if len(volumes) else pl.DataFrame()
    return Samples(
        containers,
        while_there(counted(minutes, counters), containers),
        nodes,
        nodes_counted(node_minutes, node_counters),
        host_services,
        volumes,
        mounts,
    )


def believed(samples: Samples) -> Samples:
    """The samples without numbers that nobody can mean: they count as not told. One broken sender is no
    reason for no answer, and amounts must fit into whole numbers.
    """
    return replace(
        samples,
        container_minutes=_believed(samples.container_minutes),
        nodes=_believed(samples.nodes),
        node_minutes=_believed(samples.node_minutes),
        host_services=_believed(samples.host_services),
    )


def _believed(frame: pl.DataFrame) -> pl.DataFrame:
    """What is null where it is not told becomes null, all else nought."""
    columns = [(name, limit) for name, limit in MOST.items() if name in frame.columns]
    return frame.with_columns(
        pl.when(pl.col(name).is_between(0.0, limit))
        .then(name)
        .otherwise(pl.lit(None if name.endswith("usage") else 0.0, pl.Float64))
        .alias(name)
        for name, limit in columns
    )


def counted(minutes: pl.DataFrame, counters: pl.DataFrame) -> pl.DataFrame:
    """Minutes of containers, with the cores of those that only tell a counter of their CPU time.

    Where cores are reported as well, those count: the same container is heard through two paths.
    """
    if counters.is_empty():
        return minutes
    return (
        minutes.join(container_cores(counters), on=["container_id", "minute"], how="left")
        .with_columns(cpu_usage=pl.coalesce("cpu_usage", "cpu_counted"))
        .drop("cpu_counted")
    )


def nodes_counted(minutes: pl.DataFrame, counters: pl.DataFrame) -> pl.DataFrame:
    """Minutes of nodes, with the use of those that only tell counters of their CPU time."""
    if counters.is_empty():
        return minutes
    return (
        minutes.join(node_cores(counters), on=["node_id", "minute"], how="left")
        .with_columns(
            cpu_usage=pl.coalesce("cpu_usage", "cpu_counted"),
            busy_share=pl.coalesce("busy_share", "busy_counted"),
        )
        .drop("cpu_counted", "busy_counted")
    )


def while_there(minutes: pl.DataFrame, containers: pl.DataFrame) -> pl.DataFrame:
    """Without the minutes in which a pod that is done was only spoken of: its requests are told until
    somebody deletes it, and hold nothing. One that runs again has usage.
    """
    ended = containers.select("container_id", "ended_at").drop_nulls()
    if ended.is_empty():
        return minutes
    silent = pl.col("cpu_usage").is_null() & pl.col("memory_usage").is_null()
    return (
        minutes.join(ended, on="container_id", how="left")
        .filter((silent & (pl.col("minute") >= pl.col("ended_at"))).fill_null(value=False).not_())
        .drop("ended_at")
    )


def placed(samples: Samples) -> pl.DataFrame:
    """The minutes of containers, with `cluster, node, node_id, workload_id, container` of each.

    A pod of a StatefulSet keeps its name when it moves, so the node is a minute's, not a container's. Those
    that never say where they are share a nameless node of their cluster.
    """
    known = samples.nodes.select("cluster", "node", "node_id")
    who = samples.containers.select("container_id", "cluster", "workload_id", "container", last_node="node")
    said = pl.when(pl.col("node") != "").then("node").otherwise("last_node")
    nameless = pl.struct("cluster", "node").hash(seed=1)
    return (
        samples.container_minutes.join(who, on="container_id")
        .with_columns(node=said)
        .drop("last_node")
        .join(known, on=["cluster", "node"], how="left")
        .with_columns(node_id=pl.coalesce("node_id", nameless))
    )


def slots_of(samples: Samples, minutes: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The clock of every node; one that never reports usage goes by whatever it reports.

    `minutes` as `placed` returns them.
    """
    measured = pl.col("cpu_usage").is_not_null() | pl.col("busy_share").is_not_null()
    own = samples.node_minutes.filter(measured | ~measured.any().over("node_id"))
    seen = allocation.running(minutes)
    return clock.slots(own.select("node_id", "minute"), seen.select("node_id", "minute"), now)
