"""Who called whom, counted once: of what both ends of a call, proxies and logs tell, one is taken.

`analytics.mesh` reads and puts together; these are functions from frames to frames. The trap: what is chosen
is chosen by the hour, so that an edge whose destination got a proxy within the window keeps its earlier
hours. In that one hour the calls before it are missing.
"""

from __future__ import annotations

from typing import Final

import polars as pl

NAMES: Final = (
    "mesh", "origin", "proxy", "reporter", "source_cluster", "source_namespace", "source_workload",
    "source_zone",
    "destination_cluster", "destination_namespace", "destination_workload", "destination_service",
    "destination_zone", "protocol", "response_class", "response_flags", "security",
    "proxy_cluster", "proxy_pod", "peer_cluster",
)  # fmt: skip
MEASURES: Final = ("requests", "request_bytes", "response_bytes", "connections", "duration_ms")
SOURCE: Final = ("source_cluster", "source_namespace", "source_workload")
DESTINATION: Final = ("destination_cluster", "destination_namespace", "destination_workload")
EDGE: Final = ("mesh", *SOURCE, *DESTINATION, "destination_service", "protocol")
SCHEMA: Final[dict[str, type[pl.DataType] | pl.DataType]] = {
    **dict.fromkeys(NAMES, pl.String),
    "hour": pl.Datetime("us", "UTC"),
    **dict.fromkeys(MEASURES, pl.Float64),
}
"""Of a frame of edges as proxies told them, by hour (`mesh_zones.zoned`). Beside what `mesh_edges.sql` says,
where the proxy is that tells (`proxy_pod`: namespace and name), and the cluster in which the other end of the
call was found, each empty where it is not known."""
ZONES: Final = ("source_zone", "destination_zone")
ZONE_MEASURES: Final = ("requests", "request_bytes", "response_bytes", "connections")
REPORTERS: Final = ("destination", "waypoint", "source")
"""Whose count is taken, the first one that there is: the destination saw what arrived."""
UNKNOWN: Final = ("", "unknown")
ERRORS: Final = ("5xx", "grpc_error")
"""Classes of answers that are a server's fault."""


def counted_once(told: pl.DataFrame) -> pl.DataFrame:
    """Those of the rows (SCHEMA) that count every call once.

    First, what Knative's queue proxies tell counts only in hours in which no mesh tells of calls to the same
    workload, and a proxy's access log only in hours in which the same workload's proxy sends no metrics. Then
    of the ends of an edge the best in REPORTERS. What an inbound proxy tells without knowing who called
    counts only if no caller tells of calls to the same destination over the same security.
    """
    return _known_callers(_best_reporter(_without_doubled_logs(_without_doubled_queues(told))))


def _without_doubled_queues(told: pl.DataFrame) -> pl.DataFrame:
    """A mesh's proxy and a queue proxy stand before the same pod. Where one of them does not say its cluster,
    workloads of one name are one."""
    to, cluster = ["destination_namespace", "destination_workload", "hour"], pl.col("proxy_cluster")
    of_knative = pl.col("mesh") == "knative"
    meshes = (
        told.filter(~of_knative & ~pl.col("destination_workload").is_in(UNKNOWN) & (pl.col("requests") > 0))
        .group_by(to)
        .agg(_clusters=cluster.unique(), _nameless=(cluster == "").any())
    )
    same = pl.col("_nameless") | (cluster == "") | pl.col("_clusters").list.contains(cluster)
    doubled = of_knative & pl.col("_clusters").is_not_null() & same.fill_null(value=False)
    return told.join(meshes, on=to, how="left", maintain_order="left").filter(~doubled).select(told.columns)


def _without_doubled_logs(told: pl.DataFrame) -> pl.DataFrame:
    """A log and metrics are of one workload, too, if one of them does not say its cluster, if Istio's own
    name of the cluster is the other's, or if a pod of that name tells both.
    """
    at_destination = pl.col("reporter") != "source"
    own = ["_namespace", "_workload"]
    rows = told.with_columns(
        pl.when(at_destination).then(f"destination{name}").otherwise(f"source{name}").alias(name)
        for name in ("_cluster", *own)
    )
    by_metrics = pl.col("origin") == "metrics"
    measured = (
        rows.filter(by_metrics)
        .group_by(*own, "hour")
        .agg(
            _clusters=pl.concat([pl.col("proxy_cluster"), pl.col("_cluster")]).unique(),
            _nameless=(pl.col("proxy_cluster") == "").any(),
            _pods=pl.col("proxy_pod").filter(pl.col("proxy_pod") != "").unique(),
        )
    )
    cluster = pl.col("proxy_cluster")
    same = pl.col("_clusters").list.contains(cluster) | pl.col("_pods").list.contains(pl.col("proxy_pod"))
    doubled = (pl.col("_nameless") | (cluster == "") | same).fill_null(value=False)
    return (
        rows.join(measured, on=[*own, "hour"], how="left")
        .filter(by_metrics | ~(pl.col("_clusters").is_not_null() & doubled))
        .select(told.columns)
    )


