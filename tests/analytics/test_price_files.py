"""Price files: what is said about those that are wrong, and that nothing of them is loaded then."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from analytics.errors import PriceBookError
from analytics.price_files import load_price_book, parse_prices

DAY = date(2026, 3, 4)
OWN = """
provider: aws
currency: USD
source: our contract
retrieved_on: 2026-02-01
entries:
  - {region: eu-central-1, sku: m6i.xlarge, unit: hour, price: 0.1234, vcpu: 4, memory_gib: 16}
"""
PLANS = """
provider: aws
region: eu-central-1
currency: USD
source: our contract
retrieved_on: 2026-02-01
plans:
  - plan: aws_lambda
    step_ms: 100
    prices:
      request: "0.1"
      GiB-second:
        - {price: "0.3"}
        - {above: 10, price: "0.2"}
"""


def test_own_prices_replace_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "plans.yaml").write_text(PLANS)

    found = load_price_book([tmp_path / "own.yaml", tmp_path / "plans.yaml"])

    machine = found.machine("aws", "eu-central-1", "m6i.xlarge", DAY)
    assert machine is not None
    assert machine.price == Decimal("0.1234")  # a float would not be this number
    others = found.machine("aws", "eu-central-1", "m6i.large", DAY)
    assert others is not None
    assert others.price == Decimal("0.115")
    # Ours is for one architecture, the user's for any.
    plan = found.function("aws", "eu-central-1", "aws_lambda", "amd64", DAY).plan
    assert plan.step_ms == 100
    assert [tier.price for tier in plan.prices["GiB-second"]] == [Decimal("0.3"), Decimal("0.2")]
    own = found.find(plan.key, DAY)
    assert own is not None
    assert (own.file, own.line) == (str(tmp_path / "plans.yaml"), 8)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("entries: [", ["1: this is no YAML"]),
        ("- 1", ["1: a price file is a table"]),
        ("region: x", ["1: a price file has a list named entries, or plans"]),
        ("entries: 1", ["1: entries: this is a list"]),
        (
            OWN.replace("currency: USD", "colour: red"),
            ["3: colour: there is no such key", "7: currency: is missing"],
        ),
        (OWN.replace("{region", "{colour: red, region"), ["7: colour: there is no such key here"]),
        (OWN.replace("0.1234", "-1"), ["7: price: Input should be greater than or equal to 0, not '-1'"]),
        (OWN.replace("0.1234", "cheap"), ["7: price: Input should be a valid decimal, not 'cheap'"]),
        (OWN.replace("0.1234", ".inf"), ["7: price: Input should be a valid decimal"]),
        (OWN.replace("0.1234", "NaN"), ["7: price: Input should be a finite number"]),
        (OWN.replace("price: 0.1234", "price: "), ["7: price: Decimal input should be"]),
        (OWN.replace("unit: hour", "unit: fortnight"), ["7: unit: Input should be 'hour', "]),
        (OWN.replace("unit: hour", "unit: GiB-hour"), ["7: a machine is priced by hour, not by GiB-hour"]),
        (OWN.replace(", vcpu: 4", ""), ["7: a machine needs vcpu and memory_gib"]),
        (
            OWN.replace("{region", "{kind: volume, region").replace("hour", "GiB-month"),
            ["7: a volume has neither"],
        ),
        (OWN.replace("USD", "EUR"), ["3: currency: Input should be 'USD', not 'EUR'"]),
        (OWN.replace("2026-02-01", "yesterday"), ["5: retrieved_on: Input should be a valid date"]),
        (OWN + "  - nonsense\n", ["8: entries: an entry is a table"]),
        (OWN + OWN.splitlines()[-1] + "\n", ["8: there is a price for the same thing and day in line 7"]),
        (
            OWN.replace("16}", "16, effective_on: 2026-03-01, effective_until: 2026-03-01}"),
            ["7: effective_until (2026-03-01) is not after effective_on (2026-03-01)"],
        ),
        (
            OWN.replace("16}", "16, effective_until: 2026-04-01}")
            + OWN.splitlines()[-1].replace("16}", "16, effective_on: 2026-03-01}")
            + "\n",
            ["7: effective_until: it holds until 2026-04-01, but line 8 has a price from 2026-03-01 on"],
        ),
        (PLANS.replace("request:", "invocation:"), ["11: prices.invocation: Input should be"]),
        (
            PLANS.replace("above: 10", "above: 0"),
            ["11: prices: GiB-second: the tier above 0 follows one above 0"],
        ),
        (
            PLANS.replace('{price: "0.3"}', '{above: 1, price: "0.3"}'),
            ["11: prices: GiB-second: the first tier"],
        ),
        (
            PLANS.replace('price: "0.2"', 'price: "-0.2"'),
            ["14: prices.GiB-second.1.price: Input should be greater"],
        ),
        (
            PLANS.replace('request: "0.1"', "request: dear"),
            ["11: prices.request: Input should be a valid dec"],
        ),
        (
            PLANS.replace("step_ms: 100", "step_ms: 0"),
            ["9: step_ms: Input should be greater than or equal to 1"],
        ),
        (PLANS.replace("step_ms: 100", "free: {CU: 1}"), ["8: free: CU has no price in this plan"]),
        (PLANS.replace("step_ms: 100", "converted: {request: 1}"), ["8: a price of a CU and a table"]),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_field(text: str, problems: list[str]) -> None:
    listings, found = parse_prices(text, "prices.yaml")

    assert listings == [], "nothing is half-loaded"
    assert len(found) == len(problems), found
    assert all(one.startswith(f"prices.yaml:{said}") for one, said in zip(found, problems, strict=True)), (
        found
    )


def test_what_all_entries_lack_is_said_once() -> None:
    text = OWN.replace("currency: USD\n", "") + OWN.splitlines()[-1].replace("xlarge", "large") + "\n"

    _, found = parse_prices(text, "prices.yaml")

    assert found == ["prices.yaml:6: currency: is missing, beside the list or in each entry"]


def test_a_wrong_value_for_all_entries_is_said_once() -> None:
    text = OWN.replace("USD", "EUR") + OWN.splitlines()[-1].replace("xlarge", "large") + "\n"

    _, found = parse_prices(text, "prices.yaml")

    assert found == ["prices.yaml:3: currency: Input should be 'USD', not 'EUR'"]


def test_all_problems_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(OWN.replace("0.1234", "-1").replace("unit: hour", "unit: day"))

    with pytest.raises(PriceBookError) as raised:
        load_price_book([tmp_path / "missing.yaml", tmp_path / "one.yaml"])

    assert len(raised.value.problems) == 3
    assert "missing.yaml cannot be read" in str(raised.value)
    assert "one.yaml:7: price:" in str(raised.value)
    assert "one.yaml:7: unit:" in str(raised.value)
