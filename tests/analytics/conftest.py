"""Frames as the queries return them, made from a few words; and telemetry of a small estate, in the store."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import lowtide.asking
from analytics.answers import Basis
from analytics.costing import CostLines, cost_lines, day_costs
from analytics.lines import NAME_SCHEMA
from analytics.price_entries import Plan, PriceEntry
from analytics.prices import Listing, PriceBook
from analytics.queries import TIME
from analytics.samples import Samples
from analytics.settings import AnalyticsSettings
from analytics.totals import Totals
from analytics.window import Window
from ingest.signals import Signal
from ingest.store.engine import Engine, Session
from ingest.store.otlp import OtlpWriter, Request
from lowtide.cli.app import run
from support.kubernetes import Sample, written

MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
GIB = 1024**3
OWNER_COLUMNS: dict[str, Any] = {
    "workload_id": pl.UInt64, "cluster": pl.String, "environment": pl.String, "namespace": pl.String,
    "workload_kind": pl.String, "workload_name": pl.String, "service_namespace": pl.String,
    "service_name": pl.String, "team": pl.String, "application": pl.String, "role": pl.String,
    "provider": pl.String, "region": pl.String, "platform": pl.String, "architecture": pl.String,
    "memory_bytes": pl.Float64,
    "hosts": pl.List(pl.String), "is_demo": pl.UInt8, "first_seen_at": TIME, "last_seen_at": TIME,
}  # fmt: skip
MINUTE_COLUMNS: dict[str, Any] = {
    "container_id": pl.UInt64, "minute": TIME, "node": pl.String, "cpu_usage": pl.Float64,
    "memory_usage": pl.Float64, "cpu_request": pl.Float64, "memory_request": pl.Float64,
}  # fmt: skip
CONTAINER_COLUMNS: dict[str, Any] = {
    "container_id": pl.UInt64, "cluster": pl.String, "namespace": pl.String, "pod": pl.String,
    "container": pl.String, "node": pl.String, "environment": pl.String, "workload_kind": pl.String,
    "workload_name": pl.String, "workload_id": pl.UInt64,
}  # fmt: skip
NODE_COLUMNS: dict[str, Any] = {
    "node_id": pl.UInt64, "cluster": pl.String, "node": pl.String, "host_type": pl.String,
    "provider": pl.String, "region": pl.String, "capacity_type": pl.String, "cpu_capacity": pl.Float64,
    "cpu_allocatable": pl.Float64, "memory_capacity": pl.Float64, "memory_allocatable": pl.Float64,
}  # fmt: skip
NODE_MINUTE_COLUMNS: dict[str, Any] = {
    "node_id": pl.UInt64, "minute": TIME, "cpu_usage": pl.Float64, "busy_share": pl.Float64,
    "memory_usage": pl.Float64,
}  # fmt: skip
HOST_SERVICE_COLUMNS: dict[str, Any] = {
    "workload_id": pl.UInt64, "environment": pl.String, "namespace": pl.String, "workload_kind": pl.String,
    "workload_name": pl.String, "node_id": pl.UInt64, "counter": pl.String, "minute": TIME,
    "cpu_time_s": pl.Float64, "cpu_grown_s": pl.Float64, "memory_usage": pl.Float64,
}  # fmt: skip


_GIVEN = {"provider": "", "region": "", "currency": "USD", "source": "a test", "retrieved_on": "2026-01-01"}


def entry(sku: str, unit: str, price: str, **more: Any) -> Listing:
    """A price of the test's own book."""
    usual = "machine" if unit == "hour" else "rate"
    given = {**_GIVEN, "kind": usual, "sku": sku, "unit": unit, "price": price, **more}
    return Listing(PriceEntry.model_validate(given), "a test", 1)


def plan(name: str, request: str, gib_second: str, **more: Any) -> Listing:
    """A plan of the test's own book."""
    given = {**_GIVEN, "plan": name, "prices": {"request": request, "GiB-second": gib_second}, **more}
    return Listing(Plan.model_validate(given), "a test", 1)


