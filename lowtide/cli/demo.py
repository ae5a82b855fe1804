"""`lowtide demo`: plays an invented company into a running collector, as any sender would. Registered by the
CLI.

The demo knows nothing of the store; `--remove`, and the look whether the demo is there already, ask the
server through its API; where none runs, `--remove` calls what it was registered with. The trap: heavy imports
stay inside the command, so that `lowtide --help` is quick.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

import typer

from lowtide.errors import LowtideError

if TYPE_CHECKING:
    import ssl

    from lowtide.demo.manifest import Manifest
    from lowtide.demo.packing import Request
    from lowtide.demo.player import Player
    from lowtide.demo.sending import Sender, Sent
    from lowtide.demo.server import Removed
    from lowtide.demo.settings import DemoSettings

OTLP_HTTP = "http://127.0.0.1:4318"
DEFAULT_SEED = 20_170


class RunningServer(NamedTuple):
    """Where a server of ours answers. `token` opens it, and `trust` knows it over TLS; both are for these
    addresses only."""

    api: str
    otlp_http: str
    token: str | None = None
    trust: ssl.SSLContext | None = None


RemoveHere = Callable[[Callable[[str], None]], "Removed"]
"""Removes the demo from a store that no server owns; it is given what to tell its progress."""


def nobody() -> RunningServer | None:
    """The finder used until another is given: it knows of no running server."""
    return None


def register(
    app: typer.Typer,
    remove_here: RemoveHere,
    find_server: Callable[[], RunningServer | None] = nobody,
) -> None:
    """Add the command. `find_server` tells where a server runs on this machine, for the defaults of the
    addresses; `remove_here` takes the demo out of the store of this machine if none does."""

    @app.command("demo")
    def demo(
        endpoint: Annotated[
            str | None,
            typer.Option(help=f"OTLP/HTTP address; default: the running server's, else {OTLP_HTTP}."),
        ] = None,
        seed: Annotated[
            int, typer.Option(min=0, help="Same seed and same --now: same bytes.")
        ] = DEFAULT_SEED,
        now: Annotated[
            str | None, typer.Option(help="End of the history, ISO 8601 with offset; default: this minute.")
        ] = None,
        days: Annotated[float, typer.Option(min=0.01, max=120, help="Days of history.")] = 63.0,
        rate: Annotated[float, typer.Option(min=0.01, max=50, help="Multiplies the traffic.")] = 1.0,
        live: Annotated[bool, typer.Option(help="Go on in real time after the history.")] = False,
        token: Annotated[
            str | None,
            typer.Option(envvar="LOWTIDE_DEMO_TOKEN", help="Bearer token, if the server wants one."),
        ] = None,
        manifest: Annotated[
            Path | None, typer.Option(help="Write what was sent, by service, as JSON.")
        ] = None,
        manifest_ids: Annotated[
            Path | None, typer.Option(help="Write every span's identity: 16 bytes trace id, 8 bytes span id.")
        ] = None,
        truth: Annotated[
            Path | None, typer.Option(help="Write what is planted and who really caused which work.")
        ] = None,
        remove: Annotated[
            bool, typer.Option("--remove", help="Delete the demo's telemetry, and nothing else.")
        ] = False,
        api: Annotated[
            str | None, typer.Option(help="Address of the server's API; default: the running server's.")
        ] = None,
        ca_file: Annotated[
            Path | None,
            typer.Option(
                "--ca-file",
                metavar="FILE",
                help="CAs (PEM) to trust beside the system's, for https:// addresses.",
            ),
        ] = None,
        again: Annotated[
            bool, typer.Option("--again", help="Play it although it is stored already: counts double.")
        ] = False,
    ) -> None:
        """Play a demo company: nine weeks of telemetry in under two minutes, then live if asked."""
        _check_address("--endpoint", endpoint)
        _check_address("--api", api)
        if remove:
            server = find_server() if api is None else None
            asked = api or (server.api if server else None)
            shown = token or (server.token if server else None)
            trust = server.trust if server else _trust(asked, ca_file)
            _remove(remove_here if asked is None else partial(_remove_there, asked, shown, trust))
            return
        settings = _settings(seed, _moment(now), days, rate)
        files = Files(manifest, manifest_ids, truth)
        files.check()
        server = find_server() if endpoint is None else _server_at(endpoint, find_server)
        asked = api or (server.api if server else None)
        if asked is not None and not again:
            own = server if api is None else None
            _refuse_twice(
                asked, token or (own.token if own else None), own.trust if own else _trust(asked, ca_file)
            )
        target = endpoint or (server.otlp_http if server else OTLP_HTTP)
        way = Way(
            target,
            token or (server.token if server else None),
            server.trust if server else _trust(target, ca_file),
        )
        _play(settings, way, live=live, files=files)


class Way(NamedTuple):
    """Where to play, what to show there, and whom to believe to be there."""

    endpoint: str
    token: str | None
    trust: ssl.SSLContext | None


class Files(NamedTuple):
    """Files to write, each only if asked for."""

    manifest: Path | None
    ids: Path | None
    truth: Path | None

    def check(self) -> None:
        """Before anything is played, which takes minutes. Raises BadParameter for a file that cannot be
        written."""
        named = {"--manifest": self.manifest, "--manifest-ids": self.ids, "--truth": self.truth}
        for option, path in named.items():
            if path is None:
                continue
            try:
                path.open("ab").close()
            except OSError as error:
                raise typer.BadParameter(
                    f"{path} cannot be written: {error.strerror or error}", param_hint=option
                ) from None


class DemoRefusedError(LowtideError):
    """The demo is not played, or not taken for done."""


def _check_address(option: str, text: str | None) -> None:
    """Raises BadParameter for what can never be reached over HTTP."""
    if text is None:
        return
    try:
        parts = urlsplit(text)
        # A port that is no number only shows itself when it is asked for.
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise typer.BadParameter(
            f"{text!r} is no address; write http://HOST:PORT, for example {OTLP_HTTP}", param_hint=option
        )


def _server_at(endpoint: str, find_server: Callable[[], RunningServer | None]) -> RunningServer | None:
    """The server of this machine, if the address somebody named is its own."""
    try:
        server = find_server()
    except LowtideError:
        # The address says where to play; that another server cannot be asked must not keep anyone from it.
        return None
    return server if server is not None and server.otlp_http == endpoint.rstrip("/") else None


def _trust(address: str | None, ca_file: Path | None) -> ssl.SSLContext | None:
    """For an address that is not our own server's; None leaves it to the client."""
    if address is None or ca_file is None:
        return None
    from lowtide.trust import by_authorities

    return by_authorities(ca_file)


