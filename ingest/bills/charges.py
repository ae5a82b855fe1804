"""Puts checked charges into the columns of the table `bill_charges`. Pure.

What has no column of its own there is kept, row by row, as a JSON object in `Other`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import polars as pl

from ingest.bills.checking import AMOUNT
from ingest.bills.focus import DECIMALS, TIMES

TABLE: Final = "bill_charges"
TEXTS: Final = (
    "InvoiceIssuerName", "BillingAccountId", "BillingAccountName", "SubAccountId", "SubAccountName",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ServiceCategory",
    "ServiceSubcategory", "ServiceName", "RegionId", "AvailabilityZone", "ResourceId", "ResourceName",
    "ResourceType", "SkuId", "SkuPriceId", "SkuMeter", "SkuPriceDetails", "PricingCategory", "PricingUnit",
    "ConsumedUnit", "CommitmentDiscountId", "CommitmentDiscountStatus", "BillingCurrency", "Tags",
)  # fmt: skip
_OBJECTS: Final = frozenset({"Tags", "SkuPriceDetails"})
AMOUNTS: Final = (
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity", "ConsumedQuantity",
    "ListUnitPrice", "ContractedUnitPrice",
)  # fmt: skip
COLUMNS: Final = frozenset({*TEXTS, *AMOUNTS, *TIMES, "ProviderName", "ServiceProviderName"})
"""Columns of FOCUS that have one of their own, or make one."""


def table_rows(
    charges: pl.DataFrame, first_row: int, *, tenant: str, import_id: str, imported_at: datetime
) -> pl.DataFrame:
    """The charges in the order and types of the table."""
    there = set(charges.columns)
    return charges.select(
        pl.lit(tenant).alias("tenant"),
        pl.lit(import_id).alias("import_id"),
        pl.lit(imported_at).cast(pl.Datetime("ms", "UTC")).alias("imported_at"),
        pl.int_range(first_row, first_row + pl.len(), dtype=pl.UInt64).alias("row"),
        provider(there).alias("ProviderName"),
        *(_text(name, there) for name in TEXTS),
        *(pl.col(name).cast(pl.Datetime("ms", "UTC")) for name in sorted(TIMES)),
        *((pl.col(name) if name in there else pl.lit(None, AMOUNT)).alias(name) for name in AMOUNTS),
        _other(charges.columns).alias("Other"),
    )


def provider(there: set[str]) -> pl.Expr:
    """Who provides the service: FOCUS 1.3 has a new name for it, and keeps the old one beside."""
    names = [name for name in ("ServiceProviderName", "ProviderName") if name in there]
    return pl.coalesce(*names, pl.lit(""))


def _text(name: str, there: set[str]) -> pl.Expr:
    nothing = "{}" if name in _OBJECTS else ""
    found = pl.col(name).fill_null(nothing) if name in there else pl.lit(nothing)
    return found.alias(name)


def _other(columns: Sequence[str]) -> pl.Expr:
    """An object of the remaining columns that have a value."""
    rest = [name for name in columns if name not in COLUMNS]
    if not rest:
        return pl.lit("{}")
    parts = []
    for name in rest:
        text = _shortest(pl.col(name)) if name in DECIMALS else pl.col(name)
        # Encoding by a struct escapes the value; the key is one of the header's.
        parts.append(
            pl.when(text.is_not_null()).then(
                pl.struct(text.alias(name)).struct.json_encode().str.slice(1).str.head(-1)
            )
        )
    return pl.concat_str(pl.lit("{"), pl.concat_str(parts, separator=",", ignore_nulls=True), pl.lit("}"))


def _shortest(amount: pl.Expr) -> pl.Expr:
    """A decimal as text without the zeros behind it."""
    return amount.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
