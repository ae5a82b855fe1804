"""From samples to priced lines: who bears what, over a window. `analytics.answers` calls it day by day,
`analytics.cost` groups the lines, the others look them up.

Works on days of UTC, with a margin on both sides, so that memory stays bounded and an hour's result does
not depend on the window it is asked for in. The trap: a window may begin or end within an hour; then only
that part is priced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import polars as pl

from analytics import clock, functions
from analytics.cluster_costs import cluster_costs
from analytics.lines import (
    LINE_SCHEMA,
    NODE_TOTAL_SCHEMA,
    SPAN_SCHEMA,
    VOLUME_TOTAL_SCHEMA,
    DayCosts,
    named,
    nothing_but,
    paid_times,
    summed,
)
from analytics.machine_costs import machine_costs
from analytics.prices import PriceBook
from analytics.pricing import sized
from analytics.samples import MOST, Samples, believed, placed, slots_of
from analytics.settings import AnalyticsSettings
from analytics.twins import merged
from analytics.volumes import volume_costs
from analytics.window import Window

SOURCES: Final = ("application", "function_telemetry", "function_log", "access_log", "proxy")
"""Who may tell of a workload's requests, the one who is believed first: its own spans, what a function's
platform reports (as events, as lines), its proxy's access log (of every request, and only of whole
milliseconds), its proxy's spans."""

REPORTS: Final = ("function_telemetry", "function_log")
"""Those of them that are reports of a function's platform."""


@dataclass(frozen=True, slots=True)
class CostLines:
    """What a window cost. `lines` has the columns of LINE_SCHEMA; idle and system lines belong to no
    workload.

    `node_totals` is what each node cost (NODE_TOTAL_SCHEMA), `volume_totals` each volume
    (VOLUME_TOTAL_SCHEMA). `names` says what each workload_id is called, `nodes_nano`, `functions_nano` and
    `volumes_nano` is what was divided, `paid` says from when to when each workload bore anything of it,
    `requests` are the requests by workload (all kinds), `covered_s` of `present_s` node-seconds are known
    from samples; `estimated`, `unsized`, `unpriced` and `no_spot_price` are names of nodes, and
    `estimated_volumes` and `unpriced_volumes` of volumes, see `lines.DayCosts`; `uncosted` are names of
    workloads that have requests, and no line.
    """

    lines: pl.DataFrame
    names: pl.DataFrame
    paid: pl.DataFrame
    requests: pl.DataFrame
    nodes_nano: int
    functions_nano: int
    covered_s: int
    present_s: int
    first_at: datetime | None
    estimated: tuple[str, ...] = ()
    unsized: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()
    no_spot_price: tuple[str, ...] = ()
    uncosted: tuple[str, ...] = ()
    unlisted_functions: int = 0
    functions_without_memory: int = 0
    sampled: bool = False
    volumes_nano: int = 0
    estimated_volumes: tuple[str, ...] = ()
    unpriced_volumes: tuple[str, ...] = ()
    node_totals: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=NODE_TOTAL_SCHEMA))
    volume_totals: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=VOLUME_TOTAL_SCHEMA))

    @property
    def divided_nano(self) -> int:
        """What all lines add up to."""
        return self.nodes_nano + self.functions_nano + self.volumes_nano


