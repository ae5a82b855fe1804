"""Which workload an Envoy belongs to, from what it says of itself (`envoy.config.core.v3.Node`): a resource
of OpenTelemetry. Istio's proxies say most: `sidecar~10.1.2.3~reviews-1.shop~shop.svc.cluster.local` and
metadata.
"""

from __future__ import annotations

from typing import Any, Final

from collector.foreign.building import Attributes, Value

_ISTIO_PARTS: Final = 4
_KINDS: Final = {
    "deployments": "deployment", "statefulsets": "statefulset", "daemonsets": "daemonset", "jobs": "job",
    "cronjobs": "cronjob", "replicasets": "replicaset",
}  # fmt: skip
_CANONICAL_NAME: Final = "service.istio.io/canonical-name"


def resource_of(node: Any) -> Attributes:
    """Attributes of the workload whose proxy this is."""
    said = {member.key: member.value for member in node.metadata.fields}
    pairs: dict[str, Value] = {
        "cloud.region": node.locality.region,
        "cloud.availability_zone": node.locality.zone,
        "k8s.cluster.name": _text(said, "CLUSTER_ID"),
    }
    istio = node.id.split("~")
    if len(istio) == _ISTIO_PARTS:
        pod, _, namespace = istio[2].rpartition(".")
        labels = {member.key: member.value for member in _struct(said, "LABELS")}
        service = _text(labels, _CANONICAL_NAME) or node.cluster.removesuffix(f".{namespace}")
        pairs |= {
            "service.name": service,
            "k8s.pod.name": pod,
            "k8s.namespace.name": namespace,
            "k8s.pod.ip": istio[1],
            "envoy.proxy_type": istio[0],
        }
        pairs |= _owner(_text(said, "OWNER"))
    else:
        pairs |= {"service.name": node.cluster, "service.instance.id": node.id}
    return tuple(sorted((key, value) for key, value in pairs.items() if value))


def _owner(path: str) -> dict[str, Value]:
    """`kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews`."""
    kind, _, name = path.rpartition("/")
    kind = _KINDS.get(kind.rpartition("/")[2], "")
    return {f"k8s.{kind}.name": name} if kind and name else {}


def _text(said: dict[str, Any], key: str) -> str:
    return str(said[key].string_value) if key in said else ""


def _struct(said: dict[str, Any], key: str) -> Any:
    return said[key].struct_value.fields if key in said else ()
