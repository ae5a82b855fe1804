"""How services take part, from what their telemetry says of itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from analytics.access import service_access_answer
from analytics.access_documents import ServiceAccess
from analytics.service_access import Described
from analytics.settings import AnalyticsSettings
from ingest.signals import Signal
from ingest.store.engine import Session
from support.exposition import samples, scraped

DATA = Path(__file__).parent / "data" / "mesh"
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
WINDOW = f"{START.isoformat()}/{(START + timedelta(hours=1)).isoformat()}"
JAVA = {
    "telemetry.sdk.language": "java", "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": "1.44.1",
    "process.runtime.name": "OpenJDK Runtime Environment", "process.runtime.version": "21.0.5+11",
}  # fmt: skip
PYTHON = {
    "telemetry.sdk.language": "python", "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": "1.29.0",
}  # fmt: skip


def spans(resource: dict[str, str], *scopes: str, kind: int = 2, **attributes: str) -> bytes:
    """A span of each scope."""
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add()
    for key, text in resource.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    at_ns = round((START + timedelta(minutes=5)).timestamp()) * 10**9
    for number, name in enumerate(scopes):
        scope = entry.scope_spans.add()
        scope.scope.name, scope.scope.version = name, "1.0"
        span = scope.spans.add(
            trace_id=bytes([number + 1]) * 16, span_id=bytes([number + 1]) * 8, kind=kind, name="GET",
            start_time_unix_nano=at_ns, end_time_unix_nano=at_ns + 10**6,
        )  # fmt: skip
        for key, text in attributes.items():
            span.attributes.add(key=key.replace("__", ".")).value.string_value = text
    return request.SerializeToString()


@pytest.fixture
def found(session: Session, telemetry: Any, tenant: str) -> Callable[[], dict[str, ServiceAccess]]:
    """The answer's rows by service."""

    def ask() -> dict[str, ServiceAccess]:
        telemetry.store()
        answer = service_access_answer(
            session, AnalyticsSettings(), UTC, window=WINDOW, now=datetime.now(UTC), tenant=tenant
        )
        return {row.service: row for row in answer.rows}

    return ask


def modes(row: ServiceAccess) -> dict[str, tuple[str, ...]]:
    return {mode.mode: mode.evidence for mode in row.modes}


def test_agents_starters_and_plain_sdks(telemetry: Any, found: Any) -> None:
    agent = {
        "telemetry.distro.name": "opentelemetry-java-instrumentation",
        "telemetry.distro.version": "2.10.0",
    }
    starter = {
        "telemetry.distro.name": "opentelemetry-spring-boot-starter",
        "telemetry.distro.version": "2.9.0",
    }
    telemetry.body(
        Signal.TRACES, spans({"service.name": "a", **JAVA, **agent}, "io.opentelemetry.tomcat-10.0")
    )
    telemetry.body(
        Signal.TRACES, spans({"service.name": "b", **JAVA, **starter}, "io.opentelemetry.spring-web")
    )
    telemetry.body(Signal.TRACES, spans({"service.name": "c", **PYTHON}, "shop.checkout"))
    telemetry.body(
        Signal.TRACES, spans({"service.name": "d", **PYTHON}, "opentelemetry.instrumentation.flask")
    )
    telemetry.body(Signal.TRACES, spans({"service.name": "e"}, ""))

    rows = found()

    assert modes(rows["a"]) == {"java agent": ("opentelemetry-java-instrumentation 2.10.0",)}
    assert set(modes(rows["b"])) == {"framework"}
    assert modes(rows["c"]) == {"SDK": ("opentelemetry python 1.29.0",)}
    assert modes(rows["d"])["framework"] == ("scope opentelemetry.instrumentation.flask",)
    assert modes(rows["e"]) == {}
    assert rows["a"].languages == ("java",)
    assert (rows["a"].described[0].runtime_version, rows["a"].scopes[0].name) == (
        "21.0.5+11", "io.opentelemetry.tomcat-10.0",
    )  # fmt: skip


def test_versions_side_by_side(telemetry: Any, found: Any) -> None:
    for number, version in enumerate(("1.28.0", "1.29.0", "1.29.0")):
        resource = {
            "service.name": "a",
            "host.name": f"vm-{number}",
            **PYTHON,
            "telemetry.sdk.version": version,
        }
        telemetry.body(Signal.TRACES, spans(resource, "x"))

    assert [one.sdk_version for one in found()["a"].described] == ["1.28.0", "1.29.0"]


def test_sidecars_by_container_and_by_what_they_count(telemetry: Any, found: Any) -> None:
    pod = {"k8s.namespace.name": "default", "k8s.deployment.name": "details-v1"}
    telemetry.body(Signal.TRACES, spans({**pod, "service.name": "details", **PYTHON}, "x"))
    other = {"k8s.namespace.name": "default", "k8s.deployment.name": "ratings-v1"}
    telemetry.body(Signal.TRACES, spans({**other, "service.name": "ratings"}, "x"))
    telemetry.gauges(
        {**other, "k8s.container.name": "istio-proxy"}, [("container.cpu.usage", 0.1, START, {})]
    )
    at_ms = round((START + timedelta(minutes=1)).timestamp() * 1000)
    telemetry.body(Signal.METRICS, scraped(samples(DATA / "istio.prom"), at_ms, instance="a:1"))

    rows = found()

    assert modes(rows["details"])["sidecar"] == ("metrics of istio",)
    assert modes(rows["ratings"]) == {"sidecar": ("container istio-proxy",)}


def test_who_is_only_called(telemetry: Any, found: Any) -> None:
    for number, peer in enumerate(("api.stripe.com", "10.1.2.3:8080", "b.shop.svc.cluster.local", "b:80")):
        resource = {"service.name": "a", "service.namespace": "shop", "host.name": f"vm-{number}"}
        telemetry.body(Signal.TRACES, spans(resource, "x", kind=3, server__address=peer))
    telemetry.body(Signal.TRACES, spans({"service.name": "b", "service.namespace": "shop"}, "x"))

    rows = found()

    assert set(rows) == {"a", "b", "api.stripe.com", "10.1.2.3:8080"}
    assert modes(rows["api.stripe.com"]) == {"DNS": ("called 1 times by this name",)}
    assert set(modes(rows["10.1.2.3:8080"])) == {"HTTP"}


@pytest.mark.parametrize(
    ("described", "agent"),
    [
        (Described("java", "opentelemetry", distro="elastic-otel-javaagent"), True),
        (Described("java", "opentelemetry", distro_version="1.32.0"), True),
        (Described("java", "opentelemetry", distro="opentelemetry-spring-boot-starter"), False),
        (Described("nodejs", "opentelemetry", distro_version="0.4"), False),
        (Described("java", "opentelemetry"), False),
    ],
)
def test_which_java_is_an_agents(described: Described, *, agent: bool) -> None:
    assert described.is_java_agent is agent
