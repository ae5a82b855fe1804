"""An invented cluster, told in two ways: as the Collector's receivers do it, and as a Prometheus that scrapes
cAdvisor and kube-state-metrics. Names of metrics and labels are those of the recorded clusters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from support.kubernetes import Sample, sample

GIB = float(1 << 30)
NODE = "node-1"
INSTANCE_TYPE = "m6i.xlarge"
SIZE = {"cpu": (4.0, 3.92), "memory": (16 * GIB, 15 * GIB)}
KSM = {"job": "kube-state-metrics", "instance": "10.244.0.7:8080"}
CADVISOR = {"job": "kubelet", "metrics_path": "/metrics/cadvisor", "instance": "10.0.0.1:10250", "node": NODE}


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod, which uses the same all the time: cores and bytes, asked and used."""

    pod: str
    kind: str
    workload: str
    maker: tuple[str, str]
    name: str = "app"
    cpu_request: float = 0.0
    cpu: float = 0.0
    memory_request: float = 0.0
    memory: float = 0.0
    namespace: str = "shop"

    @property
    def who(self) -> dict[str, str]:
        return {"namespace": self.namespace, "pod": self.pod, "uid": f"uid-of-{self.pod}"}


CONTAINERS = (
    Container(
        "checkout-7d9-abc", "Deployment", "checkout", ("ReplicaSet", "checkout-7d9"),
        cpu_request=1.0, cpu=0.2, memory_request=GIB, memory=2 * GIB,
    ),
    Container(
        "checkout-7d9-abc", "Deployment", "checkout", ("ReplicaSet", "checkout-7d9"), "istio-proxy",
        cpu_request=0.125, cpu=0.0625, memory_request=GIB / 8, memory=GIB / 16,
    ),
    Container("quote-0", "StatefulSet", "quote", ("StatefulSet", "quote"), cpu=0.5, memory=GIB / 2),
    Container("agent-x", "DaemonSet", "agent", ("DaemonSet", "agent"), cpu=0.25, memory=GIB / 4),
    Container("nightly-1-z", "CronJob", "nightly", ("Job", "nightly-1"), cpu=0.125, memory=GIB / 4),
)  # fmt: skip
MAKERS = {
    "checkout-7d9": ("replicaset", "Deployment", "checkout"),
    "nightly-1": ("job_name", "CronJob", "nightly"),
}


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def of_collector(at: datetime, cluster: str = "fra") -> Iterator[tuple[dict[str, str], list[Any]]]:
    """Resources with their points (name, value, time, attributes) at this moment."""
    place = {
        "k8s.cluster.name": cluster, "k8s.node.name": NODE, "cloud.provider": "aws",
        "cloud.region": "eu-central-1", "cloud.availability_zone": "eu-central-1a",
        "host.type": INSTANCE_TYPE,
    }  # fmt: skip
    (cores, free_cores), (memory, free_memory) = SIZE["cpu"], SIZE["memory"]
    yield (
        place,
        [
            ("k8s.node.cpu.capacity", cores, at, {}), ("k8s.node.allocatable_cpu", free_cores, at, {}),
            ("k8s.node.memory.capacity", memory, at, {}),
            ("k8s.node.allocatable_memory", free_memory, at, {}),
        ],
    )  # fmt: skip
    for one in CONTAINERS:
        resource = {
            "k8s.cluster.name": cluster, "k8s.node.name": NODE, "k8s.namespace.name": one.namespace,
            "k8s.pod.name": one.pod, "k8s.container.name": one.name,
            f"k8s.{one.kind.lower()}.name": one.workload,
        }  # fmt: skip
        points = [
            ("container.cpu.usage", one.cpu, at, {}),
            ("container.memory.working_set", one.memory, at, {}),
        ]
        if one.cpu_request:
            points += [
                ("k8s.container.cpu_request", one.cpu_request, at, {}),
                ("k8s.container.memory_request", one.memory_request, at, {}),
            ]
        yield resource, points


def of_prometheus(at: datetime, started: datetime, cluster: str = "fra", **replica: str) -> Iterator[Sample]:
    """Samples of cAdvisor and kube-state-metrics at this moment; all containers began at `started`."""
    for one in (*_state(ms(at)), *_cadvisor(at, started)):
        yield one.at(one.time_ms, cluster=cluster, **replica)


