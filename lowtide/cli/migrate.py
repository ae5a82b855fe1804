"""`lowtide migrate`: brings the tables of the store up to date, or shows what that would do. Registered by
the app.

`lowtide serve` does the same when it starts; this is for a ClickHouse server that is looked after by
others, and for reading the statements first. The trap: the embedded store belongs to a running server,
which has migrated it already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.invocation import flag, invocation

if TYPE_CHECKING:
    from ingest.store.migrate import Migration
    from ingest.store.target import Target


def register(app: typer.Typer) -> None:
    """Add `lowtide migrate`."""
    app.command("migrate")(migrate)


def migrate(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the statements that would be run, and change nothing.")
    ] = False,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="URL", help="`embedded`, or clickhouse://user@host:port/database."),
    ] = None,
) -> None:
    """Bring the tables of the store up to date."""
    from ingest.store.migrate import migrate as apply
    from ingest.store.migrate import migrations, plan
    from lowtide.store_access import open_store, target_of

    run = invocation(ctx)
    settings = run.settings(flag("--store", "store.url", store))
    run.start_logs(settings)  # or what the store logs would go to stdout
    target = target_of(settings)
    if dry_run and _is_new(target):
        _print(migrations(settings.store))
        run.note(f"Nothing was changed: {target} does not exist yet.")
        return
    # To print them, no tables are needed either.
    with open_store(settings, create=True) as engine, engine.session() as session:
        if dry_run:
            missing = plan(session, settings.store)
            _print(missing)
            run.note("Nothing was changed." if missing else f"{target} is up to date.")
            return
        applied = apply(session, settings.store)
    for migration in applied:
        typer.echo(f"{migration.number:04d} {migration.name}: {len(migration.statements)} statements")
    run.note(f"{target} is up to date." if not applied else f"{len(applied)} applied to {target}.")


def _is_new(target: Target) -> bool:
    from ingest.store.target import Embedded

    return isinstance(target, Embedded) and not target.directory.is_dir()


def _print(missing: list[Migration]) -> None:
    """Every statement, ready to be run by hand in this order."""
    for migration in missing:
        for number, (file, statement) in enumerate(migration.statements, 1):
            typer.echo(f"-- {migration.number:04d}.{number:03d} {migration.name}/{file}")
            typer.echo(f"{statement.rstrip(';')};\n")
