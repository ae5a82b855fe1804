"""`lowtide cold-starts`: how often instances start, and how long that takes. Registered by the app.

The trap: a step that nobody told is an empty cell, not a nought.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from analytics.window import DAY_WINDOW
from lowtide.cli.cost import TenantOption, WindowOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from analytics.cold_start_documents import ColdStartsAnswer

_STEPS = ("total", "schedule", "image_pull", "sidecar", "init", "restore", "first_run", "warm_run")
_FIGURES = ("count", "p50_ms", "p95_ms", "longest_ms")
_SHOWN = {
    "total_p50_ms": "p50 ms",
    "total_p95_ms": "p95 ms",
    "total_longest_ms": "Longest ms",
    "resolution_ms": "+/- ms",
    "schedule_p50_ms": "Schedule",
    "image_pull_p50_ms": "Pull",
    "sidecar_p50_ms": "Sidecar",
    "init_p50_ms": "Init",
    "restore_p50_ms": "Restore",
    "first_run_p50_ms": "First run",
    "warm_run_p50_ms": "Warm run",
}


def register(app: typer.Typer) -> None:
    """Add `lowtide cold-starts`."""
    app.command("cold-starts")(cold_starts)


def cold_starts(
    ctx: typer.Context,
    window: WindowOption = DAY_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how often functions and pods start, and how long each step of it takes: medians, in ms."""
    from analytics.cold_start_documents import ColdStartsAnswer
    from analytics.cold_starts import cold_starts_answer
    from lowtide.asking import ask_of_window

    answer = ask_of_window(
        invocation(ctx), "/api/v1/cold-starts", ColdStartsAnswer, cold_starts_answer,
        window=window, tenant=tenant, what="Cold starts",
    )  # fmt: skip
    render(_rows(answer, output), cold_start_columns(output), output)


def _rows(answer: ColdStartsAnswer, output: Output) -> Iterator[dict[str, object]]:
    for row in answer.rows:
        flat: dict[str, object] = row.model_dump()
        if output is Output.TABLE and row.kind == "initialization":
            flat["kind"] = f"init: {row.initialization or 'ahead of runs'}"
        for step in _STEPS:
            took = getattr(row, step)
            flat |= {f"{step}_{figure}": took and getattr(took, figure) for figure in _FIGURES}
        yield flat


def cold_start_columns(output: Output) -> list[Column]:
    """The columns. Programs get every figure of every step, and where the workload is."""
    figures = [
        Column("starts", "Starts", Unit.NUMBER, places=0),
        Column("from_zero", "From zero", Unit.NUMBER, places=0),
        Column("failed", "Failed", Unit.NUMBER, places=0),
        Column("runs", "Runs", Unit.NUMBER, places=0),
        Column("share", "Cold", Unit.SHARE),
    ]
    names = [Column("name", "Name"), Column("namespace", "Namespace"), Column("kind", "Kind")]
    if output is Output.TABLE:
        steps = [Column(name, title, Unit.NUMBER, places=0) for name, title in _SHOWN.items()]
        return [*names, *figures, *steps]
    more = (
        "initialization",
        "workload_kind",
        "cluster",
        "environment",
        "service_namespace",
        "service",
        "told_by",
    )
    return [
        *names,
        *(Column(name, name.replace("_", " ").capitalize()) for name in more),
        *figures,
        Column("resolution_ms", "Resolution ms", Unit.NUMBER),
        *(
            Column(f"{step}_{name}", f"{step} {name}".replace("_", " ").capitalize(), Unit.NUMBER)
            for step in _STEPS
            for name in _FIGURES
        ),
    ]
