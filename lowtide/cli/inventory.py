"""`lowtide inventory`: what snapshots of clusters hold, and how old they are. Registered by the app.

`lowtide import kubernetes` takes them in. The trap: only the latest snapshot of a cluster is shown, since
only that one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from ingest.counted import counted
from lowtide.cli.cost import TenantOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render
from lowtide.units import duration, instant

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from analytics.answers import Basis
    from analytics.inventory_documents import ClusterSnapshot, InventoryAnswer
    from ingest.store.engine import Session

_NO_NAME = "(no name)"


def register(app: typer.Typer) -> None:
    """Add `lowtide inventory`."""
    app.command()(inventory)


def inventory(ctx: typer.Context, tenant: TenantOption = None, output: OutputOption = Output.TABLE) -> None:
    """Show what was imported of clusters with `lowtide import kubernetes`, by kind, and how old it is."""
    from analytics.inventory import inventory_answer
    from analytics.inventory_documents import InventoryAnswer
    from lowtide.asking import TENANT, ask

    def local(session: Session, _: Basis, now: datetime) -> InventoryAnswer:
        return inventory_answer(session, now=now, tenant=tenant or TENANT)

    run = invocation(ctx)
    settings = run.settings()
    answer = ask(run, settings, "/api/v1/inventory", {"tenant": tenant}, InventoryAnswer, local)
    for snapshot in answer.rows:
        run.note(_about(snapshot, settings.time_zone))
    if answer.rows:
        run.note("\n")
    render(_rows(answer, output), inventory_columns(output), output)
    if not answer.rows:
        run.note(
            "There is no snapshot of a cluster yet; "
            "`lowtide import kubernetes FILE --cluster NAME` takes one in."
        )


def _about(snapshot: ClusterSnapshot, zone: tzinfo) -> str:
    older = snapshot.snapshots - 1
    kept = f"; {counted(older, 'other')} of this cluster beside it" if older else ""
    return (
        f"Cluster {snapshot.cluster or _NO_NAME}: {counted(snapshot.objects, 'object')} from "
        f"{snapshot.file}, taken {instant(snapshot.taken_at, zone)} ({duration(snapshot.age_s)} ago), "
        f"imported {instant(snapshot.imported_at, zone)}{kept}."
    )


def _rows(answer: InventoryAnswer, output: Output) -> Iterator[dict[str, object]]:
    for snapshot in answer.rows:
        about = snapshot.model_dump(exclude={"kinds", "objects"})
        if output is Output.TABLE:
            about["cluster"] = snapshot.cluster or _NO_NAME
        for kind in snapshot.kinds:
            yield {**about, **kind.model_dump()}


def inventory_columns(output: Output) -> list[Column]:
    """The columns. Programs also get which snapshot it is, with every row."""
    shown = [
        Column("cluster", "Cluster"),
        Column("group", "API group"),
        Column("kind", "Kind"),
        Column("objects", "Objects", Unit.NUMBER, places=0),
    ]
    if output is Output.TABLE:
        return shown
    return [
        *shown,
        Column("taken_at", "Taken", Unit.INSTANT),
        Column("imported_at", "Imported", Unit.INSTANT),
        Column("age_s", "Age", Unit.SECONDS),
        Column("file", "File"),
        Column("snapshot_id", "Snapshot"),
        Column("digest", "Digest"),
        Column("snapshots", "Snapshots", Unit.NUMBER, places=0),
    ]
