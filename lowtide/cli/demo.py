"""`lowtide demo`: plays an invented company into a running collector, as any sender would. Registered by the
CLI.

The demo knows nothing of the store; only `--remove` asks the server, through its API. The trap: heavy
imports stay inside the command, so that `lowtide --help` is quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from lowtide.demo.manifest import Manifest
    from lowtide.demo.packing import Request
    from lowtide.demo.player import Player
    from lowtide.demo.sending import Sender, Sent
    from lowtide.demo.settings import DemoSettings

OTLP_HTTP = "http://127.0.0.1:4318"
DEFAULT_SEED = 20_170
WATCHED_EVERY_S = 0.25
UNWATCHED_EVERY_S = 5.0


class RunningServer(NamedTuple):
    """Where a server of ours answers."""

    api: str
    otlp_http: str


def nobody() -> RunningServer | None:
    """The finder used until another is given: it knows of no running server."""
    return None


def register(app: typer.Typer, find_server: Callable[[], RunningServer | None] = nobody) -> None:
    """Add the command. `find_server` tells where a server runs on this machine, for the defaults of the
    addresses."""

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
        api: Annotated[str | None, typer.Option(help="Address of the server's API, for --remove.")] = None,
    ) -> None:
        """Play a demo company: nine weeks of telemetry in under two minutes, then live if asked."""
        server = find_server() if endpoint is None or (remove and api is None) else None
        if remove:
            _remove(api or (server.api if server else None), token)
            return
        settings = _settings(seed, _moment(now), days, rate)
        target = endpoint or (server.otlp_http if server else OTLP_HTTP)
        _play(settings, target, token=token, live=live, files=Files(manifest, manifest_ids, truth))


class Files(NamedTuple):
    """Files to write, each only if asked for."""

    manifest: Path | None
    ids: Path | None
    truth: Path | None


def _fail(message: str) -> typer.Exit:
    typer.echo(f"lowtide demo: {message}", err=True)
    return typer.Exit(1)


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


def _play(settings: DemoSettings, endpoint: str, *, token: str | None, live: bool, files: Files) -> None:
    from lowtide.demo.estate import load_estate
    from lowtide.demo.manifest import Manifest
    from lowtide.demo.player import Player
    from lowtide.demo.sending import Sender, SendError
    from lowtide.demo.stage import set_up

    stage = set_up(load_estate(), settings)
    company = f"{stage.estate.company}, {stage.estate.title}"
    typer.echo(
        f"demo: {company} (invented), {settings.days:g} days to {endpoint}, seed {settings.seed}", err=True
    )
    sender = Sender(
        endpoint,
        in_flight=settings.requests_in_flight,
        timeout_s=settings.request_timeout_s,
        give_up_after_s=settings.give_up_after_s,
        token=token,
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
    except SendError as error:
        _report(sender.sent)
        raise _fail(str(error)) from None
    except KeyboardInterrupt:
        _report(sender.sent)
        raise typer.Exit(130) from None
    if any(sender.sent.rejected.values()):
        raise _fail("the receiver rejected some records, see above")


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
    """A line every few seconds, or one line that is rewritten where a person watches."""

    def __init__(self, settings: DemoSettings, sent: Sent) -> None:
        self.settings = settings
        self.sent = sent
        self.watched = sys.stderr.isatty()
        self.every_s = WATCHED_EVERY_S if self.watched else UNWATCHED_EVERY_S
        self.next_at = 0.0

    def __call__(self, request: Request) -> None:
        now = monotonic()
        if now < self.next_at:
            return
        self.next_at = now + self.every_s
        day = (request.due_ns - self.settings.start_ns) / 86_400e9
        total = sum(self.sent.acknowledged.values())
        line = f"demo: day {min(day, self.settings.days):.1f} of {self.settings.days:g}, {total:,} records"
        typer.echo(f"\r{line}  " if self.watched else line, err=True, nl=not self.watched)

    def close(self) -> None:
        """End the rewritten line."""
        if self.watched and self.next_at:
            typer.echo("", err=True)


def _remove(api: str | None, token: str | None) -> None:
    import httpx2

    if api is None:
        raise _fail("no running server was found; name its API with --api http://127.0.0.1:PORT")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = f"{api.rstrip('/')}/api/v1/demo"
    try:
        response = httpx2.delete(url, headers=headers, timeout=600.0, trust_env=False)
    except httpx2.TransportError as error:
        raise _fail(f"{url} cannot be reached ({error}); is the server running?") from None
    if response.status_code not in (200, 204):
        raise _fail(f"{url} answered {response.status_code}: {response.text[:200]}")
    typer.echo("demo: removed; other data is untouched", err=True)
