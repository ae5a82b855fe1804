"""`lowtide cost`: what everything cost, with idle capacity as a line of its own. Registered by the app.

The trap: the table rounds; JSON and CSV carry every digit, and only there do the lines visibly add up
exactly.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from analytics.grouping import MOST_OVERHEAD, OVERHEAD_PLACES, By, CostTerms, Split, Treatment
from analytics.window import DEFAULT_WINDOW
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render
from lowtide.units import money

if TYPE_CHECKING:
    from collections.abc import Collection
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


def _filter(given: str) -> str:
    """The option's text if it is a filter."""
    from analytics.errors import FilterError
    from analytics.filters.columns import matches
    from analytics.filters.grammar import parse

    try:
        matches(parse(given))
    except FilterError as error:
        raise typer.BadParameter(str(error)) from error
    return given


def _amount(given: str) -> str:
    try:
        found = Decimal(given)
    except ArithmeticError:
        found = Decimal(-1)
    if not (found.is_finite() and 0 <= found <= MOST_OVERHEAD and round(found, OVERHEAD_PLACES) == found):
        raise typer.BadParameter(
            f"{given!r} is no amount from 0 to {MOST_OVERHEAD:,} with nine decimals at most"
        )
    return given


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
    only: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="FILTER",
            callback=_filter,
            help='Of whom: namespace:"shop","pay" + team!:"web". Fields: cluster, namespace, kind, workload, '
            "service, team, application, environment, cost_centre, label[KEY], attribute[KEY].",
        ),
    ] = "",
    idle: Annotated[
        Treatment, typer.Option(help="Idle capacity: a line of its own, or a part of everybody's.")
    ] = Treatment.SEPARATE,
    system: Annotated[
        Treatment, typer.Option(help="The same of what nodes keep for themselves.")
    ] = Treatment.SEPARATE,
    shared: Annotated[
        str,
        typer.Option(
            metavar="FILTER", callback=_filter, help="Whose costs all others bear: a filter, as above."
        ),
    ] = "",
    split: Annotated[
        Split, typer.Option(help="How shared costs are divided: by what each line costs, or evenly.")
    ] = Split.WEIGHTED,
    overhead: Annotated[
        str,
        typer.Option(
            metavar="AMOUNT", callback=_amount, help="An amount an hour that is shared as well, for what is "
            "not in the costs.",
        ),
    ] = "0",
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:  # fmt: skip
    """Show what every team, application or service costs. Lines add up to the nodes' cost to the last
    digit.
    """
    from analytics.answers import cost_answer
    from analytics.documents import CostAnswer
    from lowtide.asking import TENANT, ask, tell

    terms = CostTerms(only, shared, split, idle, system, Decimal(overhead))

    def local(session: Session, basis: Basis, now: datetime) -> CostAnswer:
        return cost_answer(
            session, basis, by=by, window=window, now=now, tenant=tenant or TENANT, terms=terms
        )

    run = invocation(ctx)
    settings = run.settings()
    asked = {"by": by.value, "window": window, "tenant": tenant, **terms.told()}
    answer = ask(run, settings, "/api/v1/cost", asked, CostAnswer, local)
    tell(run, settings, f"Cost by {by.value}", answer)
    if answer.filter:
        run.note(f"Of {answer.filter}; filtered away: {money(answer.filtered_away)} {answer.currency}.\n")
    print_costs(answer, output)


def print_costs(answer: CostAnswer, output: Output = Output.TABLE) -> None:
    """Write the lines to stdout."""
    asked = {
        name
        for name, is_asked in (
            ("idle", answer.idle == Treatment.SHARED),
            ("system", answer.system == Treatment.SHARED),
            ("shared", bool(answer.shared or answer.overhead)),
        )
        if is_asked
    }
    render(answer.rows, columns(By(answer.by), answer.currency, output, asked), output)


def columns(by: By, currency: str, output: Output, asked: Collection[str] = ()) -> list[Column]:
    """The columns, `asked` of what was shared out. Programs get these always, and the kind of each line and
    the cost of a million requests too."""

    def amount(name: str, title: str) -> Column:
        return Column(name, title, Unit.MONEY, currency)

    shown = [
        Column("name", by.value.replace("-", " ").capitalize()),
        amount("cpu", "CPU"),
        amount("memory", "Memory"),
        amount("sidecars", "Sidecars"),
        amount("functions", "Functions"),
        amount("storage", "Storage"),
        *(
            amount(name, title)
            for name, title in (("idle", "Idle"), ("system", "System"), ("shared", "Shared"))
            if name in asked or output is not Output.TABLE
        ),
        amount("total", "Total"),
        Column("share", "Share", Unit.SHARE),
        amount("unused", "Of it unused"),
        Column("requests", "Requests", Unit.NUMBER, places=0),
    ]
    if output is Output.TABLE:
        return shown
    more = [Column("line", "Line"), amount("per_million_requests", "Per million requests")]
    if by is By.SERVICE:
        more += [
            Column("service_namespace", "Service namespace"),
            Column("service", "Service name"),
            Column("environments", "Environments"),
        ]
    return [*shown, *more]
