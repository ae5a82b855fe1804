"""Where the ends of edges are, and in which zones: what the mesh says, else what the inventory knows of pods
and nodes.

`analytics.mesh` reads and puts together; these are functions from frames to frames. A zone is taken only if
all that is known of that hour says one and the same; else it stays empty, and the traffic is nobody's. The
trap: clusters have the same names and addresses inside. The other end of a call is looked for only in the
cluster in which the proxy's own pod was found, or that the proxy names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from analytics.mesh_edges import SCHEMA, UNKNOWN

HOUR: Final = pl.Datetime("us", "UTC")
_TEXTS: Final = ("cluster", "namespace", "pod", "node")
PROXIES: Final[dict[str, type[pl.DataType] | pl.DataType]] = {
    "instance": pl.UInt64, "hour": HOUR, **dict.fromkeys((*_TEXTS, "zone", "address"), pl.String)
}  # fmt: skip
"""Of a frame of `mesh_proxies.sql`."""
PODS: Final[dict[str, type[pl.DataType] | pl.DataType]] = {
    **dict.fromkeys((*_TEXTS, "address", "workload_name"), pl.String), "hour": HOUR
}  # fmt: skip
"""Of a frame of `pod_places.sql`."""
NODES: Final = dict.fromkeys(("cluster", "node", "zone"), pl.String)
"""Of a frame of `node_zones.sql`."""
NO_CLUSTER: Final = (*UNKNOWN, "Kubernetes")
"""Istio calls a cluster Kubernetes if nobody gave it a name."""


@dataclass(frozen=True, slots=True)
class Places:
    """What is known of where things are: frames of PROXIES, PODS and NODES."""

    proxies: pl.DataFrame
    pods: pl.DataFrame
    nodes: pl.DataFrame


def zoned(told: pl.DataFrame, places: Places) -> pl.DataFrame:
    """The rows of `mesh_edges.sql` as rows of `mesh_edges.SCHEMA`: with `source_zone` and `destination_zone`
    where these are known, and the cluster and pod of the proxy.

    First what the mesh says of the end; of the proxy's own end, the zone of its pod's node, or that it says
    itself; of the other end, the zone of the pod that had its address; at last, of either, the one zone in
    which all pods of the workload were. A waypoint is neither end.
    """
    zones = places.nodes.group_by("cluster", "node").agg(zone=_only("zone"))
    pods = places.pods.join(zones, on=["cluster", "node"], how="left")
    homes = _homes(places.proxies, pods, zones)
    rows = (
        told.join(homes, on=["instance", "hour"], how="left")
        .join(
            _addresses(homes, places.proxies, pods),
            left_on=["home", "peer_address", "hour"],
            right_on=["cluster", "address", "hour"],
            how="left",
        )
        .with_columns(
            _cluster_of("source"),
            _cluster_of("destination"),
            pl.col("proxy_cluster", "proxy_pod").fill_null(""),
            peer_cluster=pl.when(pl.col("peer_found")).then("proxy_cluster").otherwise(pl.lit("")),
        )
    )
    workloads = _workloads(pods)
    for end, own in (("source", "source"), ("destination", "destination")):
        is_own, is_peer = pl.col("reporter") == own, pl.col("reporter").is_in(_peers_of(end))
        rows = rows.join(
            workloads.rename({"zone": "_by_workload"}),
            left_on=[f"_{end}_cluster", f"{end}_namespace", f"{end}_workload", "hour"],
            right_on=["cluster", "namespace", "workload_name", "hour"],
            how="left",
        ).with_columns(
            pl.coalesce(
                pl.col(f"{end}_zone").replace("", None),
                pl.when(is_own).then("own_zone"),
                pl.when(is_peer).then("peer_zone"),
                "_by_workload",
                pl.lit(""),
            ).alias(f"{end}_zone")
        ).drop("_by_workload")  # fmt: skip
    return rows.select(list(SCHEMA))


def _peers_of(end: str) -> tuple[str, ...]:
    """Reporters whose `peer_address` is of that end."""
    return ("destination",) if end == "source" else ("source", "waypoint")


def _only(column: str) -> pl.Expr:
    """The one text of a group that is not empty; null if there are several, or none."""
    known = pl.col(column).replace("", None).drop_nulls().unique()
    return pl.when(known.len() == 1).then(known.first())


def _homes(proxies: pl.DataFrame, pods: pl.DataFrame, zones: pl.DataFrame) -> pl.DataFrame:
    """Of a proxy in an hour: `instance, hour, home` (its cluster, as the inventory calls it), `own_zone`,
    `proxy_cluster` (as it calls itself, else its home) and `proxy_pod` (namespace and name), '' where not
    known.

    A pod is found by its name in the cluster that the proxy names, else in an inventory without a name; if it
    names none, in the only one that has such a pod.
    """
    said = proxies.with_columns(pl.col("cluster").replace(NO_CLUSTER, ""))
    nameless, exact = pl.col("cluster") == "", pl.col("cluster") == pl.col("found")
    at = ["namespace", "pod", "hour"]
    known = pods.select(*at, "zone", found="cluster")
    found = (
        said.filter(pl.col("pod") != "").select("instance", "cluster", *at)
        .join(known, on=at)
        .filter(exact | nameless | ((pl.col("found") == "") & ~exact.any().over("instance", "hour")))
        .group_by("instance", "hour")
        .agg(found=_single("found"), by_pod=_only("zone"))
        .filter(pl.col("found").is_not_null())
    )  # fmt: skip
    own_pod = pl.when(pl.col("pod") != "").then(pl.concat_str("namespace", "pod", separator="/"))
    by_node = said.with_columns(own_pod=own_pod).join(
        zones.rename({"zone": "by_node"}), on=["cluster", "node"], how="left"
    )
    itself = by_node.group_by("instance", "hour").agg(
        said_cluster=_only("cluster"),
        by_node=_only("by_node"),
        by_itself=_only("zone"),
        proxy_pod=_only("own_pod"),
    )
    return itself.join(found, on=["instance", "hour"], how="left").select(
        "instance", "hour",
        home=pl.coalesce("found", "said_cluster", pl.lit("")),
        own_zone=pl.coalesce("by_pod", "by_node", "by_itself"),
        proxy_cluster=pl.coalesce("said_cluster", "found", pl.lit("")),
        proxy_pod=pl.col("proxy_pod").fill_null(""),
    )  # fmt: skip


def _single(column: str) -> pl.Expr:
    """The one text of a group, which may be empty; null if there are several."""
    return pl.when(pl.col(column).n_unique() == 1).then(pl.col(column).first())


def _addresses(homes: pl.DataFrame, proxies: pl.DataFrame, pods: pl.DataFrame) -> pl.DataFrame:
    """`cluster, address, hour`, with `peer_zone` and `peer_found` (true): whom an address was of, as the
    inventory and proxies say it."""
    ends = ["cluster", "address", "hour", "zone"]
    own = (
        proxies.select("instance", "hour", "address")
        .join(homes, on=["instance", "hour"])
        .select(cluster="home", address="address", hour="hour", zone="own_zone")
    )
    return (
        pl.concat([pods.select(ends), own])
        .filter(pl.col("address") != "")
        .group_by("cluster", "address", "hour")
        .agg(peer_zone=_only("zone"), peer_found=pl.lit(value=True).first())
    )


def _workloads(pods: pl.DataFrame) -> pl.DataFrame:
    """`cluster, namespace, workload_name, hour, zone` of those all of whose pods were in one zone."""
    return (
        pods.filter(~pl.col("workload_name").is_in(UNKNOWN))
        .group_by("cluster", "namespace", "workload_name", "hour")
        .agg(pl.when(pl.col("zone").is_not_null().all()).then(_only("zone")).alias("zone"))
        .drop_nulls("zone")
    )


def _cluster_of(end: str) -> pl.Expr:
    """The cluster of an end, by its name in the inventory: the proxy's, if the mesh says nothing else."""
    other = "source" if end == "destination" else "destination"
    said = pl.col(f"{end}_cluster")
    is_own = (pl.col("reporter") == end) | said.is_in(NO_CLUSTER)
    is_same = (said == pl.col(f"{other}_cluster")) & (pl.col("reporter") != "waypoint")
    return (
        pl.when(is_own | is_same).then(pl.col("home").fill_null("")).otherwise(said).alias(f"_{end}_cluster")
    )
