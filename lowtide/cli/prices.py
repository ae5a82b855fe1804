"""`lowtide prices`: which prices hold and where each stands, and whether a file of one's own is right.
Registered by the app.

Both read files only, with or without a running server; a server reads its files when it starts, so one that
was changed since counts after its next start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from analytics.prices import Listing, PriceBook


def register(app: typer.Typer) -> None:
    """Add `lowtide prices show` and `lowtide prices check`."""
    group = typer.Typer(name="prices", help="Show and check the price book.", no_args_is_help=True)
    group.command("show")(show)
    group.command("check")(check)
    app.add_typer(group)


def show(
    ctx: typer.Context,
    node: Annotated[
        str | None, typer.Option("--node", metavar="TYPE", help="Only this machine type, e.g. m6i.xlarge.")
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option("--plan", metavar="NAME", help="Only this plan, e.g. aws_lambda, aws_fargate."),
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="Only this region, and any.")
    ] = None,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], metavar="DAY", help="Prices of that day; default: today."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the prices that hold on a day, with the file and line each comes from."""
    from analytics.price_files import load_price_book

    if node is not None and plan is not None:
        raise typer.BadParameter("a node has no plan; give one of --node and --plan")
    run = invocation(ctx)
    settings = run.settings()
    book = load_price_book(settings.analytics.price_book)
    day = on.date() if on is not None else datetime.now(settings.time_zone).date()
    found = [listing for listing in holding(book, day) if _is_meant(listing, node, plan, region)]
    if node is not None and not found:
        run.note(
            f"No list price of {node}{f' in {region}' if region else ''}: such a machine is priced by its "
            "vCPUs and GiB at the default rates, and the answer says estimated."
        )
        found = [listing for listing in holding(book, day) if _is_rate(listing)]
    if plan is not None and not found:
        run.note(f"No plan {plan}{f' in {region}' if region else ''}: functions on it stand at `default`.")
    render([row for listing in found for row in _rows(listing)], _columns(output), output)
    run.note(f"Prices of {day}, in US dollars, without tax and discounts.")


def holding(book: PriceBook, day: date) -> Iterator[Listing]:
    """What holds on a day: the winner of every thing, in the order of the book."""
    for key in dict.fromkeys(listing.entry.key for listing in book.listings):
        found = book.find(key, day)
        if found is not None:
            yield found


def check(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE...]", help="Price files, in their order; default: those of analytics.price_book."
        ),
    ] = None,
) -> None:
    """Check price files without using them: every problem, with file, line and field.

    Exit codes: 0 nothing is wrong, 1 something is.
    """
    from analytics.price_files import load_price_book

    run = invocation(ctx)
    files = files or list(run.settings().analytics.price_book)
    if not files:
        run.note("There is no price file in analytics.price_book; name the files to check.")
    book = load_price_book(files)
    for rank, path in enumerate(files, 1):
        own = [listing for listing in book.listings if listing.rank == rank]
        earlier = {listing.entry.key for listing in book.listings if listing.rank < rank}
        replaced = sum(listing.entry.key in earlier for listing in own)
        typer.echo(f"{path}: {len(own)} prices, {replaced} of them for things that have one already.")


def _is_meant(listing: Listing, node: str | None, plan: str | None, region: str | None) -> bool:
    from analytics.price_entries import Kind, Plan, PriceEntry

    entry = listing.entry
    if region is not None and entry.region not in (region, ""):
        return False
    match entry:
        case PriceEntry():
            return plan is None and (node is None or (entry.kind is Kind.MACHINE and entry.sku == node))
        case Plan():
            return node is None and (plan is None or entry.plan == plan)
        case _:
            return False


def _is_rate(listing: Listing) -> bool:
    from analytics.price_entries import Kind, PriceEntry

    entry = listing.entry
    return isinstance(entry, PriceEntry) and entry.kind is Kind.RATE and entry.provider == ""


def _rows(listing: Listing) -> Iterator[Mapping[str, object]]:
    """A row for each price; a plan has several."""
    from analytics.price_entries import Plan, PriceEntry

    entry = listing.entry
    common: dict[str, object] = {
        "provider": entry.provider or None,
        "region": entry.region or None,
        "effective_on": entry.effective_on if entry.effective_on.year > 1970 else None,
        "effective_until": entry.effective_until,
        "source": entry.source,
        "retrieved_on": entry.retrieved_on,
        "file": listing.file,
        "line": listing.line,
        "where": f"{listing.file}:{listing.line}",
        "above": None,
        "architecture": None,
        "spot": False,
        "vcpu": None,
        "memory_gib": None,
    }
    match entry:
        case PriceEntry():
            size = {"vcpu": entry.vcpu, "memory_gib": entry.memory_gib, "spot": entry.spot}
            yield {
                **common,
                **size,
                "kind": entry.kind.value,
                "name": entry.sku,
                "unit": entry.unit,
                "price": entry.price,
            }
        case Plan():
            named: dict[str, object] = {
                "kind": "plan",
                "name": entry.plan,
                "architecture": entry.architecture or None,
            }
            for unit, tiers in entry.prices.items():
                for tier in tiers:
                    yield {**common, **named, "unit": unit, "above": tier.above or None, "price": tier.price}


def _columns(output: Output) -> list[Column]:
    shown = [
        Column("kind", "Kind"),
        Column("provider", "Provider"),
        Column("region", "Region"),
        Column("name", "Name"),
        Column("architecture", "Arch"),
        Column("spot", "Spot"),
        Column("unit", "Unit"),
        Column("above", "Above", Unit.NUMBER, places=0),
        # A millionth of a cent matters here, so the table does not round either.
        Column("price", "Price", Unit.MONEY, "USD", show=str),
    ]
    if output is Output.TABLE:
        return [*shown, Column("where", "From")]
    return [
        *shown,
        Column("vcpu", "vCPU", Unit.NUMBER),
        Column("memory_gib", "GiB", Unit.NUMBER),
        Column("effective_on", "Effective on"),
        Column("effective_until", "Effective until"),
        Column("source", "Source"),
        Column("retrieved_on", "Retrieved on"),
        Column("file", "File"),
        Column("line", "Line", Unit.NUMBER),
    ]
