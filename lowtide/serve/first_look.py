"""What quickstart does beside the server: plays the demo, waits until everything is stored, shows the tables,
stays live.

`lowtide.cli.quickstart` hands it to `lowtide.serve.process`. The trap: it shares the event loop with the
server, so whatever blocks goes into a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from analytics.answers import FirstAnswers, first_answers
from analytics.errors import AnalyticsError
from analytics.window import DEFAULT_WINDOW
from ingest.store.errors import StoreError
from ingest.store.removal import has_demo
from lowtide.asking import TENANT
from lowtide.basis import basis_of
from lowtide.demo.progress import ProgressLine
from lowtide.errors import explain
from lowtide.output import note
from lowtide.serve.lifecycle import Addresses
from lowtide.serve.own_demo import accepted, waiting
from lowtide.serve.showing import DemoFailedError, Showing
from lowtide.serve.signals import StopRequest

if TYPE_CHECKING:
    from lowtide.serve.parts import ServerParts

log = structlog.get_logger(__name__)

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller of quickstart wants. `tables` prints the answers; it blocks."""

    demo: bool
    once: bool
    days: float
    tables: Callable[[FirstAnswers], None]


class FirstLook:
    """One quickstart."""

    def __init__(self, wishes: Wishes, say: Callable[[str], None] = note) -> None:
        self._wishes = wishes
        self._say = say

    async def __call__(self, parts: ServerParts, stop: StopRequest, addresses: Addresses) -> None:
        """Runs until the demo ends, or for ever; asks the server to stop if only a look was wanted."""
        async with AsyncExitStack() as closing:
            showing = await self._showing(parts, addresses)
            if showing is not None:
                await closing.enter_async_context(showing)
                parts.demo.plays(showing)
                await self._play(showing, parts)
            await self._stored(parts)
            await asyncio.to_thread(self._show, parts)
            if self._wishes.once:
                stop.make()
                return
            self._say(f"\nOpen {addresses.api} for the same as a page. Stop with Ctrl-C.")
            if showing is not None:
                await self._live(showing)

    async def _showing(self, parts: ServerParts, addresses: Addresses) -> Showing | None:
        """The demo to play, or None: it is not wanted, or a look at what is there is enough."""
        if not self._wishes.demo:
            return None
        data = parts.settings.data if parts.settings.tls.is_on else None
        if not await asyncio.to_thread(_demo_is_there, parts):
            return Showing(
                addresses.otlp_http,
                parts.tokens.own_secret,
                data,
                days=self._wishes.days,
                history=True,
                live=not self._wishes.once,
            )
        self._say(
            "The demo's history is in the store already and is not played again. To start over, run "
            "`lowtide demo --remove`, then quickstart anew."
        )
        if self._wishes.once:
            return None
        return Showing(
            addresses.otlp_http,
            parts.tokens.own_secret,
            data,
            days=self._wishes.days,
            history=False,
            live=True,
        )

    async def _play(self, showing: Showing, parts: ServerParts) -> None:
        """Follow the history to its end. Raises DemoFailedError if it breaks off."""
        progress = ProgressLine()
        async for event in showing.events():
            match event["event"]:
                case "begun":
                    self._say(f"Playing the demo: {event['company']}, {event['title']} (invented).")
                case "progress":
                    behind = (await asyncio.to_thread(parts.state)).requests_waiting
                    progress.show(
                        f"demo: day {event['day']:g} of {event['days']:g}, {event['records']:,} records "
                        f"sent, {behind:,} requests on their way into the store"
                    )
                case "played":
                    progress.close()
                    self._told(event)
                    return
                case _:  # live without a history
                    return

    def _told(self, event: Any) -> None:
        self._say(f"The demo's history was sent: {event['records']:,} records.")
        if event["rejected"]:
            self._say(f"{event['rejected']:,} of its records were rejected: {'; '.join(event['reasons'])}.")

    async def _stored(self, parts: ServerParts) -> None:
        """Return once nothing that had been accepted by now waits any more."""
        progress = ProgressLine()
        state = await asyncio.to_thread(parts.state)
        marks = accepted(state)
        while left := waiting(state, marks):
            progress.show(f"storing: {left:,} requests left")
            await asyncio.sleep(_POLL_S)
            state = await asyncio.to_thread(parts.state)
        progress.close()

    def _show(self, parts: ServerParts) -> None:
        """All tables from one reading of the store, so that their sums agree. Without an answer it is said
        why, and the server stays.
        """
        try:
            answers = _answers(parts)
        except (StoreError, AnalyticsError) as error:
            self._say(f"There are no tables to show. {explain(error)}")
            return
        self._wishes.tables(answers)

    async def _live(self, showing: Showing) -> None:
        """Keep the pipe empty while the demo goes on; its end does not end the server."""
        try:
            async for _ in showing.events():
                pass
        except DemoFailedError as error:
            log.warning("The demo has stopped, Lowtide goes on", reason=str(error))
        else:
            self._say("The demo is no longer played; Lowtide goes on.")


def _answers(parts: ServerParts) -> FirstAnswers:
    settings = parts.settings
    basis = basis_of(settings)
    with parts.engine.session() as session:
        return first_answers(session, basis, window=DEFAULT_WINDOW, now=datetime.now(UTC), tenant=TENANT)


def _demo_is_there(parts: ServerParts) -> bool:
    with parts.engine.session() as session:
        return has_demo(session)
