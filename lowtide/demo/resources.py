"""Resource attributes of every unit, as OTel semantic conventions and the Collector's k8sattributes processor
name them.

Used by the span, log and metric writers. Everything the demo sends passes here and carries `lowtide.demo`,
by which it can be removed again. The trap: an unowned service has neither team nor application attributes,
not empty ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from lowtide.demo.estate import Estate, service_name
from lowtide.demo.wire import Plain, attributes, field
from lowtide.demo.workloads import MachineNode, Unit, Workload

DEMO_MARK = "lowtide.demo"
ENVOY = {"telemetry.sdk.language": "cpp", "telemetry.sdk.name": "envoy", "telemetry.sdk.version": "1.32.3"}
OWNER_KINDS = {
    "deployment": "k8s.deployment.name",
    "statefulset": "k8s.statefulset.name",
    "daemonset": "k8s.daemonset.name",
    "cronjob": "k8s.cronjob.name",
}


class Resources:
    """Serialised resources, made once each."""

    def __init__(self, estate: Estate, objectives_ms: Mapping[str, float]) -> None:
        self.estate = estate
        self.objectives_ms = objectives_ms
        self._made: dict[tuple[str, int, str], bytes] = {}

    def of_unit(self, unit: Unit, *, proxy: bool = False) -> bytes:
        """The `resource` field of spans and logs; of its sidecar's if `proxy`."""
        key = ("unit", unit.index, "proxy" if proxy else "")
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = encoded(self.unit_attributes(unit, proxy=proxy))
        return found

    def unit_attributes(self, unit: Unit, *, proxy: bool = False) -> dict[str, Plain]:
        """Attributes of what the SDK (or the sidecar) in a unit sends."""
        workload = unit.workload
        service = workload.service
        found: dict[str, Plain] = {
            "service.name": service_name(workload.key),
            "service.namespace": service.app or workload.namespace,
            "service.version": unit.version,
            "service.instance.id": unit.uid,
            "deployment.environment.name": service.environment,
        }
        found |= ENVOY if proxy else self._sdk(service.sdk)
        if service.kind == "vm":
            found |= self.host_attributes(unit)
        elif service.kind == "function":
            found |= self._function(unit)
        else:
            found |= self.pod_attributes(unit)
            found["k8s.container.name"] = "istio-proxy" if proxy else workload.name
        return found

    def _sdk(self, name: str | None) -> dict[str, Plain]:
        if name is None:
            return {}
        sdk = self.estate.sdks[name]
        found: dict[str, Plain] = {
            "telemetry.sdk.language": sdk.language,
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": sdk.version,
        }
        if sdk.distro is not None:
            found["telemetry.distro.name"], found["telemetry.distro.version"] = sdk.distro
        return found

    def _owner(self, workload: Workload) -> dict[str, Plain]:
        """Plain attributes of what is no pod."""
        app = workload.service.app
        found: dict[str, Plain] = {}
        if app is not None:
            found = {"team": self.estate.applications[app].team, "application": app}
        if workload.key in self.objectives_ms:
            found["lowtide.io/p99-ms"] = objective_text(self.objectives_ms[workload.key])
        return found

    def pod_attributes(self, unit: Unit) -> dict[str, Plain]:
        """What the k8sattributes processor adds to everything a pod sends, and the resource of kubelet
        metrics."""
        workload, node = unit.workload, unit.node
        if node is None:
            raise ValueError(f"{unit.name} was never placed on a node")
        found: dict[str, Plain] = {
            **node_attributes(node),
            "k8s.namespace.name": workload.namespace,
            OWNER_KINDS[workload.service.kind]: workload.name,
            "k8s.pod.name": unit.name,
            "k8s.pod.uid": unit.uid,
            "k8s.pod.ip": unit.address,
            "k8s.pod.start_time": datetime.fromtimestamp(unit.created_ns / 1e9, UTC).isoformat(
                timespec="seconds"
            ),
            "k8s.pod.label.app.kubernetes.io/name": service_name(workload.key),
            "k8s.pod.label.app.kubernetes.io/version": unit.version,
        }
        if unit.replica_set:
            owner = "k8s.job.name" if workload.service.kind == "cronjob" else "k8s.replicaset.name"
            found[owner] = unit.replica_set
        if workload.service.app is not None:
            found["k8s.pod.label.team"] = self.estate.applications[workload.service.app].team
            found["k8s.pod.label.app.kubernetes.io/part-of"] = workload.service.app
        for label, value in workload.service.labels.items():
            found[f"k8s.pod.label.{label}"] = value
        if workload.key in self.objectives_ms:
            found["k8s.pod.label.lowtide.io/p99-ms"] = objective_text(self.objectives_ms[workload.key])
        return found

    def host_attributes(self, unit: Unit) -> dict[str, Plain]:
        """A VM, for its spans and for its host metrics."""
        region = self.estate.clusters[unit.workload.service.cluster].region
        return {
            "host.name": unit.name,
            "host.id": unit.uid,
            "host.type": unit.workload.service.host or "",
            "os.type": "linux",
            "cloud.provider": "aws",
            "cloud.platform": "aws_ec2",
            "cloud.region": region,
            "cloud.availability_zone": f"{region}b",
            **self._owner(unit.workload),
        }

    def _function(self, unit: Unit) -> dict[str, Plain]:
        region = self.estate.clusters[unit.workload.service.cluster].region
        return {
            "faas.name": unit.workload.name,
            "faas.version": unit.version,
            "faas.instance": unit.name,
            "faas.max_memory": unit.workload.service.function_mib * 1024 * 1024,
            "cloud.provider": "aws",
            "cloud.platform": "aws_lambda",
            "cloud.region": region,
            **self._owner(unit.workload),
        }

    def container(self, unit: Unit, container: str) -> bytes:
        """Kubelet metrics of one container."""
        key = ("container", unit.index, container)
        found = self._made.get(key)
        if found is None:
            whole = {
                **self.pod_attributes(unit),
                "k8s.container.name": container,
                "deployment.environment.name": unit.workload.service.environment,
            }
            found = self._made[key] = encoded(whole)
        return found

    def pod(self, unit: Unit) -> bytes:
        """Kubelet metrics of a whole pod."""
        environment = unit.workload.service.environment
        return encoded({**self.pod_attributes(unit), "deployment.environment.name": environment})

    def workload(self, workload: Workload) -> bytes:
        """State of a Deployment."""
        return encoded(
            {
                "k8s.cluster.name": workload.service.cluster,
                "k8s.namespace.name": workload.namespace,
                OWNER_KINDS[workload.service.kind]: workload.name,
                "deployment.environment.name": workload.service.environment,
            }
        )

    def forget(self) -> None:
        """Drop what was made for units, to bound memory between slices."""
        self._made.clear()


def node_attributes(node: MachineNode) -> dict[str, Plain]:
    """A node and where it stands, for its own metrics and as a part of every pod's."""
    return {
        "k8s.cluster.name": node.cluster,
        "k8s.node.name": node.name,
        "cloud.provider": "aws",
        "cloud.platform": "aws_eks",
        "cloud.region": node.region,
        "cloud.availability_zone": node.zone,
    }


def machine(node: MachineNode) -> bytes:
    """Kubelet metrics of a node: with its instance type."""
    return encoded({**node_attributes(node), "host.type": node.type, "host.name": node.name})


def objective_text(ms: float) -> str:
    """An objective as a label value: no trailing zeros."""
    return f"{ms:g}"


def encoded(values: Mapping[str, Plain]) -> bytes:
    """Field 1 of ResourceSpans, ResourceLogs and ResourceMetrics alike, marked as the demo's."""
    resource = Resource(attributes=attributes({**values, DEMO_MARK: "true"}))
    return field(1, resource.SerializeToString())
