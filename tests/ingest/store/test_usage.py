"""What containers, pods, workloads and machines use, from the metrics of the Collector's receivers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.store.engine import Session

MINUTE_NS = 60 * 1_000_000_000
MOMENT_NS = time.time_ns() // MINUTE_NS * MINUTE_NS - 60 * MINUTE_NS
POD = {
    "k8s.cluster.name": "fra",
    "k8s.namespace.name": "shop",
    "k8s.deployment.name": "checkout",
    "k8s.pod.name": "checkout-1",
    "k8s.node.name": "node-1",
}
CONTAINER = {**POD, "k8s.container.name": "app"}
MIB = float(1 << 20)


def usage(session: Session, tenant: str) -> list[dict[str, Any]]:
    columns = (
        "node, pod, container, device, cpu_usage_cores_sum, cpu_usage_samples, memory_usage_bytes_sum,"
        " memory_usage_bytes_max, cpu_request_cores, cpu_limit_cores, memory_request_bytes,"
        " memory_limit_bytes, network_receive_bytes_total, network_transmit_bytes_total,"
        " replicas_desired, replicas_available,"
        " cpu_time_s_total, workload_kind, workload_name"
    )
    sql = f"SELECT minute, {columns} FROM usage_1m FINAL WHERE tenant = {{tenant:String}} ORDER BY ALL"  # noqa: S608 - names of columns, no values
    return session.frame(sql, {"tenant": tenant}).to_dicts()


def own(row: dict[str, Any]) -> dict[str, Any]:
    """The row without the quantities that nobody reported."""
    return {name: value for name, value in row.items() if value and name != "minute"}


def test_a_container_from_two_scrapers(
    session: Session, insert: Callable[..., None], tenant: str, metrics: Any
) -> None:
    kubelet = [
        ("container.cpu.usage", 0.2, MOMENT_NS + 1, {}),
        ("container.cpu.usage", 0.4, MOMENT_NS + 30_000_000_000, {}),
        ("container.memory.working_set", 100 * MIB, MOMENT_NS + 1, {}),
        ("container.memory.working_set", 300 * MIB, MOMENT_NS + 30_000_000_000, {}),
    ]
    cluster = [
        ("k8s.container.cpu_request", 0.5, MOMENT_NS + 7, {}),
        ("k8s.container.cpu_limit", 1.0, MOMENT_NS + 7, {}),
        ("k8s.container.memory.request", 256 * MIB, MOMENT_NS + 7, {}),
        ("k8s.container.memory.limit", 512 * MIB, MOMENT_NS + 7, {}),
    ]
    insert(Signal.METRICS, metrics(kubelet, CONTAINER), tenant=tenant)
    insert(Signal.METRICS, metrics(cluster, CONTAINER), tenant=tenant)

    (row,) = usage(session, tenant)

    assert row["minute"] * 1_000_000_000 == MOMENT_NS
    assert own(row) == {
        "node": "node-1", "pod": "checkout-1", "container": "app",
        "workload_kind": "Deployment", "workload_name": "checkout",
        "cpu_usage_cores_sum": pytest.approx(0.6), "cpu_usage_samples": 2,
        "memory_usage_bytes_sum": 400 * MIB, "memory_usage_bytes_max": 300 * MIB,
        "cpu_request_cores": 0.5, "cpu_limit_cores": 1.0,
        "memory_request_bytes": 256 * MIB, "memory_limit_bytes": 512 * MIB,
    }  # fmt: skip


def test_network_is_the_pods_by_interface(
    session: Session, insert: Callable[..., None], tenant: str, metrics: Any
) -> None:
    points = [
        ("k8s.pod.network.io", 10.0, MOMENT_NS, {"interface": "eth0", "direction": "receive"}),
        ("k8s.pod.network.io", 15.0, MOMENT_NS + 9, {"interface": "eth0", "direction": "receive"}),
        ("k8s.pod.network.io", 4.0, MOMENT_NS, {"interface": "eth1", "network.io.direction": "transmit"}),
    ]
    insert(Signal.METRICS, metrics(points, POD), tenant=tenant)

    columns = ("device", "container", "network_receive_bytes_total", "network_transmit_bytes_total")
    rows = [tuple(row[column] for column in columns) for row in usage(session, tenant)]

    assert rows == [("eth0", "", 15.0, 0.0), ("eth1", "", 0.0, 4.0)]


def test_replicas_are_the_workloads(
    session: Session, insert: Callable[..., None], tenant: str, metrics: Any
) -> None:
    workload = {"k8s.cluster.name": "fra", "k8s.namespace.name": "shop", "k8s.deployment.name": "checkout"}
    points = [
        ("k8s.deployment.desired", 3.0, MOMENT_NS, {}),
        ("k8s.deployment.available", 2.0, MOMENT_NS, {}),
    ]
    insert(Signal.METRICS, metrics(points, workload), tenant=tenant)

    (row,) = usage(session, tenant)

    assert own(row) == {
        "workload_kind": "Deployment", "workload_name": "checkout", "replicas_desired": 3.0,
        "replicas_available": 2.0,
    }  # fmt: skip


def test_a_process_on_a_machine(
    session: Session, insert: Callable[..., None], tenant: str, metrics: Any
) -> None:
    points = [("process.cpu.time", 77.5, MOMENT_NS, {}), ("process.memory.usage", MIB, MOMENT_NS, {})]
    insert(Signal.METRICS, metrics(points, {"service.name": "tax-rate", "host.name": "vm-1"}), tenant=tenant)

    (row,) = usage(session, tenant)

    assert (row["workload_kind"], row["workload_name"], row["node"]) == ("Service", "tax-rate", "vm-1")
    assert (row["cpu_time_s_total"], row["memory_usage_bytes_max"]) == (77.5, MIB)


def test_other_metrics_are_no_usage(
    session: Session, insert: Callable[..., None], tenant: str, metrics: Any
) -> None:
    insert(Signal.METRICS, metrics([("orders.placed", 1.0, MOMENT_NS, {})], CONTAINER), tenant=tenant)

    assert usage(session, tenant) == []
    kept = "SELECT Value FROM otel_metrics_gauge WHERE tenant = {tenant:String}"
    assert session.rows(kept, {"tenant": tenant}) == [(1.0,)]


NODE = "SELECT * EXCEPT (tenant, minute) FROM nodes_1m FINAL WHERE tenant = {tenant:String}"


def test_a_node_of_a_cluster(
    session: Session, insert: Callable[..., None], tenant: str, metrics: Any
) -> None:
    resource = {
        "k8s.cluster.name": "fra", "k8s.node.name": "node-1", "cloud.provider": "aws",
        "cloud.region": "eu-central-1", "cloud.availability_zone": "eu-central-1a", "host.type": "m6i.xlarge",
    }  # fmt: skip
    points = [
        ("k8s.node.cpu.capacity", 4.0, MOMENT_NS, {}),
        ("k8s.node.allocatable_cpu", 3.9, MOMENT_NS, {}),
        ("k8s.node.memory.capacity", 16 * 1024 * MIB, MOMENT_NS, {}),
        ("k8s.node.memory.allocatable", 15 * 1024 * MIB, MOMENT_NS, {}),
        ("k8s.node.cpu.usage", 1.5, MOMENT_NS, {}),
        ("k8s.node.memory.working_set", 1024 * MIB, MOMENT_NS, {}),
    ]
    insert(Signal.METRICS, metrics(points, resource), tenant=tenant)

    assert session.frame(NODE, {"tenant": tenant}).to_dicts() == [
        {
            "cluster": "fra", "node": "node-1", "provider": "aws", "region": "eu-central-1",
            "zone": "eu-central-1a", "host_type": "m6i.xlarge",
            "cpu_capacity_cores": 4.0, "cpu_allocatable_cores": 3.9,
            "memory_capacity_bytes": 16 * 1024 * MIB, "memory_allocatable_bytes": 15 * 1024 * MIB,
            "cpu_usage_cores_sum": 1.5, "cpu_usage_samples": 1, "cpu_busy_sum": 0.0, "cpu_idle_sum": 0.0,
            "memory_usage_bytes_sum": 1024 * MIB, "memory_usage_samples": 1,
        }
    ]  # fmt: skip
    assert usage(session, tenant) == []


def test_a_machine_outside_clusters(
    session: Session, insert: Callable[..., None], tenant: str, metrics: Any
) -> None:
    points = [
        ("system.cpu.logical.count", 2.0, MOMENT_NS, {}),
        ("system.memory.limit", 4096 * MIB, MOMENT_NS, {}),
        ("system.cpu.utilization", 0.25, MOMENT_NS, {"cpu.mode": "user"}),
        ("system.cpu.utilization", 0.75, MOMENT_NS, {"state": "idle"}),
        ("system.memory.usage", 512 * MIB, MOMENT_NS, {"state": "used"}),
        ("system.memory.usage", 3000 * MIB, MOMENT_NS, {"state": "free"}),
    ]
    insert(Signal.METRICS, metrics(points, {"host.name": "vm-1", "host.type": "t3.medium"}), tenant=tenant)

    (row,) = session.frame(NODE, {"tenant": tenant}).to_dicts()

    assert (row["cluster"], row["node"], row["host_type"]) == ("", "vm-1", "t3.medium")
    assert (row["cpu_busy_sum"], row["cpu_idle_sum"]) == (0.25, 0.75)
    assert (row["memory_usage_bytes_sum"], row["memory_usage_samples"]) == (512 * MIB, 1)
