"""`lowtide cost`: what everything cost, with idle capacity as a line of its own. Registered by the app.

The trap: the table rounds; JSON and CSV carry every digit, and only there do the lines visibly add up
exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from analytics.grouping import By
from analytics.window import DEFAULT_WINDOW
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from datetime import datetime

    from analytics.answers import Basis
    from analytics.documents import CostAnswer
    from ingest.store.engine import Session


def _window(given: str) -> str:
    """The option's text if it is a window: a wrong one is wrong usage, whoever would answer."""
    from datetime import UTC, datetime

    from analytics.errors import WindowError
    from analytics.window import parse_window

    try:
        parse_window(given, datetime.now(UTC))
    except WindowError as error:
        raise typer.BadParameter(str(error)) from error
    return given


WindowOption = Annotated[
    str,
    typer.Option(
        "--window",
        "-w",
        help="7d, 24h, 4w, or START/END as ISO 8601 times with offset. Its start is moved back to a full "
        "hour; the answer says the exact span.",
        callback=_window,
    ),
]


def _tenant(given: str | None) -> str | None:
    from lowtide.tokens.token import TENANT_FORM

    if given is not None and not TENANT_FORM.fullmatch(given):
        raise typer.BadParameter(
            "a tenant is letters, digits, . _ and -, 63 at most, the first a letter or digit"
        )
    return given


TenantOption = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        metavar="TENANT",
        help="Whose; default: `default`, whose rows came in without a token.",
        callback=_tenant,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cost")(cost)


def cost(
    ctx: typer.Context,
    by: Annotated[By, typer.Option(help="What the lines are.")] = By.APPLICATION,
    window: WindowOption = DEFAULT_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what every team, application or service costs. Lines add up to the nodes' cost to the last
    digit.
    """
    from analytics.answers import cost_answer
    from analytics.documents import CostAnswer
    from lowtide.asking import TENANT, ask, tell

    def local(session: Session, basis: Basis, now: datetime) -> CostAnswer:
        return cost_answer(session, basis, by=by, window=window, now=now, tenant=tenant or TENANT)

    run = invocation(ctx)
    settings = run.settings()
    asked = {"by": by.value, "window": window, "tenant": tenant}
    answer = ask(run, settings, "/api/v1/cost", asked, CostAnswer, local)
    tell(run, settings, f"Cost by {by.value}", answer)
    print_costs(answer, output)


def print_costs(answer: CostAnswer, output: Output = Output.TABLE) -> None:
    """Write the lines to stdout."""
    render(answer.rows, columns(By(answer.by), answer.currency, output), output)


def columns(by: By, currency: str, output: Output) -> list[Column]:
    """The columns. Programs also get the kind of each line, and the cost of a million requests."""

    def money(name: str, title: str) -> Column:
        return Column(name, title, Unit.MONEY, currency)

    shown = [
        Column("name", by.value.replace("-", " ").capitalize()),
        money("cpu", "CPU"),
        money("memory", "Memory"),
        money("sidecars", "Sidecars"),
        money("functions", "Functions"),
        money("storage", "Storage"),
        money("total", "Total"),
        Column("share", "Share", Unit.SHARE),
        money("unused", "Of it unused"),
        Column("requests", "Requests", Unit.NUMBER, places=0),
    ]
    if output is Output.TABLE:
        return shown
    more = [Column("line", "Line"), money("per_million_requests", "Per million requests")]
    if by is By.SERVICE:
        more += [
            Column("service_namespace", "Service namespace"),
            Column("service", "Service name"),
            Column("environments", "Environments"),
        ]
    return [*shown, *more]
