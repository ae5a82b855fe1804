"""Figures as people read them on a page; the same notation as the command's tables. Used by the pages'
templates.

Only what is shown is rounded: the exact value stands beside it in the page. The trap: a figure that is not
nothing must not read as nothing, so what would be rounded to zero is written as "<0.01".
"""

from __future__ import annotations

import math
from datetime import datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal

MISSING = "-"
_DURATIONS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def exact(amount: Decimal) -> str:
    """Every digit, no exponent."""
    return format(amount, "f")


def money(amount: Decimal) -> str:
    """Two decimals, ties to even, thousands separated; "<0.01" for less."""
    rounded = amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
    if amount and not rounded:
        return "<0.01" if amount > 0 else ">-0.01"
    return f"{rounded or abs(rounded):,f}"  # there is no "-0.00"


def count(value: float) -> str:
    """A number of things: whole, thousands separated; "<1" for less than one and more than none."""
    if not math.isfinite(value):
        return "?"
    if 0 < value < 0.5:
        return "<1"
    return f"{round(value):,}"


def share(value: float) -> str:
    """A fraction of one as per cent with one decimal; "<0.1 %" for less."""
    if not math.isfinite(value):
        return "?"
    percent = value * 100
    return "<0.1 %" if 0 < percent < 0.05 else f"{percent:.1f} %"


def duration(value_s: float) -> str:
    """Seconds in the largest unit that leaves a figure of one or more: 5400 is "1.5 h"."""
    for unit_s, name in _DURATIONS:
        if value_s >= unit_s:
            return f"{value_s / unit_s:.3g} {name}"
    return "0 s" if value_s <= 0 else "<1 ms"


def size(value_bytes: int) -> str:
    """Bytes in binary units: 1536 is "1.5 KiB"."""
    amount, power = float(value_bytes), 0
    while amount >= 1023.95 and power < len(_SIZES) - 1:
        amount, power = amount / 1024, power + 1
    return f"{amount:.0f} B" if power == 0 else f"{amount:.1f} {_SIZES[power]}"


def instant(at: datetime, zone: tzinfo) -> str:
    """An aware time to the minute in a zone: "2026-11-20 14:03 UTC"."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
