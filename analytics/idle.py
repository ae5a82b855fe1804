"""Says which workloads are silent or long tail, and which only look so. Pure functions.

Nothing is called idle on one witness: requests, CPU above the workload's own floor, and network must agree.
The trap: without request telemetry there is no telling whether a busy process is idle, so it is shown as
what it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

import polars as pl

from analytics import gaps
from analytics.activity import Activity, evidence_of, fixed_hours, open_hours, shares
from analytics.cost import PLATFORM, UNOWNED
from analytics.costing import CostLines
from analytics.documents import IdleRow, Span
from analytics.lines import COSTS
from analytics.money import usd
from analytics.settings import AnalyticsSettings
from analytics.window import Window

KINDS: Final = ("Deployment", "StatefulSet", "ReplicaSet", "Pod", "Function", "Service")
"""What answers requests and can stand idle. Jobs hold nothing while they do not run; DaemonSets serve their
node.
"""
GONE_AFTER: Final = timedelta(hours=2)
STANDBY: Final = "standby"
SILENT, LONG_TAIL = "silent", "long tail"
FIXED_HOURS, NO_TELEMETRY, WORKS = "fixed hours", "no telemetry", "works without requests"
TOO_EARLY: Final = "too early to say"
ORDER: Final = (SILENT, LONG_TAIL, FIXED_HOURS, STANDBY, NO_TELEMETRY, WORKS, TOO_EARLY)


def thresholds(settings: AnalyticsSettings) -> dict[str, float]:
    """The settings that decide, as they are shown beside the verdicts."""
    return {
        "long_tail_request_share": settings.long_tail_request_share,
        "long_tail_silent_minutes": settings.long_tail_silent_minutes,
        "long_tail_requests_per_minute": settings.long_tail_requests_per_minute,
        "open_hour_share": settings.open_hour_share,
        "idle_cpu_cores": settings.idle_cpu_cores,
        "idle_cpu_ratio": settings.idle_cpu_ratio,
        "idle_network_bytes_per_s": settings.idle_network_bytes_per_s,
        "least_evidence_h": settings.least_evidence_h,
    }


def judged(
    workloads: pl.DataFrame,
    owners: pl.DataFrame,
    costs: CostLines,
    activity: Activity,
    heard: Window,
    settings: AnalyticsSettings,
    zone: tzinfo,
) -> pl.DataFrame:
    """Every workload that could be idle, with its figures and a `verdict` (null: in use, or gone).

    `workloads` as `cost.identified` returns them, `heard` as `activity.heard_window`. Amounts are nano-USD of
    the window.
    """
    first_requests = activity.hours.group_by("workload_id").agg(pl.col("first_request_at").min())
    waited_for = activity.waited_for.with_columns(waited_for=pl.lit(value=True))
    seen = owners.select(
        "workload_id", "first_seen_at", "last_seen_at", has_service=pl.col("service_name") != ""
    )
    chosen = (
        workloads.filter(pl.col("workload_kind").is_in(KINDS) & ~pl.col("is_platform"))
        .join(seen, on="workload_id", how="left")
        .join(activity.witnesses, on="workload_id", how="left")
        .join(activity.traffic, on="workload_id", how="left")
        .join(costs.totals.paid, on="workload_id", how="left")
        .join(first_requests, on="workload_id", how="left")
        .join(waited_for, on="workload_id", how="left")
        .with_columns(
            pl.col("waited_for").fill_null(value=False),
            group=_group(),
            alive_since=pl.min_horizontal(
                "first_seen_at", "first_sample_at", "paid_from", "first_request_at"
            ),
        )
        .filter(~_gone(costs.totals.paid["paid_until"].max()))
    )
    bounded = evidence_of(chosen, activity.hours, heard)
    opened = open_hours(chosen, activity.hours, heard, zone, settings.open_hour_share)
    used = shares(bounded, activity.hours, opened)
    whole = activity.hours.group_by("workload_id").agg(window_requests=pl.col("requests").sum())
    return (
        used.join(whole, on="workload_id", how="left")
        .with_columns(pl.col("window_requests").fill_null(0.0))
        .join(_costs(costs), on="workload_id", how="left")
        .with_columns(pl.col("total_nano", "application_nano", "sidecars_nano").fill_null(0))
        .join(fixed_hours(bounded, activity.hours, zone), on="workload_id", how="left")
        .with_columns(network_bytes_per_s=pl.col("network_bytes") / pl.col("network_seconds"))
        .with_columns(in_tail=_in_tail(settings.long_tail_request_share), **_works(settings))
        .with_columns(verdict=_verdict(settings), least_evidence_h=pl.lit(settings.least_evidence_h))
    )


def with_gaps(found: pl.DataFrame, seconds: pl.DataFrame, keep_alive_s: float) -> pl.DataFrame:
    """The workloads with `span_s, awake_s, cold_starts, longest_gap_s`, see `gaps.sleep`."""
    return found.join(
        gaps.sleep(seconds, found.select("workload_id", "begin", "end"), keep_alive_s), on="workload_id"
    )


def idle_rows(found: pl.DataFrame, rate: Decimal) -> tuple[IdleRow, ...]:
    """The verdicts, silent first, the most expensive first among equals."""
    place = pl.col("verdict").replace_strict(list(ORDER), list(range(len(ORDER))), return_dtype=pl.Int8)
    rows = found.filter(pl.col("verdict").is_not_null()).sort(
        place, "total_nano", "workload_name", descending=[False, True, False]
    )
    return tuple(_row(row, rate) for row in rows.iter_rows(named=True))


def _gone(latest: object) -> pl.Expr:
    """Whether a workload in a cluster has had no pods for longer than samples may be late: it costs nothing
    now, whatever it was. `latest` is when anything last bore a cost.
    """
    if not isinstance(latest, datetime):
        return pl.lit(value=False)
    pods = pl.col("cpu_samples").is_not_null() & (pl.col("workload_kind") != "Service")
    return (pods & (pl.col("paid_until") < latest - GONE_AFTER)).fill_null(value=False)


def _group() -> pl.Expr:
    """Its application; what has none is looked at by itself."""
    alone = pl.col("application").is_in([UNOWNED, PLATFORM])
    return pl.when(alone).then(pl.col("workload_id").cast(pl.String)).otherwise("application")


def _costs(costs: CostLines) -> pl.DataFrame:
    amount = pl.sum_horizontal(*COSTS)
    sidecars = pl.when(pl.col("line") == "sidecar").then(amount).otherwise(0).sum()
    return (
        costs.lines.filter(pl.col("workload_id").is_not_null())
        .group_by("workload_id")
        .agg(total_nano=amount.sum(), sidecars_nano=sidecars, storage_nano=pl.col("storage_nano").sum())
        # A volume is paid for while nothing runs, too.
        .with_columns(
            application_nano=pl.col("total_nano") - pl.sum_horizontal("sidecars_nano", "storage_nano")
        )
    )


def _in_tail(share: float) -> pl.Expr:
    """Whether a workload is among those with the fewest requests that together carry at most `share` of
    them.
    """
    carried = pl.col("window_requests").sort_by("window_requests", "workload_id").cum_sum()
    # Back into the order of the rows: the n-th smallest stands where its rank says.
    place = pl.struct("window_requests", "workload_id").rank("ordinal").cast(pl.Int64) - 1
    return carried.gather(place) <= pl.col("window_requests").sum() * share


def _works(settings: AnalyticsSettings) -> dict[str, pl.Expr]:
    above = pl.col("cpu_high_cores") - pl.col("cpu_floor_cores")
    risen = (above > settings.idle_cpu_cores) & (
        pl.col("cpu_high_cores") > pl.col("cpu_floor_cores") * settings.idle_cpu_ratio
    )
    # An even load has no floor to be seen above; a process that waits does not burn this much for nothing.
    cpu = risen | (pl.col("cpu_mean_cores") > settings.idle_cpu_cores)
    network = pl.col("network_bytes_per_s") > settings.idle_network_bytes_per_s
    return {"cpu_works": cpu.fill_null(value=False), "network_works": network.fill_null(value=False)}


def _verdict(settings: AnalyticsSettings) -> pl.Expr:
    asked = pl.col("window_requests") > 0
    works = pl.col("cpu_works") | pl.col("network_works")
    tail = (
        pl.col("in_tail")
        & (pl.col("open_silent_share") > settings.long_tail_silent_minutes)
        & (pl.col("open_requests_per_minute") < settings.long_tail_requests_per_minute)
    )
    in_use = asked & ~tail.fill_null(value=False)
    early = (pl.col("end") - pl.col("begin")).dt.total_seconds() < settings.least_evidence_h * 3600
    return (
        pl.when(pl.col("role") == STANDBY)
        .then(pl.lit(STANDBY))
        .when(early & ~in_use)
        .then(pl.lit(TOO_EARLY))
        .when(asked & tail & pl.col("fixed_hours").is_not_null())
        .then(pl.lit(FIXED_HOURS))
        .when(asked & tail)
        .then(pl.lit(LONG_TAIL))
        .when(~asked & works & pl.col("has_service").fill_null(value=False))
        .then(pl.lit(WORKS))
        .when(~asked & works)
        .then(pl.lit(NO_TELEMETRY))
        .when(~asked)
        .then(pl.lit(SILENT))
    )


def _row(row: dict[str, Any], rate: Decimal) -> IdleRow:
    return IdleRow(
        name=row["workload_name"],
        kind=row["workload_kind"],
        namespace=row["namespace"],
        cluster=row["cluster"],
        environment=row["environment"],
        service_namespace=row["service_namespace"],
        service=row["service"],
        application=row["application"],
        team=row["team"],
        verdict=row["verdict"],
        why=why(row),
        evidence=Span(start=row["begin"], end=row["end"]),
        evidence_hours=_evidence_s(row) / 3600,
        requests=row["window_requests"],
        active_seconds_share=row["active_seconds_share"] or 0.0,
        active_minutes_share=row["active_minutes_share"] or 0.0,
        longest_gap_s=row["longest_gap_s"],
        last_request_at=row["last_request_at"],
        cost=usd(row["total_nano"]) * rate,
        cpu_cores=row["cpu_mean_cores"],
        cpu_floor_cores=row["cpu_floor_cores"],
        network_bytes_per_s=row["network_bytes_per_s"],
    )


def _evidence_s(row: dict[str, Any]) -> float:
    length: timedelta = row["end"] - row["begin"]
    return length.total_seconds()


def _length(seconds: float) -> str:
    """A length of time for a sentence, never rounded up."""
    return f"{int(seconds // 60)} min" if seconds < 3600 else f"{int(seconds // 3600)} h"


def _percent(share: float) -> str:
    """A share for a sentence; nearly all is not all."""
    return "over 99%" if 0.99 < share < 1 else f"{share:.0%}"


def why(row: dict[str, Any]) -> str:
    """The reason for a verdict, in a few words with its figures."""
    match row["verdict"]:
        case "standby":
            return "declared standby"
        case "long tail":
            return (
                f"silent in {_percent(row['open_silent_share'])} of its application's open minutes, "
                f"{row['open_requests_per_minute'] * 60:.3g} requests/h then"
            )
        case "too early to say":
            needed = f"less than {row['least_evidence_h']:g} h"
            sampled = "unsampled " if row["sampled_until"] is not None else ""
            return f"{_length(_evidence_s(row))} of {sampled}evidence, {needed}"
        case "fixed hours":
            return f"used in {row['fixed_hours']} fixed hours of the window, and hardly outside them"
        case "silent":
            witnesses = (
                "CPU and network at their floor"
                if row["cpu_samples"]
                else "no CPU or network metrics to confirm it"
            )
            never = "" if row["has_service"] else "; no telemetry of its own either"
            return f"no request; {witnesses}{never}"
        case _:
            active = [name for name, key in (("CPU", "cpu_works"), ("network", "network_works")) if row[key]]
            verb = "is" if len(active) == 1 else "are"
            return f"no request seen, but {' and '.join(active)} {verb} above the floor"
