"""One thing is waited for at a time, and nothing after the last."""

from __future__ import annotations

import asyncio

from collector.http_deadline import Deadline


async def test_what_is_late_is_told_of_once_and_what_came_is_not() -> None:
    late: list[str] = []
    deadline = Deadline()
    deadline.wait(0.01, lambda: late.append("first"))
    deadline.wait(0.01, lambda: late.append("second"), is_idle=True)
    assert deadline.is_idle
    await asyncio.sleep(0.05)
    assert late == ["second"]
    deadline.wait(0.01, lambda: late.append("third"))
    deadline.end()
    assert not deadline.is_idle
    await asyncio.sleep(0.05)
    assert late == ["second"]


async def test_the_last_is_neither_ended_nor_put_off() -> None:
    late: list[str] = []
    deadline = Deadline()
    deadline.wait_last(0.05, lambda: late.append("last"))
    deadline.end()
    deadline.wait(10, lambda: late.append("another"))
    deadline.wait_last(10, lambda: late.append("another"))
    await asyncio.sleep(0.1)
    assert late == ["last"]


async def test_once_closed_nothing_is_waited_for() -> None:
    late: list[str] = []
    deadline = Deadline()
    deadline.wait_last(0.01, lambda: late.append("last"))
    deadline.close()
    deadline.wait(0.01, lambda: late.append("another"))
    await asyncio.sleep(0.05)
    assert late == []
    assert not deadline.is_set
