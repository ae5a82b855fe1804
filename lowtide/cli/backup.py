"""`lowtide backup`: a copy of the data directory as it is at one moment, from which Lowtide goes on exactly
once. Registered by the app.

A running server holds the moment, this command copies what is held. The trap: of a store on a ClickHouse
server, nothing is in the backup but what is on its way there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from lowtide.backup.manifest import Manifest
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings

_HOLD_S = 300.0
"""For the server to hold the moment: it may have to wait for a batch first."""
WORTH_TELLING_BYTES = 256 * 1024 * 1024
"""Less is copied before anybody could read it."""


def register(app: typer.Typer) -> None:
    """Add `lowtide backup`."""
    app.command("backup")(backup)


def backup(
    ctx: typer.Context,
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A folder that does not exist yet, or is empty.")
    ],
    output: OutputOption = Output.TABLE,
) -> None:
    """Copy everything Lowtide keeps, as it is at one moment, while it runs or not.

    Nothing is interrupted: telemetry is accepted all the while. `lowtide restore` goes on from the copy.
    """
    from lowtide.backup.making import Source, make_backup
    from lowtide.demo.progress import ProgressLine
    from lowtide.store_access import NoDataError, spool_directory, target_of
    from lowtide.units import size

    run = invocation(ctx)
    settings = run.settings()
    run.start_logs(settings)
    if not settings.data.is_dir():
        raise NoDataError(f"There is no data directory {settings.data}.", hint="Name another with --data.")
    progress = ProgressLine()

    def tell(done: int, total: int) -> None:
        if total >= WORTH_TELLING_BYTES and not run.quiet:
            progress.show(f"{size(done)} of {size(total)} copied")

    source = Source(settings.data, spool_directory(settings).name, target_of(settings))
    manifest = make_backup(source, target, lambda: _hold(settings), tell)
    progress.close()
    show(manifest, output)
    run.note(f"{manifest.files} files, {size(manifest.size_bytes)}, in {target}.")
    _tell_of_server(run, manifest, source.target.database)


def show(manifest: Manifest, output: Output) -> None:
    """What is in a backup, on stdout: the rows of each table, and the requests that wait."""
    rows = [{"what": table, "rows": count} for table, count in sorted(manifest.store.rows.items())]
    rows += [
        {"what": f"waiting {signal}", "rows": count} for signal, count in manifest.requests_waiting.items()
    ]
    render(rows, [Column("what", "What"), Column("rows", "Rows", Unit.NUMBER, places=0)], output)


def _hold(settings: Settings) -> None:
    """Have the moment held by the server, or hold it here if none runs."""
    from lowtide.backup.here import hold_here
    from lowtide.server_client import connect

    client = connect(settings.data, answer_timeout_s=_HOLD_S)
    if client is None:
        hold_here(settings)
        return
    with client:
        client.request("POST", "/api/v1/snapshot")


def _tell_of_server(run: Invocation, manifest: Manifest, database: str) -> None:
    if manifest.store.kind != "server":
        return
    name = f"lowtide-{manifest.created_at:%Y%m%dT%H%M%SZ}.zip"
    run.note(
        f"The tables on {manifest.store.address} are not in it; what waits to be stored there and the rest "
        "of the data directory is. ClickHouse backs them up itself, to a disk its configuration allows:\n"
        f"  BACKUP DATABASE {database} TO Disk('backups', '{name}')\n"
        "For both of one moment, stop Lowtide, run that, then `lowtide backup`."
    )