VOLUME_COLUMNS: dict[str, Any] = {
    "cluster": pl.String, "volume": pl.String, "hour": TIME, "capacity_bytes": pl.Float64,
    "namespace": pl.String, "claim": pl.String, "skus": pl.List(pl.String),
}  # fmt: skip
MOUNT_COLUMNS: dict[str, Any] = {
    "cluster": pl.String, "namespace": pl.String, "claim": pl.String, "hour": TIME, "pod": pl.String,
    "workload_kind": pl.String, "workload_name": pl.String, "workload_id": pl.UInt64,
}  # fmt: skip


@dataclass
class Estate:
    """Samples of a day, put together piece by piece. Ids are numbers that the test chooses."""

    containers: list[dict[str, Any]] = field(default_factory=list)
    minutes: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    node_minutes: list[dict[str, Any]] = field(default_factory=list)
    host_services: list[dict[str, Any]] = field(default_factory=list)
    owners: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)

    def node(self, number: int, *, at: Sequence[int] = (), **what: Any) -> None:
        """A node that was heard in these minutes of the day."""
        size = {"cpu_capacity": 4.0, "memory_capacity": 16.0 * GIB}
        size |= {key: what[key] for key in size if key in what}
        self.nodes.append({
            "node_id": number, "cluster": "fra", "node": f"node-{number}", "host_type": "", "provider": "",
            "region": "", "capacity_type": "", "cpu_allocatable": size["cpu_capacity"],
            "memory_allocatable": size["memory_capacity"], **size, **what,
        })  # fmt: skip
        self.node_minutes += [
            {
                "node_id": number,
                "minute": minute(at_),
                "cpu_usage": 0.1,
                "busy_share": None,
                "memory_usage": 1.0,
            }
            for at_ in at
        ]

    def container(self, number: int, *, workload: int, node: str = "node-1", **what: Any) -> None:
        """A container of a pod of a Deployment."""
        self.containers.append({
            "container_id": number, "cluster": "fra", "namespace": "shop", "pod": f"pod-{number}",
            "container": "app", "node": node, "environment": "", "workload_kind": "Deployment",
            "workload_name": f"workload-{workload}", "workload_id": workload, **what,
        })  # fmt: skip

    def sample(self, container: int, at: int, **what: float | str | None) -> None:
        """What was seen of a container in a minute of the day."""
        self.minutes.append({
            "container_id": container, "minute": minute(at), "node": "", "cpu_usage": None,
            "memory_usage": None, "cpu_request": 0.0, "memory_request": 0.0, **what,
        })  # fmt: skip

    def process(self, workload: int, node: int, at: int, cpu_time_s: float) -> None:
        """What a service on a machine had used by a minute of the day."""
        self.host_services.append({
            "workload_id": workload, "environment": "", "namespace": "shop", "workload_kind": "Service",
            "workload_name": f"workload-{workload}", "node_id": node, "minute": minute(at),
            "counter": "", "cpu_time_s": cpu_time_s, "cpu_grown_s": 0.0, "memory_usage": None,
        })  # fmt: skip

    def volume(self, name: str, *, hours: Sequence[int] = (0,), gib: float = 10.0, **what: Any) -> None:
        """A volume that was named in these hours of the day."""
        self.volumes += [
            {
                "cluster": "fra", "volume": name, "hour": minute(60 * hour), "capacity_bytes": gib * GIB,
                "namespace": "shop", "claim": f"claim-{name}", "skus": ["fast"], **what,
            }
            for hour in hours
        ]  # fmt: skip

    def mount(self, claim: str, pod: str, *, workload: int, hours: Sequence[int] = (0,), **what: Any) -> None:
        """A pod that mounts a claim in these hours of the day."""
        self.mounts += [
            {
                "cluster": "fra", "namespace": "shop", "claim": claim, "hour": minute(60 * hour), "pod": pod,
                "workload_kind": "Deployment", "workload_name": f"workload-{workload}",
                "workload_id": workload, **what,
            }
            for hour in hours
        ]  # fmt: skip

    def owner(self, workload: int, **what: Any) -> None:
        """What the resources of a workload say about it."""
        self.owners.append({
            "workload_id": workload, "cluster": "fra", "environment": "", "namespace": "shop",
            "workload_kind": "Deployment", "workload_name": f"workload-{workload}", "service_namespace": "",
            "service_name": "", "team": "", "application": "", "role": "", "provider": "", "region": "",
            "platform": "", "architecture": "", "memory_bytes": 0.0, "hosts": [], "is_demo": 0,
            "first_seen_at": MIDNIGHT, "last_seen_at": MIDNIGHT + timedelta(days=1), **what,
        })  # fmt: skip

    @property
    def samples(self) -> Samples:
        """The frames that the queries would have given."""
        return Samples(
            containers=pl.DataFrame(self.containers, CONTAINER_COLUMNS),
            container_minutes=pl.DataFrame(self.minutes, MINUTE_COLUMNS),
            nodes=pl.DataFrame(self.nodes, NODE_COLUMNS),
            node_minutes=pl.DataFrame(self.node_minutes, NODE_MINUTE_COLUMNS),
            host_services=pl.DataFrame(self.host_services, HOST_SERVICE_COLUMNS),
            volumes=pl.DataFrame(self.volumes, VOLUME_COLUMNS),
            mounts=pl.DataFrame(self.mounts, MOUNT_COLUMNS),
        )

    @property
    def owned(self) -> pl.DataFrame:
        """The frame of the query `owners`."""
        return pl.DataFrame(self.owners, OWNER_COLUMNS)

    def costs(
        self, book: PriceBook, settings: AnalyticsSettings | None = None, hours: tuple[float, float] = (0, 24)
    ) -> CostLines:
        """What these hours of the day cost, without requests and functions."""
        day = Window(MIDNIGHT + timedelta(hours=hours[0]), MIDNIGHT + timedelta(hours=hours[1]))
        now = MIDNIGHT + timedelta(days=2)
        parts = list(day_costs(self.samples, settings or AnalyticsSettings(), book, self.owned, day, now))
        none = pl.DataFrame(schema={**NAME_SCHEMA, "requests": pl.Float64, "starts": pl.UInt64})
        return cost_lines(map(Totals.of, parts), none)


