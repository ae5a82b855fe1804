"""Adds up what a report says of a bill, batch after batch. Exact, by currency. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal, Inexact
from typing import Any, Final

import orjson
import polars as pl

from ingest.bills.charges import provider
from ingest.bills.focus import OFTEN_NULL
from ingest.bills.report import ServiceTotal, Total

MOST_SERVICES: Final = 20
MOST_TAGS: Final = 50
Key = tuple[str, datetime]
_EXACT: Final = Context(prec=80, traps=[Inexact])
"""More digits than a sum can have: what would be rounded is an error."""


@dataclass(slots=True)
class Sums:
    """What was seen so far."""

    rows: int = 0
    slices: dict[Key, tuple[datetime, int]] = field(default_factory=dict)
    """By billing account and begin of the period: its end, and how many rows."""
    totals: defaultdict[str, list[Any]] = field(
        default_factory=lambda: defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    )
    services: defaultdict[tuple[str, str, str], list[Any]] = field(
        default_factory=lambda: defaultdict(lambda: [0, Decimal(0)])
    )
    first: datetime | None = None
    last: datetime | None = None
    without_resource: int = 0
    empty: Counter[str] = field(default_factory=Counter)
    """Rows without a value, of the columns in `OFTEN_NULL`."""
    with_tags: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    zoneless: int = 0

    def add(self, charges: pl.DataFrame) -> None:
        """Take in a batch without problems."""
        there = set(charges.columns)
        self.rows += len(charges)
        keys = ["BillingAccountId", "BillingPeriodStart"]
        for account, start, end, rows in (
            charges.group_by(keys).agg(pl.col("BillingPeriodEnd").max(), pl.len().alias("_rows")).iter_rows()
        ):
            known_end, known = self.slices.get((account, start), (end, 0))
            self.slices[account, start] = (max(known_end, end), known + rows)
        for currency, rows, billed, effective in (
            charges.group_by("BillingCurrency")
            .agg(pl.len().alias("_rows"), pl.col("BilledCost").sum(), pl.col("EffectiveCost").sum())
            .iter_rows()
        ):
            total = self.totals[currency]
            total[:] = [total[0] + rows, _plus(total[1], billed), _plus(total[2], effective)]
        self.empty.update({name: charges[name].null_count() for name in OFTEN_NULL})
        named = charges.select(
            pl.col("ServiceName").fill_null(""),
            "BillingCurrency",
            "BilledCost",
            provider(there).alias("_provider"),
        )
        for who, service, currency, rows, billed in (
            named.group_by("_provider", "ServiceName", "BillingCurrency")
            .agg(pl.len().alias("_rows"), pl.col("BilledCost").sum())
            .iter_rows()
        ):
            line = self.services[who, service, currency]
            line[:] = [line[0] + rows, _plus(line[1], billed)]
        self._add_times(charges)
        if "ResourceId" in there:
            self.without_resource += charges["ResourceId"].null_count()
        else:
            self.without_resource += len(charges)
        if "Tags" in there:
            self._add_tags(charges["Tags"].drop_nulls())

    def _add_times(self, charges: pl.DataFrame) -> None:
        first, last = charges["ChargePeriodStart"].min(), charges["ChargePeriodEnd"].max()
        if isinstance(first, datetime) and isinstance(last, datetime):
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)

    def _add_tags(self, tags: pl.Series) -> None:
        for text, count in tags.value_counts(name="_count").iter_rows():
            keys = orjson.loads(text).keys()
            self.with_tags += count if keys else 0
            self.tags.update(dict.fromkeys(keys, count))

    def total_list(self) -> tuple[Total, ...]:
        """By currency, in their order."""
        return tuple(
            Total(currency=currency, rows=rows, billed=billed, effective=effective)
            for currency, (rows, billed, effective) in sorted(self.totals.items())
        )

    def service_list(self) -> tuple[ServiceTotal, ...]:
        """The most expensive first; amounts of different currencies are only put in order by currency."""
        lines: Sequence[tuple[tuple[str, str, str], list[Any]]] = sorted(
            self.services.items(), key=lambda line: (line[0][2], -line[1][1], line[0])
        )
        return tuple(
            ServiceTotal(provider=who, service=service, currency=currency, rows=rows, billed=billed)
            for (who, service, currency), (rows, billed) in lines[:MOST_SERVICES]
        )

    def tag_keys(self) -> tuple[str, ...]:
        """The most common ones."""
        return tuple(key for key, _ in self.tags.most_common(MOST_TAGS))


def _plus(one: Decimal, other: Decimal) -> Decimal:
    return _EXACT.add(one, other)
