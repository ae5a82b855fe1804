"""Runs the server as this process: the event loop, the signals, and what must be set before libraries load.

`lowtide serve` and `lowtide quickstart` call it from the main thread. The trap: it returns only when
everything is closed.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import uvloop

from lowtide.serve.lifecycle import Addresses, serve
from lowtide.serve.signals import StopRequest

if TYPE_CHECKING:
    from lowtide.serve.parts import ServerParts
    from lowtide.settings import Settings

Beside = Callable[["ServerParts", StopRequest, Addresses], Awaitable[None]]
"""What runs beside the server once it is ready; when it ends, the server stops if it asks for it."""


def run_server(settings: Settings, ready: Callable[[Addresses], None], beside: Beside | None = None) -> None:
    """Run until told to stop. `ready` is called once traffic can come.

    Raises what a step of the start raised, ComponentFailedError if a part failed while running, and what
    `beside` raised; everything is closed then.
    """
    # Read when grpc is first imported: its core would write lines of its own to stderr.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    uvloop.run(_run(settings, ready, beside))


async def _run(settings: Settings, ready: Callable[[Addresses], None], beside: Beside | None) -> None:
    from lowtide.serve.parts import ServerParts

    parts = ServerParts(settings)
    stop = StopRequest()
    stop.listen()
    company: list[asyncio.Task[None]] = []
    ending = asyncio.create_task(_end_with(stop, company))

    async def on_ready(addresses: Addresses) -> None:
        # What a start made lives as long as the process: a full collection would stop the loop for 0.1 s each
        # time to look through it.
        gc.collect()
        gc.freeze()
        ready(addresses)
        if beside is not None:
            company.append(asyncio.create_task(_accompany(beside, parts, stop, addresses)))

    try:
        await serve(
            parts,
            stop,
            on_ready,
            flush_s=settings.serve.flush_s,
            watch_interval_s=settings.serve.watch_interval_s,
        )
    finally:
        stop.ignore()
        ending.cancel()
        for task in company:
            task.cancel()
        ended = await asyncio.gather(*company, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception):
            raise result


async def _end_with(stop: StopRequest, company: list[asyncio.Task[None]]) -> None:
    """When the server is asked to stop, what runs beside it ends first."""
    await stop.wait()
    for task in company:
        task.cancel()


async def _accompany(beside: Beside, parts: ServerParts, stop: StopRequest, addresses: Addresses) -> None:
    """Run it; if it fails, the server stops too."""
    try:
        await beside(parts, stop, addresses)
    except Exception:
        stop.make()
        raise
