"""The order in which the server's parts start and stop. `lowtide serve` and `lowtide quickstart` run it.

lock -> spool -> engine -> migrations -> loader -> port of the API -> collector -> API -> published and
announced ... until asked to stop, or until a part has failed for good ... and back: API -> collector ->
loader (stores what is waiting) -> engine -> spool -> lock

Whatever was opened is closed, also when a later step fails. The trap: the spool stays open until the
collector has stopped, and the engine until the loader has, because both still work for those who were told
"accepted".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

import structlog

from lowtide.serve.errors import ComponentFailedError
from lowtide.serve.signals import StopRequest

log = structlog.get_logger(__name__)

T = TypeVar("T")
_GIVE_UP_S = 5.0
"""For the loader when the server never became ready: it ends after the batch it is working on."""


class Phase(StrEnum):
    """Where the process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the running server answers."""

    api: str
    otlp_http: str
    otlp_grpc: str

    def as_record(self) -> dict[str, str]:
        """With the keys of the ready line and of the record other commands read."""
        return {"api": self.api, "otlp_http": self.otlp_http, "otlp_grpc": self.otlp_grpc}


class Parts(Protocol):
    """Opens and closes the parts, in the order of the methods. What a method opened, its partner closes.

    The plain methods may block and are called in a thread; the async ones belong to the event loop.
    """

    def open_lock(self) -> None:
        """Own the data directory."""

    def close_lock(self) -> None:
        """Give it up."""

    def open_spool(self) -> None:
        """Open the log of what was accepted."""

    def close_spool(self) -> None:
        """Close it."""

    def open_engine(self) -> None:
        """Say where the store is."""

    def close_engine(self) -> None:
        """Close every session."""

    def migrate(self) -> None:
        """Reach the store and bring its tables up to date, now or when it is back."""

    def start_loader(self) -> None:
        """Begin to store what waits in the spool."""

    def stop_loader(self, timeout_s: float) -> None:
        """Store what is waiting for at most that long, and say what is left."""

    def bind_api(self) -> None:
        """Make the API and claim its port, so that nothing is received by a server that cannot start."""

    def unbind_api(self) -> None:
        """Give the port up, if the API never took it over."""

    async def start_collector(self) -> None:
        """Claim the ports of OTLP, then receive."""

    async def stop_collector(self) -> None:
        """Receive nothing more and finish what is in flight."""

    async def start_api(self) -> None:
        """Answer."""

    async def stop_api(self) -> None:
        """Answer nothing more."""

    def addresses(self) -> Addresses:
        """Where the server really listens, once both have started."""

    def publish(self, addresses: Addresses) -> None:
        """Tell other commands."""

    def enter(self, phase: Phase) -> None:
        """Note where the process is, for /readyz."""

    def failure(self) -> str:
        """A sentence about a part that has failed for good; empty while all work. Quick: it is asked for
        on the event loop, again and again."""


OnReady = Callable[[Addresses], Awaitable[None]]


class _StoppedEarlyError(Exception):
    """Asked to stop while starting."""


async def serve(
    parts: Parts, stop: StopRequest, on_ready: OnReady, *, flush_s: float, watch_interval_s: float
) -> None:
    """Run the server from its first step to its last.

    Returns after it was asked to stop and everything is closed. Raises what a step raised, or
    ComponentFailedError if a part failed while running; everything is closed then, too.
    """
    life = _Life(parts, stop, flush_s)
    try:
        async with AsyncExitStack() as closing:
            await life.start(closing)
            await on_ready(parts.addresses())
            await _until_stop(parts, stop, watch_interval_s)
    except _StoppedEarlyError:
        log.info("Stopped before it was ready")


class _Life:
    """The steps of one run."""

    def __init__(self, parts: Parts, stop: StopRequest, flush_s: float) -> None:
        self._parts = parts
        self._stop = stop
        self._flush_s = flush_s
        self._was_ready = False

    async def start(self, closing: AsyncExitStack) -> None:
        """Every step; each leaves its closing behind before the next begins."""
        parts = self._parts
        parts.enter(Phase.STARTING)
        await self._step(parts.open_lock)
        closing.push_async_callback(_in_thread, parts.close_lock)
        await self._step(parts.open_spool)
        closing.push_async_callback(_in_thread, parts.close_spool)
        await self._step(parts.open_engine)
        closing.push_async_callback(_in_thread, parts.close_engine)
        await self._step(parts.migrate)
        await self._step(parts.start_loader)
        closing.push_async_callback(self._stop_loader)
        await self._step(parts.bind_api)
        closing.push_async_callback(_in_thread, parts.unbind_api)
        closing.push_async_callback(parts.stop_collector)
        self._go_on()
        await parts.start_collector()
        closing.push_async_callback(parts.stop_api)
        self._go_on()
        await parts.start_api()
        self._go_on()
        closing.callback(parts.enter, Phase.STOPPING)
        parts.enter(Phase.RUNNING)
        await _in_thread(parts.publish, parts.addresses())
        self._was_ready = True

    async def _step(self, action: Callable[[], None]) -> None:
        self._go_on()
        await _in_thread(action)

    def _go_on(self) -> None:
        if self._stop.is_made:
            raise _StoppedEarlyError

    async def _stop_loader(self) -> None:
        await _in_thread(self._parts.stop_loader, self._flush_s if self._was_ready else _GIVE_UP_S)


async def _in_thread(action: Callable[..., T], *arguments: object) -> T:
    """Run what blocks. A step is never broken off half way: it is waited for even if we are cancelled."""
    task = asyncio.create_task(asyncio.to_thread(action, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _until_stop(parts: Parts, stop: StopRequest, interval_s: float) -> None:
    """Return when asked to stop. Raises ComponentFailedError."""
    while not stop.is_made:
        failure = parts.failure()
        if failure:
            raise ComponentFailedError(
                failure, hint="Nothing that was acknowledged is lost. Mend the cause and start Lowtide again."
            )
        try:
            async with asyncio.timeout(interval_s):
                await stop.wait()
        except TimeoutError:
            continue
    log.info("Stopping")
