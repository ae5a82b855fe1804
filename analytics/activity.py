"""How much a workload is used: requests, active seconds and minutes, open hours, and what other witnesses
say.

The figures come from the store by workload and hour; the functions from frames to frames below make shares
of them. The trap: sampled requests show only some of the seconds in which a workload was used. Such a
workload is judged by the time after the last sampled request only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Final

import polars as pl

from analytics.costing import SOURCES, requests_of
from analytics.queries import Session, read, read_range
from analytics.settings import AnalyticsSettings
from analytics.window import Window

TOLERANCE: Final = 1e-6
"""Weights have six decimals."""
HOUR: Final = timedelta(hours=1)
HABIT: Final = timedelta(days=3)
FRIDAY: Final = 5
NEARLY_ALL: Final = 0.95
MOST: Final = 0.6


@dataclass(frozen=True, slots=True)
class Activity:
    """What was seen of everything in a window: requests by workload and hour, and the other witnesses by
    workload. `waited_for` holds the `workload_id` of those whose callers wait for an answer, `told` the
    requests as each source tells them.
    """

    hours: pl.DataFrame
    witnesses: pl.DataFrame
    traffic: pl.DataFrame
    waited_for: pl.DataFrame
    told: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def first_at(self) -> datetime | None:
        """When the first request began."""
        first = self.hours["first_request_at"].min()
        return first if isinstance(first, datetime) else None


def activity_of(
    session: Session,
    window: Window,
    settings: AnalyticsSettings,
    tenant: str,
    *,
    witnesses: bool = True,
) -> Activity:
    """Read the window's activity. Raises what the session raises.

    Costs alone need no witnesses; without them, those frames have no columns.
    """
    told = read_range(session, "requests_1h", tenant, window.start, window.end)
    hours = requests_of(told)
    if not witnesses:
        return Activity(hours, pl.DataFrame(), pl.DataFrame(), pl.DataFrame(), told)
    return Activity(
        hours=hours,
        witnesses=read(
            session,
            "witnesses",
            tenant,
            start=window.start,
            end=window.end,
            sidecars=settings.sidecar_containers,
        ),
        traffic=read_range(session, "pod_traffic", tenant, window.start, window.end),
        waited_for=read_range(session, "waited_for", tenant, window.start, window.end),
        told=told,
    )


def quiet_seconds(session: Session, chosen: pl.DataFrame, window: Window, tenant: str) -> pl.DataFrame:
    """The single seconds of the chosen workloads (`workload_id, source`), from the midnight before the
    window on.
    """
    midnight = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    frames = [
        read(
            session,
            "activity_seconds",
            tenant,
            start=midnight,
            end=window.end,
            source=source,
            workload_ids=chosen.filter(pl.col("source") == source)["workload_id"].to_list(),
        )
        for source in SOURCES
    ]
    return pl.concat(frames)


def heard_window(owners: pl.DataFrame, window: Window, *firsts: datetime | None) -> Window:
    """The part of the window in which anything was heard at all, to the second.

    Where all telemetry stopped earlier, or began later, silence says nothing about the workloads. `firsts`
    are the oldest sample and request known: a workload is registered with the newest of what its first
    export held, so history that arrives at once is older than that.
    """
    seen, last = owners["first_seen_at"].min(), owners["last_seen_at"].max()
    first = min((at for at in (seen, *firsts) if isinstance(at, datetime)), default=window.start)
    start, end = window.start, window.end
    if window.start < first < window.end:
        start = first
    if isinstance(last, datetime) and start < last < window.end:
        end = last
    return Window(start, end)


def evidence_of(workloads: pl.DataFrame, hours: pl.DataFrame, window: Window) -> pl.DataFrame:
    """From when on each workload can be judged: `begin, end, sampled_until` beside its columns.

    From its first sign of life (`alive_since`), and if any of its requests are sampled, from the last hour
    on in which anybody's are: a sampled request that was not kept leaves no trace of when it was.
    """
    sampled = hours.filter(pl.col("requests") > pl.col("starts") + TOLERANCE)
    last = sampled["hour"].max()
    until = last + HOUR if isinstance(last, datetime) else None
    sampled_ids = (
        sampled.select("workload_id")
        .unique()
        .with_columns(sampled_until=pl.lit(until, pl.Datetime("us", "UTC")))
    )
    return (
        workloads.join(sampled_ids, on="workload_id", how="left")
        .with_columns(
            begin=pl.max_horizontal(pl.lit(window.start), "alive_since", "sampled_until"),
            end=pl.lit(window.end),
        )
        .with_columns(begin=pl.min_horizontal("begin", "end"))
    )


def open_hours(
    workloads: pl.DataFrame, hours: pl.DataFrame, window: Window, zone: tzinfo, share: float
) -> pl.DataFrame:
    """The hours of the window in which each application is open: `group, hour`.

    `workloads` says which `group` (application) a workload is in. Open are the hours of the week, in the
    zone, in which the group has at least `share` of the requests of its mean hour; one without requests is
    always open.
    """
    first = window.start.replace(minute=0, second=0, microsecond=0)
    all_hours = pl.DataFrame(
        {"hour": pl.datetime_range(first, window.end, "1h", closed="left", time_zone="UTC", eager=True)}
    ).with_columns(pl.col("hour").dt.cast_time_unit("us"))
    asked = (
        hours.join(workloads.select("workload_id", "group"), on="workload_id")
        .group_by("group", "hour")
        .agg(pl.col("requests").sum())
    )
    local = pl.col("hour").dt.convert_time_zone(str(zone))
    return (
        workloads.select("group")
        .unique()
        .join(all_hours, how="cross")
        .join(asked, on=["group", "hour"], how="left")
        .with_columns(pl.col("requests").fill_null(0.0), slot=local.dt.weekday() * 24 + local.dt.hour())
        .with_columns(
            usual=pl.col("requests").mean().over("group", "slot"),
            mean=pl.col("requests").mean().over("group"),
        )
        .filter(pl.col("usual") >= pl.col("mean") * share)
        .select("group", "hour")
    )


def fixed_hours(workloads: pl.DataFrame, hours: pl.DataFrame, zone: tzinfo) -> pl.DataFrame:
    """The workloads that are used at fixed hours only: `workload_id, fixed_hours` (hours of the evidence).

    An hour of the day, on working days or on weekends, is theirs if they are used in at least half of its
    days. At fixed hours is used what has requests in nearly all of these and nearly none outside, for less
    than most of the time. Less than three days tell no habit.
    """
    local = pl.col("hour").dt.convert_time_zone(str(zone))
    slot = [(local.dt.weekday() <= FRIDAY).alias("workday"), local.dt.hour().alias("of_day")]
    bounds = workloads.select("workload_id", "begin", "end").filter(pl.col("end") - pl.col("begin") >= HABIT)
    every = pl.datetime_ranges(pl.col("begin").dt.truncate("1h"), "end", "1h", closed="left")
    there = bounds.with_columns(hour=every).explode("hour").group_by("workload_id", *slot).agg(there=pl.len())
    mine = hours.join(bounds, on="workload_id").filter((_overlap_s() > 0) & (pl.col("starts") > 0))
    used = mine.group_by("workload_id", *slot).agg(used=pl.len(), asked=pl.col("requests").sum())
    cells = there.join(used, on=["workload_id", "workday", "of_day"], how="left").with_columns(
        pl.col("used").fill_null(0), pl.col("asked").fill_null(0.0)
    )
    theirs = pl.col("used") >= pl.col("there") * 0.5
    by_workload = cells.group_by("workload_id").agg(
        fixed_hours=pl.col("there").filter(theirs).sum(),
        used_in=pl.col("used").filter(theirs).sum(),
        asked_in=pl.col("asked").filter(theirs).sum(),
        asked=pl.col("asked").sum(),
        span=pl.col("there").sum(),
    )
    regular = (
        (pl.col("used_in") >= pl.col("fixed_hours") * NEARLY_ALL)
        & (pl.col("asked_in") >= pl.col("asked") * NEARLY_ALL)
        & (pl.col("fixed_hours") <= pl.col("span") * MOST)
        & (pl.col("fixed_hours") > 0)
    )
    return by_workload.filter(regular).select("workload_id", "fixed_hours")


def shares(workloads: pl.DataFrame, hours: pl.DataFrame, opened: pl.DataFrame) -> pl.DataFrame:
    """The workloads with their use within `begin` and `end`, and within the open hours of their group.

    Adds `requests, starts` (of the evidence), `active_seconds_share, active_minutes_share, last_request_at,
    open_minutes, open_silent_share, open_requests_per_minute`; None where there are no open minutes.
    """
    bounds = workloads.select("workload_id", "group", "begin", "end")
    mine = hours.join(bounds, on="workload_id").filter(_overlap_s() > 0)
    used = mine.group_by("workload_id").agg(
        pl.col("requests", "starts").sum(),
        pl.col("active_seconds", "active_minutes").sum(),
        pl.col("last_request_at").max(),
        source=pl.col("source").first(),
    )
    # Only hours with requests have a row, so time is counted from the hours of the group.
    minutes = (
        bounds.join(opened, on="group")
        .with_columns(minutes=_overlap_s() / 60)
        .filter(pl.col("minutes") > 0)
        .join(
            mine.select("workload_id", "hour", "active_minutes", "requests"),
            on=["workload_id", "hour"],
            how="left",
        )
        .group_by("workload_id")
        .agg(
            open_minutes=pl.col("minutes").sum(),
            open_active=pl.col("active_minutes").sum(),
            open_requests=pl.col("requests").sum(),
        )
    )
    span = (pl.col("end") - pl.col("begin")).dt.total_seconds()
    return (
        workloads.join(used, on="workload_id", how="left")
        .join(minutes, on="workload_id", how="left")
        .with_columns(pl.col("requests").fill_null(0.0), pl.col("starts").fill_null(0))
        .with_columns(
            active_seconds_share=_share(pl.col("active_seconds").fill_null(0), span),
            active_minutes_share=_share(pl.col("active_minutes").fill_null(0), span / 60),
            open_silent_share=1 - _share(pl.col("open_active"), pl.col("open_minutes")),
            open_requests_per_minute=pl.col("open_requests") / pl.col("open_minutes"),
        )
    )


def _overlap_s() -> pl.Expr:
    """Seconds of an `hour` that lie within `begin` and `end`."""
    inside = pl.min_horizontal(pl.col("hour").dt.offset_by("1h"), "end") - pl.max_horizontal("hour", "begin")
    return inside.dt.total_seconds()


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then((part / whole).clip(0.0, 1.0))
