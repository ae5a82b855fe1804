"""`lowtide import kubernetes`: takes in what `kubectl get -A -o json` has written. Registered by
`lowtide.cli.import_`.

The trap: as with bills, a server that runs owns the store, so the file goes to it; it reads it as it comes
and writes down nothing but what it keeps.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from ingest.counted import counted
from lowtide.cli.cost import TenantOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from ingest.inventory.report import InventoryReport
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings

_PIECE_BYTES = 1024 * 1024
_STDIN = Path("-")


def _is_there(file: Path) -> Path:
    """The file, if it is one; typer would look for one that is called `-`. Raises BadParameter."""
    if file != _STDIN and not file.is_file():
        raise typer.BadParameter(f"there is no file {str(file)!r}")
    return file


def _moment(text: str | None) -> datetime | None:
    """The time that `--taken-at` says. Raises BadParameter."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time such as 2026-05-04T10:00:00Z") from error
    if read.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say its offset, such as Z or +02:00")
    return read


def kubernetes(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", callback=_is_there,
            help="JSON of kubectl, plain or in gzip; `-` reads what comes in.",
        ),
    ],
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster", metavar="NAME",
            help="What telemetry calls this cluster (k8s.cluster.name); '' if it says none.",
        ),
    ],
    taken_at: Annotated[
        str | None,
        typer.Option(
            "--taken-at", metavar="TIME",
            help="When kubectl wrote it, with offset; default: when FILE was last changed, or now.",
        ),
    ] = None,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:  # fmt: skip
    """Import a snapshot of a cluster from what kubectl writes, in place of the one before.

    All of it or nothing: broken JSON and broken fields are named by line, object and field. The same file
    again changes nothing. Nothing is stored of Secrets and ConfigMaps, nor of environment variables and
    commands. To get the file (any kinds may be left out or added):

    \b
    kubectl get -A -o json deployments,statefulsets,daemonsets,replicasets,\\
    jobs,cronjobs,pods,services,ingresses,horizontalpodautoscalers,\\
    poddisruptionbudgets,persistentvolumeclaims,persistentvolumes,\\
    storageclasses,nodes,namespaces,priorityclasses,leases,\\
    customresourcedefinitions,validatingwebhookconfigurations,\\
    mutatingwebhookconfigurations > cluster.json
    """
    run = invocation(ctx)
    settings = run.settings()
    when = _moment(taken_at) or _changed_at(file)
    report = _over_the_api(run, settings, file, cluster, when, tenant)
    if report is None:
        report = _here(run, settings, file, cluster, when, tenant)
    if output is Output.JSON:
        typer.echo(report.model_dump_json(indent=2))
    else:
        render(report.kinds, _COLUMNS, output)
    for line in _words(report):
        run.note(line)


_COLUMNS = [
    Column("group", "API group"),
    Column("kind", "Kind"),
    Column("objects", "Objects", Unit.NUMBER, places=0),
    Column("kept", "Kept"),
    Column("why", "Why"),
]


def _changed_at(file: Path) -> datetime:
    """When the file was changed last, but not in the future."""
    now = datetime.now(UTC)
    if file == _STDIN:
        return now
    return min(now, datetime.fromtimestamp(file.stat().st_mtime, UTC))


def _over_the_api(
    run: Invocation, settings: Settings, file: Path, cluster: str, taken_at: datetime, tenant: str | None
) -> InventoryReport | None:
    """What the running server says; None if none runs. Raises InventoryError, ServerError."""
    if run.running(settings) is None:
        return None
    from ingest.inventory.errors import InventoryError
    from ingest.inventory.report import InventoryReport
    from lowtide.server_client import connect

    # A large cluster takes its time, and the answer comes at its end.
    client = connect(settings.data, answer_timeout_s=600.0)
    if client is None:
        return None
    asked = {"cluster": cluster, "name": _name(file), "taken_at": taken_at.isoformat(), "tenant": tenant}
    with client, _opened(file) as opened:
        answer = client.request(
            "POST", "/api/v1/import/kubernetes", asked, content=_pieces(opened), accept=frozenset({422})
        )
    if answer.status == 422:
        raise InventoryError(answer.json()["problems"])
    return InventoryReport.model_validate(answer.json())


def _here(
    run: Invocation, settings: Settings, file: Path, cluster: str, taken_at: datetime, tenant: str | None
) -> InventoryReport:
    from ingest.inventory.snapshot import Reading
    from lowtide.asking import TENANT
    from lowtide.serve.alone import everything_stored
    from lowtide.serve.inventory import StoreInventory

    run.start_logs(settings)
    reading = Reading(_name(file))
    with _opened(file) as opened:
        for piece in _pieces(opened):
            reading.feed(piece)
    snapshot = reading.finish()
    with everything_stored(settings, lambda: None, create=True) as alone:
        return StoreInventory(alone).take(
            snapshot, tenant=tenant or TENANT, cluster=cluster, taken_at=taken_at
        )


def _name(file: Path) -> str:
    return "stdin" if file == _STDIN else file.name


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if file == _STDIN:
        yield sys.stdin.buffer
        return
    with file.open("rb") as opened:
        yield opened


def _pieces(opened: IO[bytes]) -> Iterator[bytes]:
    while piece := opened.read(_PIECE_BYTES):
        yield piece


def _words(report: InventoryReport) -> Iterator[str]:
    """The report for people."""
    if report.status == "unchanged":
        yield "This very file is a snapshot of this cluster already; nothing was changed."
    called = report.cluster or "(no name)"
    when = f"{report.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"{report.file}: {counted(report.objects, 'object')} of cluster {called}, of {when}."
    if report.previous_taken_at:
        yield f"  in place of the snapshot of {report.previous_taken_at:%Y-%m-%d %H:%M:%S} UTC"
    if report.repeated:
        yield f"  {counted(report.repeated, 'object')} more than once; the last of each was taken"
    if report.unknown_owners:
        yield (
            f"  {counted(report.unknown_owners, 'object')} of ReplicaSets or Jobs that are not in it; these "
            "stand for their workloads"
        )
    if report.absent_kinds:
        yield f"  none in it, or not asked for: {', '.join(report.absent_kinds)}"
    for note in report.notes:
        yield f"* {note}"
