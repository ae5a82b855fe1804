"""The answers over HTTP: `api.answers`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient

from analytics.answers import Basis
from analytics.documents import CostAnswer, IdleAnswer, RecommendAnswer
from api.answers import answers_router
from api.app import Routers, create_app
from api.desk import Desk
from api.settings import ApiSettings
from ingest.store.engine import Engine
from support.callers import Keeper


@pytest.fixture
def client(migrated: Engine, example: Any) -> Iterator[TestClient]:
    routers = Routers(strict=[answers_router(migrated, Basis.load(example.settings, "USD", UTC), Desk())])
    app = create_app(ApiSettings(), routers, loopback_only=True, keeper=Keeper(example.tenant))
    with TestClient(app, base_url="http://127.0.0.1") as opened:
        yield opened


def test_cost(client: TestClient, example: Any) -> None:
    response = client.get("/api/v1/cost", params={"by": "team", "window": example.window})

    assert response.status_code == 200
    answer = CostAnswer.model_validate(response.json())
    assert (answer.by, answer.currency, answer.time_zone) == ("team", "USD", "UTC")
    assert answer.window.start == example.start
    assert answer.rows[-1].total == Decimal("0.279866670")
    assert response.json()["rows"][-1]["total"] == "0.279866670"  # text, so that no digit is lost


def test_idle_and_recommendations(client: TestClient, example: Any) -> None:
    given = {"window": example.window}

    idle = IdleAnswer.model_validate(client.get("/api/v1/idle", params=given).json())
    found = RecommendAnswer.model_validate(client.get("/api/v1/recommendations", params=given).json())

    assert {row.name for row in idle.rows} == {row.name for row in found.rows} == {"quote-api", "tax-rate"}
    assert {row.status for row in found.rows} == {"candidate, not proven"}


@pytest.mark.parametrize("path", ["cost", "idle", "recommendations"])
@pytest.mark.parametrize("window", ["yesterday", "0d", "2026-03-01T00:00/2026-03-02T00:00"])
def test_a_wrong_window_is_a_problem_in_words(client: TestClient, path: str, window: str) -> None:
    response = client.get(f"/api/v1/{path}", params={"window": window})

    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"
    assert "window" in response.text or "offset" in response.text


def test_costs_of_some_with_idle_and_shared_costs_shared_out(client: TestClient, example: Any) -> None:
    """The example of docs/cost.md: the others bear what quote-api costs, and the idle capacity."""
    given = {"by": "service", "window": example.window, "idle": "shared", "shared": 'service:"quote-api"'}
    whole = CostAnswer.model_validate(client.get("/api/v1/cost", params=given).json())
    asked = {**given, "filter": 'label[team]:"checkout" + kind:"deployment"'}
    some = CostAnswer.model_validate(client.get("/api/v1/cost", params=asked).json())

    assert whole.rows[-1].total == Decimal("0.279866670")
    assert {row.name for row in whole.rows} == {"checkout-api", "tax-rate", "badge", "system", "total"}
    (line,) = [row for row in whole.rows if row.name == "checkout-api"]
    assert line.idle > 0
    assert line.shared > 0
    assert [row.name for row in some.rows] == ["checkout-api", "system", "total"]
    assert some.rows[0].total == line.total
    assert some.rows[-1].total + some.filtered_away == whole.rows[-1].total
    assert (some.filter, some.shared, some.idle) == (asked["filter"], given["shared"], "shared")


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"filter": 'team:"a" | '}, "filter: at its end: a field is missing here"),
        ({"shared": 'pod:"a"'}, "shared: at character 1: there is no field pod; there are cluster,"),
        ({"idle": "hidden"}, "idle"),
        ({"overhead": "-1"}, "overhead"),
        ({"overhead": "NaN"}, "overhead"),
        ({"split": "by weight"}, "split"),
    ],
)
def test_wrong_terms_are_a_problem_that_names_them(
    client: TestClient, example: Any, given: dict[str, str], detail: str
) -> None:
    response = client.get("/api/v1/cost", params={"window": example.window, **given})

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in response.json()["detail"]


def test_an_unknown_key_is_refused(client: TestClient) -> None:
    assert client.get("/api/v1/cost", params={"by": "colour"}).status_code in (400, 422)


@pytest.mark.parametrize("path", ["cost", "idle", "recommendations"])
class TestTenant:
    def test_who_sees_all_may_name_one(self, migrated: Engine, example: Any, path: str) -> None:
        asked = {"window": example.window}
        routers = Routers(strict=[answers_router(migrated, Basis.load(example.settings, "USD", UTC), Desk())])
        keeper = Keeper("default", sees_all=True)
        app = create_app(ApiSettings(), routers, loopback_only=True, keeper=keeper)
        with TestClient(app, base_url="http://127.0.0.1") as client:
            named = client.get(f"/api/v1/{path}", params={**asked, "tenant": example.tenant}).json()
            own = client.get(f"/api/v1/{path}", params=asked).json()
            wrong = client.get(f"/api/v1/{path}", params={**asked, "tenant": "a'b"})

        names = {row["name"] for row in named["rows"]}
        assert names - {row["name"] for row in own["rows"]}
        assert wrong.status_code in (400, 422)

    def test_others_may_not_even_their_own(self, client: TestClient, example: Any, path: str) -> None:
        for tenant in ("default", "other", example.tenant):
            response = client.get(f"/api/v1/{path}", params={"window": example.window, "tenant": tenant})
            assert response.status_code == 403
            assert response.json()["type"].endswith("tenant-forbidden")
