"""`lowtide import prometheus`: what a Prometheus has of the past. `lowtide.cli.importing` registers it.

The trap: heavy imports stay inside the functions, so that `lowtide --help` is quick.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lowtide.cli.invocation import Invocation, invocation, is_interactive

if TYPE_CHECKING:
    from lowtide.imports.prometheus.importing import Import
    from lowtide.imports.prometheus.state import Order, State
    from lowtide.instance_lock import RunningInstance
    from lowtide.settings import Settings

_BACK: Final = re.compile(r"(\d{1,5})([hdw])")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_MARGIN: Final = timedelta(hours=1)
"""What is nearly too old when an import begins is too old when it is sent."""


def prometheus(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Of the Prometheus, e.g. http://prometheus:9090.")
    ],
    since: Annotated[
        str,
        typer.Option("--since", metavar="TIME", help="30d, 12h, 4w, or a time such as 2026-11-01T00:00Z."),
    ] = "30d",
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="Where it ends; default: now. E.g. when remote write began."
        ),
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option("--match", metavar="SELECTOR", help="""More series, e.g. '{job="shop"}'; repeatable."""),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All series there are.")] = False,
    rate: Annotated[
        float, typer.Option("--rate", min=0.01, max=1000, help="Most questions a second to that Prometheus.")
    ] = 5.0,
    state_file: Annotated[
        Path | None,
        typer.Option(
            "--state", metavar="FILE", help="Where it notes how far it came; default: beside --data."
        ),
    ] = None,
    source_token_file: Annotated[
        Path | None,
        typer.Option(
            "--source-token-file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Holds a bearer token for that Prometheus.",
        ),
    ] = None,
    source_ca: Annotated[
        Path | None,
        typer.Option(
            "--source-ca",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Certificates to trust there, PEM.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Holds a token of Lowtide's, for the rows of its tenant: write-metrics, and read and query"
            " to ask what is there already.",
        ),
    ] = None,
    give_up_after: Annotated[
        float,
        typer.Option("--give-up-after", min=0, metavar="S", help="Seconds to try what does not answer."),
    ] = 300.0,
) -> None:
    """Import what a Prometheus has of the past: its samples as they are, into the running Lowtide.

    Only the series that cost and activity are made of, unless told otherwise. It can be interrupted at any
    moment: the same command goes on where it stopped, and nothing is imported twice.
    """
    from ingest.store.known_metrics import known_metric_names
    from lowtide.imports.prometheus.held import held_by
    from lowtide.imports.prometheus.importing import Import, asked_names, state_for
    from lowtide.imports.prometheus.receiver import Receiver
    from lowtide.imports.prometheus.source import Source
    from lowtide.imports.prometheus.state import Order, held, read_state
    from lowtide.server_client import connect
    from lowtide.tokens.token import DEFAULT_TENANT
    from lowtide.trust import server_of

    run = invocation(ctx)
    settings = run.settings()
    running = _running(run, settings)
    now = datetime.now(UTC)
    begin = _since(run, settings, _time(since, now, "--since"), now)
    end = min(_time(until, now, "--until") if until else now, now)
    if begin >= end:
        raise typer.BadParameter("it ends before it begins")
    token = _secret(token_file)
    order = Order(
        _address(url), _ms(begin), _ms(end), tuple(sorted(set(match or ()))), everything,
        str(settings.data.resolve()), DEFAULT_TENANT if token is None else _tenant(settings, token),
    )  # fmt: skip
    path = state_file or _state_file(settings, order)
    source = Source(
        order.url, rate=rate, give_up_after_s=give_up_after, token=_secret(source_token_file),
        ca_file=str(source_ca) if source_ca else None, tell=run.note,
    )  # fmt: skip
    receiver = Receiver(
        running.addresses["otlp_http"],
        token=token or running.secret,
        trust=server_of(settings.data) if running.certificates else None,
        give_up_after_s=give_up_after,
        tell=run.note,
    )
    client = connect(settings.data, token=token)
    if client is None:
        raise _no_server()
    with held(path), client:
        state = state_for(read_state(path), order, source.described)
        if state.chunks:
            run.note(f"Going on behind {_shown(state.planned_to_ms)}, as {path} says.")
        state.save(path)
        asked = held_by(client, run.note, give_up_after_s=give_up_after)
        work = Import(state, path, source, receiver, asked_names(known_metric_names()), asked)
        try:
            _with_progress(run, work)
        finally:
            source.close()
            receiver.close()
    _tell(run, state, work.reasons, path)


def _running(run: Invocation, settings: Settings) -> RunningInstance:
    running = run.running(settings)
    if running is None or "otlp_http" not in running.addresses:
        raise _no_server()
    return running


def _no_server() -> Exception:
    from lowtide.imports.prometheus.errors import ImportStoppedError

    return ImportStoppedError(
        "An import goes into the running Lowtide, and none runs on this data directory.",
        hint="Start it with `lowtide serve`, or name its directory with --data.",
    )


def _tenant(settings: Settings, token: str) -> str:
    """Whose token it is."""
    from lowtide.imports.prometheus.errors import ImportStoppedError
    from lowtide.tokens.file import read_tokens
    from lowtide.tokens.token import digest_of

    now, digest = datetime.now(UTC), digest_of(token)
    for known in read_tokens(settings.data):
        if known.digest == digest and known.is_live(now):
            return known.tenant
    raise ImportStoppedError(
        "What --token-file holds is no token of this Lowtide, or one that is over.",
        hint="`lowtide token list` shows those there are; `lowtide token create` makes one.",
    )


def _since(run: Invocation, settings: Settings, begin: datetime, now: datetime) -> datetime:
    """Not before what Lowtide takes; older samples would be refused one by one."""
    retention = settings.store.retention
    days = min(retention.traces_days, retention.logs_days, retention.metrics_days)
    earliest = now - timedelta(days=days) + _MARGIN
    if begin < earliest:
        run.note(
            f"Samples from before {earliest:%Y-%m-%d %H:%M} UTC are left out: Lowtide takes none older than "
            f"the shortest of store.retention.traces_days, logs_days and metrics_days, {days} days. Raise "
            "them in the settings of the server, and start it anew, to import more."
        )
    return max(begin, earliest)


def _time(text: str, now: datetime, option: str) -> datetime:
    found = _BACK.fullmatch(text.strip())
    if found is not None:
        return now - int(found[1]) * _UNITS[found[2]]
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{option} is {text!r}; write 30d, 12h, 4w or 2026-11-01T00:00Z") from error
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _address(url: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise typer.BadParameter("URL is http:// or https://, a host, and perhaps a path")
    if "@" in parts.netloc:
        raise typer.BadParameter("no password in the URL, where others can read it; use --source-token-file")
    return url.rstrip("/")


def _state_file(settings: Settings, order: Order) -> Path:
    """Beside the data directory, one for each thing that is imported."""
    what = repr((order.url, order.match, order.all_series, order.tenant)).encode()
    data = settings.data.resolve()
    return data.with_name(f"{data.name}-import-{sha256(what).hexdigest()[:12]}.json")


def _secret(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="utf-8").strip()


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _shown(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _with_progress(run: Invocation, work: Import) -> None:
    """Run it, with a bar of the time that is imported where a person watches."""
    if run.quiet or not is_interactive():
        work.run()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    order = work.state.order
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(), TextColumn("{task.fields[samples]} samples"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("importing", total=order.until_ms - order.since_ms, samples=0)

        def show(state: State) -> None:
            at_ms = state.chunks[0].from_ms if state.chunks else state.planned_to_ms
            progress.update(
                task, completed=at_ms - order.since_ms, description=_shown(at_ms),
                samples=f"{state.totals.samples:,}",
            )  # fmt: skip

        work.progress = show
        work.run()


def _tell(run: Invocation, state: State, reasons: list[str], path: Path) -> None:
    """What was done, over all runs of this import."""
    from lowtide.output import Column, Output, Unit, render

    totals, order = state.totals, state.order
    rows = [{
        "since": datetime.fromtimestamp(order.since_ms / 1000, UTC),
        "until": datetime.fromtimestamp(order.until_ms / 1000, UTC),
        "samples": totals.samples, "refused": totals.refused, "histograms": totals.histograms,
    }]  # fmt: skip
    columns = [
        Column("since", "From", Unit.INSTANT), Column("until", "until", Unit.INSTANT),
        Column("samples", "Samples", Unit.NUMBER, places=0),
        Column("refused", "Refused", Unit.NUMBER, places=0),
        Column("histograms", "Native histograms left out", Unit.NUMBER, places=0),
    ]  # fmt: skip
    render(rows, columns, Output.TABLE)
    for reason in reasons:
        run.note(f"Refused: {reason}")
    if totals.histograms:
        run.note(
            "Native histograms are not imported; those that Prometheus sends by remote write are stored."
        )
    run.note(f"Done. The same command again imports what has come since; {path} says how far it is.")
