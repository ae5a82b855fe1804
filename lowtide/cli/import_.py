"""`lowtide import`: takes in what others have written already, a subcommand for each source. Registered by
the app.

The trap: a server that runs owns the store, so a file goes to it over the API; only where none runs the
command opens the store itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.counted import counted
from lowtide.cli.cost import TenantOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.imports.kubernetes import kubernetes
from lowtide.imports.prometheus.command import prometheus
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from ingest.bills.report import BillReport
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings

_PIECE_BYTES = 1024 * 1024


def register(app: typer.Typer) -> None:
    """Add `lowtide import bill`, `kubernetes` and `prometheus`."""
    group = typer.Typer(name="import", help="Take in what others have written already.", no_args_is_help=True)
    group.command("bill")(bill)
    group.command("kubernetes")(kubernetes)
    group.command("prometheus")(prometheus)
    app.add_typer(group)


def bill(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="CSV, CSV in gzip, or Parquet."),
    ],
    add: Annotated[
        bool,
        typer.Option(
            "--add",
            help="Beside what is there of the same billing account and period: for bills in several files.",
        ),
    ] = False,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Import a bill in FOCUS 1.0 to 1.4, in place of what was stored of its billing accounts and periods.

    All of it or nothing: a file with a broken row is refused, with every problem by line and column. The
    same file again changes nothing.
    """
    run = invocation(ctx)
    settings = run.settings()
    report = _over_the_api(run, settings, file, tenant, add=add)
    if report is None:
        report = _here(run, settings, file, tenant, add=add)
    if output is Output.JSON:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _show(report, settings, output)
    for line in _words(report):
        run.note(line)


def _show(report: BillReport, settings: Settings, output: Output) -> None:
    """What was imported, by what it restates."""
    columns = [
        Column("billing_account", "Billing account"),
        Column("period_start", "Period from", Unit.INSTANT),
        Column("period_end", "until", Unit.INSTANT),
        Column("rows", "Rows", Unit.NUMBER),
        Column("replaced_rows", "Replaced", Unit.NUMBER),
    ]
    render(report.slices, columns, output, zone=settings.time_zone)


def _over_the_api(
    run: Invocation, settings: Settings, file: Path, tenant: str | None, *, add: bool
) -> BillReport | None:
    """What the running server says; None if none runs. Raises BillError, ServerError."""
    if run.running(settings) is None:
        return None
    from ingest.bills.errors import BillError
    from ingest.bills.report import BillReport
    from lowtide.server_client import connect

    # A large bill takes its time, and the answer comes at its end.
    client = connect(settings.data, answer_timeout_s=3600.0)
    if client is None:
        return None
    asked = {"name": file.name, "add": "true" if add else None, "tenant": tenant}
    with client:
        answer = client.request(
            "POST", "/api/v1/bills", asked, content=_pieces(file), accept=frozenset({422})
        )
    if answer.status == 422:
        raise BillError(answer.json()["problems"])
    return BillReport.model_validate(answer.json())


def _here(run: Invocation, settings: Settings, file: Path, tenant: str | None, *, add: bool) -> BillReport:
    from lowtide.asking import TENANT
    from lowtide.serve.alone import everything_stored
    from lowtide.serve.bills import StoreBills

    run.start_logs(settings)
    with everything_stored(settings, lambda: None, create=True) as alone:
        return StoreBills(alone).take(file, file.name, tenant=tenant or TENANT, add=add)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            yield piece


def _words(report: BillReport) -> Iterator[str]:
    """The report for people."""
    if report.status == "unchanged":
        yield "This very file counts already; nothing was changed."
    yield f"{report.file}: FOCUS {report.focus_version} ({report.format}), {counted(report.rows, 'row')}."
    for total in report.totals:
        yield f"  billed {total.billed:f} {total.currency} in {counted(total.rows, 'row')}"
    if report.charges_from and report.charges_until:
        span = f"{report.charges_from:%Y-%m-%d %H:%M} to {report.charges_until:%Y-%m-%d %H:%M}"
        yield f"  charges from {span} UTC"
    named = ", ".join(f"{one.service} ({one.billed:f} {one.currency})" for one in report.services[:5])
    yield f"  {counted(report.service_count, 'service')}: {named}"
    bare = counted(report.rows_without_resource, "row")
    yield f"  without a resource: {bare}; with tags: {report.rows_with_tags:,}"
    if report.tag_keys:
        yield f"  tags: {', '.join(report.tag_keys)}"
    if report.unknown_columns:
        names = ", ".join(report.unknown_columns)
        yield f"  columns that FOCUS {report.focus_version} does not have, kept in Other: {names}"
    if report.missing_columns:
        yield f"  columns that are not there: {', '.join(report.missing_columns)}"
    for note in report.notes:
        yield f"* {note}"
