"""A cluster costs the same whether the Collector tells of it, a Prometheus, or both."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analytics.activity import activity_of
from analytics.answers import Basis, cost_answer
from analytics.cluster_owners import label_keys
from analytics.cost import By
from analytics.samples import Samples, read_samples
from analytics.settings import AnalyticsSettings
from analytics.window import Window
from ingest.inventory.importing import import_snapshot
from ingest.inventory.snapshot import Reading
from ingest.store.engine import Session
from support.cluster import CONTAINERS, full_hour, of_collector, of_prometheus
from support.kubernetes import VERSIONS, Sample, cadvisor, sample, state

START = full_hour(4)
STARTED = START - timedelta(minutes=10)
HOUR = Window(START, START + timedelta(hours=1))
PRECISION = Decimal("1e-8")


@pytest.fixture(scope="module")
def basis() -> Basis:
    return Basis.load(AnalyticsSettings(), "USD", UTC)


def moments(seconds: int = 60, offset_s: float = 7) -> list[datetime]:
    return [START + timedelta(seconds=offset_s + second) for second in range(0, 3600, seconds)]


def collected(telemetry: Any) -> None:
    for at in moments():
        for resource, points in of_collector(at):
            telemetry.gauges(resource, points)


def scraped(telemetry: Any, offset_s: float = 7, seconds: int = 60, **replica: str) -> None:
    for at in moments(seconds, offset_s):
        telemetry.prometheus(of_prometheus(at, STARTED, **replica))


def costs(session: Session, basis: Basis, tenant: str, by: By = By.WORKLOAD) -> dict[str, Any]:
    window = f"{HOUR.start.isoformat()}/{HOUR.end.isoformat()}"
    answer = cost_answer(session, basis, by=by, window=window, now=datetime.now(UTC), tenant=tenant)
    rows = {row.name: row for row in answer.rows}
    assert sum(row.total for row in answer.rows if row.name != "total") == rows["total"].total
    return rows


def shown(rows: dict[str, Any]) -> dict[str, list[Decimal]]:
    return {
        name: [
            round(amount / PRECISION) for amount in (row.cpu, row.memory, row.sidecars, row.total, row.unused)
        ]
        for name, row in rows.items()
    }


@pytest.fixture(scope="module")
def expected(session: Session, sending: Any, basis: Basis) -> dict[str, Any]:
    """What it costs as the Collector tells it."""
    telemetry = sending("kubernetes-collector")
    collected(telemetry)
    telemetry.store()
    return costs(session, basis, "kubernetes-collector")


def test_what_the_collector_tells(expected: dict[str, Any]) -> None:
    assert expected.keys() == {
        "fra/shop/checkout", "fra/shop/quote", "fra/shop/agent", "fra/shop/nightly", "idle", "system",
        "total",
    }  # fmt: skip
    assert expected["total"].total == Decimal("0.23")


@pytest.mark.parametrize("seconds", [15, 60])
def test_a_prometheus_alone(
    session: Session, telemetry: Any, tenant: str, basis: Basis, expected: Any, seconds: int
) -> None:
    scraped(telemetry, seconds=seconds)
    telemetry.store()

    assert shown(costs(session, basis, tenant)) == shown(expected)


def test_two_prometheus_servers_of_a_pair(
    session: Session, telemetry: Any, tenant: str, basis: Basis, expected: Any
) -> None:
    scraped(telemetry, prometheus_replica="a")
    scraped(telemetry, offset_s=22, prometheus_replica="b")
    telemetry.store()

    assert shown(costs(session, basis, tenant)) == shown(expected)


def test_both_paths_at_once_cost_once(
    session: Session, telemetry: Any, tenant: str, basis: Basis, expected: Any
) -> None:
    collected(telemetry)
    scraped(telemetry)
    telemetry.store()

    assert shown(costs(session, basis, tenant)) == shown(expected)


def test_labels_say_whose_it_is(session: Session, telemetry: Any, tenant: str, basis: Basis) -> None:
    """Of the pod before those of the namespace; what a resource says comes before both."""
    scraped(telemetry, seconds=600)
    agent = {
        "k8s.cluster.name": "fra", "k8s.namespace.name": "shop", "k8s.daemonset.name": "agent",
        "k8s.pod.label.team": "platform-team",
    }  # fmt: skip
    telemetry.gauges(agent, [("up", 1.0, START, {})])
    telemetry.store()

    teams, total = costs(session, basis, tenant, By.TEAM), costs(session, basis, tenant)
    assert teams.keys() == {"payments", "commerce", "platform-team", "idle", "system", "total"}
    assert teams["payments"].total == total["fra/shop/checkout"].total
    assert teams["platform-team"].total == total["fra/shop/agent"].total
    assert "shop" in costs(session, basis, tenant, By.APPLICATION)


def test_witnesses_know_the_workload(session: Session, telemetry: Any, tenant: str) -> None:
    """CPU and network of cAdvisor's pods are those of their owners."""
    scraped(telemetry)
    pod = {"namespace": "shop", "pod": "checkout-7d9-abc", "cluster": "fra", "interface": "eth0", "id": "/p"}
    loopback = {**pod, "interface": "lo"}
    for number, at in enumerate(moments()[:3]):
        time_ms = round(at.timestamp() * 1000)
        telemetry.prometheus([
            sample("container_network_receive_bytes_total", time_ms, 1e6 + number * 6e3, **pod),
            sample("container_network_transmit_bytes_total", time_ms, 1e6, **pod),
            sample("container_network_receive_bytes_total", time_ms, 1e9 * number, **loopback),
        ])  # fmt: skip
    telemetry.store()

    found = activity_of(session, HOUR, AnalyticsSettings(), tenant)
    names = frames(session, tenant).containers.select("workload_id", "workload_name").unique()
    witnesses = {
        row["workload_name"]: row for row in found.witnesses.join(names, on="workload_id").to_dicts()
    }
    assert witnesses.keys() == {"checkout", "quote", "agent", "nightly"}
    assert witnesses["checkout"]["cpu_samples"] == 59
    assert witnesses["checkout"]["cpu_floor_cores"] == pytest.approx(0.2)
    (traffic,) = found.traffic.join(names, on="workload_id").to_dicts()
    assert (traffic["workload_name"], traffic["network_bytes"], traffic["network_seconds"]) == (
        "checkout", 12e3, 120,
    )  # fmt: skip


