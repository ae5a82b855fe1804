"""What functions cost: their requests, and the memory they held while they ran. Pure functions.

From what the platform reports as billed, by the hour; in hours without reports from spans, corrected for
sampling. The traps: the price of the first tier and no free quota, since both are
the account's and not the function's; and durations of spans come as sums, so a plan's step cannot be rounded
to, only its minimum be kept. The answer says so.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from analytics.dividing import GIB
from analytics.money import NANO
from analytics.plans import billed_memory_mib
from analytics.price_entries import Plan, Usage
from analytics.prices import FunctionPlan, PriceBook

PLAN = ("provider", "region", "platform", "architecture", "day")
_MIB = 1024 * 1024
_PLAN_SCHEMA = {
    "request_nano": pl.Float64,
    "gib_s_nano": pl.Float64,
    "minimum_s": pl.Float64,
    "billed_gib": pl.Float64,
    "listed": pl.Boolean,
}


def plans(hours: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    """The plan of every kind of function, memory and day that occurs: `request_nano` and `gib_s_nano`
    (nano-USD a request and a GiB-second), `minimum_s` of a request, `billed_gib` of memory, and `listed`.
    """
    keys = (*PLAN, "memory_bytes")
    kinds = hours.select(keys).unique()
    rows = [(*row, *_terms(book.function(*row[:-1]), row[-1])) for row in kinds.iter_rows()]
    schema = {name: kinds.schema[name] for name in keys} | _PLAN_SCHEMA
    return pl.DataFrame(rows, schema=schema, orient="row")


def function_lines(hours: pl.DataFrame, priced: pl.DataFrame) -> pl.DataFrame:
    """`workload_id, hour, functions_nano, listed`: the cost of every function and hour, rounded here and
    only here.

    `hours` holds `workload_id, hour, requests, busy_s, memory_bytes` and the columns of a plan.
    """
    billed_s = pl.max_horizontal("busy_s", pl.col("requests") * pl.col("minimum_s"))
    cost = pl.col("requests") * pl.col("request_nano") + (
        billed_s * pl.col("billed_gib") * pl.col("gib_s_nano")
    )
    return hours.join(priced, on=[*PLAN, "memory_bytes"], nulls_equal=True).select(
        "workload_id", "hour", "listed", functions_nano=cost.round().cast(pl.Int64)
    )


def _terms(found: FunctionPlan, memory_bytes: float) -> tuple[float, float, float, float, bool]:
    plan = found.plan
    memory_mib = billed_memory_mib(plan, Decimal(memory_bytes) / _MIB)
    request, gib_second = (_first(plan, unit) for unit in ("request", "GiB-second"))
    gib = memory_mib * _MIB / GIB
    return float(request * NANO), float(gib_second * NANO), plan.minimum_ms / 1000, gib, found.listed


def _first(plan: Plan, unit: Usage) -> Decimal:
    """The price of the first tier; nothing is charged for what the plan does not name."""
    return plan.prices[unit][0].price if unit in plan.prices else Decimal(0)
