"""From OTLP to answers: the worked example of docs/cost.md, through the engine, compared with the page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from analytics.answers import Basis, cost_answer, first_answers, idle_answer, recommend_answer
from analytics.cost import By
from ingest.store.engine import Session

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
NANO = Decimal("1e-9")


@pytest.fixture(scope="module")
def basis(example: Any) -> Basis:
    """Shipped prices and default settings."""
    return Basis.load(example.settings, "USD", UTC)


def asked(example: Any) -> dict[str, Any]:
    return {"window": example.window, "now": datetime.now(UTC), "tenant": example.tenant}


def printed(mark: str) -> dict[str, list[str]]:
    """The table below a mark of the page, by its first column."""
    _, found, rest = PAGE.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
    assert found, f"the page has no table marked {mark}"
    lines = rest.strip().split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip(" *`") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


def test_the_page_prints_what_the_engine_answers(session: Session, example: Any, basis: Basis) -> None:
    answer = cost_answer(session, basis, by=By.SERVICE, **asked(example))

    assert {
        row.name: [f"{amount:f}" for amount in (row.cpu, row.memory, row.sidecars, row.functions, row.total)]
        for row in answer.rows
    } == printed("example: answer")
    assert answer.coverage == 1.0
    assert answer.notes == (
        "Functions stand at list price, first tier; the account's free quota is not taken off.",
        "Not counted yet: network, load balancers, control planes, discounts and taxes.",
    )


def test_the_page_can_be_followed_by_hand() -> None:
    """Each amount is the held share of the node's price, and each sum is exact."""
    held, answer = printed("example: held"), printed("example: answer")
    price = Decimal("0.23")
    worth_cpu, worth_memory = 4 * Decimal("0.031611"), 16 * Decimal("0.004237")
    of_cpu = price * worth_cpu / (worth_cpu + worth_memory)
    of_memory = price - of_cpu

    for name, (cores, gib) in held.items():
        row = answer.get(name.removesuffix(" istio-proxy").removesuffix(" app"), answer.get(name))
        assert row is not None
        cpu, memory = of_cpu * Decimal(cores) / 4, of_memory * Decimal(gib) / 16
        if name.endswith("istio-proxy"):
            assert abs(Decimal(row[2]) - cpu - memory) <= 2 * NANO
        else:
            assert abs(Decimal(row[0]) - cpu) <= NANO
            assert abs(Decimal(row[1]) - memory) <= NANO
    assert sum(Decimal(cores) for cores, _ in held.values()) == 4
    assert sum(Decimal(gib) for _, gib in held.values()) == 16
    *lines, total = answer.values()
    for column in range(5):
        assert sum(Decimal(line[column]) for line in lines) == Decimal(total[column])
    assert Decimal(total[4]) == price + Decimal("0.048") + Decimal("0.00186667")


def test_functions_by_hand(session: Session, example: Any, basis: Basis) -> None:
    """1000 runs of 0.2 s with half a GiB: 100 GiB-s at 0.0000166667, and 1000 requests at 0.0000002."""
    answer = cost_answer(session, basis, by=By.SERVICE, **asked(example))

    (badge,) = [row for row in answer.rows if row.name == "badge"]
    assert badge.functions == badge.total == Decimal("0.001866670")
    assert badge.requests == 1000
    assert badge.per_million_requests == Decimal("1.86667")


@pytest.mark.parametrize("by", list(By))
def test_every_grouping_has_the_same_total(session: Session, example: Any, basis: Basis, by: By) -> None:
    *rows, total = cost_answer(session, basis, by=by, **asked(example)).rows

    assert total.total == Decimal("0.27986667")
    assert sum(row.total for row in rows) == total.total
    assert sum(row.requests or 0 for row in rows) == total.requests == 600 + 3 + 1 + 1000


def test_the_hours_parts_add_up_to_the_hour(session: Session, example: Any, basis: Basis) -> None:
    """A window that ends within an hour prices its part; both parts together are the whole."""
    now = datetime.now(UTC)
    cut = example.start + timedelta(minutes=25)

    def total(start: datetime, end: datetime) -> Decimal:
        window = f"{start.isoformat()}/{end.isoformat()}"
        answer = cost_answer(session, basis, by=By.TEAM, window=window, now=now, tenant=example.tenant)
        return answer.rows[-1].total - answer.rows[-1].functions

    assert total(example.start, cut) == pytest.approx(Decimal("0.278") * 25 / 60, abs=2 * NANO)
    # The start of a window is moved back to a full hour.
    assert total(cut, example.start + timedelta(hours=1)) == Decimal("0.278")


