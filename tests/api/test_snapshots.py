"""`POST /api/v1/snapshot`: what it answers, and that nobody else's page may ask for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from api.app import Routers, create_app
from api.settings import ApiSettings
from api.snapshots import SnapshotRefusedError, SnapshotTaken, snapshots_router


class Stub:
    """Answers as told."""

    def __init__(self, refusal: SnapshotRefusedError | None = None) -> None:
        self.refusal = refusal
        self.asked = 0

    def take(self) -> SnapshotTaken:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        return SnapshotTaken(taken_at=datetime(2026, 1, 2, tzinfo=UTC), loading_paused_s=0.5)


def client(stub: Stub) -> TestClient:
    app = create_app(ApiSettings(), Routers(strict=[snapshots_router(stub)]), loopback_only=True)
    return TestClient(app, base_url="http://127.0.0.1:8686")


def test_it_says_when_it_was_taken() -> None:
    answer = client(Stub()).post("/api/v1/snapshot")
    assert answer.status_code == 201
    assert answer.json() == {"taken_at": "2026-01-02T00:00:00Z", "loading_paused_s": 0.5}


@pytest.mark.parametrize(("is_held", "status"), [(True, 409), (False, 503)])
def test_refusals(is_held: bool, status: int) -> None:
    answer = client(Stub(SnapshotRefusedError("Not now.", is_held=is_held))).post("/api/v1/snapshot")
    assert (answer.status_code, answer.json()["detail"]) == (status, "Not now.")
    assert ("retry-after" in answer.headers) != is_held


def test_it_takes_no_parameters_and_no_foreign_page() -> None:
    stub = Stub()
    assert client(stub).post("/api/v1/snapshot", params={"path": "/etc"}).status_code == 400
    assert client(stub).post("/api/v1/snapshot", headers={"Origin": "https://evil.test"}).status_code == 403
    assert client(stub).get("/api/v1/snapshot").status_code == 405
    assert stub.asked == 0
