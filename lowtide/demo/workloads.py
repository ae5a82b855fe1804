"""Workloads, nodes and pods as plain records, and the defaults a language brings. Used by the fleet and
every writer."""

from __future__ import annotations

from dataclasses import dataclass, field

from lowtide.demo.estate import Estate, Revision, Service, service_name

FOREVER_NS = 1 << 62
MEMORY_REQUEST_MIB = {"java": 512, "nodejs": 192, "python": 160, "go": 64, "": 128}
IDLE_MEMORY_MIB = {"java": 310.0, "nodejs": 82.0, "python": 66.0, "go": 21.0, "": 60.0}
IDLE_CPU_M = {"java": 4.5, "nodejs": 2.5, "python": 2.0, "go": 1.0, "": 3.0}
SIDECAR_CPU_M = 100
SIDECAR_MEMORY_MIB = 128
SIDECAR_CPU_LIMIT_M = 2000
SIDECAR_MEMORY_LIMIT_MIB = 1024


@dataclass(frozen=True, slots=True)
class Workload:
    """What Kubernetes (or a host, or the function platform) runs: a service, or one revision of it."""

    key: str
    """Estate key of the service."""
    name: str
    """Name of the Deployment, StatefulSet, host or function."""
    service: Service
    language: str
    revision: Revision | None = None

    @property
    def namespace(self) -> str:
        """Kubernetes namespace."""
        return self.service.namespace or self.service.app or "default"

    @property
    def in_cluster(self) -> bool:
        """Whether its instances are pods."""
        return self.service.kind not in ("vm", "function")

    @property
    def memory_mib(self) -> int:
        """Requested memory of the application's container."""
        return self.service.memory_mib or MEMORY_REQUEST_MIB[self.language]

    @property
    def memory_limit_mib(self) -> int:
        """Memory limit: half as much again as requested."""
        return self.memory_mib * 3 // 2

    @property
    def floor_cpu_m(self) -> float:
        """Millicores it burns when nothing calls it."""
        return self.service.floor_cpu_m or IDLE_CPU_M[self.language]

    @property
    def floor_memory_mib(self) -> float:
        """Working set when nothing calls it."""
        return self.service.floor_memory_mib or IDLE_MEMORY_MIB[self.language]

    @property
    def pod_cpu_m(self) -> int:
        """Requested millicores of a whole pod."""
        return self.service.cpu_m + (SIDECAR_CPU_M if self.service.sidecar else 0)

    @property
    def pod_memory_mib(self) -> int:
        """Requested memory of a whole pod."""
        return self.memory_mib + (SIDECAR_MEMORY_MIB if self.service.sidecar else 0)

    @property
    def request_share(self) -> float:
        """Share of the service's requests that this revision takes."""
        return 1.0 if self.revision is None else self.revision.share


@dataclass(frozen=True, slots=True)
class MachineNode:
    """A Kubernetes node."""

    name: str
    cluster: str
    region: str
    zone: str
    type: str
    cpu: int
    memory_gib: int
    allocatable_cpu: float
    allocatable_memory_gib: float


@dataclass(frozen=True, slots=True)
class StartParts:
    """Seconds between a pod's creation and ready, part by part."""

    schedule_s: float
    pull_s: float
    sidecar_s: float
    init_s: float

    @property
    def total_s(self) -> float:
        """Creation to ready."""
        return self.schedule_s + self.pull_s + self.sidecar_s + self.init_s


@dataclass(slots=True)
class Unit:
    """An instance that emits telemetry: a pod, a VM or a function's execution environment."""

    workload: Workload
    name: str
    uid: str
    address: str
    version: str
    created_ns: int
    ready_ns: int
    ended_ns: int = FOREVER_NS
    replica_set: str = ""
    start: StartParts | None = None
    node: MachineNode | None = None
    index: int = -1
    labels: dict[str, str] = field(default_factory=dict)


def workloads_of(estate: Estate) -> list[Workload]:
    """Every workload, revisions apart, in the order of the estate."""
    found = []
    for key, service in estate.services.items():
        language = estate.sdks[service.sdk].language if service.sdk else ""
        base = service_name(key)
        if service.revisions:
            found += [
                Workload(key, f"{base}-{revision.name}", service, language, revision)
                for revision in service.revisions
            ]
        else:
            found.append(Workload(key, base, service, language))
    return found


def nodes_of(estate: Estate) -> list[MachineNode]:
    """Every Kubernetes node; names as the provider would give them."""
    nodes = []
    for cluster_name, cluster in estate.clusters.items():
        number = 0
        for pool in cluster.nodes:
            shape = estate.instance_types[pool.type]
            for zone in pool.zones:
                number += 1
                third = 10 + ord(zone[-1]) - ord("a")
                address = f"ip-10-{cluster.network}-{third}-{20 + number}"
                nodes.append(
                    MachineNode(
                        name=f"{address}.{cluster.region}.compute.internal",
                        cluster=cluster_name,
                        region=cluster.region,
                        zone=zone,
                        type=pool.type,
                        cpu=shape.cpu,
                        memory_gib=shape.memory_gib,
                        allocatable_cpu=shape.allocatable_cpu,
                        allocatable_memory_gib=shape.allocatable_memory_gib,
                    )
                )
    return nodes