def _refuse_twice(api: str, token: str | None, trust: ssl.SSLContext | None) -> None:
    from lowtide.demo.server import DemoServer

    with DemoServer(api, token, trust) as server:
        if server.is_stored():
            raise DemoRefusedError(
                f"The demo is stored already at {api}; playing it again would count it twice.",
                hint="Run `lowtide demo --remove` first, or add --again.",
            )


def _moment(text: str | None) -> datetime:
    current = datetime.now(UTC)
    if text is None:
        return current
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 time", param_hint="--now") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no offset; add Z or +01:00", param_hint="--now")
    if (moment - current).total_seconds() > 60:
        raise typer.BadParameter(
            f"{text} lies in the future; a collector would refuse it", param_hint="--now"
        )
    return moment


def _settings(seed: int, now: datetime, days: float, rate: float) -> DemoSettings:
    from lowtide.demo.settings import DemoSettings

    return DemoSettings.ending(now, seed=seed, days=days, rate=rate)


def _play(settings: DemoSettings, way: Way, *, live: bool, files: Files) -> None:
    from lowtide.demo.estate import load_estate
    from lowtide.demo.manifest import Manifest
    from lowtide.demo.player import Player
    from lowtide.demo.sending import Sender, SendError
    from lowtide.demo.stage import set_up

    stage = set_up(load_estate(), settings)
    company = f"{stage.estate.company}, {stage.estate.title}"
    typer.echo(
        f"demo: {company} (invented), {settings.days:g} days to {way.endpoint}, seed {settings.seed}",
        err=True,
    )
    sender = Sender(
        way.endpoint,
        in_flight=settings.requests_in_flight,
        timeout_s=settings.request_timeout_s,
        give_up_after_s=settings.give_up_after_s,
        token=way.token,
        trust=way.trust,
    )
    try:
        with Manifest(files.ids) as manifest, sender:
            player = Player(stage, manifest)
            progress = _Progress(settings, sender.sent)
            sender.send_all(player.history(), progress)
            progress.close()
            _conclude(player, manifest, sender, files)
            if live:
                _go_live(player, sender)
                _conclude(player, manifest, sender, files)
    except SendError:
        _report(sender.sent)
        raise
    except KeyboardInterrupt:
        _report(sender.sent)
        raise typer.Exit(130) from None
    if any(sender.sent.rejected.values()):
        raise DemoRefusedError(
            f"{way.endpoint} rejected some records.", hint="Its reasons are above; the server's log has more."
        )


