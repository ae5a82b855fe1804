"""The process that plays the demo for `lowtide quickstart`: `python -m lowtide.serve.demo_child OPTIONS`.

The first line of its stdin is the token it sends with; `--data` names the directory whose server it sends to,
if that speaks TLS. A process of its own, so that making telemetry and
storing it each have a core. It says on stdout, a JSON object a line, how far it is (`lowtide.serve.showing`
reads them). The trap: Ctrl-C reaches the whole terminal's group, so it is ignored here; the parent ends
this process, and when the parent is gone, writing to it does.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowtide.demo.packing import Request
    from lowtide.demo.player import Player
    from lowtide.demo.sending import Sender

_EVERY_S = 0.25


def main(arguments: Sequence[str]) -> int:
    """Play what the arguments say. Exit code 1 if it had to give up; the last line then says why."""
    parser = argparse.ArgumentParser(prog="lowtide.serve.demo_child")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--days", type=float, required=True)
    parser.add_argument("--history", action="store_true")
    parser.add_argument("--live", action="store_true")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    token = sys.stdin.readline().strip()
    try:
        _play(given.endpoint, token, given.data, given.days, history=given.history, live=given.live)
    except BrokenPipeError:
        sys.stderr.close()  # the parent is gone, nobody listens
        return 1
    return 0


def _play(endpoint: str, token: str, data: Path | None, days: float, *, history: bool, live: bool) -> None:
    from lowtide.demo.estate import load_estate
    from lowtide.demo.manifest import Manifest
    from lowtide.demo.player import Player
    from lowtide.demo.sending import Sender, SendError
    from lowtide.demo.settings import DemoSettings
    from lowtide.demo.stage import set_up
    from lowtide.trust import server_of

    settings = DemoSettings.ending(datetime.now(UTC), days=days)
    stage = set_up(load_estate(), settings)
    _say("begun", company=stage.estate.company, title=stage.estate.title, days=settings.days)
    sender = Sender(
        endpoint,
        in_flight=settings.requests_in_flight,
        timeout_s=settings.request_timeout_s,
        give_up_after_s=settings.give_up_after_s,
        token=token or None,
        trust=None if data is None else server_of(data),
    )
    try:
        with Manifest(None) as manifest, sender:
            player = Player(stage, manifest)
            if history:
                _play_history(player, sender)
            if live:
                _play_live(player, sender)
    except SendError as error:
        _say("failed", reason=str(error))
        raise SystemExit(1) from None


def _play_history(player: Player, sender: Sender) -> None:
    from lowtide.demo.player import DaysPlayed

    settings = player.stage.settings
    next_at, played = 0.0, DaysPlayed(settings)

    def progress(request: Request) -> None:
        nonlocal next_at
        day = played.saw(request)
        if monotonic() >= next_at:
            next_at = monotonic() + _EVERY_S
            _say(
                "progress",
                day=round(day, 1),
                days=settings.days,
                records=sum(sender.sent.acknowledged.values()),
            )

    sender.send_all(player.history(), progress)
    sent = sender.sent
    _say(
        "played",
        records=sum(sent.acknowledged.values()),
        rejected=sum(sent.rejected.values()),
        reasons=[reason for reason, _ in sent.reasons.most_common(3)],
    )


def _play_live(player: Player, sender: Sender) -> None:
    for request in player.live():
        sender.send_all(_one(request), lambda _: None)
        _say("live")


def _one(request: Request) -> Iterator[Request]:
    yield request


def _say(event: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
