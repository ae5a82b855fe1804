"""From samples to priced lines: who bears what, over a window. `analytics.answers` calls it day by day,
`analytics.cost` groups the lines, the others look them up.

Works on days of UTC, with a margin on both sides, so that memory stays bounded and an hour's result does
not depend on the window it is asked for in. The trap: a window may begin or end within an hour; then only
that part is priced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import polars as pl

from analytics import clock, functions
from analytics.cluster_costs import cluster_costs
from analytics.lines import (
    DEFAULT_PLAN,
    NO_MEMORY,
    NO_SIZE,
    DayCosts,
    by_hour,
    named,
    nothing_but,
    remarks,
)
from analytics.machine_costs import machine_costs
from analytics.prices import PriceBook
from analytics.pricing import sized
from analytics.samples import MOST, Samples, believed, placed, slots_of
from analytics.settings import AnalyticsSettings
from analytics.totals import Totals
from analytics.twins import merged
from analytics.volumes import volume_costs
from analytics.window import Window

SOURCES: Final = ("application", "function_telemetry", "function_log", "access_log", "proxy")
"""Who may tell of a workload's requests, the one who is believed first: its own spans, what a function's
platform reports (as events, as lines), its proxy's access log (of every request, and only of whole
milliseconds), its proxy's spans."""

FUNCTION: Final = "Function"
REPORTS: Final = ("function_telemetry", "function_log")
"""Those of them that are reports of a function's platform."""


@dataclass(frozen=True, slots=True)
class CostLines:
    """What a window cost, and what was asked of it: `requests` by workload (all kinds), `uncosted` are names
    of workloads that have requests and no line, `sampled` says whether some requests stand for several.
    """

    totals: Totals
    requests: pl.DataFrame
    uncosted: tuple[str, ...] = ()
    sampled: bool = False

    @property
    def lines(self) -> pl.DataFrame:
        """Who bears what (LINE_SCHEMA)."""
        return self.totals.lines

    @property
    def names(self) -> pl.DataFrame:
        """What each workload_id is called (NAME_SCHEMA)."""
        return self.totals.names

    @property
    def divided_nano(self) -> int:
        """What all lines add up to."""
        return self.totals.nodes_nano + self.totals.functions_nano + self.totals.volumes_nano


def cost_lines(parts: Iterable[Totals], requests: pl.DataFrame) -> CostLines:
    """What all days of a window cost together; `requests` by workload and hour. Pure."""
    totals = Totals.added([*parts, Totals(names=named([requests]))])
    return CostLines(
        totals=totals,
        requests=requests.group_by("workload_id").agg(pl.col("requests").sum(), pl.col("starts").sum()),
        uncosted=_uncosted(requests, totals.lines),
        sampled=bool((requests["requests"] > requests["starts"] + 1e-6).any()),
    )


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
    unpriced = remarks({NO_SIZE: silent["node"]})
    yield replace(costs, remarks=pl.concat([costs.remarks, unpriced]))


def _outside(nodes: pl.DataFrame, minutes: pl.DataFrame) -> pl.DataFrame:
    """The machines that say no cluster and run no containers of pods."""
    return nodes.filter(pl.col("cluster") == "").join(minutes, on="node_id", how="anti")


def _doubles(nodes: pl.DataFrame, hosts: pl.DataFrame) -> pl.DataFrame:
    """Nodes of clusters once more, from host metrics that do not say which of several clusters; they are paid
    for already.
    """
    return hosts.join(nodes.filter(pl.col("cluster") != ""), on="node", how="semi")


def function_costs(
    told: pl.DataFrame,
    reported: pl.DataFrame,
    owners: pl.DataFrame,
    settings: AnalyticsSettings,
    book: PriceBook,
    day: Window,
) -> DayCosts:
    """What a day's runs of functions cost. `told` are requests by workload, hour and source (`requests_1h`),
    `reported` the runs with what is billed for them, by hour and memory (`invocations_1h`); both may tell of
    other days, and the second has to of the hours after the day. Pure.

    An hour of which the platform reported runs is billed by what it said of them, any other by its requests;
    but what is known of requests from the same reports alone is billed when the runs were over.
    """
    known = owners.select("workload_id", "provider", "region", "platform", "architecture", "memory_bytes")
    within = (pl.col("hour") >= day.start) & (pl.col("hour") < day.end)
    reported = reported.filter((pl.col("hour") >= day.start) & (pl.col("hour") < day.end + clock.MARGIN))
    is_billed = pl.col("source").is_in(REPORTS) & pl.col("workload_id").is_in(
        reported["workload_id"].implode()
    )
    requests = requests_of(told.filter(within & (pl.col("workload_kind") == FUNCTION)))
    asked = requests.filter(~is_billed).join(reported, on=["workload_id", "hour"], how="anti")
    counted = asked.join(known.select("workload_id", "memory_bytes"), on="workload_id", how="left")
    columns = ("workload_id", "hour", "requests", "busy_s", "memory_bytes")
    hours = (
        pl.concat([counted.select(columns), reported.filter(within).select(columns)], how="vertical_relaxed")
        .join(known.drop("memory_bytes"), on="workload_id", how="left")
        .with_columns(
            pl.col("provider", "region", "platform", "architecture").fill_null(""),
            pl.when(pl.col("memory_bytes").is_between(0.0, MOST["memory_request"]))
            .then("memory_bytes")
            .otherwise(0.0),
            day=pl.col("hour").dt.date(),
        )
    )
    silent = hours.filter(pl.col("memory_bytes") <= 0)
    hours = hours.with_columns(
        memory_bytes=pl.when(pl.col("memory_bytes") > 0)
        .then("memory_bytes")
        .otherwise(pl.lit(float(settings.function_memory_bytes)))
    )
    lines = functions.function_lines(hours, functions.plans(hours, book))
    return DayCosts(
        lines=by_hour(
            lines.with_columns(
                node=pl.lit(""),
                cluster=pl.lit(""),
                line=pl.lit("function"),
                used_nano=pl.col("functions_nano"),
                **nothing_but("functions_nano", "used_nano"),
            )
        ),
        names=named([requests]),
        remarks=remarks(
            {
                DEFAULT_PLAN: map(str, lines.filter(~pl.col("listed"))["workload_id"].unique()),
                NO_MEMORY: map(str, silent["workload_id"].unique()),
            }
        ),
    )


def _uncosted(requests: pl.DataFrame, lines: pl.DataFrame) -> tuple[str, ...]:
    """What is asked and bears nothing but a volume, by name: nobody measured what it runs on."""
    asked = requests.filter(pl.col("requests") > 0).unique("workload_id")
    without = asked.join(lines.filter(pl.col("line") != "volume"), on="workload_id", how="anti")
    return tuple(without["workload_name"].sort())
