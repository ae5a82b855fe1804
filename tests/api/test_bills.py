"""`POST /api/v1/bills`: the file goes to the disk and away again, and what is wrong with it comes back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.access import Caller, Need, NotAllowedError
from api.app import Routers, create_app
from api.bills import ImportRunsError, bills_router
from api.desk import Desk
from api.settings import ApiSettings
from ingest.bills.errors import BillError, BillTooLargeError
from ingest.bills.report import BillReport, Slice

REPORT = BillReport(
    status="imported", import_id="one", file="may.csv", digest="d", format="CSV", focus_version="1.2", rows=1,
    slices=(Slice(billing_account="a", period_start=datetime(2026, 5, 1, tzinfo=UTC),
                  period_end=datetime(2026, 6, 1, tzinfo=UTC), rows=1, replaced_rows=0),),
    totals=(), services=(), service_count=0, charges_from=None, charges_until=None, rows_without_resource=0,
    rows_with_tags=0, tag_keys=(), missing_columns=(), other_columns=(), unknown_columns=(), notes=(),
)  # fmt: skip


class Taking:
    """Notes what it is given, and fails if told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.content = b""
        self.given: dict[str, Any] = {}
        self.path = Path()

    def take(self, path: Path, name: str, *, tenant: str, add: bool) -> BillReport:
        self.content, self.path = path.read_bytes(), path
        self.given = {"name": name, "tenant": tenant, "add": add}
        if self.error is not None:
            raise self.error
        return REPORT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def client(folder: Path) -> Callable[..., TestClient]:
    def made(taking: Taking, keeper: Any = None, **settings: int) -> TestClient:
        routers = Routers(strict=[bills_router(taking, SimpleNamespace(), SimpleNamespace(), Desk())])
        app = create_app(ApiSettings(**settings), routers, loopback_only=True, keeper=keeper)
        return TestClient(app, base_url="http://127.0.0.1:8686")

    return made


def test_the_file_arrives_whole_and_is_gone_afterwards(client: Any, folder: Path) -> None:
    taking, content = Taking(), bytes(range(256)) * 10_000

    answer = client(taking).post("/api/v1/bills", params={"name": "may.csv", "add": "true"}, content=content)

    assert (answer.status_code, answer.json()["status"]) == (200, "imported")
    assert taking.content == content
    assert taking.given == {"name": "may.csv", "tenant": "default", "add": True}
    assert taking.path.parent == folder
    assert list(folder.iterdir()) == []


def test_more_than_the_usual_body_but_not_more_than_a_bill(client: Any, folder: Path) -> None:
    taking = Taking()
    http = client(taking, max_body_bytes=2000, max_bill_bytes=5000)

    assert http.post("/api/v1/bills", content=b"x" * 5000).status_code == 200
    for content in (b"x" * 5001, iter([b"x" * 5000, b"x"])):
        answer = http.post("/api/v1/bills", content=content)
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:lowtide:problem:too-large")
        assert "api.max_bill_bytes" in answer.json()["detail"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BillError(["may.csv:2: BilledCost: 'x' is no number", "may.csv:3: b"]), 422, "bad-bill"),
        (BillTooLargeError(["may.csv has more than 10 bytes"]), 413, "too-large"),
        (ImportRunsError(), 409, "import-runs"),
    ],
)
def test_refusals(client: Any, folder: Path, error: Exception, status: int, kind: str) -> None:
    answer = client(Taking(error)).post("/api/v1/bills", content=b"x")

    document = answer.json()
    assert (answer.status_code, document["type"]) == (status, f"urn:lowtide:problem:{kind}")
    if isinstance(error, BillError):
        assert document["problems"] == list(error.problems)
        assert document["detail"].startswith(error.problems[0])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "", "x" * 256, "a\x07b"])
def test_a_name_is_no_path(client: Any, name: str) -> None:
    assert client(Taking()).post("/api/v1/bills", params={"name": name}, content=b"x").status_code == 400


class Keeper:
    """Lets one tenant in, with the scope it has."""

    def __init__(self, allowed: Need) -> None:
        self.allowed = allowed

    def admit(self, token: str | None, need: Need, certificate: object | None) -> Caller:
        if need is not self.allowed:
            raise NotAllowedError
        return Caller("acme")


def test_it_takes_the_scope_admin_and_belongs_to_the_token(client: Any) -> None:
    taking = Taking()

    assert client(taking, Keeper(Need.READ)).post("/api/v1/bills", content=b"x").status_code == 403
    assert client(taking, Keeper(Need.ADMIN)).post("/api/v1/bills", content=b"x").status_code == 200
    assert taking.given["tenant"] == "acme"
    foreign = client(taking, Keeper(Need.ADMIN)).post(
        "/api/v1/bills", params={"tenant": "other"}, content=b"x"
    )
    assert foreign.status_code == 403
