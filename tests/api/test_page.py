"""The front page over answers a test makes up: what it asks, how often, and what it says if that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

import api.page
from analytics.documents import CostAnswer, CostRow, IdleAnswer, RecommendAnswer, Span
from analytics.errors import AnalyticsError, WindowError
from analytics.grouping import By
from api.app import Routers, create_app
from api.desk import PLACES, Desk
from api.health import health_router
from api.page import page_router
from api.pipeline import PipelineState, SignalState
from api.settings import ApiSettings
from ingest.store.errors import StoreUnavailableError

ABOUT: dict[str, Any] = {
    "window": Span(start=datetime(2026, 11, 13, tzinfo=UTC), end=datetime(2026, 11, 20, tzinfo=UTC)),
    "time_zone": "UTC", "currency": "USD", "prices_retrieved_on": date(2026, 1, 19), "coverage": None,
    "notes": (),
}  # fmt: skip
STATE = PipelineState(
    read_at=datetime.now(UTC),
    signals=(
        SignalState(
            signal="traces", received=10, accepted=9, refused=1, inserted=9, requests_spooled=4,
            requests_waiting_at_start=0, requests_inserted=4, requests_waiting=0, waiting_bytes=0,
            oldest_waiting_at=None, last_insert_at=None, retrying="table is read only",
        ),
    ),
    spool_bytes=1, spool_limit_bytes=2, spool_failed="", loader_failed="",
)  # fmt: skip


def cost(by: str) -> CostAnswer:
    row = CostRow(
        name=f"one {by}", line="direct", cpu=Decimal(1), memory=Decimal(1), sidecars=Decimal(0),
        functions=Decimal(0), storage=Decimal(0), total=Decimal(2), share=1.0, unused=Decimal(0),
        requests=None, per_million_requests=None,
    )  # fmt: skip
    return CostAnswer(**ABOUT, by=by, rows=(row,))


class Asked:
    """Stands for analytics. Counts what it is asked, and raises `error` if there is one."""

    def __init__(self) -> None:
        self.windows: list[str] = []
        self.keys: list[By] = []
        self.error: Exception | None = None
        self.wait = threading.Event()
        self.wait.set()

    def first_answers(self, _session: object, _basis: object, *, window: str, **_: object) -> Any:
        assert self.wait.wait(20)
        self.windows.append(window)
        if self.error is not None:
            raise self.error
        return SimpleNamespace(
            by_application=cost("application"), by_team=cost("team"),
            idle=IdleAnswer(**ABOUT, thresholds={}, rows=()), recommend=RecommendAnswer(**ABOUT, rows=()),
        )  # fmt: skip

    def cost_answer(self, _session: object, _basis: object, *, by: By, **_: object) -> CostAnswer:
        self.keys.append(by)
        return cost(by.value)


class Session:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    stands = Asked()
    monkeypatch.setattr(api.page, "first_answers", stands.first_answers)
    monkeypatch.setattr(api.page, "cost_answer", stands.cost_answer)
    return stands


@pytest.fixture
def get(asked: Asked) -> Iterator[Callable[..., Any]]:
    store: Any = SimpleNamespace(session=Session)
    basis: Any = SimpleNamespace(zone=UTC)
    pipeline: Any = SimpleNamespace(read=lambda: STATE)
    addresses = {"otlp_http": "http://127.0.0.1:1", "otlp_grpc": "http://127.0.0.1:2"}
    routers = [
        page_router(store, basis, pipeline, lambda: addresses, Desk()),
        health_router(pipeline, pipeline, [CollectorRegistry()]),
    ]
    app = create_app(ApiSettings(), Routers(strict=routers), loopback_only=True)
    with TestClient(app, base_url="http://localhost") as client:
        yield client.get


def test_both_tables_of_a_week(get: Callable[..., Any], asked: Asked) -> None:
    response = get("/")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "one application" in response.text
    assert "one team" in response.text
    assert asked.windows == ["7d"]


def test_the_url_says_what_is_shown(get: Callable[..., Any], asked: Asked) -> None:
    response = get("/?window=24h&by=service")

    assert "one service" in response.text
    assert "one team" not in response.text
    assert asked.windows == ["24h"]
    assert asked.keys == [By.SERVICE]


def test_reloading_asks_nothing_again(
    get: Callable[..., Any], asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(api.page, "monotonic", lambda: now)
    for path in ("/", "/", "/?window=24h", "/"):
        assert get(path).status_code == 200
    assert asked.windows == ["7d", "24h"]

    now += 16
    get("/")

    assert asked.windows == ["7d", "24h", "7d"]


def test_who_asks_at_the_same_time_waits_for_one_answer(get: Callable[..., Any], asked: Asked) -> None:
    asked.wait.clear()
    askers = [threading.Thread(target=get, args=("/",)) for _ in range(4)]
    for asker in askers:
        asker.start()
    asked.wait.set()
    for asker in askers:
        asker.join()

    assert asked.windows == ["7d"]


def test_pages_that_wait_hold_up_nothing_else(get: Callable[..., Any], asked: Asked) -> None:
    asked.wait.clear()
    with ThreadPoolExecutor(60) as threads:
        pages = [threads.submit(get, f"/?window={hours}h") for hours in range(1, 51)]
        try:
            refused = next(page.result(timeout=10) for page in as_completed(pages, timeout=10))
            assert threads.submit(get, "/metrics").result(timeout=10).status_code == 200
            assert threads.submit(get, "/healthz").result(timeout=10).status_code == 200
        finally:
            asked.wait.set()
        answers = [page.result() for page in pages]

    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:lowtide:problem:busy"
    assert int(refused.headers["retry-after"]) > 0
    assert {answer.status_code for answer in answers} == {200, 503}
    assert sum(answer.status_code == 200 for answer in answers) == PLACES
    assert get("/").status_code == 200


def test_only_a_few_are_kept(get: Callable[..., Any], asked: Asked) -> None:
    for hours in range(1, 20):
        get(f"/?window={hours}h")
    get("/?window=1h")

    assert asked.windows[-1] == "1h"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (WindowError("'x' is no window"), 400),
        (StoreUnavailableError("The store is away"), 503),
        (AnalyticsError("A price is missing"), 503),
    ],
)
def test_a_failure_is_a_page_and_is_not_kept(
    get: Callable[..., Any], asked: Asked, error: Exception, status: int
) -> None:
    asked.error = error
    response = get("/")
    assert response.status_code == status
    assert str(error).replace("'", "&#39;") in response.text
    assert "Connect your own service" in response.text

    asked.error = None

    assert get("/").status_code == 200


def test_a_store_that_takes_nothing_is_shown(get: Callable[..., Any]) -> None:
    assert "table is read only" in get("/").text


def test_unknown_parameters_are_refused(get: Callable[..., Any]) -> None:
    assert get("/?windows=24h").status_code == 400
    assert get("/?by=team&by=service").status_code == 400


def test_a_wrong_key_is_a_page_that_says_so(get: Callable[..., Any], asked: Asked) -> None:
    response = get("/?by=<colour>")

    assert response.status_code == 400
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "&#39;&lt;colour&gt;&#39; is not one of team, application" in response.text
    assert "/?window=24h" in response.text
    assert asked.windows == []


def test_the_style_sheet_is_kept_by_browsers(get: Callable[..., Any]) -> None:
    page = get("/").text
    path = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    response = get(path)

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert response.headers["cache-control"] == "max-age=3600"