def minute(of_day: int) -> datetime:
    """A minute of the day that the tests' samples are of."""
    return MIDNIGHT + timedelta(minutes=of_day)


@pytest.fixture(scope="session")
def estate() -> type[Estate]:
    """`estate()` begins an empty one."""
    return Estate


@pytest.fixture(scope="session")
def price() -> Callable[..., Listing]:
    """`price(sku, unit, price, ...)` is an entry of a book."""
    return entry


@pytest.fixture(scope="session")
def book() -> PriceBook:
    """Round prices: a core costs 3 cents an hour, a GiB half a cent, so `box` (4 cores, 16 GiB) 20 cents."""
    machine = {"provider": "aws", "region": "eu-west-1"}
    return PriceBook([
        entry("vcpu", "vCPU-hour", "0.03"),
        entry("memory", "GiB-hour", "0.005"),
        plan("default", "0.0000002", "0.00001"),
        entry("box", "hour", "0.20", vcpu=Decimal(4), memory_gib=Decimal(16), **machine),
        plan("lambda", "0.0000004", "0.00002", **machine),
        plan("stepped", "0", "0.00002", minimum_ms=100, memory_step_mib=128, **machine),
    ])  # fmt: skip


@pytest.fixture(scope="session")
def settings() -> AnalyticsSettings:
    return AnalyticsSettings()


@pytest.fixture(scope="session")
def midnight() -> datetime:
    return MIDNIGHT


Resource = Mapping[str, str]
Point = tuple[str, float, datetime, Resource]


