"""What containers, pods, workloads and machines use, from the metrics of the Collector's receivers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

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
        "node, pod, container, counter, cpu_usage_cores_sum, cpu_usage_samples, memory_usage_bytes_sum,"
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

    columns = ("counter", "container", "network_receive_bytes_total", "network_transmit_bytes_total")
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


NODE = """\
SELECT * EXCEPT (
    tenant, minute, instance, counter, machine, memory_available_bytes_sum, memory_available_samples,
    cpu_time_s_total, cpu_time_s_last)
FROM nodes_1m FINAL
WHERE tenant = {tenant:String}
"""


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


VM = {"service.name": "tax-rate", "host.name": "vm-1"}
CPU_TIME = "SELECT counter, cpu_time_s_total, cpu_time_s_delta, memory_usage_bytes_sum FROM usage_1m FINAL"
NETWORK = "SELECT counter, network_receive_bytes_total, network_receive_bytes_delta FROM usage_1m FINAL"


def of_tenant(session: Session, sql: str, tenant: str) -> list[tuple[Any, ...]]:
    return session.rows(f"{sql} WHERE tenant = {{tenant:String}} ORDER BY ALL", {"tenant": tenant})


def flagged_request(flags: int, *, value: float = 0.0) -> bytes:
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    for name, text in CONTAINER.items():
        entry.resource.attributes.add(key=name).value.string_value = text
    metric = entry.scope_metrics.add().metrics.add(name="container.cpu.usage")
    metric.gauge.data_points.add(time_unix_nano=MOMENT_NS, as_double=value, flags=flags)
    return request.SerializeToString()


def counters_request(points: list[tuple[float, dict[str, str]]], *, name: str, temporality: int) -> bytes:
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    for key, text in VM.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    metric = entry.scope_metrics.add().metrics.add(name=name)
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = True
    for offset, (value, attributes) in enumerate(points):
        point = metric.sum.data_points.add(time_unix_nano=MOMENT_NS + offset, as_double=value)
        for key, text in attributes.items():
            point.attributes.add(key=key).value.string_value = text
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("flags", "value"), [(1, 0.0), (0, float("nan")), (0, float("inf")), (0, float("-inf"))]
)
def test_a_point_without_a_value_is_no_zero(
    session: Session, insert: Callable[..., None], tenant: str, flags: int, value: float
) -> None:
    insert(Signal.METRICS, flagged_request(flags, value=value), tenant=tenant)

    assert usage(session, tenant) == []
    kept = "SELECT count() FROM metric_samples WHERE tenant = {tenant:String}"
    assert session.value(kept, {"tenant": tenant}) == 1


def test_modes_and_processes_are_counters_of_their_own(
    session: Session, insert: Callable[..., None], tenant: str
) -> None:
    modes = [(100.0, {"cpu.mode": "user"}), (60.0, {"state": "system"}), (5.0, {"cpu.mode": "wait"})]
    insert(Signal.METRICS, counters_request(modes, name="process.cpu.time", temporality=2), tenant=tenant)
    other = [(7.0, {"cpu.mode": "user", "process.pid": "8"})]
    insert(Signal.METRICS, counters_request(other, name="process.cpu.time", temporality=2), tenant=tenant)

    assert of_tenant(session, CPU_TIME, tenant) == [
        ("/system", 60.0, 0.0, 0.0), ("/user", 100.0, 0.0, 0.0), ("8/user", 7.0, 0.0, 0.0)
    ]  # fmt: skip


def test_growth_is_added_up(session: Session, insert: Callable[..., None], tenant: str) -> None:
    grown = [(3.0, {}), (5.0, {}), (4.0, {})]
    insert(Signal.METRICS, counters_request(grown, name="process.cpu.time", temporality=1), tenant=tenant)

    assert of_tenant(session, CPU_TIME, tenant) == [("/", 0.0, 12.0, 0.0)]


def test_interfaces_by_any_name_without_the_loopback(
    session: Session, insert: Callable[..., None], tenant: str
) -> None:
    points = [
        (500.0, {"device": "lo", "direction": "receive"}),
        (100.0, {"device": "eth0", "direction": "receive"}),
        (90.0, {"network.interface.name": "eth1", "network.io.direction": "receive"}),
    ]
    insert(Signal.METRICS, counters_request(points, name="system.network.io", temporality=2), tenant=tenant)

    assert of_tenant(session, NETWORK, tenant) == [("eth0", 100.0, 0.0), ("eth1", 90.0, 0.0)]


def test_processes_of_a_machine_as_a_whole_are_left_to_the_machine(
    session: Session, insert: Callable[..., None], tenant: str, metrics: Any
) -> None:
    points = [("process.memory.usage", MIB, MOMENT_NS, {})]
    insert(Signal.METRICS, metrics(points, {"host.name": "vm-1", "process.pid": "1"}), tenant=tenant)

    assert usage(session, tenant) == []