def _go_live(player: Player, sender: Sender) -> None:
    typer.echo("demo: now live; stop with Ctrl-C", err=True)
    try:
        for request in player.live():
            sender.send_all(_one(request), lambda _: None)
    except KeyboardInterrupt:
        typer.echo("demo: stopped", err=True)


def _one(request: Request) -> Iterator[Request]:
    yield request


def _conclude(player: Player, manifest: Manifest, sender: Sender, files: Files) -> None:
    _report(sender.sent)
    settings = player.stage.settings
    played = {
        "company": player.stage.estate.company,
        "seed": settings.seed,
        "start": datetime.fromtimestamp(settings.start_ns / 1e9, UTC).isoformat(),
        "now": datetime.fromtimestamp(settings.now_ns / 1e9, UTC).isoformat(),
        "rate": settings.rate,
    }
    if files.manifest is not None:
        whole = {**played, "made": manifest.as_plain(), "sent": _plain(sender.sent)}
        files.manifest.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if files.truth is not None:
        import yaml

        from lowtide.demo.truth import TRUTH_DAYS, planted

        causal = {
            "days": min(TRUTH_DAYS, settings.days),
            "shares_of_work": player.shares.shares(),
            "requests": dict(sorted(player.shares.requests.items())),
        }
        whole = {"showing": played, **planted(), "causal": causal}
        files.truth.write_text(yaml.safe_dump(whole, sort_keys=False, width=110), encoding="utf-8")


def _plain(sent: Sent) -> dict[str, object]:
    return {
        "records": {signal.value: count for signal, count in sent.items.items()},
        "acknowledged": {signal.value: count for signal, count in sent.acknowledged.items()},
        "rejected": {signal.value: count for signal, count in sent.rejected.items() if count},
        "requests": {signal.value: count for signal, count in sent.requests.items()},
        "retries": sent.retries,
        "body_bytes": sent.body_bytes,
        "wire_bytes": sent.wire_bytes,
    }


def _report(sent: Sent) -> None:
    parts = [
        f"{sent.acknowledged[signal]:,} of {count:,} {signal.value} records acknowledged"
        for signal, count in sorted(sent.items.items())
    ]
    wire = f"{sent.wire_bytes / 1e6:.0f} MB on the wire, {sent.retries} retries"
    typer.echo("demo: " + "; ".join([*parts, wire]), err=True)
    for reason, count in sent.reasons.most_common(5):
        typer.echo(f"demo: {count} answers said: {reason}", err=True)


class _Progress:
    """How far the history is, in days and records."""

    def __init__(self, settings: DemoSettings, sent: Sent) -> None:
        from lowtide.demo.player import DaysPlayed
        from lowtide.demo.progress import ProgressLine

        self.settings = settings
        self.sent = sent
        self.played = DaysPlayed(settings)
        self.line = ProgressLine()

    def __call__(self, request: Request) -> None:
        day = self.played.saw(request)
        total = sum(self.sent.acknowledged.values())
        self.line.show(f"demo: day {day:.1f} of {self.settings.days:g}, {total:,} records")

    def close(self) -> None:
        """End the rewritten line."""
        self.line.close()


def _remove_there(
    api: str, token: str | None, trust: ssl.SSLContext | None, tell: Callable[[str], None]
) -> Removed:
    from lowtide.demo.server import DemoServer

    with DemoServer(api, token, trust) as server:
        return server.remove(tell)


def _remove(remove: RemoveHere) -> None:
    from lowtide.demo.progress import ProgressLine

    line, began = ProgressLine(), monotonic()
    try:
        removed = remove(lambda text: line.show(f"demo: {text}"))
    finally:
        line.close()
    counts = {table: rows for table, rows in removed.rows.items() if rows}
    for table, rows in sorted(counts.items()):
        typer.echo(f"demo: {table:<32}{rows:>14,}", err=True)
    if not removed.finished:
        raise DemoRefusedError(
            f"{sum(counts.values()):,} rows were removed, but the demo is still being sent, so some came.",
            hint="Stop the `lowtide demo` that plays, then run `lowtide demo --remove` again.",
        )
    if counts:
        took = f"{sum(counts.values()):,} rows removed in {monotonic() - began:.1f} s"
        typer.echo(f"demo: {took}; other data is untouched", err=True)
    else:
        typer.echo("demo: nothing of it is stored; other data is untouched", err=True)