def _attributes(values: Resource) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items()]


def _ns(at: datetime) -> int:
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


class Telemetry:
    """Gauges and SERVER spans of one tenant; `store` writes them all, since every insert takes its time."""

    def __init__(self, writer: OtlpWriter, numbers: Iterator[int], tenant: str) -> None:
        self._writer, self._numbers, self._tenant = writer, numbers, tenant
        self._waiting: dict[Signal, list[Request]] = {}

    def gauges(self, resource: Resource, points: Sequence[Point]) -> None:
        """Each point is (name, value, time, attributes)."""
        request = ExportMetricsServiceRequest()
        entry_ = request.resource_metrics.add()
        entry_.resource.attributes.extend(_attributes(resource))
        scope = entry_.scope_metrics.add()
        for name, value, at, attributes in points:
            point = scope.metrics.add(name=name).gauge.data_points.add(
                time_unix_nano=_ns(at), as_double=value
            )
            point.attributes.extend(_attributes(attributes))
        self._send(Signal.METRICS, request.SerializeToString())

    def requests(
        self,
        resource: Resource,
        times: Sequence[tuple[datetime, float]],
        attributes: Resource | None = None,
        trace_state: str = "",
    ) -> None:
        """SERVER spans, each given by its start and its duration in seconds."""
        request = ExportTraceServiceRequest()
        entry_ = request.resource_spans.add()
        entry_.resource.attributes.extend(_attributes(resource))
        scope = entry_.scope_spans.add()
        for number, (start, seconds) in enumerate(times, 1):
            span = scope.spans.add(
                trace_id=number.to_bytes(16, "big"),
                span_id=number.to_bytes(8, "big"),
                name="GET /",
                kind=Span.SPAN_KIND_SERVER,
                start_time_unix_nano=_ns(start),
                end_time_unix_nano=_ns(start + timedelta(seconds=seconds)),
                trace_state=trace_state,
            )
            span.attributes.extend(_attributes(attributes or {}))
        self._send(Signal.TRACES, request.SerializeToString())

    def prometheus(self, samples: Iterable[Sample]) -> None:
        """What a Prometheus writes; each call is a request."""
        self._send(Signal.METRICS, written(samples))

    def body(self, signal: Signal, body: bytes) -> None:
        """A request as it is."""
        self._send(signal, body)

    def store(self) -> None:
        """Write what was given, a batch for each signal."""
        for signal, requests in self._waiting.items():
            number = next(self._numbers)
            self._writer.insert(signal, number, f"analytics-{number}", requests)
        self._waiting.clear()

    def _send(self, signal: Signal, body: bytes) -> None:
        self._waiting.setdefault(signal, []).append(Request(self._tenant, 1, body))


@pytest.fixture(scope="session")
def sending(migrated: Engine) -> Iterator[Callable[[str], Telemetry]]:
    """`sending(tenant)` begins telemetry of that tenant."""
    writer = OtlpWriter(migrated)
    numbers = itertools.count(1 << 40)

    def begin(tenant: str) -> Telemetry:
        return Telemetry(writer, numbers, tenant)

    yield begin
    writer.close()


@pytest.fixture
def telemetry(sending: Callable[[str], Telemetry], tenant: str) -> Telemetry:
    """Telemetry of the test's own tenant."""
    return sending(tenant)


@dataclass(frozen=True, slots=True)
class Example:
    """Whose telemetry the worked example of docs/cost.md is, and the hour it is of."""

    tenant: str
    start: datetime

    @property
    def window(self) -> str:
        """The hour, as the commands take it."""
        return f"{self.start.isoformat()}/{(self.start + timedelta(hours=1)).isoformat()}"

    @property
    def settings(self) -> AnalyticsSettings:
        """The default ones, but that an hour is evidence enough."""
        return AnalyticsSettings(least_evidence_h=1)


