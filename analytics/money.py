"""Money as integers of 1e-9 US dollars (nano-USD), and its exact division. Used by everything that costs
something.

An amount is rounded once, when it is first computed; after that it is only split, so that parts always add
up to the whole. The trap: weights must be integers (as `weight` makes them), since a share of a float is
not exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import polars as pl

NANO: Final = 1_000_000_000
SECONDS_PER_HOUR: Final = 3600


def usd(nano: int) -> Decimal:
    """Nano-USD as US dollars, exactly."""
    return Decimal(nano).scaleb(-9)


def nano_usd(amount: Decimal) -> int:
    """US dollars as nano-USD; ties to even."""
    return int((amount * NANO).to_integral_value())


def weight(expression: pl.Expr) -> pl.Expr:
    """A non-negative float as an integer weight; negative and missing ones weigh nothing."""
    return expression.fill_null(0.0).fill_nan(0.0).clip(0.0).round().cast(pl.Int128)


def split(
    frame: pl.DataFrame, *, amount: str, by: Sequence[str], weights: str, ties: str, name: str
) -> pl.DataFrame:
    """The frame with a column `name` (Int64): each row's part of its group's `amount`, by largest remainder.

    `amount` is the same in all rows of a group, `weights` is an integer column (see `weight`), `ties` is a
    column that is unique in its group and decides who gets the last unit. The parts of a group add up to its
    amount exactly. A group whose weights are all nothing is split evenly, so that no money is lost.
    """
    group = list(by)
    total = pl.col("_weight").sum().over(group)
    sized = frame.with_columns(
        _amount=pl.col(amount).cast(pl.Int128), _weight=pl.col(weights).cast(pl.Int128)
    ).with_columns(_weight=pl.when(total > 0).then(pl.col("_weight")).otherwise(pl.lit(1, pl.Int128)))
    product, whole = pl.col("_amount") * pl.col("_weight"), pl.col("_weight").sum().over(group)
    divided = sized.with_columns(_part=product // whole, _rest=product % whole)
    # Whoever has the largest remainder gets one of the units that are left; there are fewer of them than
    # rows.
    ranked = divided.sort(
        [*group, "_rest", ties], descending=[False] * len(group) + [True, False]
    ).with_columns(
        _rank=pl.int_range(pl.len()).over(group),
        _left=pl.col("_amount").first().over(group) - pl.col("_part").sum().over(group),
    )
    part = pl.col("_part") + (pl.col("_rank") < pl.col("_left")).cast(pl.Int128)
    return ranked.with_columns(part.cast(pl.Int64).alias(name)).drop(
        "_amount", "_weight", "_part", "_rest", "_rank", "_left"
    )
