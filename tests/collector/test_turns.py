"""Reading in turns: a fixed number at a time, and nobody who does not get on keeps the others out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from collector import turns as module
from collector.refusals import OverloadedError
from collector.turns import Turns


def waits(event: asyncio.Event) -> Callable[[], Awaitable[str]]:
    async def read() -> str:
        await event.wait()
        return "read"

    return read


async def at_once() -> str:
    return "read"


async def test_only_so_many_read_at_a_time() -> None:
    turns = Turns(3)
    reading = 0
    most = []

    async def read() -> str:
        nonlocal reading
        reading += 1
        most.append(reading)
        await asyncio.sleep(0.002)
        reading -= 1
        return "read"

    assert await asyncio.gather(*(turns.take(read) for _ in range(20))) == ["read"] * 20
    assert max(most) == 3


async def test_a_reader_may_take_its_time_while_nobody_waits() -> None:
    turns = Turns(1, patience_s=0.001)
    gate = asyncio.Event()
    slow = asyncio.create_task(turns.take(waits(gate)))
    await asyncio.sleep(0.05)
    assert not slow.done()
    gate.set()
    assert await slow == "read"


async def test_a_reader_that_does_not_get_on_makes_room() -> None:
    turns = Turns(2, patience_s=0.02)
    stalled = [asyncio.create_task(turns.take(waits(asyncio.Event()))) for _ in range(2)]
    await asyncio.sleep(0)
    assert await turns.take(at_once) == "read"
    with pytest.raises(OverloadedError, match="too slowly while others waited"):
        await stalled[0]
    assert not stalled[1].done()  # one waited, so one had to go
    assert await turns.take(at_once) == "read"
    stalled[1].cancel()


async def test_a_line_of_stalled_readers_is_worked_off() -> None:
    turns = Turns(2, patience_s=0.01)
    stalled = [asyncio.create_task(turns.take(waits(asyncio.Event()))) for _ in range(20)]
    await asyncio.sleep(0)
    assert await turns.take(at_once) == "read"
    gone = [task for task in stalled if task.done()]
    assert len(gone) >= 18
    for task in gone:
        assert isinstance(task.exception(), OverloadedError)
    for task in stalled:
        task.cancel()


async def test_nobody_waits_for_ever() -> None:
    turns = Turns(1, patience_s=60, wait_s=0.01)
    gate = asyncio.Event()
    slow = asyncio.create_task(turns.take(waits(gate)))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="arriving slowly"):
        await turns.take(at_once)
    gate.set()
    assert await slow == "read"
    assert await turns.take(at_once) == "read"


async def test_the_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    turns = Turns(1, patience_s=60)
    gate = asyncio.Event()
    readers = [asyncio.create_task(turns.take(waits(gate))) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="too many calls"):
        await turns.take(at_once)
    gate.set()
    assert await asyncio.gather(*readers) == ["read"] * 4


async def test_whoever_leaves_gives_the_turn_back() -> None:
    turns = Turns(1, patience_s=60)
    reader = asyncio.create_task(turns.take(waits(asyncio.Event())))
    waiting = asyncio.create_task(turns.take(at_once))
    await asyncio.sleep(0)
    waiting.cancel()
    reader.cancel()
    await asyncio.gather(reader, waiting, return_exceptions=True)
    assert await turns.take(at_once) == "read"


async def test_the_readers_own_errors_pass() -> None:
    turns = Turns(1)

    async def fails() -> str:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await turns.take(fails)
    assert await turns.take(at_once) == "read"
