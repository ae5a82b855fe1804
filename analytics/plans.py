"""What a plan bills for: time and memory rounded as it says, use priced tier by tier, all in exact decimals.

Pure functions. The traps: tiers count a month's use of the whole account (in one region and architecture),
so one workload's share of them is only known with the account's total; and a step rounds every run by itself,
so billed time cannot be had from a sum of durations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, Inexact, localcontext
from typing import Final

from analytics.price_entries import Plan, Tier, Usage

EXACT: Final = Context(prec=80, traps=[Inexact])
"""More digits than any price and quantity have together; what would not fit is an error, not rounded."""


def billed_ms(plan: Plan, duration_ms: Decimal) -> int:
    """A run's time as it is billed: rounded up to the step, and never below the minimum."""
    return max(plan.minimum_ms, _stepped(duration_ms, plan.step_ms))


def billed_memory_mib(plan: Plan, memory_mib: Decimal) -> int:
    """Memory as it is billed."""
    return max(plan.minimum_memory_mib, _stepped(memory_mib, plan.memory_step_mib))


def _stepped(amount: Decimal, step: int) -> int:
    """Rounded up to a multiple of the step; below nothing is nothing."""
    whole, rest = divmod(max(amount, Decimal(0)), step)
    return (int(whole) + (rest > 0)) * step


def tiered(tiers: Sequence[Tier], quantity: Decimal) -> Decimal:
    """What a month's quantity costs: each part of it at the price of its tier."""
    ends = [*(tier.above for tier in tiers[1:]), None]
    total = Decimal(0)
    with localcontext(EXACT):
        for tier, end in zip(tiers, ends, strict=True):
            within = (quantity if end is None else min(quantity, end)) - tier.above
            if within <= 0:
                break
            total += within * tier.price
    return total


def month_cost(plan: Plan, used: Mapping[Usage, Decimal], *, with_free: bool = False) -> Decimal:
    """What an account's use in a month costs, by unit. `with_free` takes off what is free each month.

    Raises LookupError for a unit that the plan neither prices nor converts.
    """
    free = plan.free if with_free else {}
    total = Decimal(0)
    with localcontext(EXACT):
        for unit, amount in _priced(plan, used).items():
            total += tiered(plan.prices[unit], max(Decimal(0), amount - free.get(unit, Decimal(0))))
    return total


def _priced(plan: Plan, used: Mapping[Usage, Decimal]) -> dict[Usage, Decimal]:
    """The use in units that have a price: what the plan converts is added up as compute units."""
    result: dict[Usage, Decimal] = {}
    for unit, amount in used.items():
        if unit in plan.converted:
            result["CU"] = result.get("CU", Decimal(0)) + amount * plan.converted[unit]
        elif unit in plan.prices:
            result[unit] = result.get(unit, Decimal(0)) + amount
        else:
            raise LookupError(f"the plan {plan.plan} has no price for a {unit}")
    return result
