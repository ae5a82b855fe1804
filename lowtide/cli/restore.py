"""`lowtide restore`: makes a data directory from a backup, or looks whether one could be made. Registered by
the app.

The trap: a restored copy beside the original that still runs is a second Lowtide. With a store on a
ClickHouse server both would store what waited.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Output


def register(app: typer.Typer) -> None:
    """Add `lowtide restore`."""
    app.command("restore")(restore)


def restore(
    ctx: typer.Context,
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="A folder `lowtide backup` made.")],
    check: Annotated[
        bool,
        typer.Option("--check", help="Only read the backup, compare every checksum, and write nothing."),
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make the data directory (--data) from a backup. It must not exist yet, or be empty."""
    from lowtide.backup.restoring import check_backup
    from lowtide.backup.restoring import restore as restore_into
    from lowtide.cli.backup import WORTH_TELLING_BYTES, show
    from lowtide.demo.progress import ProgressLine
    from lowtide.units import instant, size

    run = invocation(ctx)
    settings = run.settings()
    run.start_logs(settings)
    progress = ProgressLine()

    def tell(what: str, done: int, total: int) -> None:
        if total >= WORTH_TELLING_BYTES and not run.quiet:
            progress.show(f"{size(done)} of {size(total)} {what}")

    manifest = check_backup(backup, tell).manifest if check else restore_into(backup, settings, tell)
    progress.close()
    show(manifest, output)
    taken = instant(manifest.created_at, settings.time_zone)
    if check:
        run.note(f"The backup of {taken} is whole: {manifest.files} files, {size(manifest.size_bytes)}.")
        return
    run.note(
        f"{settings.data} is as it was at {taken}. `lowtide serve --data {settings.data}` goes on from there."
    )
    if manifest.store.kind == "server":
        run.note(
            f"First see that {manifest.store.address} is as it was then as well: what waits here is stored "
            "twice if that server took it from the original meanwhile, or takes it from one that still runs."
        )
