"""Attacks on the door of the API, with real tokens."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.testclient import TestClient

from api.access import CallerParameter, Need, need_of
from api.app import Routers, create_app
from api.settings import ApiSettings
from api.telemetry import REFUSED
from lowtide.serve.doors import api_keeper
from lowtide.tls.settings import TlsSettings
from lowtide.tokens.file import FILE_NAME
from lowtide.tokens.live import LiveTokens
from lowtide.tokens.token import Scope, mint
from support import tokens

HOST = "127.0.0.1:8686"


def router() -> APIRouter:
    made = APIRouter()
    for path in ("/", "/metrics", "/readyz", "/api/v1/cost"):

        @made.get(path)
        def answer(caller: CallerParameter) -> dict[str, object]:
            return {"tenant": caller.tenant, "sees_all": caller.sees_all}

    @made.get("/healthz")
    def healthz() -> str:
        return "ok"

    @made.api_route("/sql", methods=["GET", "POST"])
    def sql(caller: CallerParameter) -> dict[str, str]:
        return {"tenant": caller.tenant}

    @made.delete("/api/v1/demo")
    def remove(caller: CallerParameter) -> dict[str, str]:
        return {"tenant": caller.tenant}

    return made


def client(data: Path, *, loopback_only: bool = True) -> TestClient:
    keeper = api_keeper(LiveTokens(data, may_be_open=loopback_only), TlsSettings())
    app = create_app(
        ApiSettings(), Routers(strict=[], open=[router()]), loopback_only=loopback_only, keeper=keeper
    )
    return TestClient(app, base_url=f"http://{HOST}")


@pytest.fixture
def token(tmp_path: Path) -> str:
    return tokens.make(tmp_path, *tokens.ALL, tenant="acme")


@pytest.fixture
def api(tmp_path: Path, token: str) -> Iterator[TestClient]:
    with client(tmp_path) as opened:
        yield opened


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/", "/api/v1/cost"])
def test_a_token_is_its_tenant(api: TestClient, token: str, path: str) -> None:
    for headers in (bearer(token), basic("", token), basic("anyone", token), basic("lowtide", token)):
        answer = api.get(path, headers=headers)
        assert answer.json() == {"tenant": "acme", "sees_all": False}


def test_a_browser_is_asked_for_it(api: TestClient) -> None:
    """`Basic` in the challenge makes every browser ask for a name and a password."""
    answer = api.get("/")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "Bearer" in answer.headers["www-authenticate"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:lowtide:problem:token-missing"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic /w=="},
        {"Authorization": "Digest username=x"},
        basic("", ""),
        basic("x", "y"),
        bearer("x" * 20_000),
        bearer("\x7f"),
        bearer(f"lt_{'a' * 16}_{'b' * 52}"),
        {"X-ClickHouse-Key": "x"},
        {"Cookie": "token=x"},
    ],
    ids=str,
)
def test_without_a_good_one_nothing_is_answered(api: TestClient, headers: dict[str, str]) -> None:
    for path in (
        "/",
        "/api/v1/cost",
        "/sql",
        "/nothing",
        "/api/v1/openapi.json",
        "/static/lowtide.css",
        "/ping",
    ):
        assert api.get(path, headers=headers).status_code == 401, path
    assert api.delete("/api/v1/demo", headers=headers).status_code == 401
    assert api.get("/healthz", headers=headers).status_code == 200


def test_the_name_is_not_the_password(api: TestClient, token: str) -> None:
    for headers in (basic(token, ""), basic(token, "x"), basic("", f"x:{token}"), basic("", f"{token}:x")):
        assert api.get("/", headers=headers).status_code == 401


def test_two_answers_to_who_somebody_is_are_none(api: TestClient, token: str) -> None:
    one = f"Bearer {token}"
    for headers in (
        [("Authorization", one), ("Authorization", one)],
        [("Authorization", one), ("Authorization", "Bearer x")],
        [("Authorization", "Bearer x"), ("Authorization", one)],
        [("Authorization", f"{one}, {one}")],
    ):
        assert api.get("/", headers=headers).status_code == 401
    both = [("Authorization", one), ("X-ClickHouse-Key", token)]
    assert api.get("/sql", headers=both).status_code == 401


def test_the_url_is_no_place_for_a_token(api: TestClient, token: str) -> None:
    for name in ("token", "password", "user", "access_token", "Authorization", "X-ClickHouse-Key"):
        assert api.get("/sql", params={name: token}).status_code == 401
        assert api.get("/", params={name: token}).status_code == 401


def test_clickhouse_keys_are_for_sql_only(api: TestClient, token: str) -> None:
    headers = {"X-ClickHouse-User": "someone", "X-ClickHouse-Key": token}

    assert api.get("/sql", headers=headers).json() == {"tenant": "acme"}
    assert api.get("/", headers=headers).status_code == 401


def test_nothing_else_names_a_tenant(api: TestClient, token: str) -> None:
    headers = bearer(token) | {"X-Scope-OrgID": "victim", "X-Lowtide-Tenant": "victim", "X-Tenant": "victim"}

    assert api.get("/", headers=headers, params={"tenant": "victim"}).json()["tenant"] == "acme"


SCOPES = {
    ("GET", "/"): Scope.READ,
    ("HEAD", "/"): Scope.READ,
    ("GET", "/api/v1/cost"): Scope.READ,
    ("GET", "/sql"): Scope.QUERY,
    ("POST", "/sql"): Scope.QUERY,
    ("DELETE", "/api/v1/demo"): Scope.ADMIN,
}


@pytest.mark.parametrize(("method", "path"), SCOPES)
def test_every_request_takes_its_scope_and_no_other(tmp_path: Path, method: str, path: str) -> None:
    needed = SCOPES[method, path]
    right = tokens.make(tmp_path, needed)
    wrong = tokens.make(tmp_path, *(scope for scope in Scope if scope is not needed))
    with client(tmp_path) as api:
        assert api.request(method, path, headers=bearer(right)).status_code == 200
        refused = api.request(method, path, headers=bearer(wrong))

    assert refused.status_code == 403
    assert "www-authenticate" not in refused.headers
    if method != "HEAD":
        assert needed.value in refused.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/new", "/sql/x", "/metrics"])
def test_what_nobody_thought_of_takes_the_most(method: str, path: str) -> None:
    assert need_of(method, path) is Need.ADMIN


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
def test_probes_need_a_token_once_others_can_reach_them(tmp_path: Path, token: str, path: str) -> None:
    # On loopback nobody is asked, so there is no caller; the real routes of these need none.
    with client(tmp_path, loopback_only=True) as api, pytest.raises(KeyError):
        api.get(path)
    with client(tmp_path, loopback_only=False) as api:
        assert api.get(path).status_code == 401
        assert api.get(path, headers=bearer(token)).status_code == 200
        assert api.get("/healthz").status_code == 200


def test_clickhouse_clients_are_told_in_their_way(tmp_path: Path, token: str) -> None:
    reader = tokens.make(tmp_path, Scope.READ)
    with client(tmp_path) as api:
        nobody, wrong = api.get("/sql"), api.get("/sql", headers=bearer(reader))

    assert (nobody.status_code, nobody.headers["x-clickhouse-exception-code"]) == (401, "516")
    assert (wrong.status_code, wrong.headers["x-clickhouse-exception-code"]) == (403, "497")
    assert nobody.text.startswith("Code: 516. DB::Exception: ")


def test_tokens_that_cannot_be_read_let_nobody_in(tmp_path: Path, token: str) -> None:
    seconds = [0.0]
    known = LiveTokens(tmp_path, may_be_open=True, monotonic=lambda: seconds[0])
    app = create_app(
        ApiSettings(), Routers(strict=[router()]), loopback_only=True, keeper=api_keeper(known, TlsSettings())
    )
    (tmp_path / FILE_NAME).write_bytes(b"{")
    seconds[0] = 1.0
    with TestClient(app, base_url=f"http://{HOST}") as api:
        for path in ("/", "/sql"):
            assert api.get(path, headers=bearer(token)).status_code == 503


def test_refusals_are_counted(api: TestClient, tmp_path: Path, token: str) -> None:
    def counted() -> list[float]:
        return [REFUSED.labels(reason)._value.get() for reason in ("unknown", "scope")]

    before = counted()
    api.get("/")
    api.get("/", headers=bearer(mint()[1]))

    assert [now - then for now, then in zip(counted(), before, strict=True)] == [2, 0]


async def test_a_large_body_is_not_read_for_nobody(api: TestClient) -> None:
    """401 and not 413: who asks is decided first."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    headers = [(b"host", HOST.encode()), (b"content-length", b"2000000")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/sql", "raw_path": b"/sql", "query_string": b"", "root_path": "", "headers": headers,
        "client": ("192.0.2.1", 1), "server": (HOST, 80), "state": {},
    }  # fmt: skip
    await api.app(scope, receive, send)  # type: ignore[arg-type]

    assert said[0]["status"] == 401


def test_a_page_of_another_site_cannot_use_what_the_browser_remembers(api: TestClient, token: str) -> None:
    """A browser sends Basic credentials along whoever made the request."""
    headers = basic("", token) | {"Origin": "http://evil.example"}

    assert api.delete("/api/v1/demo", headers=headers).status_code == 403
    assert api.post("/sql", headers=headers).status_code == 403
    assert "access-control-allow-origin" not in api.get("/", headers=headers).headers
