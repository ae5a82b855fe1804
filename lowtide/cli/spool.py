"""`lowtide spool`: what waits on its way into the store, whether the files it waits in are whole, and what
the store cannot take. Registered by the app.

`status` asks the running server, or reads the directory if none runs. `inspect` always reads the files, takes
no lock and writes nothing. The quarantine is a folder: `requeue` renames a file in it, which the loader sees
at its next clean-up, and `drop` removes one. The trap: the end of the file a server is writing to may look
torn; that is no damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.counted import counted
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.errors import LowtideError
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from pathlib import Path

    from api.pipeline import PipelineAnswer
    from ingest.signals import Signal
    from ingest.spool.inspect import SegmentReport
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings


class SpoolDamagedError(LowtideError):
    """Bytes that were once written are no longer records."""


class SignalName(StrEnum):
    """The values of `--signal`."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


def register(app: typer.Typer) -> None:
    """Add the commands of `lowtide spool`."""
    group = typer.Typer(name="spool", help="Look at what waits to be stored.", no_args_is_help=True)
    group.command("status")(status)
    group.command("inspect")(inspect)
    group.command("quarantine")(quarantine)
    group.command("requeue")(requeue)
    group.command("drop")(drop)
    app.add_typer(group)


# --- status


def status(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show how much waits, and since when, from the running server or from the files."""
    run = invocation(ctx)
    settings = run.settings()
    client = run.server(settings)
    if client is None:
        rows, size_bytes, limit_bytes, repeated = _from_files(settings)
        disk_low = ""
        source = "No server runs; read from its files"
    else:
        with client:
            answer = _from_server(client.get_json("/api/v1/pipeline"))
        rows, size_bytes, limit_bytes = answer.signals, answer.spool_bytes, answer.spool_limit_bytes
        disk_low, repeated = answer.disk_low, answer.batches_to_repeat
        source = "The running server"
    from lowtide.units import size

    run.note(f"{source}. The spool takes {size(size_bytes)} of {size(limit_bytes)}.")
    if disk_low:
        run.note(f"Senders are told to come back: {disk_low}. Make room.")
    if repeated:
        came = "1 batch" if repeated == 1 else f"{repeated} batches"
        run.note(f"{came} came after the store's last checkpoint; what came then is stored again.")
    _tell_of_quarantine(run, settings)
    columns = [
        Column("signal", "Signal"),
        Column("requests_waiting", "Requests waiting", Unit.NUMBER, places=0),
        Column("waiting_bytes", "Size", Unit.BYTES),
        Column("oldest_waiting_at", "Oldest since", Unit.INSTANT),
        Column("last_insert_at", "Last stored", Unit.INSTANT),
        Column("drain_s", "Stored in about", Unit.SECONDS),
        Column("retrying", "Why it waits"),
    ]
    render(rows, columns, output, zone=settings.time_zone)


def _from_server(document: Any) -> PipelineAnswer:
    from pydantic import ValidationError

    from api.pipeline import PipelineAnswer

    try:
        return PipelineAnswer.model_validate(document)
    except ValidationError as error:
        raise LowtideError(
            "The running server gives an answer this command does not understand.",
            hint="They are of different versions; restart the server.",
        ) from error


def _from_files(settings: Settings) -> tuple[Sequence[object], int, int, int]:
    from api.pipeline import instant
    from ingest.loader.trust import trusted_since
    from ingest.spool.inspect import look
    from lowtide.store_access import target_of

    limit_bytes = settings.spool.limit_bytes
    boot_id = trusted_since(target_of(settings))
    found = look(_directory(settings), limit_bytes=limit_bytes, boot_id=boot_id)
    rows = [
        {
            "signal": each.signal.value,
            "requests_waiting": each.records_waiting,
            "waiting_bytes": each.bytes_waiting,
            "oldest_waiting_at": instant(each.oldest_received_ns),
            "last_insert_at": None,
            "drain_s": None,
            "retrying": "No server runs." if each.records_waiting else "",
        }
        for each in found.signals
    ]
    repeated = sum(each.batches_before_reboot for each in found.signals)
    return rows, found.total_bytes, found.limit_bytes, repeated


# --- inspect


def inspect(
    ctx: typer.Context,
    signal: Annotated[SignalName | None, typer.Option("--signal", help="Only this signal.")] = None,
    records: Annotated[
        bool, typer.Option("--records", help="List single records instead of segment files.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Read the files of the spool and compare every checksum. Changes nothing; a server may be running."""
    from ingest.signals import Signal

    run = invocation(ctx)
    settings = run.settings()
    directory = _directory(settings)
    signals = list(Signal) if signal is None else [Signal(signal.value)]
    segments = _Segments(directory, signals)
    if records:
        render(_record_rows(directory, signals), RECORD_COLUMNS, output, zone=settings.time_zone)
        for _ in segments:
            pass
    else:
        render(segments, SEGMENT_COLUMNS, output)
    _tell(run, directory, segments)


SEGMENT_COLUMNS = [
    Column("signal", "Signal"),
    Column("segment", "Segment"),
    Column("state", "State"),
    Column("first_seq", "First", Unit.NUMBER, places=0),
    Column("last_seq", "Last", Unit.NUMBER, places=0),
    Column("records", "Records", Unit.NUMBER, places=0),
    Column("size_bytes", "Size", Unit.BYTES),
    Column("damaged_bytes", "Damaged", Unit.BYTES),
    Column("lost_records", "Lost", Unit.NUMBER, places=0),
]
RECORD_COLUMNS = [
    Column("signal", "Signal"),
    Column("seq", "Number", Unit.NUMBER, places=0),
    Column("received_at", "Received", Unit.INSTANT),
    Column("tenant", "Tenant"),
    Column("items", "Items", Unit.NUMBER, places=0),
    Column("body_bytes", "Size", Unit.BYTES),
    Column("segment", "Segment"),
    Column("offset", "Offset", Unit.NUMBER, places=0),
]


class _Segments:
    """The segments as they are read, counted for the last word about them."""

    def __init__(self, directory: Path, signals: Sequence[Signal]) -> None:
        self._directory = directory
        self._signals = signals
        self.files = 0
        self.damaged: list[SegmentReport] = []
        self.torn: list[SegmentReport] = []

    def __iter__(self) -> Iterator[SegmentReport]:
        from ingest.spool.inspect import SegmentState, segments_of

        for each in segments_of(self._directory, self._signals):
            self.files += 1
            if each.state is SegmentState.DAMAGED:
                self.damaged.append(each)
            elif each.state is SegmentState.TORN:
                self.torn.append(each)
            yield each


def _record_rows(directory: Path, signals: Sequence[Signal]) -> Iterator[dict[str, object]]:
    from api.pipeline import instant
    from ingest.spool.inspect import records_of

    for each in records_of(directory, signals):
        yield {
            "signal": each.signal.value,
            "seq": each.seq,
            "received_at": instant(each.received_ns),
            "tenant": each.tenant,
            "items": each.items,
            "body_bytes": each.body_bytes,
            "segment": each.segment,
            "offset": each.offset,
        }


def _tell(run: Invocation, directory: Path, segments: _Segments) -> None:
    """Say on stderr what the files mean. Raises SpoolDamagedError if something is wrong with them."""
    from ingest.spool.inspect import batch_log_of

    batch_log = batch_log_of(directory)
    for each in segments.torn:
        run.note(
            f"{each.signal}/{each.segment} ends in the beginning of a record, which nobody was promised: it "
            "is being written just now, or a process was killed. The next start cuts it off."
        )
    if batch_log.kept_files:
        run.note(
            f"{batch_log.kept_files} damaged pieces were set aside earlier, in {directory / 'damaged'}. "
            "Nothing needs them; remove them once you have looked at them."
        )
    faults = [
        f"{each.signal}/{each.segment} has {each.damaged_bytes} bytes that are no records; at least "
        f"{each.lost_records} records are lost."
        for each in segments.damaged
    ]
    if batch_log.damaged_entries:
        faults.append(
            f"batches.log has {batch_log.damaged_entries} damaged entries; some records may be stored twice."
        )
    if faults:
        raise SpoolDamagedError(
            "\n".join(["The spool is damaged.", *faults]),
            hint="Everything else in it is whole and will be stored. docs/spool.md says what to do.",
        )
    run.note(f"{segments.files} files, no damage.")


# --- quarantine

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="NAME...", help="As `lowtide spool quarantine` names them.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Everything in quarantine.")]
HELD_COLUMNS = [
    Column("name", "Name"),
    Column("received_at", "Received", Unit.INSTANT),
    Column("held_at", "In quarantine since", Unit.INSTANT),
    Column("tenant", "Tenant"),
    Column("items", "Items", Unit.NUMBER, places=0),
    Column("body_bytes", "Size", Unit.BYTES),
    Column("requeued", "Requeued"),
    Column("reason", "Reason"),
]


