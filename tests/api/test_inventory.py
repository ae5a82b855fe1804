"""`POST /api/v1/import/kubernetes`: the body is read as it comes, never written down, and what is wrong with
it comes back once all of it has come."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.access import Caller, Need, NotAllowedError
from api.app import Routers, create_app
from api.desk import Desk
from api.inventory import inventory_router
from api.settings import ApiSettings
from ingest.inventory.errors import InventoryError, InventoryTooLargeError
from ingest.inventory.report import InventoryReport
from ingest.inventory.snapshot import Snapshot

PATH = "/api/v1/import/kubernetes"
POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "n"}}
DUMP = json.dumps({"items": [POD] * 20_000}).encode()
NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)


class Taking:
    """Notes what it is given, and fails if told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.given: dict[str, Any] = {}
        self.snapshot: Snapshot | None = None

    def take(self, snapshot: Snapshot, *, tenant: str, cluster: str, taken_at: datetime) -> InventoryReport:
        self.snapshot = snapshot
        self.given = {"tenant": tenant, "cluster": cluster, "taken_at": taken_at}
        if self.error is not None:
            raise self.error
        return InventoryReport(
            status="imported", snapshot_id="one", cluster=cluster, taken_at=taken_at, is_latest=True,
            previous_taken_at=None, file=snapshot.name, digest=snapshot.digest, objects=len(snapshot.objects),
            kinds=(), repeated=snapshot.repeated, unknown_owners=0, absent_kinds=(), notes=(),
        )  # fmt: skip


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TestClient]]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def made(taking: Taking, keeper: Any = None, **settings: int) -> TestClient:
        routers = Routers(strict=[inventory_router(taking, SimpleNamespace(), Desk())])
        app = create_app(ApiSettings(**settings), routers, loopback_only=True, keeper=keeper)
        return TestClient(app, base_url="http://127.0.0.1:8686")

    yield made
    assert list(tmp_path.iterdir()) == []


def test_a_dump_of_several_pieces_arrives(client: Any) -> None:
    taking = Taking()
    asked = {"cluster": "fra", "name": "c.json", "taken_at": NOW.isoformat()}

    answer = client(taking).post(PATH, params=asked, content=iter([DUMP[:999_999], DUMP[999_999:]]))

    assert (answer.status_code, answer.json()["status"]) == (200, "imported")
    assert (answer.json()["objects"], answer.json()["repeated"]) == (1, 19_999)
    assert taking.given == {"tenant": "default", "cluster": "fra", "taken_at": NOW}


def test_what_is_wrong_is_told_with_every_place(client: Any) -> None:
    taking = Taking()
    bad = {**POD, "spec": {"priority": "high", "nodeName": 7}}

    answer = client(taking).post(PATH, params={"cluster": ""}, content=json.dumps({"items": [bad]}))

    document = answer.json()
    assert (answer.status_code, document["type"]) == (422, "urn:lowtide:problem:bad-snapshot")
    assert document["problems"] == [
        "snapshot:1: items[0]: Pod n/a: spec.nodeName: 7 is no text",
        "snapshot:1: items[0]: Pod n/a: spec.priority: 'high' is no whole number",
    ]
    assert document["detail"].endswith("(and 1 more)")
    assert taking.snapshot is None


def test_a_refusal_waits_for_the_end_of_the_body(client: Any) -> None:
    """Else a client that still sends would see a connection that breaks."""
    sent: list[int] = []

    def body() -> Iterator[bytes]:
        for at in range(5):
            sent.append(at)
            yield b"no JSON" * 200_000

    answer = client(Taking(), max_snapshot_bytes=10_000_000).post(
        PATH, params={"cluster": ""}, content=body()
    )

    assert answer.status_code == 422
    assert sent == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InventoryError(["c.json: 2027 is no time"]), 422, "bad-snapshot"),
        (InventoryTooLargeError(["c.json has more than 10 bytes"]), 413, "too-large"),
    ],
)
def test_refusals_of_the_store(client: Any, error: InventoryError, status: int, kind: str) -> None:
    http = client(Taking(error))

    for _ in range(2):  # the place is free again
        answer = http.post(PATH, params={"cluster": ""}, content=DUMP)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:lowtide:problem:{kind}")
        assert answer.json()["problems"] == list(error.problems)


def test_one_at_a_time(client: Any) -> None:
    others: list[Any] = []

    class Slow(Taking):
        def take(self, *given: Any, **more: Any) -> InventoryReport:
            others.append(http.post(PATH, params={"cluster": ""}, content=DUMP))
            return super().take(*given, **more)

    http = client(Slow())

    assert http.post(PATH, params={"cluster": ""}, content=DUMP).status_code == 200
    assert [one.status_code for one in others] == [409]
    assert others[0].json()["type"] == "urn:lowtide:problem:import-runs"
    assert others[0].headers["Retry-After"] == "10"


def test_no_more_than_a_snapshot(client: Any) -> None:
    http = client(Taking(), max_body_bytes=2000, max_snapshot_bytes=len(DUMP))

    assert http.post(PATH, params={"cluster": ""}, content=DUMP).status_code == 200
    answer = http.post(PATH, params={"cluster": ""}, content=iter([DUMP, b" "]))
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:lowtide:problem:too-large")
    assert "api.max_snapshot_bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"cluster": "a\nb"}, {"cluster": "x" * 254}, {"cluster": "", "name": "../x"},
        {"cluster": "", "taken_at": "2026-05-04T10:00:00"}, {"cluster": "", "taken_at": "yesterday"},
        {"cluster": "", "clutser": ""},
    ],
)  # fmt: skip
def test_wrong_parameters(client: Any, asked: dict[str, str]) -> None:
    assert client(Taking()).post(PATH, params=asked, content=DUMP).status_code == 400


class Keeper:
    """Lets one tenant in, with the scope it has."""

    def __init__(self, allowed: Need) -> None:
        self.allowed = allowed

    def admit(self, token: str | None, need: Need, certificate: object | None) -> Caller:
        if need is not self.allowed:
            raise NotAllowedError
        return Caller("acme")


def test_it_takes_the_scope_admin_and_belongs_to_the_token(client: Any) -> None:
    taking, asked = Taking(), {"cluster": ""}

    assert client(taking, Keeper(Need.READ)).post(PATH, params=asked, content=DUMP).status_code == 403
    assert client(taking, Keeper(Need.ADMIN)).post(PATH, params=asked, content=DUMP).status_code == 200
    assert taking.given["tenant"] == "acme"
    foreign = client(taking, Keeper(Need.ADMIN)).post(PATH, params={**asked, "tenant": "b"}, content=DUMP)
    assert foreign.status_code == 403
