"""What the API may do with the demo the server plays, and waiting until everything is stored."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from lowtide.serve.own_demo import OwnDemo


def state(*stored: int) -> Any:
    """Three requests spooled and one from before, of which so many are stored, by signal."""
    return SimpleNamespace(
        signals=[
            SimpleNamespace(
                signal=str(number), requests_spooled=3, requests_waiting_at_start=1, requests_inserted=count
            )
            for number, count in enumerate(stored)
        ]
    )


def test_nothing_to_end() -> None:
    OwnDemo(lambda: state(4), lambda: False).end()


def test_what_is_played_is_ended_from_a_thread() -> None:
    ended: list[asyncio.AbstractEventLoop] = []

    class Demo:
        async def end(self) -> None:
            ended.append(asyncio.get_running_loop())

    async def run() -> asyncio.AbstractEventLoop:
        own = OwnDemo(lambda: state(4), lambda: False)
        own.plays(Demo())
        await asyncio.to_thread(own.end)
        return asyncio.get_running_loop()

    assert ended == [asyncio.run(run())]


def test_settling_waits_for_every_signal() -> None:
    states = [state(0, 0), state(2, 4), state(4, 3), state(4, 4)]
    left = iter(states)

    assert OwnDemo(lambda: next(left), lambda: False).settle()
    assert next(left, None) is None


def test_settling_ends_with_the_server_and_with_patience() -> None:
    assert not OwnDemo(lambda: state(0), lambda: True).settle()
    assert not OwnDemo(lambda: state(0), lambda: False, settle_s=0).settle()
