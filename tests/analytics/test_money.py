"""Money is divided to the last unit."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.money import nano_usd, split, usd, weight

AMOUNTS = st.integers(0, 10**15)
WEIGHTS = st.lists(st.integers(0, 10**18), min_size=1, max_size=12)


def parts_of(groups: list[tuple[int, list[int]]]) -> pl.DataFrame:
    rows = [
        {"group": number, "amount": amount, "of": weight_, "tie": tie}
        for number, (amount, weights) in enumerate(groups)
        for tie, weight_ in enumerate(weights)
    ]
    schema: dict[str, pl.DataType] = {
        "group": pl.Int64(), "amount": pl.Int64(), "of": pl.Int128(), "tie": pl.Int64(),
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema)
    return split(frame, amount="amount", by=["group"], weights="of", ties="tie", name="part").sort(
        "group", "tie"
    )


@given(st.lists(st.tuples(AMOUNTS, WEIGHTS), min_size=1, max_size=4))
def test_parts_add_up_and_are_within_one_unit_of_the_exact_share(groups: list[tuple[int, list[int]]]) -> None:
    found = parts_of(groups)

    for number, (amount, weights) in enumerate(groups):
        parts = found.filter(pl.col("group") == number)["part"].to_list()
        whole = sum(weights)
        assert sum(parts) == amount
        for part, own in zip(parts, weights if whole else [1] * len(weights), strict=True):
            share = Decimal(amount) * own / (whole or len(weights))
            assert abs(part - share) < 1 + Decimal("1e-6")
            assert part >= 0


@given(AMOUNTS, WEIGHTS, st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(amount: int, weights: list[int], seed: int) -> None:
    frame = parts_of([(amount, weights)])
    shuffled = frame.drop("part").sample(fraction=1, shuffle=True, seed=seed)
    again = split(shuffled, amount="amount", by=["group"], weights="of", ties="tie", name="part")

    assert again.sort("tie")["part"].to_list() == frame["part"].to_list()


def test_the_largest_remainder_gets_the_unit_and_the_lower_tie_among_equals() -> None:
    assert parts_of([(10, [1, 1, 1]), (10, [15, 30, 55])])["part"].to_list() == [4, 3, 3, 2, 3, 5]


def test_nothing_to_go_by_is_split_evenly() -> None:
    assert parts_of([(7, [0, 0])])["part"].to_list() == [4, 3]


@pytest.mark.parametrize(
    ("value", "expected"), [(2.4, 2), (-1.0, 0), (None, 0), (float("nan"), 0), (1e18, 10**18)]
)
def test_weights_are_whole_and_never_negative(value: float | None, expected: int) -> None:
    frame = pl.DataFrame({"value": [value]}, schema={"value": pl.Float64})

    assert frame.select(weight(pl.col("value"))).item() == expected


def test_nano_usd_and_back() -> None:
    assert nano_usd(Decimal("0.0958")) == 95_800_000
    assert nano_usd(Decimal("0.0000000025")) == 2  # ties to even
    assert usd(95_800_000) == Decimal("0.095800000")
