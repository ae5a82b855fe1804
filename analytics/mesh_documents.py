"""The shape of the answers about meshes, as the API gives and the command prints them.

The trap: an edge without requests is not one without traffic; a ztunnel counts connections only.
"""

from __future__ import annotations

from pydantic import Field

from analytics.documents import Document, Telling


class ZonePair(Document):
    """What went from one zone to another and back."""

    source_zone: str = Field(description="Of the one who called; empty: not known.")
    destination_zone: str
    requests: float
    request_bytes: float = Field(description="From the source to the destination.")
    response_bytes: float
    connections: float


class ZoneSplit(Document):
    """A part of an edge: bytes count both ways."""

    requests: float
    bytes: float
    connections: float


class MeshEdge(Document):
    """Who called whom in the window, every call counted once."""

    mesh: str = Field(description="istio, linkerd, envoy, polaris or knative (its queue proxies).")
    protocol: str = Field(description="As the mesh says; empty where it does not.")
    source_cluster: str
    source_namespace: str
    source_workload: str = Field(description="Empty or `unknown`: outside the mesh, or not told.")
    destination_cluster: str
    destination_namespace: str
    destination_workload: str
    destination_service: str = Field(description="What was asked for, as the caller named it.")
    requests: float
    errors: float = Field(
        description="Of the requests, those answered with 5xx, or a gRPC status that is a server's fault."
    )
    request_bytes: float = Field(description="From the source to the destination.")
    response_bytes: float
    connections: float
    mean_duration_ms: float | None
    mutual_tls_share: float | None = Field(
        description="Of the calls (else connections) of which it is known; null if of none."
    )
    response_classes: dict[str, float] = Field(description="Requests by 2xx, 4xx, ...")
    response_flags: dict[str, float] = Field(
        description="Calls by Envoy's response flags; those without are not here."
    )
    within_zone: ZoneSplit = Field(description="What stayed in one zone.")
    across_zones: ZoneSplit = Field(description="What went from one zone to another.")
    unknown_zones: ZoneSplit = Field(description="That of which the zone of an end is not known.")
    zones: tuple[ZonePair, ...] = Field(description="The same by pair of zones: they add up to the edge.")
    told_by: tuple[str, ...] = Field(description="Whose count it is: source, destination, waypoint.")
    origins: tuple[str, ...] = Field(description="What it was made from: metrics, access_log.")
    proxies: tuple[str, ...] = Field(
        description="sidecar, waypoint, queue-proxy or ztunnel (connections and bytes only)."
    )


class MeshEdgesAnswer(Telling):
    """Who calls whom, the busiest first."""

    zones: tuple[ZonePair, ...] = Field(description="Of all edges, the most bytes first.")
    rows: tuple[MeshEdge, ...]


class ProxyOverhead(Document):
    """What a workload's proxy added to the requests through it, in one direction."""

    name: str
    kind: str
    namespace: str
    cluster: str
    environment: str
    service_namespace: str
    service: str
    direction: str = Field(description="inbound: requests to it; outbound: from it; waypoint: through it.")
    requests: int = Field(description="Those of which the access log says both times.")
    mean_ms: float = Field(description="Duration less upstream service time.")
    p50_ms: float | None = Field(description="Bounds of buckets: up to 4.4 % too high.")
    p90_ms: float | None
    p99_ms: float | None
    longest_ms: float
    mean_duration_ms: float
    share: float | None = Field(description="Of the duration of all requests.")


class MeshOverheadAnswer(Telling):
    """What proxies add, the busiest first."""

    lines: dict[str, int] = Field(
        description="Lines of proxies by how they were read: text, json, attributes; unknown: an access log "
        "that was not understood; other: none, or in a format of one's own."
    )
    rows: tuple[ProxyOverhead, ...]
