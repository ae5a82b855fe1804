"""What functions cost: their requests, and the memory they held while they ran. Pure functions.

From spans, corrected for sampling. The trap: list price of the first tier and no free quota, since both are
the account's and not the function's; the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from analytics.ledger import GIB
from analytics.money import NANO
from analytics.prices import FunctionPrice, PriceBook

PLAN = ("provider", "region", "platform", "day")


def plans(hours: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    """The plan of every kind of function and day that occurs: nano-USD a request and a GiB-second, and
    `listed`.
    """
    kinds = hours.select(*PLAN).unique()
    prices: Mapping[tuple[object, ...], FunctionPrice] = {
        row: book.function(*row) for row in kinds.iter_rows()
    }
    return kinds.with_columns(
        pl.Series("request_nano", [_nano(prices[row].per_request) for row in kinds.iter_rows()], pl.Float64),
        pl.Series("gib_s_nano", [_nano(prices[row].per_gib_s) for row in kinds.iter_rows()], pl.Float64),
        pl.Series("listed", [prices[row].listed for row in kinds.iter_rows()], pl.Boolean),
    )


def function_lines(hours: pl.DataFrame, priced: pl.DataFrame) -> pl.DataFrame:
    """`workload_id, hour, functions_nano, listed`: the cost of every function and hour, rounded here and
    only here.

    `hours` holds `workload_id, hour, requests, busy_s, memory_bytes` and the columns of a plan.
    """
    cost = pl.col("requests") * pl.col("request_nano") + (
        pl.col("busy_s") * pl.col("memory_bytes") / GIB * pl.col("gib_s_nano")
    )
    return hours.join(priced, on=list(PLAN), nulls_equal=True).select(
        "workload_id", "hour", "listed", functions_nano=cost.round().cast(pl.Int64)
    )


def _nano(price: Decimal) -> float:
    return float(price * NANO)
