"""The answer on cold starts: functions', as their platform or their spans tell them, initializations of which
no run tells, starts of pods, with their steps, and wakes of workloads whose pods nobody tells.
`api.cold_starts` and the command call it.

The trap: that a pod started does not say that anybody waited for it. Where another pod of the workload was
there already, nobody had to; so those without another are counted apart, as far as scrapes can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

import polars as pl

from analytics.cold_start_documents import ColdStarts, ColdStartsAnswer, Took
from analytics.mesh import about
from analytics.queries import Session, read_range
from analytics.waking import WHO, wakes, without_pods
from analytics.window import Window, parse_window

SEEN_FOR: Final = timedelta(minutes=2)
"""How long a pod is taken to be there after a scrape told of it last."""
POD_STEPS: Final = ("total", "schedule", "image_pull", "sidecar", "init", "first_run")
FUNCTION_STEPS: Final = ("total", "init", "restore", "run", "warm")
_FIGURES: Final = (
    "from_zero", "initialization", "failed", "runs", "share", "total", "resolution_ms", "schedule",
    "image_pull", "sidecar", "init", "restore", "first_run", "warm_run",
)  # fmt: skip
JOBS: Final = ("Job", "CronJob")
_POD: Final = ("cluster", "namespace", "pod")
_OWNER: Final = ("workload_kind", "workload_name")
_WORKLOAD: Final = ("cluster", "namespace", "workload_kind", "workload_name")
_QUANTILES: Final = (0.5, 0.95, 1.0)


def cold_starts_answer(
    session: Session, zone: tzinfo, *, window: str, now: datetime, tenant: str
) -> ColdStartsAnswer:
    """Cold starts in the window. Raises WindowError, and what the session raises."""
    span = parse_window(window, now)
    functions, made = (
        read_range(session, query, tenant, span.start, span.end) for query in ("cold_runs", "initializations")
    )
    told, containers = (
        read_range(session, query, tenant, span.start, span.end) for query in ("starts_of_pods", "containers")
    )
    pods = pod_starts(waited_for(told, containers), span)
    minutes = read_range(session, "replicas", tenant, span.start, span.end)
    woken = by_workload(without_pods(wakes(minutes, span), pods))
    rows = [
        *map(_of_function, functions.to_dicts()),
        *map(_of_initializations, made.to_dicts()),
        *map(_of_pods, pods.to_dicts()),
        *map(_of_replicas, woken.to_dicts()),
    ]
    rows.sort(key=lambda row: (-row.starts, row.kind, row.cluster, row.namespace, row.name, row.service))
    return ColdStartsAnswer(**about(span, zone, _notes(rows)), rows=tuple(rows))


def waited_for(pods: pl.DataFrame, containers: pl.DataFrame) -> pl.DataFrame:
    """The pods but those of jobs, for which no request waits, under the workload that their containers'
    samples say, where there are any, and there as long as those: whoever tells when a pod was made may not
    say what made it, nor tell of it again. Frames as the queries starts_of_pods and containers return them.
    """
    known = containers.group_by(_POD).agg(pl.col(_OWNER).first(), pl.col("last_minute").max())
    closer = [pl.coalesce(f"{name}_known", name).alias(name) for name in _OWNER]
    return (
        pods.join(known, on=_POD, how="left", suffix="_known", maintain_order="left")
        .with_columns(*closer, seen_at=pl.max_horizontal("seen_at", "last_minute"))
        .filter(~pl.col("workload_kind").is_in(JOBS))
        .drop("last_minute", *(f"{name}_known" for name in _OWNER))
    )


def pod_starts(pods: pl.DataFrame, span: Window) -> pl.DataFrame:
    """By workload, of the pods made in the window: `starts, from_zero`, and `<step>_count` and `<step>_ms`
    (median, 95th of 100, longest) of POD_STEPS. `pods` as `waited_for` returns them.
    """
    made = with_others(pods).filter(pl.col("created_at").is_between(span.start, span.end, closed="left"))
    steps = [step for name in POD_STEPS for step in _step(name)]
    return made.group_by(_WORKLOAD).agg(*steps, starts=pl.len(), from_zero=(pl.col("others") == 0).sum())


def by_workload(woken: pl.DataFrame) -> pl.DataFrame:
    """By workload, of wakes (`analytics.waking.wakes`): `starts`, `total_count` and `total_ms` as of pods,
    and `resolution_ms`, how far any of them may be off."""
    return woken.group_by(WHO).agg(*_step("total"), pl.col("resolution_ms").max(), starts=pl.len())


def with_others(pods: pl.DataFrame) -> pl.DataFrame:
    """The pods with `others`: how many more of the workload were there when one was made. One that did not
    say when it was ready is taken to have been there from the first.

    How many came before, less how many had gone before: the two are counted by themselves, since comparing
    each pod with each other takes too long where there are many.
    """
    came = pl.coalesce("ready_at", "created_at")
    lived = pods.with_columns(came=came, gone=pl.max_horizontal(pl.col("seen_at") + SEEN_FOR, came))
    at = lived.with_row_index("row").select("row", *_WORKLOAD, "created_at").sort("created_at")
    for name, is_open in (("came", True), ("gone", False)):
        counted = (
            lived.select(*_WORKLOAD, moment=name)
            .sort("moment")
            .with_columns(pl.int_range(1, pl.len() + 1).over(_WORKLOAD).alias(f"have_{name}"))
        )
        at = at.join_asof(
            counted, left_on="created_at", right_on="moment", by=list(_WORKLOAD),
            allow_exact_matches=is_open, check_sortedness=False,
        ).drop("moment")  # fmt: skip
    there = pl.col("have_came").fill_null(0) - pl.col("have_gone").fill_null(0)
    itself = (pl.col("came") <= pl.col("created_at")).cast(pl.Int64)
    return (
        lived.with_row_index("row")
        .join(at.select("row", there=there), on="row", maintain_order="left")
        .with_columns(others=pl.col("there") - itself)
        .drop("row", "there", "came", "gone")
    )


def _step(name: str) -> Iterator[pl.Expr]:
    column = pl.col(f"{name}_ms")
    yield column.count().alias(f"{name}_count")
    yield pl.concat_list(
        column.quantile(share, "higher") for share in _QUANTILES
    ).alias(f"{name}_ms")  # fmt: skip


def _took(row: Mapping[str, Any], step: str) -> Took | None:
    count = row[f"{step}_count"]
    if not count:
        return None
    median, most, longest = row[f"{step}_ms"]
    return Took(count=count, p50_ms=median, p95_ms=most, longest_ms=longest)


def _row(row: Mapping[str, Any], kind: str, told_by: Sequence[str], **told: object) -> ColdStarts:
    """Who it is, and what was told; the rest is null."""
    who = {name: row.get(name, "") for name in ("cluster", "environment", "namespace", "workload_kind")}
    other = {"name": row["workload_name"], "service_namespace": row.get("service_namespace", "")}
    where: dict[str, Any] = {**who, **other, "service": row.get("service", row.get("service_name", ""))}
    figures: dict[str, Any] = {**dict.fromkeys(_FIGURES), **told}
    return ColdStarts(kind=kind, **where, starts=row["starts"], told_by=tuple(told_by), **figures)


def _of_function(row: Mapping[str, Any]) -> ColdStarts:
    total, init, restore, run, warm = (_took(row, step) for step in FUNCTION_STEPS)
    return _row(
        row, "function", row["sources"], runs=row["runs"], share=row["starts"] / row["runs"], total=total,
        init=init, restore=restore, first_run=run, warm_run=warm,
    )  # fmt: skip


def _of_initializations(row: Mapping[str, Any]) -> ColdStarts:
    return _row(
        row, "initialization", (row["source"],), initialization=row["initialization"], failed=row["failed"],
        total=_took(row, "total"),
    )  # fmt: skip


def _of_pods(row: Mapping[str, Any]) -> ColdStarts:
    total, schedule, image_pull, sidecar, init, first = (_took(row, step) for step in POD_STEPS)
    return _row(
        row, "pod", ("kubernetes",), from_zero=row["from_zero"], total=total, schedule=schedule,
        image_pull=image_pull, sidecar=sidecar, init=init, first_run=first,
    )  # fmt: skip


def _of_replicas(row: Mapping[str, Any]) -> ColdStarts:
    return _row(
        row, "replicas", (row["teller"],), from_zero=row["starts"], total=_took(row, "total"),
        resolution_ms=row["resolution_ms"],
    )  # fmt: skip


def _notes(rows: Sequence[ColdStarts]) -> Iterator[str]:
    silent = _without_total(row for row in rows if row.kind == "function")
    if silent:
        yield (
            f"Cold starts of functions of which nobody told how long they took: {silent:,}. Spans say "
            "faas.coldstart, the platform's reports say the time as well."
        )
    silent = _without_total(row for row in rows if row.kind == "pod")
    if silent:
        yield (
            f"Starts of pods of which nobody told how long they took: {silent:,}. kube-state-metrics tells "
            "it from 2.8 on, of pods whose containers have not started again."
        )
    silent = _without_total(row for row in rows if row.kind == "replicas")
    if silent:
        yield (
            f"Wakes of workloads of which it is not known how long they took: {silent:,}. What is wanted and "
            "there has to be told every few minutes, and one to become available before none is wanted again."
        )


def _without_total(rows: Iterable[ColdStarts]) -> int:
    return sum(row.starts - (row.total.count if row.total else 0) for row in rows)
