"""The price book: what is looked up, and which of several prices holds on a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from analytics.errors import PriceBookError
from analytics.price_entries import Dated, Kind, Plan, PriceEntry
from analytics.price_files import load_price_book
from analytics.prices import Listing, PriceBook

DAY = date(2026, 3, 4)
SIZE = {"vcpu": 4, "memory_gib": 16, "provider": "own", "region": "hall"}
Price = Callable[..., Listing]


@pytest.fixture(scope="module")
def shipped() -> PriceBook:
    return load_price_book()


def test_shipped_list_prices(shipped: PriceBook) -> None:
    machine = shipped.machine("aws", "eu-central-1", "m6i.xlarge", DAY)

    assert machine is not None
    assert (machine.price, machine.cores, machine.memory_gib) == (Decimal("0.23"), 4, 16)
    assert machine.listed
    found = shipped.function("aws", "eu-central-1", "aws_lambda", "", DAY)
    assert [tiers[0].price for tiers in found.plan.prices.values()] == [
        Decimal("0.0000002"), Decimal("0.0000166667"),
    ]  # fmt: skip
    assert found.listed


@pytest.mark.parametrize(
    ("provider", "region", "host_type"),
    [("aws", "eu-central-1", "m6i.96xlarge"), ("aws", "mars-1", "m6i.xlarge"), ("gcp", "", ""), ("", "", "")],
)
def test_an_unknown_machine_stands_at_the_default_rates(
    shipped: PriceBook, provider: str, region: str, host_type: str
) -> None:
    assert shipped.machine(provider, region, host_type, DAY) is None
    price = shipped.by_size(Decimal(2), Decimal(8), DAY, provider)
    assert price.price == 2 * Decimal("0.031611") + 8 * Decimal("0.004237")
    assert not price.listed


def test_a_provider_may_have_default_rates_of_its_own(shipped: PriceBook) -> None:
    assert shipped.rates(DAY, "oracle_cloud") == (Decimal("0.015"), Decimal("0.002"))
    assert shipped.rates(DAY, "azure") == shipped.rates(DAY) == (Decimal("0.031611"), Decimal("0.004237"))


def test_spot_has_rates_of_its_own_where_they_are_known(shipped: PriceBook) -> None:
    assert shipped.rates(DAY, spot=True) == (Decimal("0.006655"), Decimal("0.000892"))
    assert shipped.rates(DAY, "oracle_cloud", spot=True) == (Decimal("0.006655"), Decimal("0.000892"))
    by_size = shipped.by_size(Decimal(2), Decimal(8), DAY, spot=True)
    assert (by_size.price, by_size.spot) == (2 * Decimal("0.006655") + 8 * Decimal("0.000892"), True)


def test_a_spot_machine_stands_at_its_spot_price_or_the_one_on_demand(
    shipped: PriceBook, price: Price
) -> None:
    size = {"vcpu": 4, "memory_gib": 16, "provider": "aws", "region": "eu-central-1"}
    own = PriceBook([*shipped.listings, price("m6i.xlarge", "hour", "0.09", spot=True, **size)])

    found = [
        book.machine("aws", "eu-central-1", "m6i.xlarge", DAY, spot=spot)
        for book in (shipped, own)
        for spot in (False, True)
    ]
    assert [(one.price, one.spot) for one in found if one is not None] == [
        (Decimal("0.23"), False), (Decimal("0.23"), False), (Decimal("0.23"), False), (Decimal("0.09"), True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "region", "platform", "architecture", "gib_second", "listed"),
    [
        ("gcp", "europe-west1", "gcp_cloud_functions", "", "0.0000166667", False),
        ("gcp", "us-central1", "gcp_cloud_run", "", "0.0000166667", False),  # its vCPUs are not known
        ("alibaba_cloud", "eu-central-1", "alibaba_cloud_fc", "", "0.0000166667", False),
        ("aws", "us-east-1", "aws_lambda", "amd64", "0.0000166667", True),
        ("aws", "us-east-1", "aws_lambda", "arm64", "0.0000133334", True),
        ("azure", "eastus", "azure_functions", "", "0.000016", True),
        ("tencent_cloud", "ap-singapore", "tencent_cloud_scf", "", "0.0000167", True),
    ],
)
def test_plans_of_functions(
    shipped: PriceBook,
    provider: str,
    region: str,
    platform: str,
    architecture: str,
    gib_second: str,
    listed: bool,
) -> None:
    found = shipped.function(provider, region, platform, architecture, DAY)

    assert found.plan.prices["GiB-second"][0].price == Decimal(gib_second)
    assert found.listed is listed


def test_what_else_is_in_the_book(shipped: PriceBook) -> None:
    def of(kind: Kind, sku: str, unit: str) -> Decimal:
        found = shipped.price(kind, "aws", "us-east-1", sku, unit, DAY)
        assert found is not None
        return found.price

    assert of(Kind.VOLUME, "gp3", "GiB-month") == Decimal("0.08")
    assert of(Kind.LOAD_BALANCER, "application", "hour") == Decimal("0.0225")
    assert of(Kind.NETWORK, "nat-gateway", "GiB") == Decimal("0.045")
    assert of(Kind.CONTROL_PLANE, "eks", "hour") == Decimal("0.10")
    assert shipped.price(Kind.VOLUME, "aws", "us-east-1", "gp9", "GiB-month", DAY) is None


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2025-06-01", "0.10"), ("2026-01-01", "0.10"), ("2026-02-28", "0.10"), ("2026-03-01", "0.20"),
     ("2026-08-31", "0.20"), ("2026-09-01", None)],
)  # fmt: skip
def test_a_price_holds_from_its_day_until_the_next_or_its_end(
    book: PriceBook, price: Price, day: str, expected: str | None
) -> None:
    dated = PriceBook([
        *book.listings,
        price("rack", "hour", "0.20", effective_on="2026-03-01", effective_until="2026-09-01", **SIZE),
        price("rack", "hour", "0.10", effective_on="2026-01-01", **SIZE),
    ])  # fmt: skip

    found = dated.machine("own", "hall", "rack", date.fromisoformat(day))

    # Once its price has ended the one before it does not hold again: then nobody knows.
    assert (None if found is None else str(found.price)) == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-01-15", "0.10"), ("2026-02-15", "0.15"), ("2026-03-15", "0.20"), ("2026-12-15", "0.20")],
)
def test_a_later_file_wins_on_the_days_it_covers(
    book: PriceBook, price: Price, day: str, expected: str
) -> None:
    ours = [
        price("rack", "hour", "0.10", **SIZE),
        price("rack", "hour", "0.20", effective_on="2026-03-01", **SIZE),
    ]
    own = price("rack", "hour", "0.15", effective_on="2026-02-01", effective_until="2026-03-10", **SIZE)
    layered = PriceBook([*book.listings, *ours, replace(own, rank=1)])

    found = layered.machine("own", "hall", "rack", date.fromisoformat(day))

    assert found is not None
    assert str(found.price) == expected


def test_a_book_without_defaults_is_refused(price: Price) -> None:
    with pytest.raises(PriceBookError, match="no default for memory"):
        PriceBook([price("vcpu", "vCPU-hour", "0.03")])


def test_every_shipped_price_names_its_source_and_day(shipped: PriceBook) -> None:
    assert len(shipped.listings) > 120
    for listing in shipped.listings:
        assert isinstance(listing.entry, PriceEntry | Plan)
        assert listing.entry.source.startswith("https://"), listing
        assert listing.entry.retrieved_on >= date(2026, 1, 1)
        assert listing.file.endswith(".yaml")
        assert listing.line > 1


def test_a_price_of_nothing_in_particular_cannot_be_made() -> None:
    """What is common to prices has no key of its own, by which the book could find it."""
    with pytest.raises(TypeError, match="abstract"):
        Dated(provider="", region="", currency="USD", source="a test", retrieved_on=DAY)  # type: ignore[abstract]
