"""Who owns the workloads of a cluster, as kube-state-metrics tells it: labels of pods and namespaces.

`analytics.answers` reads this beside what resources say (`queries.owners`) and puts both together. The trap:
kube-state-metrics writes a label's key in its own way, and exports none that is not on its allow-list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from analytics.queries import Asked, Session, read, unfolded
from analytics.settings import AnalyticsSettings
from analytics.window import Window

_SOURCES: Final = {"k8s.pod.label.": "pod", "k8s.namespace.label.": "namespace"}
_TEXTS: Final = ("team", "application", "role")


def cluster_owners(
    session: Session, window: Window, tenant: str, settings: AnalyticsSettings, asked: Sequence[Asked] = ()
) -> pl.DataFrame:
    """The workloads whose pods were named in the window, see `sql/cluster_owners.sql`, and a column for each
    of `asked`."""
    keys = [label_keys(one.attributes) for one in asked]
    found = read(
        session,
        "cluster_owners",
        tenant,
        start=window.start,
        end=window.end,
        team=label_keys(settings.team_attributes),
        application=label_keys(settings.application_attributes),
        role=label_keys(settings.role_attributes),
        keys=[key for several in keys for key in several],
    )
    return unfolded(found, [(one.name, len(several)) for one, several in zip(asked, keys, strict=True)])


def label_keys(attributes: Iterable[str]) -> list[str]:
    """Resource attributes that are labels of Kubernetes, as kube-state-metrics spells them: `pod/label_team`.

    It puts an underscore for whatever may not stand in a name, and before a capital within a word, which
    becomes a small one. Other attributes have no label.
    """
    return [
        f"{source}/label_{_spelled(attribute.removeprefix(prefix))}"
        for attribute in attributes
        for prefix, source in _SOURCES.items()
        if attribute.startswith(prefix)
    ]


def with_clusters(owners: pl.DataFrame, told: pl.DataFrame, asked: Sequence[Asked] = ()) -> pl.DataFrame:
    """`owners` with what the clusters tell: texts where resources say none, and workloads that send nothing.

    `owners` as `queries.owners` returns them, `told` as `cluster_owners`, both with the columns of `asked`.
    """
    if told.is_empty():
        return owners
    silent = told.join(owners, on="workload_id", how="anti").with_columns(
        pl.lit(value=False).cast(owners.schema["is_demo"]).alias("is_demo"),
        pl.lit([], owners.schema["hosts"]).alias("hosts"),
        pl.lit(0.0).alias("memory_bytes"),
    )
    texts = [name for name, kind in owners.schema.items() if kind == pl.String and name not in told.columns]
    silent = silent.with_columns(pl.lit("").alias(name) for name in texts)
    return pl.concat([filled(owners, told, asked), silent.select(owners.columns).cast(owners.schema)])


def filled(owners: pl.DataFrame, told: pl.DataFrame, asked: Sequence[Asked] = ()) -> pl.DataFrame:
    """`owners` with the texts of `told` where they say none. `told` has a row at most for a `workload_id`."""
    shared = (*_TEXTS, *(one.name for one in asked))
    texts = told.select("workload_id", *(pl.col(name).alias(f"told_{name}") for name in shared))
    return (
        owners.join(texts, on="workload_id", how="left")
        .with_columns(
            pl.when(pl.col(name) != "").then(name).otherwise(pl.col(f"told_{name}").fill_null("")).alias(name)
            for name in shared
        )
        .select(owners.columns)
    )


def _spelled(key: str) -> str:
    safe = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", safe).lower()
