"""`lowtide recommend`: what could sleep, with a first estimate from the real gaps. Registered by the app.

The trap: everything here is a candidate; the table says so in every line, since lines are copied out of
tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from analytics.window import DEFAULT_WINDOW
from lowtide.cli.cost import TenantOption, WindowOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import MISSING, Column, Output, Unit, render
from lowtide.units import money

if TYPE_CHECKING:
    from datetime import datetime

    from analytics.answers import Basis
    from analytics.documents import RecommendAnswer
    from ingest.store.engine import Session
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("recommend")(recommend)


def recommend(
    ctx: typer.Context,
    window: WindowOption = DEFAULT_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what could scale to zero, and what that would free. Candidates, not proven by a replay yet."""
    from analytics.answers import recommend_answer
    from analytics.documents import RecommendAnswer
    from lowtide.asking import TENANT, ask, tell

    def local(session: Session, basis: Basis, now: datetime) -> RecommendAnswer:
        return recommend_answer(session, basis, window=window, now=now, tenant=tenant or TENANT)

    run = invocation(ctx)
    settings = run.settings()
    answer = ask(
        run, settings, "/api/v1/recommendations", {"window": window, "tenant": tenant}, RecommendAnswer, local
    )
    tell(run, settings, "First scale-to-zero estimates", answer)
    print_recommendations(run, settings, answer, output)


def print_recommendations(
    run: Invocation, settings: Settings, answer: RecommendAnswer, output: Output = Output.TABLE
) -> None:
    """Say on stderr what the figures mean and what holds for all of them, and write the lines to stdout."""
    run.note(
        f"Asleep {settings.analytics.keep_alive_s:g} s after the last request; freed is what is reserved "
        f"meanwhile, without sidecars. It becomes a saving once a node can go."
    )
    if answer.common_reasons:
        run.note(f"Of every line: {_sentence(answer.common_reasons)}.")
    run.note(_sum(answer, settings.analytics.least_evidence_h) + "\n\n")
    render(_rows(answer, output), columns(answer.currency, output), output, zone=settings.time_zone)


def _sum(answer: RecommendAnswer, least_evidence_h: float) -> str:
    """All candidates in a sentence, by confidence; without any, why there is none."""
    if not answer.rows:
        return (
            f"No workload could sleep with a saving, or none has {least_evidence_h:g} h of unsampled "
            f"requests (analytics.least_evidence_h) within the window."
        )
    parts = [
        f"{freed.count} of {freed.confidence} confidence free {money(freed.freed_per_week)}"
        for freed in answer.freed
    ]
    candidates = "1 candidate" if len(answer.rows) == 1 else f"{len(answer.rows)} candidates"
    return f"{candidates}: {', '.join(parts)} {answer.currency} a week."


def _rows(answer: RecommendAnswer, output: Output) -> Iterator[dict[str, object]]:
    """The lines; what holds for all of them is in each only where a program reads it."""
    said = answer.common_reasons if output is Output.TABLE else ()
    for one in answer.rows:
        row = one.model_dump()
        row["reasons"] = tuple(reason for reason in one.reasons if reason not in said)
        yield {**row, "evidence_start": one.evidence.start, "evidence_end": one.evidence.end}


def _sentence(reasons: object) -> str:
    return "; ".join(map(str, reasons)) if isinstance(reasons, tuple) and reasons else MISSING


def columns(currency: str, output: Output) -> list[Column]:
    """The columns. Programs also get the evidence and the reasons."""

    def money(name: str, title: str) -> Column:
        return Column(name, title, Unit.MONEY, currency)

    shown = [
        Column("id", "Id"),
        Column("name", "Workload"),
        Column("namespace", "Namespace"),
        Column("verdict", "Verdict"),
        money("cost_per_week", "Cost/week"),
        money("freed_per_week", "Freed/week"),
        money("sidecars_freed_per_week", "Sidecars"),
        Column("awake_share", "Awake", Unit.SHARE),
        Column("cold_starts_per_week", "Cold starts/week", Unit.NUMBER, places=0),
        Column("confidence", "Confidence"),
    ]
    status = Column("status", "Status")
    if output is Output.TABLE:
        return [*shown, status, Column("reasons", "Because", show=_sentence)]
    more = [
        Column(key, key.replace("_", " ").capitalize())
        for key in ("action", "kind", "cluster", "environment", "application", "team", "reasons")
    ]
    return [
        *shown,
        status,
        *more,
        Column("requests_per_week", "Requests/week", Unit.NUMBER),
        Column("keep_alive_s", "Keep-alive", Unit.SECONDS),
        Column("evidence_start", "Evidence from", Unit.INSTANT),
        Column("evidence_end", "Evidence to", Unit.INSTANT),
        Column("evidence_requests", "Evidence requests", Unit.NUMBER),
        Column("synchronous", "Callers wait"),
        Column("sampled_before", "Sampled before", Unit.INSTANT),
    ]