def cost_lines(
    parts: Sequence[DayCosts],
    requests: pl.DataFrame,
    reported: pl.DataFrame,
    settings: AnalyticsSettings,
    book: PriceBook,
    owners: pl.DataFrame,
) -> CostLines:
    """What all days of a window cost together. `requests` are those by workload and hour, `reported` the runs
    of functions with what is billed for them, by hour and memory (`invocations_1h`). Pure.
    """
    function_rows, counts = _functions(requests, reported, owners, settings, book)
    covered, present, first_at = _coverage([part.spans for part in parts])
    lines = summed([*(part.lines for part in parts), function_rows])
    return CostLines(
        lines=lines,
        names=named([*(part.names for part in parts), requests]),
        paid=paid_times(part.paid for part in parts),
        requests=requests.group_by("workload_id").agg(pl.col("requests").sum(), pl.col("starts").sum()),
        nodes_nano=sum(part.total_nano for part in parts),
        functions_nano=int(function_rows["functions_nano"].sum()),
        volumes_nano=sum(part.volumes_nano for part in parts),
        node_totals=_node_totals(parts),
        volume_totals=_volume_totals(parts),
        covered_s=covered,
        present_s=present,
        first_at=first_at,
        estimated=_all(part.estimated for part in parts),
        unsized=_all(part.unsized for part in parts),
        unpriced=_all(part.unpriced for part in parts),
        no_spot_price=_all(part.no_spot_price for part in parts),
        estimated_volumes=_all(part.estimated_volumes for part in parts),
        unpriced_volumes=_all(part.unpriced_volumes for part in parts),
        uncosted=_uncosted(requests, lines),
        unlisted_functions=counts[0],
        functions_without_memory=counts[1],
        sampled=bool((requests["requests"] > requests["starts"] + 1e-6).any()),
    )


def _node_totals(parts: Sequence[DayCosts]) -> pl.DataFrame:
    whole = pl.concat([pl.DataFrame(schema=NODE_TOTAL_SCHEMA), *(part.node_totals for part in parts)])
    by_node = whole.group_by("cluster", "node").agg(pl.col("host_type").max(), pl.col("nano").sum())
    return by_node.sort("cluster", "node")


def _volume_totals(parts: Sequence[DayCosts]) -> pl.DataFrame:
    whole = pl.concat([pl.DataFrame(schema=VOLUME_TOTAL_SCHEMA), *(part.volume_totals for part in parts)])
    return whole.group_by("cluster", "volume").agg(pl.col("nano").sum()).sort("cluster", "volume")


def requests_of(hours: pl.DataFrame) -> pl.DataFrame:
    """Requests by workload and hour, each workload's from the first of SOURCES that tells of it."""
    rank = pl.col("source").replace_strict(SOURCES, range(len(SOURCES)), default=len(SOURCES))
    return hours.filter(rank == rank.min().over("workload_id"))


def day_costs(
    samples: Samples,
    settings: AnalyticsSettings,
    book: PriceBook,
    owners: pl.DataFrame,
    day: Window,
    now: datetime,
) -> Iterator[DayCosts]:
    """What a day's samples cost: the volumes', the clusters', then the machines'. A day without any costs
    nothing. Pure.
    """
    if len(samples.volumes):
        yield volume_costs(samples.volumes, samples.mounts, samples.containers, samples.nodes, day, book)
    if samples.is_empty:
        return
    samples = believed(samples)
    known, minutes = merged(samples.nodes, placed(samples))
    slots = clock.within(slots_of(samples, minutes, now), day.start, day.end)
    nodes = sized(known, book, day.start.date())
    hosts = _outside(known, minutes)
    doubles = _doubles(known, hosts)
    in_clusters = known.join(hosts, on="node_id", how="anti").select("node_id")
    machines = hosts.join(doubles, on="node_id", how="anti").select("node_id")
    yield cluster_costs(
        samples.containers,
        minutes,
        nodes.join(in_clusters, on="node_id", how="semi"),
        slots.join(hosts, on="node_id", how="anti"),
        settings,
        book,
    )
    theirs = slots.join(machines, on="node_id", how="semi")
    costs = machine_costs(samples, nodes.join(machines, on="node_id", how="semi"), theirs, owners, book)
    silent = hosts.join(theirs, on="node_id", how="semi").join(nodes, on="node_id", how="anti")
    yield replace(costs, unpriced=frozenset(silent["node"]))


def _outside(nodes: pl.DataFrame, minutes: pl.DataFrame) -> pl.DataFrame:
    """The machines that say no cluster and run no containers of pods."""
    return nodes.filter(pl.col("cluster") == "").join(minutes, on="node_id", how="anti")


