"""How long workloads took from none to the first replica, by minutes. Pure functions.

The trap: a minute says what was wanted at most within it, so a wake can be a minute or two shorter or longer
than the minutes between; each is given with how far it may be off. Where telemetry paused, nothing is known.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from analytics.window import Window

CLEAR_WITHIN: Final = timedelta(minutes=10)
"""A wake that may be off by more than this says nothing of how long it took."""
WHO: Final = ("teller", "cluster", "namespace", "workload_kind", "workload_name", "service")
_MINUTE: Final = timedelta(minutes=1)


def wakes(minutes: pl.DataFrame, span: Window) -> pl.DataFrame:
    """A row for each time in the window at which a workload of which none was wanted was wanted: the columns
    WHO, `asked_at` (a minute), `total_ms` until the first was available and `resolution_ms`, how far that may
    be off. Both are null if none was before it slept again, if one was still there from before, or if nobody
    told what was wanted or there for too long. `minutes` as the query replicas returns them.
    """
    slept = pl.col("desired") == 0
    told = minutes.sort(*WHO, "minute").with_columns(
        slept=slept,
        before=pl.col("minute").shift(1).over(WHO),
        left=pl.col("available").shift(1).over(WHO) > 0,
        woke=~slept & slept.shift(1).over(WHO).fill_null(value=False),
    )
    runs = told.with_columns(run=pl.col("woke").cum_sum().over(WHO)).filter(
        pl.col("run") > 0, ~pl.col("slept")
    )
    there = pl.col("available") > 0
    found = runs.group_by(*WHO, "run", maintain_order=True).agg(
        pl.col("left").first(),
        asked_at=pl.col("minute").first(),
        asked_for=(pl.col("minute") - pl.col("before")).first(),
        there_at=pl.col("minute").filter(there).first(),
        there_for=(pl.col("minute") - pl.col("before")).filter(there).first(),
    )
    off = pl.max_horizontal("asked_for", "there_for") + _MINUTE
    clear = pl.col("there_at").is_not_null() & ~pl.col("left") & (off <= CLEAR_WITHIN)
    return found.filter(pl.col("asked_at").is_between(span.start, span.end, closed="left")).select(
        *WHO,
        "asked_at",
        total_ms=_ms(pl.when(clear).then(pl.col("there_at") - pl.col("asked_at"))),
        resolution_ms=_ms(pl.when(clear).then(off)),
    )


def without_pods(woken: pl.DataFrame, pods: pl.DataFrame) -> pl.DataFrame:
    """The wakes of workloads of which no pod in `pods` (a row a workload) tells more exactly. The Deployment
    of a revision of Knative is called after it."""
    knative = pl.col("workload_kind") == "Revision"
    name = pl.col("workload_name")
    known = pods.select("cluster", "namespace", known_kind="workload_kind", known_name="workload_name")
    return (
        woken.with_columns(
            known_kind=pl.when(knative).then(pl.lit("Deployment")).otherwise("workload_kind"),
            known_name=pl.when(knative).then(name + "-deployment").otherwise(name),
        )
        .join(known, on=["cluster", "namespace", "known_kind", "known_name"], how="anti")
        .drop("known_kind", "known_name")
    )  # fmt: skip


def _ms(took: pl.Expr) -> pl.Expr:
    return took.dt.total_milliseconds().cast(pl.Float64)