def test_keys_of_labels_as_kube_state_metrics_spells_them() -> None:
    attributes = (
        "k8s.pod.label.app.kubernetes.io/part-of", "k8s.namespace.label.costCenter", "team",
        "k8s.pod.label.eks.amazonaws.com/capacityType",
    )  # fmt: skip
    assert label_keys(attributes) == [
        "pod/label_app_kubernetes_io_part_of", "namespace/label_cost_center",
        "pod/label_eks_amazonaws_com_capacity_type",
    ]  # fmt: skip


def frames(session: Session, tenant: str) -> Samples:
    return read_samples(session, HOUR, tenant)


def test_the_rows_are_the_same(session: Session, telemetry: Any, tenant: str, expected: Any) -> None:
    scraped(telemetry)
    telemetry.store()
    theirs, ours = frames(session, "kubernetes-collector"), frames(session, tenant)

    key = ("namespace", "pod", "container")
    names = [frame.containers.drop("ended_at").sort(key) for frame in (theirs, ours)]
    assert names[0].equals(names[1])
    by = ("container_id", "minute")
    minutes = [
        frame.container_minutes.sort(by).with_columns(pl.col(pl.Float64).round(9)) for frame in (theirs, ours)
    ]
    assert minutes[0].equals(minutes[1])
    assert len(minutes[0]) == 60 * len(CONTAINERS)
    assert theirs.nodes.drop("capacity_type").equals(ours.nodes.drop("capacity_type"))


