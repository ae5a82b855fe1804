"""What /readyz says of each part, and that a store that hangs does not hang it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from api.pipeline import PipelineState, SignalState
from ingest.store.errors import StoreUnavailableError
from lowtide.serve.lifecycle import Phase
from lowtide.serve.parts import ServerParts
from lowtide.serve.readiness import ReadinessReader, StoreProbe, hopeless
from lowtide.settings import Settings

SIGNAL = SignalState(
    signal="traces", received=0, accepted=0, refused=0, inserted=0, requests_spooled=0,
    requests_waiting_at_start=0, requests_inserted=0, requests_waiting=0, waiting_bytes=0,
    oldest_waiting_at=None, last_insert_at=None, retrying="",
)  # fmt: skip
FINE = PipelineState(
    read_at=datetime(2026, 11, 20, tzinfo=UTC), signals=(SIGNAL,), spool_bytes=1, spool_limit_bytes=10,
    spool_failed="", loader_failed="",
)  # fmt: skip


class Store:
    """Answers what the test wants."""

    def __init__(self, problem: str = "") -> None:
        self._problem = problem

    async def problem(self) -> str:
        return self._problem


async def unready(
    state: PipelineState = FINE, phase: Phase = Phase.RUNNING, problem: str = ""
) -> dict[str, str]:
    """The parts that are not ready, with what is said of them."""
    components = await ReadinessReader(lambda: phase, Store(problem)).components(state)
    assert [one.name for one in components] == ["server", "spool", "loader", "store"]
    return {one.name: one.detail for one in components if not one.is_ready}


async def test_all_is_well() -> None:
    assert await unready() == {}


@pytest.mark.parametrize(
    ("change", "part", "says"),
    [
        ({"spool_failed": "no space left"}, "spool", "no space left"),
        ({"spool_bytes": 10}, "spool", "full"),
        ({"disk_low": "1 GiB is free"}, "spool", "told to come back: 1 GiB is free"),
        ({"loader_failed": "a fault"}, "loader", "a fault"),
    ],
)
async def test_a_part_that_does_not_work(change: dict[str, Any], part: str, says: str) -> None:
    found = await unready(replace(FINE, **change))

    assert found.keys() == {part}
    assert says in found[part]


async def test_a_batch_that_is_repeated_is_no_reason() -> None:
    assert await unready(replace(FINE, signals=(replace(SIGNAL, retrying="away"),))) == {}


async def test_what_a_restart_of_the_machine_costs_is_told() -> None:
    state = replace(FINE, batches_to_repeat=7, broken_parts=3)
    told = {
        one.name: (one.is_ready, one.detail)
        for one in await ReadinessReader(lambda: Phase.RUNNING, Store()).components(state)
    }

    assert told["loader"] == (True, "it is storing again 7 batches that came after the last checkpoint")
    assert told["store"][0]
    assert "3 parts" in told["store"][1]


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.STOPPING])
async def test_only_a_running_server_is_ready(phase: Phase) -> None:
    assert await unready(phase=phase) == {"server": f"it is {phase}"}


async def test_a_store_that_is_away() -> None:
    assert await unready(problem="connection refused") == {"store": "connection refused"}


def test_what_cannot_recover_ends_the_process() -> None:
    assert hopeless("", "") == ""
    assert "disk" in hopeless("disk", "")
    assert "fault" in hopeless("", "fault")


def test_the_watch_asks_for_nothing_that_is_on_disk() -> None:
    """It runs on the event loop: `failed` is all it may know of the spool."""
    parts: Any = ServerParts(Settings())
    parts._api = SimpleNamespace(failed=lambda: "")
    parts._loader = SimpleNamespace(failed=lambda: "")
    parts._spool = SimpleNamespace(failed="")
    assert parts.failure() == ""
    parts._spool.failed = "no space left"
    assert "no space left" in parts.failure()


class Engine:
    """Opens sessions that answer, fail, or hang until `go_on` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.go_on = threading.Event()
        self.go_on.set()
        self.entered = threading.Event()
        self.opened = self.asked = self.closed = 0

    def session(self) -> Any:
        self.opened += 1
        return self

    def value(self, _: str) -> int:
        self.asked += 1
        self.entered.set()
        assert self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        return 1

    def close(self) -> None:
        self.closed += 1


async def test_the_store_is_asked_over_one_session() -> None:
    engine: Any = Engine()
    probe = StoreProbe(engine, answer_s=20)

    assert [await probe.problem() for _ in range(3)] == ["", "", ""]
    assert (engine.opened, engine.asked) == (1, 3)


async def test_a_session_that_failed_is_given_up() -> None:
    engine: Any = Engine(StoreUnavailableError("away"))
    probe = StoreProbe(engine, answer_s=20)
    assert await probe.problem() == "away"
    engine.error = None

    assert await probe.problem() == ""
    assert (engine.opened, engine.closed) == (2, 1)


async def test_a_store_that_hangs_is_asked_once() -> None:
    engine: Any = Engine()
    engine.go_on.clear()
    probe = StoreProbe(engine, answer_s=0.01)

    assert await probe.problem() == "no answer within 0.01 s"
    assert await asyncio.to_thread(engine.entered.wait, 20)
    assert {await probe.problem() for _ in range(3)} == {"no answer within 0.01 s"}
    assert engine.asked == 1
    engine.go_on.set()
    slow = StoreProbe(engine, answer_s=20)
    assert await slow.problem() == ""
