"""Persistent volumes: what they cost, and that every bit of it is borne once, by those who mount them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.answers import Basis, cost_answer, owners_answer
from analytics.cost import By, cost_rows, identified
from analytics.costing import CostLines
from analytics.lines import DEFAULT_VOLUME, NO_VOLUME_PRICE
from analytics.money import nano_usd
from analytics.prices import PriceBook
from analytics.settings import AnalyticsSettings
from ingest.store.engine import Session
from support.cluster import full_hour
from support.kubernetes import Sample, sample

NANO = 10**9
GIB = 1024**3
FAST, PLAIN = 2_000_000, 1_000_000
"""Nano-USD of a GiB and hour in the book of these tests."""


@pytest.fixture(scope="module")
def priced(book: PriceBook, price: Any) -> PriceBook:
    return PriceBook([
        *book.listings,
        price("fast", "GiB-month", "1.46", kind="volume"),
        price("volume", "GiB-hour", "0.001", kind="volume"),
    ])  # fmt: skip


def borne(costs: CostLines) -> dict[tuple[str, str], tuple[int, int]]:
    """What volumes cost, and what of it was used, by kind and name of the workload."""
    lines = costs.lines.join(costs.names.drop("cluster"), on="workload_id", how="left")
    return {
        (row["workload_kind"], row["workload_name"]): (row["storage_nano"], row["used_nano"])
        for row in lines.filter(lines["line"] == "volume").to_dicts()
    }


def test_a_volume_is_borne_by_whoever_mounts_it(estate: Any, priced: PriceBook) -> None:
    """Ten GiB for two hours: in the first one workload has two pods and another one, in the second nobody."""
    one = estate()
    one.volume("v", hours=(0, 1))
    for pod, workload in (("a-1", 1), ("a-2", 1), ("b-1", 2)):
        one.mount("claim-v", pod, workload=workload)

    costs = one.costs(priced)

    hourly = 10 * FAST
    first = hourly * 2 // 3  # the other one's remainder is larger, so it gets what is left
    assert borne(costs) == {
        ("Deployment", "workload-1"): (first, first),
        ("Deployment", "workload-2"): (hourly - first, hourly - first),
        ("PersistentVolumeClaim", "claim-v"): (hourly, 0),
    }
    assert (costs.totals.volumes_nano, costs.totals.nodes_nano) == (2 * hourly, 0)


def test_what_nobody_claims_is_its_own(estate: Any, priced: PriceBook) -> None:
    one = estate()
    one.volume("v", claim="", namespace="")

    costs = one.costs(priced)
    rows = cost_rows(costs, identified(costs.names, one.owned, AnalyticsSettings()), By.WORKLOAD, Decimal(1))

    assert [(row.name, row.storage, row.total, row.unused) for row in rows] == [
        (name, Decimal("0.02"), Decimal("0.02"), Decimal("0.02")) for name in ("fra/v", "total")
    ]


def test_a_claim_of_one_name_in_two_clusters_and_namespaces(estate: Any, priced: PriceBook) -> None:
    one = estate()
    for cluster, namespace in (("fra", "shop"), ("fra", "bank"), ("dub", "shop")):
        one.volume(f"v-{namespace}", cluster=cluster, namespace=namespace, claim="data")
    one.mount("data", "db-0", workload=1)

    costs = one.costs(priced)
    rows = cost_rows(costs, identified(costs.names, one.owned, AnalyticsSettings()), By.WORKLOAD, Decimal(1))

    assert {row.name: row.total for row in rows} == {
        "fra/shop/workload-1": Decimal("0.02"), "fra/bank/data": Decimal("0.02"),
        "dub/shop/data": Decimal("0.02"), "total": Decimal("0.06"),
    }  # fmt: skip


def test_a_pod_is_whose_its_containers_say(estate: Any, priced: PriceBook) -> None:
    one = estate()
    one.node(1, at=range(0, 60, 5))
    one.container(11, workload=7)
    one.sample(11, 0, cpu_usage=1.0)
    one.volume("v")
    one.mount("claim-v", "pod-11", workload=11, workload_kind="Pod", workload_name="pod-11")

    assert borne(one.costs(priced)).keys() == {("Deployment", "workload-7")}


@pytest.mark.parametrize(
    ("skus", "hourly", "told"), [(["fast"], FAST, ()), (["odd", "fast"], FAST, ()), ([], PLAIN, ("v",))]
)
def test_a_kind_without_a_price_stands_at_the_default(
    estate: Any, priced: PriceBook, skus: list[str], hourly: int, told: tuple[str, ...]
) -> None:
    one = estate()
    one.volume("v", skus=skus, gib=1)

    costs = one.costs(priced)

    assert (costs.totals.volumes_nano, costs.totals.named_by(DEFAULT_VOLUME)) == (hourly, told)


def test_a_price_of_the_clusters_own_region_goes_before_others(
    estate: Any, priced: PriceBook, price: Any
) -> None:
    """Where its nodes say one, and the same."""
    here = {"kind": "volume", "provider": "aws", "region": "eu-west-1"}
    own = PriceBook([*priced.listings, price("fast", "GiB-hour", "0.005", **here)])
    for regions, hourly in ((("eu-west-1",), 5_000_000), (("eu-west-1", "eu-central-1"), FAST)):
        one = estate()
        for number, region in enumerate(regions, 1):
            one.node(number, provider="aws", region=region)
        one.volume("v", gib=1)
        assert one.costs(own).totals.volumes_nano == hourly


def test_a_volume_that_no_price_is_for_is_named(estate: Any, book: PriceBook) -> None:
    one = estate()
    one.volume("v")

    costs = one.costs(book)

    assert (costs.totals.volumes_nano, costs.totals.named_by(NO_VOLUME_PRICE), borne(costs)) == (
        0,
        ("v",),
        {},
    )


@pytest.mark.parametrize(
    ("hours", "part"), [((0, 1), 1), ((0.25, 1), 0.75), ((0.5, 0.75), 0.25), ((1, 2), 0)]
)
def test_only_the_part_of_an_hour_in_the_window_is_priced(
    estate: Any, priced: PriceBook, hours: tuple[float, float], part: float
) -> None:
    one = estate()
    one.volume("v")

    assert one.costs(priced, hours=hours).totals.volumes_nano == part * 10 * FAST


VOLUME = st.fixed_dictionaries({
    "cluster": st.sampled_from(["fra", "dub"]),
    "namespace": st.sampled_from(["shop", "bank"]),
    "claim": st.sampled_from(["", "a", "b"]),
    "gib": st.floats(1e-9, 1e6),
    "skus": st.sampled_from([[], ["fast"], ["odd"]]),
    "hours": st.lists(st.integers(0, 3), min_size=1, unique=True),
})  # fmt: skip
MOUNT = st.fixed_dictionaries({
    "cluster": st.sampled_from(["fra", "dub"]),
    "claim": st.sampled_from(["a", "b"]),
    "pod": st.sampled_from(["p", "q", "r"]),
    "workload": st.integers(1, 3),
    "hours": st.lists(st.integers(0, 3), min_size=1, unique=True),
})  # fmt: skip


@settings(max_examples=60)
@given(st.lists(VOLUME, min_size=1, max_size=5), st.lists(MOUNT, max_size=6))
def test_every_grouping_adds_up_to_what_each_volume_costs_by_the_book(
    estate: Any, priced: PriceBook, volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]
) -> None:
    one = estate()
    expected = 0
    for number, volume in enumerate(volumes):
        one.volume(f"v-{number}", **volume)
        per_gib = Decimal("0.002") if volume["skus"] == ["fast"] else Decimal("0.001")
        hourly = nano_usd(per_gib * Decimal(volume["gib"] * GIB) / GIB)
        expected += hourly * len(volume["hours"])
    seen = set()
    for mount in mounts:
        # A pod belongs to one workload.
        key = (mount["cluster"], mount["claim"], mount["pod"])
        if key not in seen:
            seen.add(key)
            one.mount(mount.pop("claim"), mount.pop("pod"), **mount)
    one.owner(1, team="red", application="one")

    costs = one.costs(priced)

    assert costs.totals.volumes_nano == expected
    workloads = identified(costs.names, one.owned, AnalyticsSettings())
    for by in By:
        *rows, total = cost_rows(costs, workloads, by, Decimal(1))
        assert total.storage == total.total == Decimal(expected) / NANO
        assert sum(row.total for row in rows) == total.total
        assert all(row.storage >= row.unused >= 0 for row in rows)


# --- from kube-state-metrics

START = full_hour(4)


def volume_told(
    time_ms: int, cluster: str, name: str = "pvc-1", phase: str = "Bound", **more: str
) -> list[Sample]:
    who = {"persistentvolume": name, "cluster": cluster, **more}
    return [
        sample("kube_persistentvolume_capacity_bytes", time_ms, 10.0 * GIB, **who),
        sample(
            "kube_persistentvolume_info", time_ms, storageclass="gp3", csi_driver="ebs.csi.aws.com", **who
        ),
        sample("kube_persistentvolume_claim_ref", time_ms, claim_namespace="shop", name="data-db-0", **who),
        sample("kube_persistentvolume_status_phase", time_ms, phase=phase, **who),
    ]


def mount_told(time_ms: int, cluster: str, **more: str) -> list[Sample]:
    pod = {"namespace": "shop", "pod": "db-0", "uid": "u", "cluster": cluster, **more}
    maker = {"owner_kind": "StatefulSet", "owner_name": "db", "owner_is_controller": "true"}
    claim = {"volume": "data", "persistentvolumeclaim": "data-db-0"}
    return [
        sample("kube_pod_spec_volumes_persistentvolumeclaims_info", time_ms, **claim, **pod),
        sample("kube_pod_owner", time_ms, **maker, **pod),
    ]


def test_volumes_of_a_cluster(session: Session, telemetry: Any, tenant: str) -> None:
    """Of two clusters with the same names, and told by two servers of a pair; in the last hour the database
    of one is gone. Of the other there is a volume that was kept when its claim was made again.
    """
    for minute in range(0, 180, 10):
        time_ms = round((START + timedelta(minutes=minute)).timestamp() * 1000)
        for replica in ("a", "b"):
            told = volume_told(time_ms, "fra", prometheus_replica=replica)
            if minute < 120:
                told += mount_told(time_ms, "fra", prometheus_replica=replica)
            telemetry.prometheus(told)
        telemetry.prometheus([*volume_told(time_ms, "dub"), *mount_told(time_ms, "dub")])
        telemetry.prometheus(volume_told(time_ms, "dub", "pvc-0", "Released"))
        node = {"node": "n", "cluster": "dub", "resource": "cpu"}
        labels = {"label_topology_kubernetes_io_region": "us-east-1"}
        info = {"provider_id": "aws:///us-east-1a/i-1"}
        telemetry.prometheus([
            sample("kube_node_status_capacity", time_ms, 4.0, **node),
            sample("kube_node_labels", time_ms, node="n", cluster="dub", **labels),
            sample("kube_node_info", time_ms, node="n", cluster="dub", **info),
        ])  # fmt: skip
    telemetry.store()
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)
    window = f"{START.isoformat()}/{(START + timedelta(hours=3)).isoformat()}"
    asked: dict[str, Any] = {"window": window, "now": datetime.now(UTC), "tenant": tenant}

    answer = cost_answer(session, basis, by=By.WORKLOAD, **asked)

    rows = {row.name: row.storage for row in answer.rows}
    default = 10 * Decimal("0.00005479452")  # gp3 has a price in us-east-1 only
    assert rows["fra/shop/db"] == 2 * round(default, 9)
    assert rows["fra/shop/data-db-0"] == round(default, 9)
    assert rows["dub/shop/db"] == rows["dub/shop/pvc-0"] == 3 * round(10 * Decimal("0.08") / 730, 9)
    assert next(row for row in answer.rows if row.name == "dub/shop/pvc-0").unused == rows["dub/shop/pvc-0"]
    assert rows["total"] == sum(rows.values()) - rows["total"]
    assert any("1 volume of a kind without a price" in note for note in answer.notes)
    owned = owners_answer(session, basis, **asked)
    assert owned.unowned_cost == sum(row.cost for row in owned.rows) > 0