def test_whether_a_node_is_spot_is_in_its_labels(session: Session, telemetry: Any, tenant: str) -> None:
    """By kube-state-metrics, else by the cluster's snapshot, each node of one name in its own cluster."""
    time_ms = round(START.timestamp() * 1000)
    capacity = {"resource": "cpu", "unit": "core"}
    for cluster, node in (("fra", "n1"), ("dub", "n1"), ("fra", "n2"), ("fra", "n3"), ("fra", "n4")):
        telemetry.prometheus([
            sample("kube_node_status_capacity", time_ms, 4.0, cluster=cluster, node=node, **capacity)
        ])  # fmt: skip
    spot = {"label_karpenter_sh_capacity_type": "spot"}
    regular = {"label_kubernetes_azure_com_scalesetpriority": "regular"}
    telemetry.prometheus([
        sample("kube_node_labels", time_ms, cluster="fra", node="n1", **spot),
        sample("kube_node_labels", time_ms, cluster="fra", node="n2", **regular),
    ])  # fmt: skip
    telemetry.store()
    labels = {
        "n2": {"eks.amazonaws.com/capacityType": "SPOT"}, "n3": {"eks.amazonaws.com/capacityType": "SPOT"},
    }  # fmt: skip
    snapshot = Reading("a test")
    snapshot.feed(json.dumps({"kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": said}}
        for node, said in labels.items()
    ]}).encode())  # fmt: skip
    import_snapshot(session, snapshot.finish(), tenant=tenant, cluster="fra", taken_at=START, now=START)

    nodes = frames(session, tenant).nodes.select("cluster", "node", "capacity_type")
    assert sorted(nodes.rows()) == [
        ("dub", "n1", ""), ("fra", "n1", "spot"), ("fra", "n2", "on-demand"), ("fra", "n3", "spot"),
        ("fra", "n4", ""),
    ]  # fmt: skip


def test_a_spot_node_stands_at_its_spot_price(
    session: Session, telemetry: Any, tenant: str, basis: Basis, tmp_path: Path
) -> None:
    """What kube-state-metrics says of the node in `of_prometheus` is that it is spot."""
    book = tmp_path / "ours.yaml"
    book.write_text(
        "currency: USD\nsource: a test\nretrieved_on: 2026-01-01\nentries:\n"
        "  - {provider: aws, region: eu-central-1, sku: m6i.xlarge, unit: hour, price: '0.09', vcpu: 4, "
        "memory_gib: 16, spot: true}\n",
        encoding="utf-8",
    )
    ours = Basis.load(AnalyticsSettings(price_book=(book,)), "USD", UTC)
    scraped(telemetry)
    telemetry.store()

    assert costs(session, ours, tenant)["total"].total == Decimal("0.09")
    window = f"{HOUR.start.isoformat()}/{HOUR.end.isoformat()}"
    answers = [
        cost_answer(session, one, by=By.TEAM, window=window, now=datetime.now(UTC), tenant=tenant)
        for one in (ours, basis)
    ]
    assert [any("spot node" in note for note in answer.notes) for answer in answers] == [False, True]


def second_run(one: Sample) -> Sample:
    if "name" not in one.labels:
        return one
    return one.at(one.time_ms, id=f"{one.labels['id']}2", name=f"2{one.labels['name']}")


@pytest.mark.parametrize("has_new_id", [True, False])
def test_a_restart_in_the_middle_of_the_hour(
    session: Session, telemetry: Any, tenant: str, basis: Basis, expected: Any, *, has_new_id: bool
) -> None:
    """A new run counts from nothing, under an id of its own or under the same."""
    again = START + timedelta(minutes=30)
    for at in moments(30):
        told = of_prometheus(at, again if at >= again else STARTED)
        telemetry.prometheus(second_run(one) if has_new_id and at >= again else one for one in told)
    telemetry.store()

    found = costs(session, basis, tenant)
    for name in expected:
        assert float(found[name].total) == pytest.approx(float(expected[name].total), rel=0.01), name


def test_a_pod_shorter_than_a_scrape_costs_a_slot(
    session: Session, telemetry: Any, tenant: str, basis: Basis
) -> None:
    scraped(telemetry)
    at = moments()[20]
    who = {"namespace": "shop", "pod": "brief-1", "container": "app", "cluster": "fra", "node": "node-1"}
    run = {"id": "/kubepods/brief/77", "image": "app", "name": "77"}
    began = at - timedelta(seconds=20)
    telemetry.prometheus([
        sample("container_cpu_usage_seconds_total", round(at.timestamp() * 1000), 10.0, **who, **run),
        sample("container_start_time_seconds", round(at.timestamp() * 1000), began.timestamp(), **who, **run),
    ])  # fmt: skip
    telemetry.store()

    brief = costs(session, basis, tenant)["fra/shop/brief-1"]
    # Half a core for a minute of 4 cores whose hour costs 0.149725695 USD (docs/cost.md).
    assert float(brief.total) == pytest.approx(0.149725695 * 0.5 / 4 / 60, rel=1e-3)


