"""The desk's one promise that a page cannot show: what is kept is kept before anybody can ask again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import api.desk
from api.desk import Desk


async def on_the_loop(work: Callable[[], str]) -> str:
    """Stands for a thread, so that every turn of the loop is the same in every run."""
    for _ in range(10):
        await asyncio.sleep(0)
    return work()


@pytest.mark.parametrize("turns", range(20))
def test_an_answer_is_kept_before_its_key_can_be_asked_anew(
    monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    monkeypatch.setattr(api.desk.asyncio, "to_thread", on_the_loop)
    works: list[str] = []
    kept: list[str] = []

    def work() -> str:
        works.append("worked")
        return "found"

    async def asker(desk: Desk) -> str:
        return kept[0] if kept else await desk.ask("key", work, kept.append)

    async def ask_again_some_turns_later() -> list[str]:
        desk = Desk()
        first = asyncio.create_task(asker(desk))
        for _ in range(turns):
            await asyncio.sleep(0)
        return await asyncio.gather(first, asyncio.create_task(asker(desk)))

    assert asyncio.run(ask_again_some_turns_later()) == ["found", "found"]
    assert works == ["worked"]