@pytest.fixture(scope="session")
def example(sending: Callable[[str], Telemetry]) -> Example:
    """The estate of docs/cost.md: a node with two workloads, a machine, a function."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
    telemetry = sending("example")
    place = {"cloud.provider": "aws", "cloud.region": "eu-central-1"}
    cluster = {"k8s.cluster.name": "fra", "k8s.node.name": "node-1"}
    times = [start + timedelta(minutes=at) for at in range(0, 70, 5)]

    def sampled(resource: Resource, **values: float | Callable[[int], float]) -> None:
        points = [
            (name.replace("__", "."), value(number) if callable(value) else value, at, {})
            for name, value in values.items()
            for number, at in enumerate(times)
        ]
        telemetry.gauges(resource, points)

    sampled(
        {**cluster, **place, "host.type": "m6i.xlarge"},
        k8s__node__cpu__capacity=4.0, k8s__node__cpu__allocatable=3.92,
        k8s__node__memory__capacity=16.0 * GIB, k8s__node__memory__allocatable=15.0 * GIB,
        k8s__node__cpu__usage=1.0,
    )  # fmt: skip

    def container(deployment: str, name: str, requests: tuple[float, float], **usage: Any) -> None:
        pod = {
            **cluster, "k8s.namespace.name": "shop", "k8s.deployment.name": deployment,
            "k8s.pod.name": f"{deployment}-1", "k8s.container.name": name, "service.name": deployment,
            "k8s.pod.label.team": "checkout", "k8s.pod.label.app.kubernetes.io/part-of": "shop",
        }  # fmt: skip
        cpu, memory = requests
        sampled(pod, k8s__container__cpu__request=cpu, k8s__container__memory__request=memory * GIB)
        sampled(pod, container__cpu__usage=usage["cpu"], container__memory__working_set=usage["gib"] * GIB)
        if name == "app":
            telemetry.requests(pod, usage["asked"])

    def asked(seconds: Sequence[float], lasts_s: float) -> list[tuple[datetime, float]]:
        return [(start + timedelta(seconds=at), lasts_s) for at in seconds]

    container("checkout-api", "app", (1.0, 1.0), cpu=0.2, gib=2.0, asked=asked(range(0, 3600, 6), 0.1))
    container("checkout-api", "istio-proxy", (0.1, 0.125), cpu=0.05, gib=0.0625)
    container(
        "quote-api", "app", (0.5, 0.5), cpu=lambda number: 0.1 if number < 6 else 0.9, gib=0.25,
        asked=asked([300, 330, 1200], 0.5),
    )  # fmt: skip

    machine = {**place, "host.name": "vm-1", "host.type": "t3.medium"}
    tax = {**machine, "service.name": "tax-rate", "team": "checkout", "application": "shop"}
    sampled(machine, system__cpu__logical__count=2.0, system__memory__limit=4.0 * GIB)
    sampled(tax, process__cpu__time=lambda number: 3.0 * number)
    telemetry.requests(tax, asked([600], 0.5))

    function = {
        **place, "cloud.platform": "aws_lambda", "faas.name": "badge", "service.name": "badge",
        "faas.max_memory": str(512 * 1024 * 1024), "team": "canvas", "application": "shop",
    }  # fmt: skip
    telemetry.requests(function, asked([3.6 * number for number in range(1000)], 0.2))
    telemetry.store()
    return Example("example", start)


@pytest.fixture
def started(
    session: Session,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command against the process's engine, since it may not open one of its own: exit code, output,
    and what it told beside."""
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)

    def ask(_run: Any, _settings: Any, path: str, _params: Any, model: Any, local: Any) -> Any:
        assert path.startswith("/api/v1/")
        return model.model_validate(json.loads(local(session, basis, datetime.now(UTC)).model_dump_json()))

    monkeypatch.setattr(lowtide.asking, "ask", ask)
    monkeypatch.setattr(lowtide.asking, "TENANT", tenant)
    monkeypatch.chdir(tmp_path)

    def start(*arguments: str) -> tuple[int, str, str]:
        code = run([*arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return start