def _state(time_ms: int) -> Iterator[Sample]:
    units = {"cpu": "core", "memory": "byte"}
    for resource, (capacity, allocatable) in SIZE.items():
        what = {"node": NODE, "resource": resource, "unit": units[resource], **KSM}
        yield sample("kube_node_status_capacity", time_ms, capacity, **what)
        yield sample("kube_node_status_allocatable", time_ms, allocatable, **what)
    place = {"provider_id": "aws:///eu-central-1a/i-0abc", "internal_ip": "10.0.0.1"}
    yield sample("kube_node_info", time_ms, node=NODE, **place, **KSM)
    yield sample(
        "kube_node_labels", time_ms, node=NODE, label_node_kubernetes_io_instance_type=INSTANCE_TYPE,
        label_topology_kubernetes_io_zone="eu-central-1a", label_topology_kubernetes_io_region="eu-central-1",
        label_eks_amazonaws_com_capacity_type="SPOT", **KSM,
    )  # fmt: skip
    for one in CONTAINERS:
        kind, name = one.maker
        owner = {"owner_kind": kind, "owner_name": name, "owner_is_controller": "true"}
        yield sample("kube_pod_owner", time_ms, **one.who, **owner, **KSM)
        yield sample("kube_pod_info", time_ms, **one.who, node=NODE, host_network="false", **KSM)
        for resource, asked in (("cpu", one.cpu_request), ("memory", one.memory_request)):
            if asked:
                what = {"container": one.name, "node": NODE, "resource": resource, "unit": units[resource]}
                yield sample("kube_pod_container_resource_requests", time_ms, asked, **one.who, **what, **KSM)
    for one in CONTAINERS:
        if one.workload == "checkout":
            labels = {"label_team": "payments", "label_app_kubernetes_io_part_of": "shop"}
            yield sample("kube_pod_labels", time_ms, **one.who, **labels, **KSM)
    yield sample("kube_namespace_labels", time_ms, namespace="shop", label_team="commerce", **KSM)
    for maker, (label, kind, name) in MAKERS.items():
        owner = {"owner_kind": kind, "owner_name": name, "owner_is_controller": "true"}
        fact = f"kube_{label.removesuffix('_name')}_owner"
        yield sample(fact, time_ms, namespace="shop", **{label: maker}, **owner, **KSM)


def _cadvisor(at: datetime, started: datetime) -> Iterator[Sample]:
    age_s = (at - started).total_seconds()
    for one in CONTAINERS:
        pod = {"namespace": one.namespace, "pod": one.pod, **CADVISOR}
        slice_ = {**pod, "id": f"/kubepods/pod{one.pod}"}
        run = f"{one.pod}{one.name}".encode().hex()
        who = {
            **pod, "container": one.name, "image": "registry.example/app:1", "name": run,
            "id": f"/kubepods/pod{one.pod}/{run}",
        }  # fmt: skip
        pause = {**pod, "image": "registry.k8s.io/pause:3.10", "id": f"/kubepods/pod{one.pod}/pause"}
        for labels, share in ((who, 1.0), (slice_, 1.1), (pause, 0.1), ({**pause, "container": "POD"}, 0.1)):
            spent = one.cpu * age_s * share
            yield sample("container_cpu_usage_seconds_total", ms(at), spent, **{"cpu": "total", **labels})
            yield sample("container_memory_working_set_bytes", ms(at), one.memory * share, **labels)
        yield sample("container_start_time_seconds", ms(at), ms(started) / 1000, **who)
    machine = {**CADVISOR, "id": "/"}
    yield sample("container_cpu_usage_seconds_total", ms(at), 2 * age_s, cpu="total", **machine)
    yield sample("container_memory_working_set_bytes", ms(at), 4 * GIB, **machine)


def full_hour(hours_ago: int) -> datetime:
    """The beginning of that hour."""
    now = datetime.now(UTC)
    return datetime.fromtimestamp((int(now.timestamp()) // 3600 - hours_ago) * 3600, UTC)
