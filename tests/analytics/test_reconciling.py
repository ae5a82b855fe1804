"""A bill beside what was computed: who is known by which name, and what is told instead of guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.answers import Basis, bills_answer, reconcile_answer
from analytics.reconciling import Thing, known_as, reconciled
from analytics.settings import AnalyticsSettings
from ingest.bills.importing import import_bill
from ingest.store.engine import Session
from support.kubernetes import sample

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


def thing(
    name: str, computed: str, *ids: str, kind: Any = "node", cluster: str = "", host_type: str = "m6i.large"
) -> Thing:
    return Thing(kind, cluster, name, host_type, Decimal(computed), known_as(name, ids))


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


def test_nodes_of_one_name_are_told_apart_by_their_ids() -> None:
    lines = bill(
        {"resource_id": "i-1", "effective": Decimal(3)}, {"resource_id": "i-2", "effective": Decimal(5)}
    )
    known = [thing("node-1", "4", "i-1", cluster="fra"), thing("node-1", "6", "i-2", cluster="dub")]

    found = reconciled(lines, known, "USD")

    assert [(row.status, row.cluster, row.effective, row.computed) for row in found.rows] == [
        ("matched", "dub", 5, 6), ("matched", "fra", 3, 4),
    ]  # fmt: skip
    assert not [note for note in found.notes if "node-1" in note]


def test_a_name_of_several_things_is_none_of_them() -> None:
    """Whose charge it is nobody knows: it stays in the bill, and what was computed here."""
    lines = bill({"resource_id": "node-1", "effective": Decimal(3)})
    known = [thing("node-1", "4", cluster="fra"), thing("node-1", "6", cluster="dub")]

    found = reconciled(lines, known, "USD")

    assert [(row.status, row.cluster) for row in found.rows] == [
        ("only in lowtide", "dub"), ("only in lowtide", "fra"), ("only in bill", ""),
    ]  # fmt: skip
    assert "Not matched by name: node-1, since several things here are called so." in found.notes


def test_a_whole_name_goes_before_the_first_part_of_another() -> None:
    lines = bill({"resource_name": "web", "effective": Decimal(3)})

    found = reconciled(lines, [thing("web.example.com", "4"), thing("web", "6")], "USD")

    assert {row.name: row.status for row in found.rows} == {
        "web": "matched", "web.example.com": "only in lowtide",
    }  # fmt: skip


NAMED = st.sampled_from(["a", "A", "b", "a.x", "a.y", "i-1", "i-2"])
KNOWN = st.builds(
    lambda name, computed, ids, kind, cluster: thing(name, str(computed), *ids, kind=kind, cluster=cluster),
    NAMED, st.decimals(0, 100, places=9), st.lists(NAMED.map(str.lower), max_size=2),
    st.sampled_from(["node", "volume", "function"]), st.sampled_from(["", "fra", "dub"]),
)  # fmt: skip
LINE = st.fixed_dictionaries({
    "resource_id": st.one_of(st.just(""), NAMED),
    "resource_name": st.one_of(st.just(""), NAMED),
    "effective": st.decimals(-10, 100, places=9),
})  # fmt: skip


@settings(max_examples=100)
@given(st.lists(KNOWN, max_size=6), st.lists(LINE, max_size=6))
def test_no_charge_and_nothing_computed_is_lost_or_counted_twice(
    known: list[Thing], lines: list[dict[str, Any]]
) -> None:
    found = reconciled(bill(*lines), known, "USD")

    assert sum(row.effective or 0 for row in found.rows) == sum(line["effective"] for line in lines)
    assert sum(row.computed or 0 for row in found.rows) == sum(one.computed for one in known)
    assert sum(row.difference for row in found.rows) == sum(
        (row.effective or 0) - (row.computed or 0) for row in found.rows
    )


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
        "Not compared: 3 charges over the window's edge, 12.5 USD altogether.",
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


def test_resources_that_have_a_name_only_and_nodes_of_one_name(
    session: Session, telemetry: Any, tenant: str, tmp_path: Path
) -> None:
    """Two clusters have a node-1, told apart by their provider's ids, and the bill has two resources without
    an id.
    """
    now = datetime.now(UTC)
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    size = {
        "k8s.node.cpu.capacity": 2.0,
        "k8s.node.memory.capacity": 8.0 * 1024**3,
        "k8s.node.cpu.usage": 1.0,
    }
    for cluster, host_type in (("fra", "m6i.large"), ("dub", "m6i.xlarge")):
        node = {
            "k8s.cluster.name": cluster, "k8s.node.name": "node-1", "host.type": host_type,
            "cloud.provider": "aws", "cloud.region": "eu-central-1",
        }  # fmt: skip
        times = [start + timedelta(minutes=at) for at in range(60)]
        telemetry.gauges(node, [(name, value, at, {}) for name, value in size.items() for at in times])
        telemetry.prometheus([
            sample(
                "kube_node_info", round(start.timestamp() * 1000), cluster=cluster, node="node-1",
                provider_id=f"aws:///eu-central-1a/i-{cluster}",
            )
        ])  # fmt: skip
        volume = {"cluster": cluster, "persistentvolume": "pvc-1"}
        telemetry.prometheus([
            sample(
                "kube_persistentvolume_capacity_bytes", round(start.timestamp() * 1000), 1024.0**3, **volume
            ),
            sample(
                "kube_persistentvolume_info", round(start.timestamp() * 1000),
                csi_volume_handle=f"vol-{cluster}", **volume,
            ),
        ])  # fmt: skip
    telemetry.store()
    month = start.replace(day=1, hour=0)
    end = (month + timedelta(days=32)).replace(day=1)

    def line(amount: str, resource: str, name: str) -> str:
        return (
            f"{amount},1,One,USD,{month:%Y-%m-%dT%H:%M:%SZ},{end:%Y-%m-%dT%H:%M:%SZ},Usage,,hours,"
            f"{start:%Y-%m-%dT%H:%M:%SZ},{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ},{amount},{amount},"
            f"AWS,{amount},2,Hours,Compute,AmazonEC2,AWS,AWS,{resource},{name},"
        )

    path = tmp_path / "bill.csv"
    lines = [
        line("3", "i-fra", ""), line("5", "i-dub", ""), line("7", "", "one"), line("11", "", "two"),
        line("1", "arn:aws:ec2:eu-central-1:1:volume/vol-fra", ""),
    ]  # fmt: skip
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    import_bill(session, path, "bill.csv", tenant=tenant, now=now)
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)

    answer = reconcile_answer(session, basis, window="5h", now=now, tenant=tenant)

    volumes = [row for row in answer.rows if row.kind == "volume"]
    assert [(row.status, row.name, row.cluster, row.computed) for row in volumes] == [
        ("matched", "pvc-1", "fra", Decimal("0.000054795")),
        ("only in lowtide", "pvc-1", "dub", Decimal("0.000054795")),
    ]  # fmt: skip
    found = {(row.status, row.cluster or row.name): row for row in answer.rows if row.kind != "volume"}
    assert {key: row.effective for key, row in found.items()} == {
        ("matched", "fra"): 3, ("matched", "dub"): 5, ("only in bill", "one"): 7, ("only in bill", "two"): 11,
    }  # fmt: skip
    hourly = {cluster: found["matched", cluster].computed for cluster in ("fra", "dub")}
    assert hourly == {"fra": Decimal("0.115"), "dub": Decimal("0.23")}
