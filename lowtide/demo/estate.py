"""The company the demo plays, as data: `estate.yaml` read into frozen models and checked. Read by every other
part.

The trap: this file says what exists and how it is called, never what should be found; that is
`truth.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Model(BaseModel):
    """Base of everything in the file: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sdk(Model):
    """A telemetry SDK as its resource attributes name it."""

    language: Literal["java", "go", "nodejs", "python"]
    version: str
    distro: tuple[str, str] | None = None


class NodePool(Model):
    """Nodes of one instance type; one node a zone listed (a zone may be listed twice)."""

    type: str
    zones: tuple[str, ...]


class Cluster(Model):
    """A Kubernetes cluster: where it runs and on what."""

    region: str
    network: int = Field(ge=100, le=199, description="Second octet of its addresses, three digits.")
    nodes: tuple[NodePool, ...]


class InstanceType(Model):
    """Shape of a machine, and what Kubernetes leaves of it for pods."""

    cpu: int
    memory_gib: int
    allocatable_cpu: float
    allocatable_memory_gib: float


class Application(Model):
    """What a business person would name; its services carry it unless they say otherwise."""

    team: str
    title: str


class Shape(Model):
    """Relative traffic over the week in local time. 24 numbers a day; hard edges keep true zeros."""

    workday: tuple[float, ...] = Field(min_length=24, max_length=24)
    weekend: tuple[float, ...] = Field(min_length=24, max_length=24)
    hard_edges: bool = False
    promotion: float = Field(default=1.0, description="Multiplier during the promotion.")
    after_promotion: float = Field(default=1.0, description="Multiplier since the promotion ended.")


