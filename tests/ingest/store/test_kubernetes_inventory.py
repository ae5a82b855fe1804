"""The views of a cluster's inventory: a row an object and day, from kube-state-metrics by remote write."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.store.engine import Session
from support.kubernetes import VERSIONS, sample, state, written

DAY_MS = 86_400_000
NOON = time.time_ns() // 10**6 // DAY_MS * DAY_MS - DAY_MS // 2
MINUTE = 60_000
Show = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def write(insert: Callable[..., None], tenant: str) -> Callable[..., None]:
    """Stores samples; each call is a request and a batch."""
    return lambda *samples: insert(Signal.METRICS, written(samples), tenant=tenant)


@pytest.fixture
def show(session: Session, tenant: str) -> Show:
    """The rows of a view, ordered."""

    def show(view: str) -> list[dict[str, Any]]:
        query = f"SELECT * FROM {view} WHERE tenant = {{tenant:String}} ORDER BY ALL"  # noqa: S608 - names of ours
        return session.frame(query, {"tenant": tenant}).to_dicts()

    return show


def own(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_cluster(write: Any, show: Show, version: str) -> None:
    samples = list(state(version, NOON))
    write(*samples)
    write(*(one.at(NOON + MINUTE) for one in samples))

    pods = show("kubernetes_pods")
    said = {one.labels["uid"] for one in samples if one.labels["__name__"] == "kube_pod_info"}
    assert {row["uid"] for row in pods} == said
    made = {(row["namespace"], row["workload_kind"], row["workload_name"]) for row in pods}
    assert {
        ("scraper", "Deployment", "e2e-deployment"), ("scraper", "StatefulSet", "e2e-statefulset"),
        ("scraper", "DaemonSet", "e2e-daemonset"), ("scraper", "CronJob", "e2e-cronjob"),
        ("scraper", "Job", "e2e-failjob"), ("kube-system", "Deployment", "coredns"),
    } <= made  # fmt: skip
    assert not [row for row in pods if row["workload_kind"] in ("ReplicaSet", "Node")]
    first = next(row for row in pods if row["pod"] == "e2e-statefulset-0")
    assert own(first, "phase", "claims", "owner_kind", "node", "ended_at", "restarts") == {
        "phase": "Running", "claims": ["e2e-pv-claim"], "owner_kind": "StatefulSet",
        "node": f"datagen-{version.replace('_', '-')}", "ended_at": None, "restarts": 0,
    }  # fmt: skip
    assert first["created_at"] <= first["started_at"] <= first["ready_at"]
    done = [row for row in pods if row["phase"] == "Succeeded"]
    assert done
    assert all(row["ended_at"] is not None and row["ready_at"] != row["ended_at"] for row in done)

    (node,) = show("kubernetes_nodes")
    assert (node["cpu_capacity_cores"], node["node"]) == (
        {"1_31": 10.0, "1_35": 14.0}[version],
        first["node"],
    )
    assert node["memory_allocatable_bytes"] > 0
    assert node["kubelet_version"].startswith(f"v{version.replace('_', '.')}.")
    (volume,) = show("kubernetes_volumes")
    assert own(volume, "volume", "namespace", "claim", "storage_class", "phase", "reclaim_policy") == {
        "volume": "e2e-pv-storage", "namespace": "scraper", "claim": "e2e-pv-claim",
        "storage_class": "e2e-pv-class", "phase": "Bound",
        "reclaim_policy": {"1_31": "", "1_35": "Retain"}[version],
    }  # fmt: skip
    assert (volume["capacity_bytes"], volume["requested_bytes"]) == (5 << 20, 3 << 20)
    (balancer,) = show("kubernetes_load_balancers")
    assert (balancer["namespace"], balancer["service"]) == ("scraper", "e2e-lb")
    (scaler,) = show("kubernetes_autoscalers")
    assert own(scaler, "workload_kind", "workload_name", "min_replicas", "max_replicas") == {
        "workload_kind": "Deployment", "workload_name": "e2e-hpa", "min_replicas": 1.0, "max_replicas": 10.0,
    }  # fmt: skip


def test_what_an_autoscaler_wanted_last(write: Any, show: Show) -> None:
    who = {"namespace": "shop", "horizontalpodautoscaler": "cart"}
    for minute, wanted in enumerate((3.0, 0.0)):
        write(
            sample(
                "kube_horizontalpodautoscaler_status_desired_replicas", NOON + minute * MINUTE, wanted, **who
            )
        )

    (row,) = show("kubernetes_autoscalers")
    assert row["desired_replicas"] == 0.0


def test_requests_of_a_pod_are_those_of_its_containers(write: Any, show: Show) -> None:
    pod = {"namespace": "shop", "pod": "cart-1", "uid": "u", "node": "node-1"}
    for minute in range(3):
        write(
            *(
                sample(
                    "kube_pod_container_resource_requests", NOON + minute * MINUTE, value + minute, **pod,
                    container=container, resource=resource,
                )
                for container in ("app", "proxy")
                for resource, value in (("cpu", 0.5), ("memory", 100.0), ("nvidia_com_gpu", 1.0))
            )
        )  # fmt: skip

    (row,) = show("kubernetes_pods")
    assert (row["cpu_request_cores"], row["memory_request_bytes"], row["cpu_limit_cores"]) == (
        5.0,
        204.0,
        0.0,
    )
    assert (row["workload_kind"], row["workload_name"], row["created_at"]) == ("Pod", "cart-1", None)


def test_an_object_has_a_row_for_each_day(write: Any, show: Show) -> None:
    who = {"namespace": "shop", "service": "web"}
    for day in (0, 1):
        write(sample("kube_service_spec_type", NOON - day * DAY_MS, type="LoadBalancer", **who))
    write(
        sample("kube_service_spec_type", NOON + MINUTE, type="ClusterIP", namespace="shop", service="api"),
        sample("kube_service_status_load_balancer_ingress", NOON, ip="192.0.2.7", **who),
        sample("kube_service_status_load_balancer_ingress", NOON, hostname="lb.example", **who),
    )

    rows = show("kubernetes_load_balancers")
    today = datetime.fromtimestamp(NOON / 1000, UTC).date()
    assert [((today - row["day"]).days, row["service"], sorted(row["addresses"])) for row in rows] == [
        (1, "web", []), (0, "web", ["192.0.2.7", "lb.example"])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("label_eks_amazonaws_com_capacity_type", "SPOT", "spot"),
        ("label_eks_amazonaws_com_capacity_type", "ON_DEMAND", "on-demand"),
        ("label_karpenter_sh_capacity_type", "spot", "spot"),
        ("label_karpenter_sh_capacity_type", "on-demand", "on-demand"),
        ("label_cloud_google_com_gke_spot", "true", "spot"),
        ("label_cloud_google_com_gke_preemptible", "true", "spot"),
        ("label_cloud_google_com_gke_provisioning", "spot", "spot"),
        ("label_cloud_google_com_gke_provisioning", "preemptible", "spot"),
        ("label_cloud_google_com_gke_provisioning", "standard", "on-demand"),
        ("label_kubernetes_azure_com_scalesetpriority", "spot", "spot"),
        ("label_kubernetes_azure_com_scalesetpriority", "regular", "on-demand"),
        ("label_team", "spot", ""),
    ],
)
def test_a_node_that_may_be_taken_away(write: Any, show: Show, label: str, value: str, expected: str) -> None:
    write(
        sample("kube_node_labels", NOON, node="node-1", **{label: value}),
        sample("kube_node_spec_unschedulable", NOON, 1.0, node="node-1"),
    )

    (row,) = show("kubernetes_nodes")
    assert (row["capacity_type"], row["is_unschedulable"]) == (expected, 1)


@pytest.mark.parametrize(
    ("provider_id", "expected"),
    [
        ("aws:///eu-central-1a/i-0abc", ("aws", "eu-central-1", "eu-central-1a")),
        ("aws:///us-gov-west-1b/i-0abc", ("aws", "us-gov-west-1", "us-gov-west-1b")),
        ("gce://shop-prod/europe-west3-a/gke-1", ("gcp", "europe-west3", "europe-west3-a")),
        ("azure:///subscriptions/1/resourceGroups/g/providers/x", ("azure", "", "")),
        ("kind://docker/kind/kind-worker", ("", "", "")),
    ],
)
def test_where_a_node_is(write: Any, show: Show, provider_id: str, expected: tuple[str, ...]) -> None:
    write(sample("kube_node_info", NOON, node="node-1", provider_id=provider_id))

    (row,) = show("kubernetes_nodes")
    assert (row["provider"], row["region"], row["zone"]) == expected
    assert row["provider_id"] == provider_id


def test_a_claim_without_a_volume_and_a_volume_without_a_claim(write: Any, show: Show) -> None:
    claim = {"namespace": "shop", "persistentvolumeclaim": "data"}
    write(
        sample("kube_persistentvolumeclaim_info", NOON, **claim, storageclass="gp3"),
        sample("kube_persistentvolumeclaim_resource_requests_storage_bytes", NOON, 5.0, **claim),
        sample("kube_persistentvolume_capacity_bytes", NOON, 7.0, persistentvolume="left"),
    )

    found = [
        own(row, "volume", "claim", "capacity_bytes", "requested_bytes") for row in show("kubernetes_volumes")
    ]
    assert sorted(found, key=str) == [
        {"volume": "", "claim": "data", "capacity_bytes": 0.0, "requested_bytes": 5.0},
        {"volume": "left", "claim": "", "capacity_bytes": 7.0, "requested_bytes": 0.0},
    ]
