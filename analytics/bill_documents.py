"""What the answers about bills look like. As `analytics.documents`: the API's contract, no logic."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from analytics.documents import Answer, Document, Money


class BillRow(Document):
    """What counts of a billing account in a billing period, in one currency."""

    billing_account: str
    billing_account_name: str
    period_start: datetime
    period_end: datetime
    currency: str
    providers: tuple[str, ...]
    imports: int
    last_import_at: datetime
    charges: int
    billed: Money
    effective: Money


class BillsAnswer(Document):
    """The bills there are, the latest period first."""

    rows: tuple[BillRow, ...]


class ReconciledRow(Document):
    """A resource, as the bill has it and as it was computed. Amounts that one side does not have are null."""

    status: Literal["matched", "only in bill", "only in lowtide"]
    kind: Literal["node", "volume", "function", ""] = Field(
        description="What it is here; empty if it is not known here."
    )
    cluster: str = Field(default="", description="Of a node or volume of a cluster.")
    name: str = Field(description="Here, else in the bill.")
    resource_id: str
    provider: str
    service: str
    instance_type: str
    billed: Money | None
    effective: Money | None = Field(description="After all discounts, commitments spread over their use.")
    list: Money | None
    computed: Money | None
    difference: Money = Field(description="effective less computed; what is not there counts as nothing.")


class DiscountRow(Document):
    """What machines of one type really cost."""

    instance_type: str
    resources: int
    list: Money
    effective: Money
    computed: Money | None = Field(description="Of those that are known here.")
    factor: float | None = Field(description="effective / list: 0.7 is a discount of 30 %.")


class ReconciliationAnswer(Answer):
    """The bill beside what was computed, in one currency: usage whose charges lie in the window."""

    matched: Money = Field(description="Effective cost of what both know.")
    only_in_bill: Money = Field(description="Effective cost of usage that is not known here.")
    only_in_lowtide: Money = Field(description="Computed cost of what no charge names.")
    rows: tuple[ReconciledRow, ...]
    instance_types: tuple[DiscountRow, ...]