def quarantine(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """List the requests that the store cannot take, and why."""
    from api.pipeline import instant
    from ingest.spool.quarantine import held_in

    settings = invocation(ctx).settings()
    rows = [
        {
            "name": each.name,
            "received_at": instant(each.received_ns),
            "held_at": instant(each.held_ns),
            "tenant": each.tenant,
            "items": each.items,
            "body_bytes": each.body_bytes,
            "requeued": "yes" if each.requeued else "",
            "reason": each.reason,
        }
        for each in held_in(_quarantine(settings))
    ]
    render(rows, HELD_COLUMNS, output, zone=settings.time_zone)


def requeue(ctx: typer.Context, names: NamesArgument = None, everything: AllOption = False) -> None:
    """Have requests in quarantine tried once more, after an upgrade for instance. A server may be running."""
    from ingest.spool.quarantine import requeue as requeue_one

    run = invocation(ctx)
    done = _each(run, names, requeue_one, everything=everything)
    run.note(f"{done} requeued. The server sends them to the store within seconds, or when it starts.")


def drop(ctx: typer.Context, names: NamesArgument = None, everything: AllOption = False) -> None:
    """Delete requests in quarantine for good. They were acknowledged, and are then lost."""
    from ingest.spool.quarantine import drop as drop_one

    run = invocation(ctx)
    run.note(f"{_each(run, names, drop_one, everything=everything)} deleted.")


def _each(
    run: Invocation, names: list[str] | None, act: Callable[[Path, str], None], *, everything: bool
) -> int:
    """Do something with each named request; returns how many there were."""
    from ingest.spool.errors import SpoolError
    from ingest.spool.quarantine import held_in

    if bool(names) == everything:
        raise LowtideError(
            "Name the requests, or say --all.", hint="`lowtide spool quarantine` lists their names."
        )
    folder = _quarantine(run.settings())
    wanted = names or [each.name for each in held_in(folder) if not each.requeued]
    for name in wanted:
        try:
            act(folder, name)
        except SpoolError as error:
            raise LowtideError(
                f"The quarantine holds no request {name!r}.",
                hint="`lowtide spool quarantine` lists their names; requeued ones are the server's.",
            ) from error
        except OSError as error:
            raise LowtideError(f"{name} cannot be changed: {error.strerror}.") from error
    return len(wanted)


def _tell_of_quarantine(run: Invocation, settings: Settings) -> None:
    from ingest.spool.quarantine import FOLDER_NAME, paths_of
    from lowtide.store_access import spool_directory

    held = paths_of(spool_directory(settings) / FOLDER_NAME)
    if held:
        run.note(
            f"The store cannot take {counted(len(held), 'request')} or pieces of such; "
            "see `lowtide spool quarantine`."
        )


def _quarantine(settings: Settings) -> Path:
    from ingest.spool.quarantine import FOLDER_NAME

    return _directory(settings) / FOLDER_NAME


def _directory(settings: Settings) -> Path:
    from lowtide.store_access import NoDataError, spool_directory

    directory = spool_directory(settings)
    if not directory.is_dir():
        raise NoDataError(
            f"There is no spool in {settings.data} yet.",
            hint="`lowtide serve` makes it; name another directory with --data.",
        )
    return directory