def _doubles(nodes: pl.DataFrame, hosts: pl.DataFrame) -> pl.DataFrame:
    """Nodes of clusters once more, from host metrics that do not say which of several clusters; they are paid
    for already.
    """
    return hosts.join(nodes.filter(pl.col("cluster") != ""), on="node", how="semi")


def _functions(
    requests: pl.DataFrame,
    reported: pl.DataFrame,
    owners: pl.DataFrame,
    settings: AnalyticsSettings,
    book: PriceBook,
) -> tuple[pl.DataFrame, tuple[int, int]]:
    """Lines of functions; and how many of them have no list price, and how many do not say their memory.

    An hour of which the platform reported runs is billed by what it said of them, any other by its requests;
    but what is known of requests from the same reports alone is billed when the runs were over.
    """
    known = owners.select("workload_id", "provider", "region", "platform", "architecture", "memory_bytes")
    is_billed = pl.col("source").is_in(REPORTS) & pl.col("workload_id").is_in(
        reported["workload_id"].implode()
    )
    asked = requests.filter((pl.col("workload_kind") == "Function") & ~is_billed).join(
        reported, on=["workload_id", "hour"], how="anti"
    )
    counted = asked.join(known.select("workload_id", "memory_bytes"), on="workload_id", how="left")
    columns = ("workload_id", "hour", "requests", "busy_s", "memory_bytes")
    hours = (
        pl.concat([counted.select(columns), reported.select(columns)], how="vertical_relaxed")
        .join(known.drop("memory_bytes"), on="workload_id", how="left")
        .with_columns(
            pl.col("provider", "region", "platform", "architecture").fill_null(""),
            pl.when(pl.col("memory_bytes").is_between(0.0, MOST["memory_request"]))
            .then("memory_bytes")
            .otherwise(0.0),
            day=pl.col("hour").dt.date(),
        )
    )
    silent = hours.filter(pl.col("memory_bytes") <= 0)["workload_id"].n_unique()
    hours = hours.with_columns(
        memory_bytes=pl.when(pl.col("memory_bytes") > 0)
        .then("memory_bytes")
        .otherwise(pl.lit(float(settings.function_memory_bytes)))
    )
    lines = functions.function_lines(hours, functions.plans(hours, book))
    unlisted = lines.filter(~pl.col("listed"))["workload_id"].n_unique()
    rows = lines.group_by("workload_id").agg(pl.col("functions_nano").sum())
    rows = rows.with_columns(
        cluster=pl.lit(""),
        line=pl.lit("function"),
        used_nano=pl.col("functions_nano"),
        **nothing_but("functions_nano", "used_nano"),
    )
    return rows.select(list(LINE_SCHEMA)), (unlisted, silent)


def _uncosted(requests: pl.DataFrame, lines: pl.DataFrame) -> tuple[str, ...]:
    """What is asked and bears nothing but a volume, by name: nobody measured what it runs on."""
    asked = requests.filter(pl.col("requests") > 0).unique("workload_id")
    without = asked.join(lines.filter(pl.col("line") != "volume"), on="workload_id", how="anti")
    return tuple(without["workload_name"].sort())


def _all(names: Iterable[frozenset[str]]) -> tuple[str, ...]:
    return tuple(sorted(frozenset().union(*names)))


def _coverage(spans: Sequence[pl.DataFrame]) -> tuple[int, int, datetime | None]:
    """Node-seconds known from samples, node-seconds between each node's first and last, and when the first
    began.
    """
    whole = pl.concat([pl.DataFrame(schema=SPAN_SCHEMA), *spans])
    if whole.is_empty():
        return 0, 0, None
    by_node = whole.group_by("node_id").agg(
        covered=pl.col("seconds").sum(),
        present=(pl.col("end").max() - pl.col("begin").min()).dt.total_seconds(),
    )
    first = whole["begin"].min()
    return (
        int(by_node["covered"].sum()),
        int(by_node["present"].sum()),
        first if isinstance(first, datetime) else None,
    )
