"""A bill beside what was computed: who is known by which name, and what is told instead of guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analytics.answers import Basis, bills_answer, reconcile_answer
from analytics.reconciling import Thing, reconciled
from analytics.settings import AnalyticsSettings
from ingest.bills.importing import import_bill
from ingest.store.engine import Session

HEADER = (
    "BilledCost,BillingAccountId,BillingAccountName,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,"
    "ChargeCategory,ChargeClass,ChargeDescription,ChargePeriodStart,ChargePeriodEnd,ContractedCost,"
    "EffectiveCost,InvoiceIssuerName,ListCost,PricingQuantity,PricingUnit,ServiceCategory,ServiceName,"
    "ProviderName,PublisherName,ResourceId,ResourceName,SkuPriceDetails"
)
SCHEMA = {
    "currency": pl.String, "provider": pl.String, "service": pl.String, "resource_id": pl.String,
    "category": pl.String, "inside": pl.UInt8, "resource_name": pl.String, "instance_type": pl.String,
    "charges": pl.UInt64, "billed": pl.Decimal(38, 24), "effective": pl.Decimal(38, 24),
    "list": pl.Decimal(38, 24),
}  # fmt: skip


def bill(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {
        "currency": "USD", "provider": "AWS", "service": "AmazonEC2", "resource_id": "", "category": "Usage",
        "inside": 1, "resource_name": "", "instance_type": "", "charges": 1, "billed": Decimal(1),
        "effective": Decimal(1), "list": Decimal(2),
    }  # fmt: skip
    return pl.DataFrame([{**usual, **row} for row in rows], schema=SCHEMA)


def thing(name: str, computed: str, *ids: str, kind: Any = "node", host_type: str = "m6i.large") -> Thing:
    return Thing(kind, name, host_type, Decimal(computed), frozenset({name.lower(), *ids}))


@pytest.mark.parametrize(
    ("resource_id", "resource_name"),
    [
        ("arn:aws:ec2:eu-central-1:1:instance/i-0abc", ""),
        ("i-0ABC", ""),
        ("", "I-0abc"),
        ("/subscriptions/1/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/Node-1", ""),
        ("//compute.googleapis.com/projects/p/zones/z/instances/node-1", ""),
    ],
)
def test_a_node_is_known_by_its_providers_name_or_its_own(resource_id: str, resource_name: str) -> None:
    found = reconciled(
        bill({"resource_id": resource_id, "resource_name": resource_name}),
        [thing("node-1", "1.5", "i-0abc")],
        "USD",
    )

    (row,) = found.rows
    assert (row.status, row.name, row.effective, row.computed, row.difference) == (
        "matched", "node-1", 1, Decimal("1.5"), Decimal("-0.5"),
    )  # fmt: skip


def test_both_sides_are_accounted_for() -> None:
    lines = bill(
        {"resource_id": "i-1", "effective": Decimal(3)},
        {"resource_id": "i-1", "service": "AmazonVPC", "effective": Decimal("0.5")},
        {"resource_id": "bucket", "service": "AmazonS3", "effective": Decimal(7)},
    )
    known = [thing("n1", "4", "i-1"), thing("n2", "2", "i-2"), thing("badge", "0.25", kind="function")]

    found = reconciled(lines, known, "USD")

    assert [(row.status, row.name, row.difference) for row in found.rows] == [
        ("only in bill", "bucket", Decimal(7)), ("only in lowtide", "n2", Decimal(-2)),
        ("matched", "n1", Decimal("-0.5")), ("only in lowtide", "badge", Decimal("-0.25")),
    ]  # fmt: skip
    assert found.sum_of("matched", "effective") + found.sum_of("only in bill", "effective") == Decimal("10.5")
    assert found.sum_of("only in lowtide", "computed") == Decimal("2.25")


def test_what_is_not_compared_is_told() -> None:
    lines = bill(
        {"currency": "EUR"},
        {"inside": 0, "effective": Decimal("12.5"), "charges": 3},
        {"category": "Tax", "billed": Decimal(19)},
    )

    found = reconciled(lines, [], "USD")

    assert found.rows == ()
    assert [note.split(";")[0] for note in found.notes] == [
        "Not compared: charges in EUR",
        "Not compared: 3 charges that reach over the window's edge, 12.5 USD altogether.",
        "Not compared: Tax of 19 USD",
    ]


def test_discounts_by_instance_type() -> None:
    lines = bill(
        {"resource_id": "i-1", "instance_type": "m6i.large", "effective": Decimal("0.6"), "list": Decimal(1)},
        {"resource_id": "i-9", "instance_type": "m6i.large", "effective": Decimal("0.8"), "list": Decimal(1)},
        {"resource_id": "i-2", "effective": Decimal(1), "list": Decimal(0)},
    )

    found = reconciled(
        lines, [thing("n1", "1", "i-1"), thing("n2", "1", "i-2", host_type="c6i.large")], "USD"
    )

    assert [(row.instance_type, row.resources, row.factor, row.computed) for row in found.discounts] == [
        ("c6i.large", 1, None, Decimal(1)), ("m6i.large", 2, 0.7, Decimal(1)),
    ]  # fmt: skip


def test_a_bill_and_telemetry_of_the_same_hour(
    session: Session, telemetry: Any, tenant: str, tmp_path: Path
) -> None:
    """A machine that says its host.id, and the bill of it."""
    now = datetime.now(UTC)
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    host = {
        "host.name": "vm-1", "host.id": "i-0c0ffee", "host.type": "t3.medium", "cloud.provider": "aws",
        "cloud.region": "eu-central-1", "service.name": "tax-rate",
    }  # fmt: skip
    telemetry.gauges(
        host,
        [("system.memory.usage", 1e9, start + timedelta(minutes=minute), {}) for minute in range(121)],
    )
    telemetry.store()
    month = start.replace(day=1, hour=0)
    end = (month + timedelta(days=32)).replace(day=1)
    details = '"{""InstanceType"":""t3.medium""}"'
    line = (
        f"0.09,1,One,USD,{month:%Y-%m-%dT%H:%M:%SZ},{end:%Y-%m-%dT%H:%M:%SZ},Usage,,hours,"
        f"{start:%Y-%m-%dT%H:%M:%SZ},{start + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ},0.09,0.08,AWS,0.1,2,"
        f"Hours,Compute,AmazonEC2,AWS,AWS,arn:aws:ec2:eu-central-1:1:instance/i-0c0ffee,,{details}"
    )
    path = tmp_path / "bill.csv"
    path.write_text(f"{HEADER}\n{line}\n")
    import_bill(session, path, "bill.csv", tenant=tenant, now=now)
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)

    answer = reconcile_answer(session, basis, window="5h", now=now, tenant=tenant)

    (row,) = answer.rows
    assert (row.status, row.kind, row.name, row.instance_type) == ("matched", "node", "vm-1", "t3.medium")
    assert (row.billed, row.effective) == (Decimal("0.09"), Decimal("0.08"))
    assert row.computed is not None
    assert Decimal("0.09") < row.computed < Decimal("0.1")  # two hours and a minute at 0.048
    assert answer.instance_types[0].factor == pytest.approx(0.8)
    (listed,) = bills_answer(session, tenant=tenant).rows
    assert (listed.billing_account, listed.currency, listed.billed) == ("1", "USD", Decimal("0.09"))
    assert (listed.period_start, listed.period_end, listed.imports) == (month, end, 1)
    assert '"billed":"0.09"' in listed.model_dump_json()
