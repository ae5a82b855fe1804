"""Who owns the workloads of a cluster, as its latest snapshot tells it: labels of pods and namespaces, all of
them and as they are written.

`analytics.answers` fills in with it what neither resources (`queries.owners`) nor kube-state-metrics
(`cluster_owners`) say. The trap: a snapshot is of one moment, so it adds no workload to an answer; it only
says whose those are that were there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from analytics.queries import Asked, Session, read, unfolded
from analytics.settings import AnalyticsSettings

_SOURCES: Final = {
    "k8s.pod.label.": "pod",
    "k8s.pod.labels.": "pod",
    "k8s.namespace.label.": "namespace",
    "k8s.namespace.labels.": "namespace",
}


def inventory_owners(
    session: Session, tenant: str, settings: AnalyticsSettings, asked: Sequence[Asked] = ()
) -> pl.DataFrame:
    """The workloads of the snapshots, see `sql/inventory_owners.sql`, and a column for each of `asked`."""
    keys = [label_keys(one.attributes) for one in asked]
    found = read(
        session,
        "inventory_owners",
        tenant,
        team=label_keys(settings.team_attributes),
        application=label_keys(settings.application_attributes),
        role=label_keys(settings.role_attributes),
        keys=[key for several in keys for key in several],
    )
    return unfolded(found, [(one.name, len(several)) for one, several in zip(asked, keys, strict=True)])


def label_keys(attributes: Iterable[str]) -> list[str]:
    """Resource attributes that are labels of Kubernetes, by whose they are: `pod/team`. Others have none."""
    return [
        f"{source}/{attribute.removeprefix(prefix)}"
        for attribute in attributes
        for prefix, source in _SOURCES.items()
        if attribute.startswith(prefix)
    ]
