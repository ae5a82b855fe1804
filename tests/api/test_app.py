"""What every request meets before and after a router: errors in one shape, limits, and who may ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Request
from starlette.testclient import TestClient

from analytics.errors import AnalyticsError, WindowError
from api.app import Routers, create_app
from api.guard import host_of, is_this_machine
from api.problems import ApiError
from api.settings import ApiSettings
from ingest.store.errors import StoreRefusedError, StoreUnavailableError

LIMIT = 2048
ERRORS: dict[str, Exception] = {
    "away": StoreUnavailableError("no answer"),
    "refused": StoreRefusedError("unknown column"),
    "window": WindowError("no window"),
    "analytics": AnalyticsError("no price"),
    "own": ApiError(418, "teapot", "A teapot", "It is one.", members={"colour": "blue"}),
    "fault": RuntimeError("secret detail"),
}


def router() -> APIRouter:
    made = APIRouter()

    @made.get("/number")
    def number(n: int = 1) -> dict[str, int]:
        return {"n": n}

    @made.post("/length")
    async def length(request: Request) -> dict[str, int]:
        return {"length": len(await request.body())}

    @made.delete("/number")
    def forget() -> dict[str, int]:
        return {}

    @made.get("/fail/{kind}")
    def fail(kind: str) -> None:
        raise ERRORS[kind]

    return made


def client(*, loopback_only: bool = True) -> TestClient:
    settings = ApiSettings(max_body_bytes=LIMIT)
    app = create_app(settings, Routers(strict=[router()]), loopback_only=loopback_only)
    return TestClient(app, base_url="http://127.0.0.1:8686", raise_server_exceptions=False)


@pytest.fixture
def api() -> Iterator[TestClient]:
    with client() as opened:
        yield opened


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("POST", "/number", 405, "method-not-allowed"),
        ("GET", "/number?n=many", 400, "bad-request"),
        ("GET", "/number?m=1", 400, "unknown-parameter"),
        ("GET", "/fail/away", 503, "store-unavailable"),
        ("GET", "/fail/refused", 500, "store-refused"),
        ("GET", "/fail/window", 400, "bad-window"),
        ("GET", "/fail/analytics", 500, "no-answer"),
        ("GET", "/fail/own", 418, "teapot"),
        ("GET", "/fail/fault", 500, "internal"),
    ],
)
def test_every_error_is_a_problem_document(
    api: TestClient, method: str, path: str, status: int, kind: str
) -> None:
    response = api.request(method, path)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"urn:lowtide:problem:{kind}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]


def test_facts_of_an_error_are_members(api: TestClient) -> None:
    assert api.get("/fail/own").json()["colour"] == "blue"
    assert api.get("/number?m=1&k=2").json()["unknown"] == ["k", "m"]
    assert api.get("/number?n=x").json()["errors"][0]["where"] == "query.n"


def test_an_unexpected_error_keeps_its_details(api: TestClient) -> None:
    assert "secret detail" not in api.get("/fail/fault").text


def test_a_store_that_is_away_is_worth_another_try(api: TestClient) -> None:
    assert int(api.get("/fail/away").headers["retry-after"]) > 0


def test_what_was_sent_is_not_repeated(api: TestClient) -> None:
    assert "<script>" not in api.get("/number", params={"n": "<script>"}).text


@pytest.mark.parametrize("stated", [True, False], ids=["length stated", "in pieces"])
def test_bodies_are_limited(api: TestClient, stated: bool) -> None:
    def pieces(size: int) -> Iterator[bytes]:
        yield from (b"x" * 100 for _ in range(size // 100))

    within: Any = b"x" * 2000 if stated else pieces(2000)
    beyond: Any = b"x" * 3000 if stated else pieces(3000)
    assert api.post("/length", content=within).json() == {"length": 2000}
    response = api.post("/length", content=beyond)
    assert response.status_code == 413
    assert response.json()["type"] == "urn:lowtide:problem:too-large"
    assert "api.max_body_bytes" in response.json()["detail"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8686", "", "127.0.0.1.evil.example", "10.0.0.1"]
)
def test_other_names_for_this_machine_are_not_answered_to(api: TestClient, host: str) -> None:
    assert api.get("/number", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8686", "127.0.0.1", "[::1]:8686", "127.1.2.3", "LOCALHOST."]
)
def test_its_own_names_are(api: TestClient, host: str) -> None:
    assert api.get("/number", headers={"Host": host}).status_code == 200


def test_elsewhere_any_name_is() -> None:
    with client(loopback_only=False) as api:
        assert api.get("/number", headers={"Host": "lowtide.example"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("DELETE", "http://evil.example", 403),
        ("DELETE", "null", 403),
        ("DELETE", "http://127.0.0.1:8686", 200),
        ("DELETE", None, 200),
        ("GET", "http://evil.example", 200),
    ],
)
def test_pages_of_others_change_nothing(
    api: TestClient, method: str, origin: str | None, status: int
) -> None:
    headers = {} if origin is None else {"Origin": origin}

    response = api.request(method, "/number", headers=headers)

    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("path", ["/number", "/nothing", "/fail/away", "/number?m=1"])
def test_every_answer_protects_browsers(api: TestClient, path: str) -> None:
    headers = api.get(path).headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"


def test_refusals_protect_browsers_too(api: TestClient) -> None:
    assert "x-frame-options" in api.get("/number", headers={"Host": "evil.example"}).headers


@pytest.mark.parametrize(("header", "host"), [("[::1]:80", "::1"), ("a.b.:1", "a.b"), ("[", ""), ("", "")])
def test_hosts_are_read(header: str, host: str) -> None:
    assert host_of(header) == host


def test_no_number_is_taken_for_loopback() -> None:
    assert not is_this_machine("2130706433x")
    assert not is_this_machine("")
    assert is_this_machine("app.localhost")


def test_a_parameter_given_twice_is_refused(api: TestClient) -> None:
    """Taking the last of them would answer another question than was asked."""
    response = api.get("/number?n=1&n=2")

    assert response.status_code == 400
    assert response.json()["type"] == "urn:lowtide:problem:repeated-parameter"
    assert response.json()["repeated"] == ["n"]
    assert api.get("/number?n=1").json() == {"n": 1}


def test_whatever_can_be_read_can_be_asked_with_head(api: TestClient) -> None:
    """Uptime monitors do so."""
    whole, head = api.get("/number?n=7"), api.head("/number?n=7")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))
    assert head.headers["content-type"] == "application/json"
    assert head.headers["x-content-type-options"] == "nosniff"
    assert api.head("/number?m=1").status_code == 400
    assert api.head("/nothing").status_code == 404
    assert api.head("/length").status_code == 405


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_telemetry_sent_here_is_told_where_it_belongs(api: TestClient, signal: str) -> None:
    response = api.post(f"/v1/{signal}", content=b"")

    assert response.status_code == 404
    assert "OTLP has a port of its own" in response.json()["detail"]
    assert "OTLP" not in api.post("/v1/nothing").json()["detail"]