def _best_reporter(told: pl.DataFrame) -> pl.DataFrame:
    """The service is what the caller asked for, and part of an edge only where no workload is known."""
    nameless = pl.col("destination_workload").is_in(UNKNOWN)
    rank = pl.col("reporter").replace_strict(REPORTERS, range(len(REPORTERS)), default=len(REPORTERS))
    ends = [*SOURCE, *DESTINATION, "mesh", "origin", "protocol", "asked", "hour"]
    rows = told.with_columns(
        asked=pl.when(nameless).then("destination_service").otherwise(pl.lit("")),
        rank=rank,
    )
    return rows.filter(pl.col("rank") == pl.col("rank").min().over(ends)).drop("asked", "rank")


def _known_callers(told: pl.DataFrame) -> pl.DataFrame:
    """A callee's log says which service was asked for, so that is what its callers are looked for by; that a
    call came without mTLS is said by the callee only, and it then came from outside the mesh. Callers of
    another cluster are none of its own if all whom they reached were found in theirs.
    """
    named = ~pl.col("source_workload").is_in(UNKNOWN)
    nameless = pl.col("destination_workload").is_in(UNKNOWN)
    is_log = pl.col("origin") == "access_log"
    workload = pl.concat_str("destination_namespace", "destination_workload", separator="/")
    rows = told.with_columns(
        named=named,
        to=pl.when(is_log | nameless).then("destination_service").otherwise(workload),
        over=pl.when(is_log).then(pl.col("security") == "none").otherwise(pl.col("security") == "mutual_tls"),
    )
    asked = ["mesh", "origin", "to", "over", "hour"]
    cluster = pl.col("proxy_cluster")
    callers = (
        rows.filter(pl.col("named") & (pl.col("reporter") == "source"))
        .group_by(asked)
        .agg(
            _clusters=cluster.unique(),
            _anywhere=((cluster == "") | (pl.col("peer_cluster") != cluster)).any(),
        )
    )
    told_by_caller = pl.col("_anywhere") | (cluster == "") | pl.col("_clusters").list.contains(cluster)
    blind = ~pl.col("named") & (pl.col("reporter") != "source") & ((pl.col("mesh") != "istio") | is_log)
    return (
        rows.join(callers, on=asked, how="left")
        .filter(~blind | ~(pl.col("_clusters").is_not_null() & told_by_caller.fill_null(value=False)))
        .select(told.columns)
    )


def edges(counted: pl.DataFrame) -> pl.DataFrame:
    """One row an edge (EDGE): MEASURES added up over hours and answers, and what they are made of.

    Adds `errors` (ERRORS), `mutual_tls_requests` and `known_security` (calls, else connections, of which that
    is known), `told_by` (reporters), `origins`, `proxies`, `zones` (structs of ZONES, empty where not known,
    with ZONE_MEASURES, which add up to the edge's) and `classes`, `flags` (structs `name, requests`). The
    busiest first.
    """
    calls = pl.when(pl.col("requests") > 0).then("requests").otherwise("connections")
    security = pl.col("security")
    whole = counted.with_columns(_calls=calls).group_by(EDGE).agg(
        pl.col(MEASURES).sum(),
        errors=pl.col("requests").filter(pl.col("response_class").is_in(ERRORS)).sum(),
        mutual_tls=pl.col("_calls").filter(security == "mutual_tls").sum(),
        known_security=pl.col("_calls").filter(security != "").sum(),
        told_by=pl.col("reporter").unique().sort(),
        origins=pl.col("origin").unique().sort(),
        proxies=pl.col("proxy").filter(pl.col("proxy") != "").unique().sort(),
    )  # fmt: skip
    return (
        whole.join(_by(counted, "response_class", "classes"), on=EDGE, how="left", nulls_equal=True)
        .join(_by(counted, "response_flags", "flags"), on=EDGE, how="left", nulls_equal=True)
        .join(_by_zones(counted), on=EDGE, how="left", nulls_equal=True)
        .sort("requests", "connections", *EDGE, descending=[True, True, *[False] * len(EDGE)])
    )


def _by(counted: pl.DataFrame, name: str, title: str) -> pl.DataFrame:
    parts = (
        counted.filter((pl.col(name) != "") & (pl.col("requests") + pl.col("connections") > 0))
        .group_by(*EDGE, name)
        .agg(calls=(pl.col("requests") + pl.col("connections")).sum())
        .sort(*EDGE, name)
    )
    pair = pl.struct(name=pl.col(name), calls=pl.col("calls"))
    return parts.group_by(EDGE).agg(pair.alias(title))


def _by_zones(counted: pl.DataFrame) -> pl.DataFrame:
    pair = pl.struct(*ZONES, *ZONE_MEASURES)
    return zone_pairs(counted, *EDGE).group_by(EDGE, maintain_order=True).agg(pair.alias("zones"))


def zone_pairs(counted: pl.DataFrame, *by: str) -> pl.DataFrame:
    """ZONE_MEASURES by `by` and pair of ZONES, those with most bytes first; without pairs of nothing."""
    size = pl.col("request_bytes") + pl.col("response_bytes")
    return (
        counted.group_by(*by, *ZONES)
        .agg(pl.col(ZONE_MEASURES).sum())
        .filter(pl.any_horizontal(pl.col(ZONE_MEASURES) > 0))
        .sort(size, *ZONES, descending=[True, False, False])
    )
