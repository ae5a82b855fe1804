"""A first estimate of what scale-to-zero would free, for silent and long-tail workloads. Pure functions.

From the gaps that were really there and one keep-alive; every row is labelled a candidate that is not
proven. The trap: what is freed on a node is not yet money saved; that takes a node fewer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from typing import Any, Final

import polars as pl

from analytics.documents import Recommendation, Span
from analytics.idle import LONG_TAIL, SILENT
from analytics.money import usd
from analytics.settings import AnalyticsSettings

KINDS: Final = ("Deployment", "ReplicaSet", "Service")
"""Functions scale already; StatefulSets keep data, and what sleeping does to it is not looked at yet."""
WEEK_S: Final = 7 * 86_400
GOOD_COVERAGE: Final = 0.95


def recommendations(
    found: pl.DataFrame,
    coverage: float | None,
    settings: AnalyticsSettings,
    rate: Decimal,
) -> tuple[Recommendation, ...]:
    """Candidates, the largest saving first. `found` as `idle.with_gaps` returns it."""
    evidence_h = pl.col("span_s") / 3600
    chosen = found.filter(
        pl.col("verdict").is_in([SILENT, LONG_TAIL])
        & pl.col("workload_kind").is_in(KINDS)
        & (pl.col("total_nano") > 0)
        & (evidence_h >= settings.least_evidence_h)
        & (pl.col("cpu_samples").is_not_null() | (pl.col("window_requests") > 0))
    )
    # Costs are of the time they were paid for; the estimate is of the evidence. Both are put to a week.
    paid_s = (pl.col("paid_until") - pl.col("paid_from")).dt.total_seconds()
    weekly = chosen.with_columns(
        asleep=1 - (pl.col("awake_s") / pl.col("span_s")).clip(0.0, 1.0), costs_weekly=WEEK_S / paid_s
    ).with_columns(
        freed_weekly=(pl.col("application_nano") * pl.col("costs_weekly") * pl.col("asleep"))
        .round()
        .cast(pl.Int64),
        sidecars_weekly=(pl.col("sidecars_nano") * pl.col("costs_weekly") * pl.col("asleep"))
        .round()
        .cast(pl.Int64),
        total_weekly=(pl.col("total_nano") * pl.col("costs_weekly")).round().cast(pl.Int64),
    )
    rows = weekly.filter(pl.col("freed_weekly") > 0).sort(
        "freed_weekly", "workload_name", descending=[True, False]
    )
    return tuple(_row(row, coverage, settings, rate) for row in rows.iter_rows(named=True))


def stable_id(action: str, cluster: str, environment: str, namespace: str, kind: str, name: str) -> str:
    """The same for the same advice on the same workload, in every answer."""
    text = f"{action}\n{cluster}\n{environment}\n{namespace}\n{kind}\n{name}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _row(
    row: dict[str, Any], coverage: float | None, settings: AnalyticsSettings, rate: Decimal
) -> Recommendation:
    in_cluster = row["workload_kind"] != "Service"
    to_week = WEEK_S / row["span_s"]
    doubts = tuple(_doubts(row, coverage, settings))
    return Recommendation(
        id=stable_id(
            "scale-to-zero", row["cluster"], "" if in_cluster else row["environment"], row["namespace"],
            row["workload_kind"], row["workload_name"],
        ),
        name=row["workload_name"],
        kind=row["workload_kind"],
        namespace=row["namespace"],
        cluster=row["cluster"],
        environment=row["environment"],
        application=row["application"],
        team=row["team"],
        action="scale-to-zero",
        status="candidate, not proven",
        verdict=row["verdict"],
        cost_per_week=usd(row["total_weekly"]) * rate,
        freed_per_week=usd(row["freed_weekly"]) * rate,
        sidecars_freed_per_week=usd(row["sidecars_weekly"]) * rate,
        awake_share=1 - row["asleep"],
        cold_starts_per_week=row["cold_starts"] * to_week,
        requests_per_week=row["requests"] * to_week,
        keep_alive_s=settings.keep_alive_s,
        evidence=Span(start=row["begin"], end=row["end"]),
        evidence_requests=row["starts"],
        evidence_hours=row["span_s"] / 3600,
        synchronous=row["waited_for"],
        sampled_before=row["sampled_until"],
        confidence="low" if doubts else "medium",
        reasons=(*doubts, *_remarks(row)),
    )  # fmt: skip


def _doubts(row: dict[str, Any], coverage: float | None, settings: AnalyticsSettings) -> Iterator[str]:
    """What makes the confidence low. Without any it is medium, which is the best: nothing was replayed."""
    cold_starts = row["cold_starts"] * WEEK_S / row["span_s"]
    if row["waited_for"] and cold_starts > settings.bearable_cold_starts_per_week:
        yield (
            f"callers wait for it, and would for {cold_starts:,.0f} cold starts a week, more than "
            f"{settings.bearable_cold_starts_per_week:g}"
        )
    if row["sampled_until"] is not None and row["span_s"] < WEEK_S:
        until = row["sampled_until"].astimezone(UTC)
        yield f"sampled before {until:%Y-%m-%d %H:%M} UTC: only the time after it is used"
    if row["span_s"] < WEEK_S:
        yield f"{row['span_s'] / 3600:.0f} h of evidence, less than a week"
    if coverage is None:
        yield "no usage samples of nodes"
    elif coverage < GOOD_COVERAGE:
        yield f"usage samples cover {coverage:.0%} of the nodes' time"
    if row["workload_kind"] == "Service":
        yield "a machine of its own: the money is freed only by moving off it"


def _remarks(row: dict[str, Any]) -> Iterator[str]:
    """What to know of it besides."""
    if row["sampled_until"] is not None and row["span_s"] >= WEEK_S:
        until = row["sampled_until"].astimezone(UTC)
        yield f"sampled before {until:%Y-%m-%d %H:%M} UTC: only the time after it is used"
    if row["sidecars_nano"]:
        yield "its sidecar's reservation is free only if the whole pod goes"
    if row["verdict"] == SILENT and not row["has_service"]:
        yield "it has never sent a request or a trace; CPU and network speak for its silence"
    yield "how long it takes to start is not looked at yet"
    yield "a freed reservation saves money only once a node can go"
