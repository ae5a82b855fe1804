"""What a cluster's rows say of it beside costs: the same by the Collector's receivers and by a Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest.store.engine import Session
from support.cluster import CONTAINERS, GIB, NODE, full_hour, of_collector, of_prometheus
from support.kubernetes import Sample, sample

START = full_hour(4)
CLUSTER = {"k8s.cluster.name": "fra", "k8s.namespace.name": "shop"}
POD = CONTAINERS[0]
LIMITS = {"cpu": 2.0, "memory": 3 * GIB}
COUNTED = {"receive": 1e6, "transmit": 2e6}
DEPLOYMENT = {"desired": 3.0, "available": 2.0}
STATEFUL_SET = {"desired": 2.0, "ready": 1.0}
SCALER = {"desired": 3.0, "current": 2.0, "min": 1.0, "max": 9.0}

USAGE = """\
SELECT cluster, namespace, pod, container, minute,
    max(node) AS node,
    max(cpu_request_cores) AS cpu_request, max(cpu_limit_cores) AS cpu_limit,
    max(memory_request_bytes) AS memory_request, max(memory_limit_bytes) AS memory_limit,
    sum(memory_usage_bytes_sum) / greatest(sum(memory_usage_samples), 1) AS memory_usage,
    max(memory_usage_bytes_max) AS most_memory,
    maxIf((counter, network_receive_bytes_total, network_transmit_bytes_total), container = '') AS network
FROM usage_1m
WHERE tenant = {tenant:String} AND pod != ''
GROUP BY cluster, namespace, pod, container, minute
ORDER BY ALL
"""
REPLICAS = """\
SELECT cluster, namespace, workload_kind, workload_name, minute,
    max(replicas_desired) AS desired, max(replicas_available) AS available
FROM usage_1m
WHERE tenant = {tenant:String} AND pod = ''
GROUP BY cluster, namespace, workload_kind, workload_name, minute
ORDER BY ALL
"""
NODES = """\
SELECT cluster, node, minute, max(provider), max(region), max(zone), max(host_type),
    max(cpu_capacity_cores), max(cpu_allocatable_cores),
    max(memory_capacity_bytes), max(memory_allocatable_bytes)
