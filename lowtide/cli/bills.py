"""`lowtide bills`: which bills there are, and how they compare with what was computed. Registered by the app.

`lowtide import bill` takes them in. The trap: amounts of different currencies stand in different rows, and
are never added up.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import typer

from analytics.window import DEFAULT_WINDOW
from lowtide.cli.cost import TenantOption, WindowOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render
from lowtide.units import money

if TYPE_CHECKING:
    from datetime import datetime

    from analytics.answers import Basis
    from analytics.bill_documents import BillsAnswer, ReconciliationAnswer
    from ingest.store.engine import Session
    from lowtide.cli.invocation import Invocation


def register(app: typer.Typer) -> None:
    """Add `lowtide bills list` and `lowtide bills compare`."""
    group = typer.Typer(
        name="bills", help="List bills, and compare them with what was computed.", no_args_is_help=True
    )
    group.command("list")(list_bills)
    group.command("compare")(compare)
    app.add_typer(group)


def list_bills(ctx: typer.Context, tenant: TenantOption = None, output: OutputOption = Output.TABLE) -> None:
    """List what counts: by billing account, billing period and currency."""
    from analytics.answers import bills_answer
    from analytics.bill_documents import BillsAnswer
    from lowtide.asking import TENANT, ask

    def local(session: Session, _: Basis, __: datetime) -> BillsAnswer:
        return bills_answer(session, tenant=tenant or TENANT)

    run = invocation(ctx)
    settings = run.settings()
    answer = ask(run, settings, "/api/v1/bills", {"tenant": tenant}, BillsAnswer, local)
    columns = [
        Column("billing_account", "Billing account"),
        Column("period_start", "Period from", Unit.INSTANT),
        Column("period_end", "until", Unit.INSTANT),
        # Money of several currencies cannot share a column of money.
        Column("currency", "Currency"),
        Column("billed", "Billed", Unit.NUMBER, show=_amount),
        Column("effective", "Effective", Unit.NUMBER, show=_amount),
        Column("charges", "Charges", Unit.NUMBER),
        Column("imports", "Files", Unit.NUMBER),
        Column("last_import_at", "Imported", Unit.INSTANT),
    ]
    render(answer.rows, columns, output, zone=settings.time_zone)
    if not answer.rows:
        run.note("There are no bills yet; `lowtide import bill FILE` takes one in.")


def _amount(value: object) -> str:
    return money(Decimal(str(value)))


def compare(
    ctx: typer.Context,
    window: WindowOption = DEFAULT_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare usage on the bill with what was computed: matched, only in the bill, only here."""
    from analytics.answers import reconcile_answer
    from analytics.bill_documents import ReconciliationAnswer
    from lowtide.asking import TENANT, ask, tell

    def local(session: Session, basis: Basis, now: datetime) -> ReconciliationAnswer:
        return reconcile_answer(session, basis, window=window, now=now, tenant=tenant or TENANT)

    run = invocation(ctx)
    settings = run.settings()
    asked = {"window": window, "tenant": tenant}
    answer = ask(run, settings, "/api/v1/bills/reconciliation", asked, ReconciliationAnswer, local)
    tell(run, settings, "The bill and what was computed", answer)

    def amount(name: str, title: str) -> Column:
        return Column(name, title, Unit.MONEY, answer.currency)

    shown = [
        Column("status", "Status"),
        Column("name", "Name"),
        Column("service", "Service"),
        Column("instance_type", "Type"),
        amount("billed", "Billed"),
        amount("effective", "Effective"),
        amount("computed", "Computed"),
        amount("difference", "Difference"),
    ]
    more = [
        Column("kind", "Kind"),
        Column("cluster", "Cluster"),
        Column("resource_id", "Resource"),
        Column("provider", "Provider"),
    ]
    columns = shown if output is Output.TABLE else [*shown, *more, amount("list", "List")]
    render(answer.rows, columns, output)
    _tell_discounts(run, answer)


def _tell_discounts(run: Invocation, answer: ReconciliationAnswer) -> None:
    currency = answer.currency
    run.note(
        f"Effective cost of what both know: {money(answer.matched)} {currency}; only in the bill: "
        f"{money(answer.only_in_bill)} {currency}; computed only here: "
        f"{money(answer.only_in_lowtide)} {currency}."
    )
    for row in answer.instance_types:
        if row.factor is not None:
            run.note(f"  {row.instance_type}: {row.factor:.3f} of the list price ({row.resources} resources)")
