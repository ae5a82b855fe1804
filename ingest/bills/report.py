"""What an import says about itself: what was understood of a bill, what was not, and what it replaced.

The API serves it, the command prints it. The trap: it is the API's contract, so a field may be added, but not
renamed. Amounts travel as text with every digit, by currency, and are never added up over currencies.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer


def _shortest(amount: Decimal) -> str:
    """Every digit, without zeros behind the last one."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


Amount = Annotated[Decimal, PlainSerializer(_shortest, return_type=str, when_used="json")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slice(_Part):
    """A billing account in a billing period: what an import restates as a whole."""

    billing_account: str
    period_start: datetime
    period_end: datetime
    rows: int
    replaced_rows: int = Field(description="Rows of earlier imports that do not count any more.")


class Total(_Part):
    """Sums of one currency."""

    currency: str
    rows: int
    billed: Amount
    effective: Amount


class ServiceTotal(_Part):
    """What one service was billed, in one currency."""

    provider: str
    service: str
    currency: str
    rows: int
    billed: Amount


class BillReport(_Part):
    """What an import did, or why there was nothing to do."""

    status: Literal["imported", "unchanged"] = Field(
        description="unchanged: this very file is what counts already in all its slices; nothing was written."
    )
    import_id: str
    file: str
    digest: str = Field(description="SHA-256 of the file.")
    format: str
    focus_version: str = Field(description="Of the newest column in it.")
    rows: int
    slices: tuple[Slice, ...]
    totals: tuple[Total, ...]
    services: tuple[ServiceTotal, ...] = Field(description="The most expensive ones.")
    service_count: int
    charges_from: datetime | None
    charges_until: datetime | None
    rows_without_resource: int
    rows_with_tags: int
    tag_keys: tuple[str, ...]
    missing_columns: tuple[str, ...] = Field(
        description="Columns of this version that the file does not have; none of them is mandatory."
    )
    other_columns: tuple[str, ...] = Field(
        description="Columns of FOCUS or with x_ that have no column of their own here; kept in Other."
    )
    unknown_columns: tuple[str, ...] = Field(
        description="Columns that this version does not have and that do not begin with x_; kept in Other."
    )
    notes: tuple[str, ...]