FROM nodes_1m
WHERE tenant = {tenant:String}
GROUP BY cluster, node, minute
ORDER BY ALL
"""
SCALED = """\
SELECT * EXCEPT (tenant) FROM autoscaling_1m FINAL WHERE tenant = {tenant:String} ORDER BY ALL
"""
INVENTORY = """\
SELECT day, cluster, node, provider, region, zone, cpu_capacity_cores, memory_allocatable_bytes
FROM kubernetes_nodes
WHERE tenant = {tenant:String}
"""
OF_ONE_PATH = (
    "kubernetes_pods", "kubernetes_volumes", "kubernetes_load_balancers",
    "kubernetes_autoscalers",
)  # fmt: skip


def collected(at: datetime) -> Iterator[tuple[dict[str, str], list[Any]]]:
    yield from of_collector(at)
    container = {
        **CLUSTER, "k8s.node.name": NODE, "k8s.pod.name": POD.pod, "k8s.deployment.name": POD.workload,
    }  # fmt: skip
    yield (
        {**container, "k8s.container.name": POD.name},
        [(f"k8s.container.{resource}_limit", value, at, {}) for resource, value in LIMITS.items()],
    )
    yield (
        container,
        [
            ("k8s.pod.network.io", value, at, {"interface": "eth0", "direction": direction})
            for direction, value in COUNTED.items()
        ],
    )
    yield (
        {**CLUSTER, "k8s.deployment.name": "checkout"},
        [(f"k8s.deployment.{word}", value, at, {}) for word, value in DEPLOYMENT.items()],
    )
    yield (
        {**CLUSTER, "k8s.statefulset.name": "quote"},
        [(f"k8s.statefulset.{word}_pods", value, at, {}) for word, value in STATEFUL_SET.items()],
    )
    yield (
        {**CLUSTER, "k8s.hpa.name": "checkout"},
        [(f"k8s.hpa.{word}_replicas", value, at, {}) for word, value in SCALER.items()],
    )


def scraped(at: datetime) -> Iterator[Sample]:
    yield from of_prometheus(at, START - timedelta(minutes=10))
    time_ms, place = round(at.timestamp() * 1000), {"cluster": "fra", "namespace": "shop"}
    pod = {**place, "pod": POD.pod, "uid": POD.who["uid"]}
    for resource, value in LIMITS.items():
        what = {"container": POD.name, "node": NODE, "resource": resource}
        yield sample("kube_pod_container_resource_limits", time_ms, value, **pod, **what)
    for direction, value in COUNTED.items():
        where = {"cluster": "fra", "namespace": "shop", "pod": POD.pod, "interface": "eth0", "node": NODE}
        yield sample(f"container_network_{direction}_bytes_total", time_ms, value, id="/p", **where)
    told = {
        "deployment_spec_replicas": DEPLOYMENT["desired"],
        "deployment_status_replicas_available": DEPLOYMENT["available"],
    }
    for name, value in told.items():
        yield sample(f"kube_{name}", time_ms, value, deployment="checkout", **place)
    told = {
        "statefulset_replicas": STATEFUL_SET["desired"],
        "statefulset_status_replicas_ready": STATEFUL_SET["ready"],
    }
    for name, value in told.items():
        yield sample(f"kube_{name}", time_ms, value, statefulset="quote", **place)
    for word, value in SCALER.items():
        part = "spec" if word in ("min", "max") else "status"
        yield sample(
            f"kube_horizontalpodautoscaler_{part}_{word}_replicas", time_ms, value,
            horizontalpodautoscaler="checkout", **place,
        )  # fmt: skip


@pytest.fixture(scope="module")
def paths(sending: Any) -> tuple[str, str]:
    """The tenants that have the cluster by the Collector, and by a Prometheus."""
    by_collector, by_prometheus = sending("both-paths-collector"), sending("both-paths-prometheus")
    for minute in range(3):
        at = START + timedelta(minutes=minute, seconds=7)
        for resource, points in collected(at):
            by_collector.gauges(resource, points)
        by_prometheus.prometheus(scraped(at))
    by_collector.store()
    by_prometheus.store()
    return "both-paths-collector", "both-paths-prometheus"


@pytest.mark.parametrize(
    ("query", "rows"), [(USAGE, 3 * (len(CONTAINERS) + 1)), (REPLICAS, 3 * 2), (NODES, 3), (INVENTORY, 1),
     (SCALED, 3 * 4)],
    ids=["usage", "replicas", "nodes", "inventory of nodes", "autoscalers"],
)  # fmt: skip
def test_the_rows_are_the_same(session: Session, paths: tuple[str, str], query: str, rows: int) -> None:
    theirs, ours = (session.rows(query, {"tenant": tenant}) for tenant in paths)
    assert len(theirs) == rows
    assert ours == theirs


def test_what_only_kube_state_metrics_tells(session: Session, paths: tuple[str, str]) -> None:
    """Which `docs/sources.md` says by name: the Collector's receivers have none of these objects."""
    query = "SELECT count() FROM {} WHERE tenant = {{tenant:String}}"
    by_collector, by_prometheus = (
        {view: session.value(query.format(view), {"tenant": one}) for view in OF_ONE_PATH} for one in paths
    )
    assert set(by_collector.values()) == {0}
    assert (by_prometheus["kubernetes_pods"], by_prometheus["kubernetes_autoscalers"]) == (4, 1)
    kinds = "SELECT capacity_type FROM kubernetes_nodes WHERE tenant = {tenant:String}"
    assert [session.rows(kinds, {"tenant": one}) for one in paths] == [[("",)], [("spot",)]]