class Call(Model):
    """One thing an endpoint does. Exactly one of to, db, external, publish, inside."""

    to: str | None = None
    db: str | None = None
    external: str | None = None
    publish: str | None = None
    inside: str | None = None
    consumers: tuple[str, ...] = ()
    ms: float = Field(
        default=0.4, description="Median: own time of db, external, inside, publish; network time of to."
    )
    spread: float = Field(default=0.35, ge=0)
    share: float = Field(
        default=1.0, gt=0, le=1, description="Share of the endpoint's requests that do this."
    )
    error: float = Field(default=0.0, ge=0, le=1)
    together: bool = Field(default=False, description="At the same time as the call before it.")
    optional: bool = Field(default=False, description="Its failure does not fail the caller.")
    far: bool = Field(
        default=False, description="Goes to instances of another zone although local ones are ready."
    )
    delay_s: float = Field(default=0.02, description="Median from sending to the start of processing.")
    trace: Literal["same", "new"] = "same"
    batch: int = Field(
        default=1, ge=1, le=50, description="Messages one consumer span takes; above 1 in a new trace."
    )
    workers: int = Field(
        default=0, description="Messages processed at once; the others wait. 0: no queueing."
    )

    @field_validator("consumers", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _exactly_one(self) -> Call:
        named = [name for name in ("to", "db", "external", "publish", "inside") if getattr(self, name)]
        if len(named) != 1:
            raise ValueError(f"a call names exactly one of to, db, external, publish, inside, not {named}")
        if self.batch > 1 and self.trace != "new":
            raise ValueError("a batch of messages is processed in a new trace")
        return self


class LogLine(Model):
    """A log record written while an endpoint runs. A `#` run in the body becomes digits of the request's
    number."""

    level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = "INFO"
    body: str | dict[str, Any]
    share: float = Field(default=1.0, gt=0, le=1)
    times: int = Field(default=1, ge=1, le=10)


class Endpoint(Model):
    """An operation of a service: how it is reached, its own time, what it calls in order."""

    http: str | None = None
    rpc: str | None = None
    consume: str | None = None
    run: str | None = None
    ms: float = Field(gt=0, description="Median of its own time, without what it waits for.")
    spread: float = Field(default=0.35, ge=0)
    error: float = Field(default=0.001, ge=0, le=1)
    calls: tuple[Call, ...] = ()
    logs: tuple[LogLine, ...] = ()

    @field_validator("calls", mode="before")
    @classmethod
    def _short_calls(cls, value: Any) -> Any:
        return tuple({"to": call} if isinstance(call, str) else call for call in value)

    @model_validator(mode="after")
    def _one_way_in(self) -> Endpoint:
        if sum(way is not None for way in (self.http, self.rpc, self.consume, self.run)) != 1:
            raise ValueError("an endpoint is reached by exactly one of http, rpc, consume, run")
        return self


class Hpa(Model):
    """Horizontal pod autoscaler on CPU."""

    min: int
    max: int
    target: float = Field(default=0.7, description="Target utilisation of the CPU request.")


class Replicas(Model):
    """How many pods there are: a number, an autoscaler, another number since the promotion began."""

    count: int = 1
    hpa: Hpa | None = None
    since_promotion: int | None = None


class Start(Model):
    """Where the seconds go between a pod's creation and ready: medians."""

    schedule_s: float = 0.4
    pull_s: float = 0.8
    sidecar_s: float = 1.1
    init_s: float = 1.0
    spread: float = 0.12


class Revision(Model):
    """A version that runs beside others, as a Deployment of its own."""

    name: str
    share: float = Field(ge=0, le=1, description="Share of the service's requests.")
    replicas: int = 1


class Load(Model):
    """CPU that no span explains: a shape and the cores at its peak."""

    shape: str
    cores: float
    egress_bytes_per_s: float = 0.0


Kind = Literal["deployment", "statefulset", "daemonset", "cronjob", "vm", "function"]


class Service(Model):
    """A workload that the company runs. A name `x@staging` is service x in the environment staging."""

    app: str | None = Field(description="Application, or null: nobody put an owner on it.")
    sdk: str | None = None
    kind: Kind = "deployment"
    cluster: str = "papercrane-fra"
    namespace: str | None = None
    environment: str = "production"
    replicas: Replicas = Replicas()
    cpu_m: int = Field(
        default=60, description="Requested millicores; of a function or VM nothing is requested."
    )
    cpu_limit_m: int | None = None
    memory_mib: int = Field(default=0, description="Requested; 0: what is usual for the language.")
    cpu_share: float = Field(default=0.7, description="CPU seconds burnt in a second of own time.")
    floor_cpu_m: float = Field(default=0.0, description="Idle millicores; 0: what is usual for the language.")
    floor_memory_mib: float = Field(
        default=0.0, description="Idle working set; 0: what is usual for the language."
    )
    sidecar: bool = False
    proxy_spans: bool = False
    labels: dict[str, str] = {}
    latency_bound: bool = False
    objective_ms: float | None = None
    start: Start = Start()
    release_every_days: float = 16.0
    revisions: tuple[Revision, ...] = ()
    zones: tuple[str, ...] = ()
    host: str | None = Field(default=None, description="Instance type of a VM.")
    function_mib: int = 256
    trigger: Literal["http", "pubsub"] = "http"
    cold_ms: float = Field(default=0.0, description="Median init time of a function's new instance.")
    schedule: str | None = Field(default=None, description="Local HH:MM at which a cronjob runs every day.")
    load: Load | None = None
    endpoints: dict[str, Endpoint] = {}

    @field_validator("replicas", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return {"count": value} if isinstance(value, int) else value


class Bursts(Model):
    """Arrivals that come in bursts: geometric size, exponential gaps within."""

    size: float = Field(gt=1)
    within_s: float = Field(gt=0)


class Batches(Model):
    """Whole batches at local hours of working days."""

    hours: tuple[float, ...]
    size: int
    within_s: float = 20.0


class Operation(Model):
    """An entry point: what arrives from outside, how often, and the share of its traces kept in older
    weeks."""

    entry: str
    shape: str | None = None
    peak_per_s: float | None = None
    per_day: float | None = Field(default=None, description="Mean requests on a working day.")
    bursts: Bursts | None = None
    batches: Batches | None = None
    daily_at: str | None = None
    every_s: int | None = Field(default=None, gt=0, description="A clockwork, such as a health probe.")
    keep_one_in: Annotated[int, Field(ge=1, le=4096)] = 1

    @model_validator(mode="after")
    def _one_source(self) -> Operation:
        ways = [self.peak_per_s, self.per_day, self.batches, self.daily_at, self.every_s]
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "an operation has exactly one of peak_per_s, per_day, batches, daily_at, every_s"
            )
        if (self.peak_per_s or self.per_day) and not self.shape:
            raise ValueError("a rate needs a shape")
        if self.keep_one_in & (self.keep_one_in - 1):
            raise ValueError("keep_one_in is a power of two, so that its threshold is exact")
        return self


class Promotion(Model):
    """The promotion week, counted back from the end of the history."""

    began_days_ago: float
    ended_days_ago: float


class Estate(Model):
    """The whole file."""

    company: str
    title: str
    time_zone: str
    promotion: Promotion
    sdks: dict[str, Sdk]
    instance_types: dict[str, InstanceType]
    clusters: dict[str, Cluster]
    applications: dict[str, Application]
    shapes: dict[str, Shape]
    services: dict[str, Service]
    operations: dict[str, Operation]

    @cached_property
    def endpoints(self) -> dict[str, tuple[str, Endpoint]]:
        """`service.endpoint` -> (service key, endpoint)."""
        return {
            f"{key}.{name}": (key, endpoint)
            for key, service in self.services.items()
            for name, endpoint in service.endpoints.items()
        }

    def business(self) -> list[str]:
        """Keys of the services and functions that are not platform, data store or staging copy."""
        return [
            key
            for key, service in self.services.items()
            if service.environment == "production" and service.app not in ("platform", "data-platform")
        ]

    @model_validator(mode="after")
    def _references(self) -> Estate:
        problems = [*self._unknown_in_services(), *self._unknown_in_operations()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unknown_in_services(self) -> Iterator[str]:
        for key, service in self.services.items():
            checks: list[tuple[str, str | None, Mapping[str, object]]] = [
                ("application", service.app, self.applications),
                ("sdk", service.sdk, self.sdks),
                ("cluster", service.cluster, self.clusters),
                ("instance type", service.host, self.instance_types),
                ("shape", service.load.shape if service.load else None, self.shapes),
            ]
            for what, name, known in checks:
                if name is not None and name not in known:
                    yield f"{key}: unknown {what} {name!r}"
            for endpoint in service.endpoints.values():
                for call in endpoint.calls:
                    yield from self._unknown_targets(key, call)

    def _unknown_targets(self, key: str, call: Call) -> Iterator[str]:
        for target in (call.to, *call.consumers):
            if target is not None and target not in self.endpoints:
                yield f"{key}: calls unknown endpoint {target!r}"

    def _unknown_in_operations(self) -> Iterator[str]:
        for name, operation in self.operations.items():
            if operation.entry not in self.endpoints:
                yield f"operation {name}: unknown endpoint {operation.entry!r}"
            if operation.shape is not None and operation.shape not in self.shapes:
                yield f"operation {name}: unknown shape {operation.shape!r}"


def service_name(key: str) -> str:
    """`service.name` of an estate key: what stands before an `@`."""
    return key.partition("@")[0]


def load_estate() -> Estate:
    """The estate that is shipped. Raises pydantic.ValidationError if the file is wrong."""
    text = files("lowtide.demo").joinpath("estate.yaml").read_text(encoding="utf-8")
    return Estate.model_validate(yaml.safe_load(text))