def test_a_pod_that_is_done_holds_nothing(
    session: Session, telemetry: Any, tenant: str, basis: Basis
) -> None:
    """kube-state-metrics tells its requests until somebody deletes it."""
    scraped(telemetry)
    pod = {"namespace": "shop", "pod": "done-1", "uid": "u", "cluster": "fra"}
    ended = START - timedelta(hours=3)
    for at in moments(300):
        time_ms = round(at.timestamp() * 1000)
        asked = {"container": "app", "node": "node-1", "resource": "cpu", "unit": "core"}
        telemetry.prometheus([
            sample("kube_pod_container_resource_requests", time_ms, 2.0, **pod, **asked),
            sample("kube_pod_completion_time", time_ms, ended.timestamp(), **pod),
        ])  # fmt: skip
    telemetry.store()

    assert "fra/shop/done-1" not in costs(session, basis, tenant)


@pytest.mark.parametrize(("phase", "there"), [("Failed", False), ("Succeeded", False), ("Running", True)])
def test_a_pod_that_was_evicted_holds_nothing(
    session: Session, telemetry: Any, tenant: str, basis: Basis, phase: str, *, there: bool
) -> None:
    """It has no containers that could have been done; one of its name may run again."""
    scraped(telemetry)
    pod = {"namespace": "shop", "pod": "evicted-1", "cluster": "fra"}
    for at in moments(300):
        time_ms = round(at.timestamp() * 1000)
        asked = {"container": "app", "node": "node-1", "resource": "cpu", "unit": "core"}
        telemetry.prometheus([
            sample("kube_pod_container_resource_requests", time_ms, 2.0, uid="new", **pod, **asked),
            sample("kube_pod_status_phase", time_ms, uid="new", phase=phase, **pod),
        ])  # fmt: skip
    before = round(START.timestamp() * 1000)
    telemetry.prometheus([
        sample("kube_pod_status_phase", before, uid="old", phase="Failed", **pod),
        sample("kube_pod_completion_time", before, before / 1000, uid="old", **pod),
    ])  # fmt: skip
    telemetry.store()

    assert ("fra/shop/evicted-1" in costs(session, basis, tenant)) is there


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_cluster_from_prometheus_alone(
    session: Session, telemetry: Any, tenant: str, basis: Basis, version: str
) -> None:
    """What a cluster said once, said every minute, with counters that grow by the tenth of a second each."""
    state_then = list(state(version, 0))
    usage_then = list(cadvisor(version, 0))
    for number, at in enumerate(moments()):
        time_ms = round(at.timestamp() * 1000)
        # Completion and start are of the day of the recording.
        telemetry.prometheus([
            *(one.at(time_ms) for one in state_then),
            *(
                one.at(
                    time_ms,
                    one.value + number * 6
                    if one.labels["__name__"] == "container_cpu_usage_seconds_total" else None,
                )
                for one in usage_then
            ),
        ])  # fmt: skip
    telemetry.store()

    rows = costs(session, basis, tenant)
    assert {
        "kube-system/coredns", "kube-system/kindnet", "scraper/e2e-deployment", "scraper/e2e-statefulset",
        "scraper/e2e-daemonset", "idle", "total",
    } <= rows.keys()  # fmt: skip
    assert not [name for name in rows if "-79967c5968" in name or "-7788bdb6df" in name]
    by_cluster = costs(session, basis, tenant, By.NAMESPACE)
    assert by_cluster["total"].total == rows["total"].total
    # 14 cores and the memory at the default rates of the price book, since minikube has no instance type.
    (node,) = frames(session, tenant).nodes.to_dicts()
    hourly = Decimal("0.031611") * Decimal(str(node["cpu_capacity"])) + Decimal("0.004237") * (
        Decimal(str(node["memory_capacity"])) / 1024**3
    )
    assert abs(rows["total"].total - hourly) < Decimal("1e-6")
