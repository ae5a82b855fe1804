"""Figures for people: one notation of money, sizes, durations, shares and instants in all tables.

Only tables are rounded; JSON and CSV carry the exact values. The trap: a figure that is not nothing must
not read as nothing, so what would be rounded to zero is written as "<0.01".
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DURATIONS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def exact(value: Decimal) -> str:
    """A decimal with all its digits and no exponent, so that any program reads back the same number."""
    return format(value, "f")


def money(amount: Decimal, places: int = 2) -> str:
    """An amount rounded to `places` decimals (ties to even), with thousands separated; "<0.01" for less."""
    step = Decimal(1).scaleb(-places)
    rounded = amount.quantize(step, rounding=ROUND_HALF_EVEN)
    if amount and not rounded:
        return f"<{step:f}" if amount > 0 else f">-{step:f}"
    return f"{rounded or abs(rounded):,f}"  # there is no "-0.00"


def number(value: float, places: int = 2) -> str:
    """A plain number: whole ones without decimals, others with up to `places`; "<0.01" for less."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value)):
        return f"{int(value):,}"
    if not math.isfinite(value):
        return "?"
    step = 10.0**-places
    if abs(value) < step / 2:
        return f"<{step:.{places}f}" if value > 0 else f">-{step:.{places}f}"
    return f"{value:,.{places}f}"


def share(value: float, places: int = 1) -> str:
    """A fraction of one as per cent: 0.25 is "25.0 %"."""
    if not math.isfinite(value):
        return "?"
    step = 10.0**-places
    percent = float(value) * 100
    if percent and abs(percent) < step / 2:
        return f"<{step:.{places}f} %" if percent > 0 else f">-{step:.{places}f} %"
    return f"{percent:.{places}f} %"


def size(value_bytes: float) -> str:
    """Bytes in binary units: 1536 is "1.5 KiB"."""
    amount, power = float(value_bytes), 0
    if not math.isfinite(amount):
        return "?"
    # 1023.95 would be written as 1024.0 of the smaller unit.
    while abs(amount) >= 1023.95 and power < len(_BINARY) - 1:
        amount, power = amount / 1024, power + 1
    return f"{amount:.0f} B" if power == 0 else f"{amount:.1f} {_BINARY[power]}"


def duration(value_s: float) -> str:
    """Seconds in the largest unit that leaves a figure of one or more: 0.0042 is "4.2 ms"."""
    seconds = float(value_s)
    if not math.isfinite(seconds):
        return "?"
    for unit_s, name in _DURATIONS:
        if abs(seconds) >= unit_s:
            return (
                f"{seconds / unit_s:.3g} {name}"
                if abs(seconds) < 1e6 * unit_s
                else f"{seconds / unit_s:,.0f} {name}"
            )
    return "0 s" if not seconds else f"{seconds * 1e9:.3g} ns"


def instant(at: datetime, zone: tzinfo = UTC) -> str:
    """An aware time to the second in a zone: "2026-11-20 14:03:07 UTC"."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def rfc3339(at: datetime) -> str:
    """An aware time for programs, in UTC, with microseconds if it has any: "2026-11-20T14:03:07Z"."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
