"""The price book: what is looked up, from when it holds, and what is said about files that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from analytics.errors import PriceBookError
from analytics.prices import PriceBook, PriceEntry, load_price_book, parse_prices

DAY = date(2026, 3, 4)
Price = Callable[..., PriceEntry]


@pytest.fixture(scope="module")
def shipped() -> PriceBook:
    return load_price_book()


def test_shipped_list_prices(shipped: PriceBook) -> None:
    machine = shipped.machine("aws", "eu-central-1", "m6i.xlarge", DAY)

    assert machine is not None
    assert (machine.price, machine.cores, machine.memory_gib) == (Decimal("0.23"), 4, 16)
    assert machine.listed
    plan = shipped.function("aws", "eu-central-1", "aws_lambda", DAY)
    assert (plan.per_request, plan.per_gib_s, plan.listed) == (
        Decimal("0.0000002"), Decimal("0.0000166667"), True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "region", "host_type"),
    [("aws", "eu-central-1", "m6i.96xlarge"), ("aws", "mars-1", "m6i.xlarge"), ("gcp", "", ""), ("", "", "")],
)
def test_an_unknown_machine_stands_at_the_default_rates(
    shipped: PriceBook, provider: str, region: str, host_type: str
) -> None:
    assert shipped.machine(provider, region, host_type, DAY) is None
    price = shipped.by_size(Decimal(2), Decimal(8), DAY)
    assert price.price == 2 * Decimal("0.031611") + 8 * Decimal("0.004237")
    assert not price.listed


def test_an_unknown_function_stands_at_the_default_plan(shipped: PriceBook) -> None:
    plan = shipped.function("gcp", "europe-west1", "gcp_cloud_functions", DAY)

    assert (plan.per_request, plan.listed) == (Decimal("0.0000002"), False)


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2025-06-01", "0.10"), ("2026-01-01", "0.10"), ("2026-02-28", "0.10"), ("2026-03-01", "0.20"),
     ("2030-01-01", "0.20")],
)  # fmt: skip
def test_a_price_holds_from_its_day_until_the_next(
    book: PriceBook, price: Price, day: str, expected: str
) -> None:
    size = {"vcpu": 4, "memory_gib": 16, "provider": "own", "region": "hall"}
    dated = PriceBook([
        *_entries(book),
        price("rack", "hour", "0.20", effective_on="2026-03-01", **size),
        price("rack", "hour", "0.10", effective_on="2026-01-01", **size),
    ])  # fmt: skip

    found = dated.machine("own", "hall", "rack", date.fromisoformat(day))

    assert found is not None
    assert found.price == Decimal(expected)


def _entries(book: PriceBook) -> list[PriceEntry]:
    return [entry for dated in book._dated.values() for entry in dated.values()]


OWN = """
provider: aws
currency: USD
source: our contract
retrieved_on: 2026-02-01
entries:
  - {region: eu-central-1, sku: m6i.xlarge, unit: hour, price: 0.1234, vcpu: 4, memory_gib: 16}
"""


def test_own_prices_replace_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)

    found = load_price_book([tmp_path / "own.yaml"])

    machine = found.machine("aws", "eu-central-1", "m6i.xlarge", DAY)
    assert machine is not None
    assert machine.price == Decimal("0.1234")  # a float would not be this number
    assert found.retrieved_on == date(2026, 2, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("entries: [", "prices.yaml:1: this is no YAML"),
        ("- 1", "prices.yaml:1: a price file is a table"),
        ("a: 1", "prices.yaml:1: a price file has a list named entries"),
        (OWN.replace("{region", "{colour: red, region"), "prices.yaml:7: colour: Extra inputs"),
        (OWN.replace("0.1234", "-1"), "prices.yaml:7: price: Input should be greater"),
        (OWN.replace("0.1234", "cheap"), "prices.yaml:7: price: Input should be a valid decimal"),
        (OWN.replace(", vcpu: 4", ""), "prices.yaml:7: a machine needs vcpu and memory_gib"),
        (OWN.replace("USD", "EUR"), "prices.yaml:7: currency: Input should be 'USD'"),
        (OWN + "  - nonsense\n", "prices.yaml:8: an entry is a table with sku and price"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, problem: str) -> None:
    _, problems = parse_prices(text, "prices.yaml")

    (only,) = problems
    assert only.startswith(problem)


def test_all_problems_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(OWN.replace("0.1234", "-1"))

    with pytest.raises(PriceBookError) as raised:
        load_price_book([tmp_path / "missing.yaml", tmp_path / "one.yaml"])

    assert len(raised.value.problems) == 2
    assert "missing.yaml cannot be read" in str(raised.value)
    assert "one.yaml:7" in str(raised.value)


def test_a_book_without_defaults_is_refused(price: Price) -> None:
    with pytest.raises(PriceBookError, match="no default for memory"):
        PriceBook([price("vcpu", "vCPU-hour", "0.03")])


def test_every_shipped_entry_names_its_source(shipped: PriceBook) -> None:
    entries = _entries(shipped)

    assert len(entries) > 90
    assert all(entry.source.startswith("https://") for entry in entries)
