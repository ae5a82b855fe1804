"""The order of starting and stopping, over parts that only note what is done with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lowtide.serve.errors import ComponentFailedError
from lowtide.serve.lifecycle import Addresses, Phase, serve
from lowtide.serve.signals import StopRequest

ADDRESSES = Addresses("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")
OPENING = [
    "open_lock",
    "open_spool",
    "open_engine",
    "migrate",
    "start_loader",
    "bind_api",
    "start_collector",
    "start_api",
]
CLOSING = [
    "stop_api",
    "stop_collector",
    "unbind_api",
    "stop_loader",
    "close_engine",
    "close_spool",
    "close_lock",
]
CLOSES = {
    "open_lock": "close_lock", "open_spool": "close_spool", "open_engine": "close_engine",
    "start_loader": "stop_loader", "bind_api": "unbind_api",
    "start_collector": "stop_collector", "start_api": "stop_api",
}  # fmt: skip


class Noting:
    """Notes every call; `fails_at` raises, `stops_at` asks to stop."""

    def __init__(self, stop: StopRequest, fails_at: str = "", stops_at: str = "") -> None:
        self.calls: list[str] = []
        self.phases: list[Phase] = []
        self.flush_s: float | None = None
        self.broken = ""
        self._stop = stop
        self._fails_at = fails_at
        self._stops_at = stops_at

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in {*OPENING, *CLOSING}:
            raise AttributeError(name)
        return (
            self._async(name)
            if name.endswith("_collector") or name in {"start_api", "stop_api"}
            else self._plain(name)
        )

    def _plain(self, name: str) -> Callable[..., None]:
        def call(*given: float) -> None:
            if name == "stop_loader":
                self.flush_s = given[0]
            self._note(name)

        return call

    def _async(self, name: str) -> Callable[..., Any]:
        async def call() -> None:
            self._note(name)

        return call

    def _note(self, name: str) -> None:
        self.calls.append(name)
        if name == self._stops_at:
            self._stop.make()
        if name == self._fails_at:
            raise OSError(f"{name} failed")

    def addresses(self) -> Addresses:
        return ADDRESSES

    def publish(self, _: Addresses) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):  # it writes a file
            asyncio.get_running_loop()
        self.calls.append("publish")

    def enter(self, phase: Phase) -> None:
        self.phases.append(phase)

    def failure(self) -> str:
        return self.broken


async def run(
    parts: Noting, stop: StopRequest, on_ready: Callable[[], None] = lambda: None
) -> list[Addresses]:
    """Serve until it ends; what was said to be ready."""
    ready: list[Addresses] = []

    async def told(addresses: Addresses) -> None:
        ready.append(addresses)
        parts.calls.append("ready")
        on_ready()

    await serve(parts, stop, told, flush_s=7, watch_interval_s=0.01)
    return ready


async def test_everything_opens_and_closes_in_order() -> None:
    stop = StopRequest()
    parts = Noting(stop)

    assert await run(parts, stop, stop.make) == [ADDRESSES]

    assert parts.calls == [*OPENING, "publish", "ready", *CLOSING]
    assert parts.phases == [Phase.STARTING, Phase.RUNNING, Phase.STOPPING]
    assert parts.flush_s == 7


@pytest.mark.parametrize("broken", OPENING)
async def test_what_was_opened_is_closed_when_a_step_fails(broken: str) -> None:
    stop = StopRequest()
    parts = Noting(stop, fails_at=broken)

    with pytest.raises(OSError, match=broken):
        await run(parts, stop)

    tried = OPENING[: OPENING.index(broken) + 1]
    assert parts.calls[: len(tried)] == tried
    closed = parts.calls[len(tried) :]
    opened = {CLOSES[name] for name in tried[:-1] if name in CLOSES}
    assert opened <= set(closed)
    assert closed == [name for name in CLOSING if name in closed], "in order, each once"
    assert "publish" not in closed


@pytest.mark.parametrize("last", OPENING)
async def test_asked_to_stop_while_it_starts(last: str) -> None:
    stop = StopRequest()
    parts = Noting(stop, stops_at=last)

    assert await run(parts, stop) == []

    assert parts.calls[: OPENING.index(last) + 1] == OPENING[: OPENING.index(last) + 1]
    assert not set(OPENING[OPENING.index(last) + 1 :]) & set(parts.calls)
    assert parts.calls[-1] == "close_lock"


@pytest.mark.parametrize("broken", CLOSING)
async def test_a_part_that_does_not_close_keeps_none_open(broken: str) -> None:
    stop = StopRequest()
    parts = Noting(stop, fails_at=broken)

    with pytest.raises(OSError, match=broken):
        await run(parts, stop, stop.make)

    assert parts.calls[-len(CLOSING) :] == CLOSING


async def test_a_part_that_failed_for_good_ends_it() -> None:
    stop = StopRequest()
    parts = Noting(stop)

    def break_down() -> None:
        parts.broken = "The spool can no longer be written: no space."

    with pytest.raises(ComponentFailedError, match="no longer be written"):
        await run(parts, stop, break_down)

    assert parts.calls[-len(CLOSING) :] == CLOSING


async def test_who_listens_failing_closes_everything() -> None:
    stop = StopRequest()
    parts = Noting(stop)

    def fail() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await run(parts, stop, fail)

    assert parts.calls[-len(CLOSING) :] == CLOSING


async def test_the_first_signal_asks_and_the_second_leaves() -> None:
    left: list[int] = []
    stop = StopRequest(leave=left.append)

    stop.received(15)
    assert (stop.is_made, left) == (True, [])
    await asyncio.wait_for(stop.wait(), 5)
    stop.received(15)

    assert left == [143]
