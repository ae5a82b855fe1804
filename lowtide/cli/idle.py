"""`lowtide idle`: which workloads are silent or long tail, and what they cost meanwhile. Registered by the
app.

The trap: only silent and long tail are verdicts of idleness; the other lines say why something that looks
idle is not called so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from analytics.window import DEFAULT_WINDOW
from lowtide.cli.cost import TenantOption, WindowOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import MISSING, Column, Output, Unit, render
from lowtide.units import duration

if TYPE_CHECKING:
    from datetime import datetime

    from analytics.answers import Basis
    from analytics.documents import IdleAnswer
    from ingest.store.engine import Session
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("idle")(idle)


def idle(
    ctx: typer.Context,
    window: WindowOption = DEFAULT_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show silent and long-tail workloads, with the witnesses: requests, CPU, network."""
    from analytics.answers import idle_answer
    from analytics.documents import IdleAnswer
    from lowtide.asking import TENANT, ask, tell

    def local(session: Session, basis: Basis, now: datetime) -> IdleAnswer:
        return idle_answer(session, basis, window=window, now=now, tenant=tenant or TENANT)

    run = invocation(ctx)
    settings = run.settings()
    answer = ask(run, settings, "/api/v1/idle", {"window": window, "tenant": tenant}, IdleAnswer, local)
    tell(run, settings, "Idle workloads", answer)
    print_idle(run, settings, answer, output)


def print_idle(
    run: Invocation, settings: Settings, answer: IdleAnswer, output: Output = Output.TABLE
) -> None:
    """Say the rule on stderr, and write the lines to stdout."""
    run.note(_rule(answer.thresholds))
    render(answer.rows, columns(answer.currency, output), output, zone=settings.time_zone)


def _rule(limits: dict[str, float]) -> str:
    return (
        f"Long tail: among those with the fewest requests, together at most "
        f"{limits['long_tail_request_share']:.0%} of all; silent in more than "
        f"{limits['long_tail_silent_minutes']:.0%} of the minutes in which its application is open; and "
        f"fewer than {limits['long_tail_requests_per_minute']:g} requests a minute then. A "
        f"verdict needs {limits['least_evidence_h']:g} h of evidence. Settings: analytics.*.\n\n"
    )


def _hours(value: object) -> str:
    return duration(float(value) * 3600) if isinstance(value, (int, float)) else MISSING


def columns(currency: str, output: Output) -> list[Column]:
    """The columns. Programs also get where each workload is, and every witness."""
    name, application = Column("name", "Workload"), Column("application", "Application")
    figures = [
        Column("verdict", "Verdict"),
        Column("requests", "Requests", Unit.NUMBER, places=0),
        Column("active_minutes_share", "Active minutes", Unit.SHARE),
        Column("longest_gap_s", "Longest gap", Unit.SECONDS),
        Column("last_request_at", "Last request", Unit.INSTANT),
        Column("cost", "Cost", Unit.MONEY, currency),
        Column("evidence_hours", "Evidence", Unit.NUMBER, show=_hours),
        Column("why", "Why"),
    ]
    where = [
        Column(key, key.replace("_", " ").capitalize())
        for key in ("kind", "namespace", "cluster", "environment", "service_namespace", "service", "team")
    ]
    if output is Output.TABLE:
        return [name, Column("namespace", "Namespace"), application, *figures]
    return [
        name,
        *where,
        application,
        *figures,
        Column("active_seconds_share", "Active seconds", Unit.SHARE),
        Column("cpu_cores", "CPU", Unit.NUMBER),
        Column("cpu_floor_cores", "CPU floor", Unit.NUMBER),
        Column("network_bytes_per_s", "Network", Unit.BYTES),
    ]
