"""What plans bill: rounding, tiers, compute units; against figures that others computed."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analytics.plans import EXACT, billed_memory_mib, billed_ms, month_cost, tiered
from analytics.price_entries import Plan, Tier
from analytics.price_files import load_price_book

VECTORS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "data" / "plan_vectors.yaml").read_text(encoding="utf-8")
)["vectors"]
BOOK = load_price_book()
DAY = date(2026, 11, 23)


def shipped(provider: str, region: str, name: str, architecture: str) -> Plan:
    found = BOOK.plan(provider, region, name, architecture, DAY)
    assert found is not None
    return found


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_shipped_plans_give_what_others_computed(vector: dict[str, Any]) -> None:
    plan = shipped(*vector["plan"])

    cost = month_cost(plan, {unit: Decimal(str(amount)) for unit, amount in vector["used"].items()})

    expected = Decimal(vector["cost"])
    assert cost.quantize(expected, ROUND_HALF_UP) == expected


def test_what_is_free_each_month() -> None:
    plan = shipped("aws", "us-east-1", "aws_lambda", "amd64")
    used = {"request": Decimal(1_500_000), "GiB-second": Decimal(400_000)}

    assert month_cost(plan, used, with_free=True) == Decimal("0.1")
    assert month_cost(plan, used) == Decimal("0.3") + 400_000 * Decimal("0.0000166667")
    assert month_cost(plan, {"request": Decimal(5)}, with_free=True) == 0


def test_a_unit_without_a_price_is_an_error() -> None:
    with pytest.raises(LookupError, match="aws_fargate has no price for a request"):
        month_cost(shipped("aws", "us-east-1", "aws_fargate", "amd64"), {"request": Decimal(1)})


@pytest.mark.parametrize(
    ("plan", "duration_ms", "billed"),
    [
        (("aws", "us-east-1", "aws_lambda", "amd64"), "1.0001", 2),
        (("aws", "us-east-1", "aws_lambda", "amd64"), "0", 0),
        (("azure", "eastus", "azure_functions", ""), "3.2", 100),
        (("azure", "eastus", "azure_functions", ""), "100.2", 101),
        (("gcp", "us-central1", "gcp_cloud_run", ""), "100", 100),
        (("gcp", "us-central1", "gcp_cloud_run", ""), "100.000001", 200),
        (("aws", "us-east-1", "aws_fargate", "amd64"), "1500", 60_000),
        (("aws", "us-east-1", "aws_fargate", "amd64"), "60001", 61_000),
    ],
)
def test_time_in_steps_from_a_minimum(plan: tuple[str, str, str, str], duration_ms: str, billed: int) -> None:
    assert billed_ms(shipped(*plan), Decimal(duration_ms)) == billed


@pytest.mark.parametrize(("memory", "billed"), [("0", 128), ("128", 128), ("129", 256), ("160", 256)])
def test_memory_in_steps(memory: str, billed: int) -> None:
    assert billed_memory_mib(shipped("azure", "eastus", "azure_functions", ""), Decimal(memory)) == billed


AMOUNTS = st.decimals(0, 10**12, places=6)
PRICES = st.decimals(0, 10, places=12)
BOUNDS = st.lists(st.integers(1, 10**11), unique=True, max_size=4).map(sorted)


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Tier, ...]:
    return tuple(Tier(above=Decimal(at), price=draw(PRICES)) for at in (0, *draw(BOUNDS)))


@given(schedules(), AMOUNTS, AMOUNTS)
def test_tiers_are_monotone_and_never_jump(tiers: tuple[Tier, ...], one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    prices = [tier.price for tier in tiers]

    with localcontext(EXACT):
        grown = tiered(tiers, high) - tiered(tiers, low)
        assert (high - low) * min(prices) <= grown <= (high - low) * max(prices)


@given(schedules(), st.lists(AMOUNTS, min_size=1, max_size=6))
def test_a_quantity_costs_what_its_parts_cost_one_after_the_other(
    tiers: tuple[Tier, ...], parts: list[Decimal]
) -> None:
    with localcontext(EXACT):
        marks = list(accumulate(parts, initial=Decimal(0)))
        costs = [tiered(tiers, after) - tiered(tiers, before) for before, after in pairwise(marks)]

        assert sum(costs) == tiered(tiers, sum(parts, Decimal(0)))


@given(schedules(), AMOUNTS)
def test_the_first_tier_alone_is_a_plain_product(tiers: tuple[Tier, ...], amount: Decimal) -> None:
    end = tiers[1].above if len(tiers) > 1 else amount
    within = min(amount, end)

    with localcontext(EXACT):
        assert tiered(tiers, within) == within * tiers[0].price
