"""Whose work the objects of a snapshot are: the workload that costs are told of. Pure.

The same rule as of `kubernetes_pods`: a pod belongs to its owner, or, where that is a ReplicaSet or a Job, to
the owner of that; to itself where it has none. What owns pods is its own workload in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ingest.inventory.objects import KubernetesObject

BETWEEN: Final = frozenset({"ReplicaSet", "Job"})
"""Kinds that stand between a pod and who wanted it."""
_OWNERS: Final = frozenset({
    ("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("apps", "ReplicaSet"),
    ("batch", "Job"), ("batch", "CronJob"), ("", "Pod"),
})  # fmt: skip
_NO_WORKLOAD: Final = frozenset({"", "Node"})
"""Owners that are none: of a static pod it is the node."""
Makers = Mapping[tuple[str, str, str], KubernetesObject]
"""By kind, namespace and name."""


def makers(objects: Iterable[KubernetesObject]) -> Makers:
    """What may stand between a pod and its workload."""
    return {(one.kind, one.namespace, one.name): one for one in objects if one.kind in BETWEEN}


def workload_of(one: KubernetesObject, known: Makers) -> tuple[str, str]:
    """Kind and name of the workload; empty for what has no part in pods."""
    if (one.group, one.kind) not in _OWNERS:
        return "", ""
    if one.owner_kind in _NO_WORKLOAD:
        return one.kind, one.name
    maker = known.get((one.owner_kind, one.namespace, one.owner_name))
    if maker is not None and maker.owner_kind not in _NO_WORKLOAD:
        return maker.owner_kind, maker.owner_name
    return one.owner_kind, one.owner_name


def unknown_owners(objects: Iterable[KubernetesObject], known: Makers) -> int:
    """How many objects have an owner between them and their workload that is not among the known ones."""
    return sum(
        one.owner_kind in BETWEEN and (one.owner_kind, one.namespace, one.owner_name) not in known
        for one in objects
    )