def test_the_estimates_on_the_page(session: Session, example: Any, basis: Basis) -> None:
    """quote-api: requests at 5:00, 5:30 and 20:00; awake until 6:30 and until 21:00, so 150 s of 3600 s."""
    answer = recommend_answer(session, basis, **asked(example))

    found = {row.name: row for row in answer.rows}
    assert set(found) == {"quote-api", "tax-rate"}
    quote = found["quote-api"]
    costs = [Decimal(cell) for cell in printed("example: answer")["quote-api"]]
    assert quote.awake_share == pytest.approx(150 / 3600)
    assert quote.cold_starts_per_week == 2 * 168
    assert quote.cost_per_week == costs[4] * 168
    assert quote.freed_per_week == pytest.approx(costs[4] * 168 * 3450 / 3600, abs=NANO)
    assert quote.status == "candidate, not proven"
    assert quote.synchronous, "its spans are SERVER spans"
    assert quote.reasons[0] == "callers wait for it, and would for 336 cold starts a week, more than 50"
    figures = (f"{quote.cost_per_week:.4f}", f"{quote.freed_per_week:.4f}", f"{quote.cold_starts_per_week:g}")
    assert list(figures) == printed("example: estimate")["quote-api"]
    assert found["tax-rate"].cost_per_week == Decimal("0.048") * 168


def test_idle_by_its_witnesses(session: Session, example: Any, basis: Basis) -> None:
    answer = idle_answer(session, basis, **asked(example))

    assert {row.name: row.verdict for row in answer.rows} == {
        "quote-api": "long tail",
        "tax-rate": "long tail",
    }
    (quote,) = [row for row in answer.rows if row.name == "quote-api"]
    assert (quote.requests, quote.active_minutes_share) == (3, pytest.approx(2 / 60))
    assert quote.longest_gap_s == 2400
    assert quote.last_request_at == example.start + timedelta(seconds=1200)
    assert answer.thresholds["long_tail_requests_per_minute"] == 1


def test_the_front_pages_answers_are_the_same(session: Session, example: Any, basis: Basis) -> None:
    given = asked(example)

    found = first_answers(session, basis, **given)

    assert found.by_application == cost_answer(session, basis, by=By.APPLICATION, **given)
    assert found.by_team == cost_answer(session, basis, by=By.TEAM, **given)
    assert found.idle == idle_answer(session, basis, **given)
    assert found.recommend == recommend_answer(session, basis, **given)


def test_a_tenant_without_telemetry_gets_an_empty_answer(session: Session, basis: Basis, tenant: str) -> None:
    found = first_answers(session, basis, window="7d", now=datetime.now(UTC), tenant=tenant)

    (total,) = found.by_team.rows
    assert (total.total, found.by_team.coverage) == (0, None)
    assert found.by_team.notes[0].startswith("There are no usage metrics")
    assert (found.idle.rows, found.recommend.rows) == ((), ())


def test_a_service_that_only_sends_traces_is_in_every_table(
    session: Session, basis: Basis, tenant: str, telemetry: Any
) -> None:
    """As a first SDK sends it: no node, no container, no usage."""
    now = datetime.now(UTC)
    mine = {"service.name": "mine", "service.namespace": "shop", "team": "payments"}
    telemetry.requests(mine, [(now - timedelta(seconds=at), 0.01) for at in range(60, 260)])
    telemetry.store()

    for by, name in ((By.TEAM, "payments"), (By.SERVICE, "mine"), (By.APPLICATION, "unowned")):
        answer = cost_answer(session, basis, by=by, window="24h", now=now, tenant=tenant)
        row, total = answer.rows
        assert (row.name, row.total, row.requests) == (name, 0, 200)
        assert total.requests == 200
        assert any(note.startswith("1 service sends requests but no usage metrics") for note in answer.notes)


def test_what_is_invented_is_counted(
    session: Session, example: Any, basis: Basis, tenant: str, telemetry: Any
) -> None:
    now = datetime.now(UTC)
    for name, more in (("real", {}), ("invented", {"lowtide.demo": "true"})):
        telemetry.requests({"service.name": name, **more}, [(now - timedelta(hours=1), 0.01)])
    telemetry.store()

    found = first_answers(session, basis, window="24h", now=now, tenant=tenant)
    later = first_answers(session, basis, window="24h", now=now + timedelta(days=3), tenant=tenant)

    assert found.by_team.demo_workloads == found.idle.demo_workloads == 1
    assert later.idle.demo_workloads == 0
    assert idle_answer(session, basis, **asked(example)).demo_workloads == 0


def test_another_currency_is_a_factor_on_every_digit(session: Session, example: Any) -> None:
    in_euro = example.settings.model_copy(update={"exchange_rate": Decimal("0.5")})
    basis = Basis.load(in_euro, "EUR", UTC)

    answer = cost_answer(session, basis, by=By.TEAM, **asked(example))

    assert (answer.currency, answer.rows[-1].total) == ("EUR", Decimal("0.139933335"))
