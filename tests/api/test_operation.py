"""Health, readiness, the pipeline and the removal of the demo, over parts that say what a test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Self

import pytest
from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter
from starlette.testclient import TestClient

import api.demo
from api.app import Routers, create_app
from api.demo import demo_router
from api.health import Component, health_router
from api.pipeline import PipelineState, SignalState, instant, pipeline_router
from api.settings import ApiSettings
from ingest.store.errors import StoreUnavailableError
from ingest.store.removal import Removal, Step

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRACES = SignalState(
    signal="traces", received=10, accepted=9, refused=1, inserted=7, requests_spooled=4,
    requests_waiting_at_start=1, requests_inserted=3, requests_waiting=2, waiting_bytes=200,
    oldest_waiting_at=NOW - timedelta(seconds=3), last_insert_at=NOW - timedelta(seconds=5), retrying="",
)  # fmt: skip
LOGS = replace(
    TRACES, signal="logs", requests_waiting=0, waiting_bytes=0, oldest_waiting_at=None,
    last_insert_at=NOW - timedelta(seconds=60),
)  # fmt: skip
STATE = PipelineState(
    read_at=NOW,
    signals=(TRACES, LOGS),
    spool_bytes=1000,
    spool_limit_bytes=5000,
    spool_failed="",
    loader_failed="",
)


class Fixed:
    """Says the same whenever it is asked, but not on the event loop: the real one may wait for a disk."""

    def __init__(self, state: PipelineState = STATE, components: Sequence[Component] = ()) -> None:
        self.state = state
        self.parts = components

    def read(self) -> PipelineState:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return self.state

    async def components(self, state: PipelineState) -> Sequence[Component]:
        assert state is self.state
        return self.parts


def client(*routers: APIRouter) -> TestClient:
    app = create_app(ApiSettings(), Routers(strict=routers), loopback_only=True)
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def test_a_state_sums_its_signals_up() -> None:
    assert (STATE.requests_waiting, STATE.waiting_bytes) == (2, 200)
    assert STATE.lag_s == 3
    assert STATE.last_insert_age_s == 5


def test_nothing_yet_is_told_from_long_ago() -> None:
    fresh = replace(STATE, signals=(replace(LOGS, last_insert_at=None),))

    assert fresh.last_insert_age_s is None
    assert fresh.lag_s == 0


def test_a_clock_that_jumped_back_makes_no_negative_age() -> None:
    past = replace(STATE, read_at=NOW - timedelta(hours=1))

    assert past.lag_s == 0
    assert past.last_insert_age_s == 0


@pytest.mark.parametrize(
    ("time_ns", "at"), [(None, None), (0, None), (1_500_000_000, datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC))]
)
def test_instants(time_ns: int | None, at: datetime | None) -> None:
    assert instant(time_ns) == at


def test_the_pipeline_as_an_answer() -> None:
    with client(pipeline_router(Fixed())) as api:
        answer = api.get("/api/v1/pipeline").json()

    assert answer["requests_waiting"] == 2
    assert answer["lag_s"] == 3
    traces = answer["signals"][0]
    assert traces["received"] == traces["accepted"] + traces["refused"]
    assert (
        traces["requests_spooled"] + traces["requests_waiting_at_start"]
        == traces["requests_inserted"] + traces["requests_waiting"]
    )


def health(components: Sequence[Component]) -> APIRouter:
    registries = [CollectorRegistry(), CollectorRegistry()]
    for number, registry in enumerate(registries):
        Counter(f"lowtide_test_{number}", "A counter.", registry=registry).inc(number + 1)
    fixed = Fixed(components=components)
    return health_router(fixed, fixed, registries)


def test_ready_when_every_part_is() -> None:
    with client(health([Component("spool", True, "fine"), Component("store", True, "it answers")])) as api:
        response = api.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "reasons": [],
        "last_insert_age_s": 5,
        "spool_lag": {"requests": 2, "bytes": 200, "seconds": 3},
        "components": {
            "spool": {"ready": True, "detail": "fine"},
            "store": {"ready": True, "detail": "it answers"},
        },
    }


def test_not_ready_with_every_reason() -> None:
    with client(health([Component("spool", False, "full"), Component("store", False, "away")])) as api:
        response = api.get("/readyz")
        alive = api.get("/healthz")

    assert response.status_code == 503
    assert response.json()["reasons"] == ["spool: full", "store: away"]
    assert (alive.status_code, alive.text) == (200, "ok\n")


def test_metrics_of_every_registry() -> None:
    with client(health([])) as api:
        response = api.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "lowtide_test_0_total 1.0" in response.text
    assert "lowtide_test_1_total 2.0" in response.text


class Sessions:
    """A store whose sessions know nothing."""

    def session(self) -> Any:
        return Session()


class Session(SimpleNamespace):
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_one_removal_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def remove(_: object, *, tell: Any, **__: object) -> Removal:
        tell(Step("otel_logs", number=2, tables=15, round=1, rows=7))
        begun.set()
        assert go_on.wait(20)
        return Removal({"otel_traces": 3}, finished=True)

    monkeypatch.setattr(api.demo, "remove_demo", remove)
    monkeypatch.setattr(api.demo, "has_demo", lambda _: True)
    answers: list[Any] = []
    with client(demo_router(Sessions(), Play())) as asking:
        first = threading.Thread(target=lambda: answers.append(asking.delete("/api/v1/demo")))
        first.start()
        assert begun.wait(20)
        second = asking.delete("/api/v1/demo")
        during = asking.get("/api/v1/demo").json()
        go_on.set()
        first.join()
        third = asking.delete("/api/v1/demo")
        after = asking.get("/api/v1/demo").json()

    assert second.status_code == 409
    assert answers[0].json() == third.json() == {"rows": {"otel_traces": 3}, "finished": True}
    assert during["removal"] == {"table": "otel_logs", "number": 2, "tables": 15, "round": 1, "rows": 7}
    assert after == {"stored": True, "removal": None}


class Play:
    """What the server plays itself; notes what is done with it."""

    def __init__(self, *, settles: bool = True) -> None:
        self.done: list[str] = []
        self._settles = settles

    def end(self) -> None:
        self.done.append("end")

    def settle(self) -> bool:
        self.done.append("settle")
        return self._settles

    def keep(self) -> None:
        self.done.append("keep")


def removes(done: list[str]) -> Any:
    def remove(_: object, *, settle: Any, tell: object) -> Removal:
        settle()
        done.append("remove")
        return Removal({}, finished=False)

    return remove


def test_the_servers_own_demo_ends_and_is_stored_before_it_is_removed_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    play = Play()
    monkeypatch.setattr(api.demo, "remove_demo", removes(play.done))
    with client(demo_router(Sessions(), play)) as asking:
        assert asking.delete("/api/v1/demo").json() == {"rows": {}, "finished": False}
    assert play.done == ["end", "settle", "remove", "keep"]


def test_nothing_is_removed_while_accepted_telemetry_cannot_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    play = Play(settles=False)
    monkeypatch.setattr(api.demo, "remove_demo", removes(play.done))
    with client(demo_router(Sessions(), play)) as asking:
        answer = asking.delete("/api/v1/demo")
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("still-storing")
        assert asking.delete("/api/v1/demo").status_code == 503, "the next one is let in"
    assert play.done == ["end", "settle"] * 2


def test_a_removal_that_failed_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter([StoreUnavailableError("away"), None])

    def remove(_: object, **__: object) -> Removal:
        if (error := next(tries)) is not None:
            raise error
        return Removal({}, finished=True)

    monkeypatch.setattr(api.demo, "remove_demo", remove)
    with client(demo_router(Sessions(), Play())) as asking:
        assert asking.delete("/api/v1/demo").status_code == 503
        assert asking.delete("/api/v1/demo").json() == {"rows": {}, "finished": True}
