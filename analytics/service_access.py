"""How each service takes part: by an SDK, a framework's starter, a Java agent, a sidecar, or only as somebody
that others call over HTTP or by a DNS name. With the evidence, and what its resources say of languages,
SDKs and runtimes.

Functions from frames to frames; `analytics.access` reads. The trap: a service has several modes at once
(agent and sidecar), and a Java agent calls itself an SDK too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import polars as pl

MODES: Final = ("java agent", "framework", "SDK", "sidecar", "DNS", "HTTP")
"""In the order in which they are shown."""
FRAMEWORK_SCOPES: Final = (
    "org.springframework", "io.micrometer", "io.quarkus", "micronaut", "@opentelemetry/instrumentation",
    "opentelemetry.instrumentation.", "OpenTelemetry.Instrumentation.", "Microsoft.AspNetCore",
    "go.opentelemetry.io/contrib/instrumentation/", "io.opentelemetry.",
)  # fmt: skip
"""How scopes begin that come with a framework or its instrumentation, and are not the service's own code."""


@dataclass(frozen=True, slots=True, order=True)
class Described:
    """What one resource says of itself; empty where it does not."""

    language: str = ""
    sdk: str = ""
    sdk_version: str = ""
    distro: str = ""
    distro_version: str = ""
    runtime: str = ""
    runtime_version: str = ""

    @property
    def is_java_agent(self) -> bool:
        """The agent names itself as the distribution; older ones only give a version."""
        told = "java" in self.distro.lower() or (not self.distro and self.distro_version != "")
        return self.language == "java" and told and "starter" not in self.distro.lower()

    @property
    def is_sdk(self) -> bool:
        """A proxy's own tracer names itself in the same attribute."""
        return self.sdk not in ("", "envoy")


@dataclass(slots=True)
class Service:
    """One service, being put together: evidence by mode, what its resources say, its scopes."""

    namespace: str
    name: str
    evidence: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    described: set[Described] = field(default_factory=set)
    scopes: set[tuple[str, str]] = field(default_factory=set)

    def modes(self) -> Iterator[tuple[str, list[str]]]:
        """The modes that there is evidence of, in the order of MODES."""
        for mode in MODES:
            if self.evidence.get(mode):
                yield mode, sorted(self.evidence[mode])


def service_access(
    resources: pl.DataFrame,
    scopes: pl.DataFrame,
    proxies: pl.DataFrame,
    peers: pl.DataFrame,
    sidecars: Sequence[str],
) -> list[Service]:
    """Every service of `service_resources.sql`, and every peer of `service_peers.sql` that is none of them.

    `scopes` and `proxies` are the rows of the queries of these names; `sidecars` are names of containers.
    Sorted by namespace and name.
    """
    found: dict[tuple[str, str], Service] = {}
    of_workload: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for row in resources.filter(pl.col("service_name") != "").iter_rows(named=True):
        key = (row["service_namespace"], row["service_name"])
        service = found.setdefault(key, Service(*key))
        of_workload[row["namespace"], row["workload_name"]].add(key)
        for values in row["described"]:
            _describe(service, Described(*(values.values() if isinstance(values, dict) else values)))
    for row in scopes.iter_rows(named=True):
        key = (row["service_namespace"], row["service_name"])
        _scope(found.setdefault(key, Service(*key)), row["scope_name"], row["scope_version"])
    for namespace, workload, mode, evidence in _beside(resources, proxies, sidecars):
        for key in of_workload.get((namespace, workload), ()):
            found[key].evidence[mode].add(evidence)
    known = {name for _, name in found} | {f"{name}.{namespace}" for namespace, name in found}
    for name, calls in peers.select("peer_name", "calls").iter_rows():
        if not _is_known(name, known):
            outside = found.setdefault(("", name), Service("", name))
            outside.evidence[_how_called(name)].add(f"called {calls} times by this name")
    return [found[key] for key in sorted(found)]


def _describe(service: Service, described: Described) -> None:
    if described != Described():
        service.described.add(described)
    if described.is_java_agent:
        named = described.distro or "telemetry.auto.version"
        service.evidence["java agent"].add(f"{named} {described.distro_version}".strip())
    elif described.distro:
        service.evidence["framework"].add(f"{described.distro} {described.distro_version}".strip())
    elif described.is_sdk:
        service.evidence["SDK"].add(
            " ".join(filter(None, (described.sdk, described.language, described.sdk_version)))
        )


def _scope(service: Service, name: str, version: str) -> None:
    service.scopes.add((name, version))
    if name.startswith(FRAMEWORK_SCOPES) and not service.evidence.get("java agent"):
        service.evidence["framework"].add(f"scope {name}")


def _beside(
    resources: pl.DataFrame, proxies: pl.DataFrame, sidecars: Sequence[str]
) -> Iterator[tuple[str, str, str, str]]:
    """What is known of workloads: namespace, workload, mode, evidence."""
    containers = resources.filter(pl.col("container").is_in(list(sidecars)))
    for namespace, workload, container in containers.select(
        "namespace", "workload_name", "container"
    ).iter_rows():
        yield namespace, workload, "sidecar", f"container {container}"
    columns = ("namespace", "workload_name", "mesh", "origin", "proxy")
    for namespace, workload, mesh, origin, proxy in proxies.select(columns).iter_rows():
        if proxy == "sidecar":
            what = "access log" if origin == "access_log" else "metrics"
            yield namespace, workload, "sidecar", f"{what} of {mesh}"
        elif mesh == "polaris":
            yield namespace, workload, "SDK", "metrics of polaris"


def _is_known(peer: str, known: set[str]) -> bool:
    """A host within a cluster is SERVICE.NAMESPACE.svc...; its port does not matter."""
    host = peer.rpartition(":")[0] if peer.rpartition(":")[2].isdigit() and ":" in peer else peer
    labels = host.split(".")
    return host in known or ".".join(labels[:2]) in known or (labels[2:3] == ["svc"] and labels[0] in known)


def _how_called(peer: str) -> str:
    host = peer.rpartition(":")[0] if peer.count(":") == 1 else peer
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return "DNS"
    return "HTTP"
