"""Every setting of the answers, in one model. `lowtide/settings.py` composes it; code takes it as an
argument.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class AnalyticsSettings(BaseModel):
    """Cost, idle and recommendations: who owns what, what counts as idle, which prices hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    team_attributes: tuple[str, ...] = Field(
        default=("k8s.pod.label.team", "k8s.namespace.label.team", "team", "owner"),
        description="Resource attributes that name the team, the first one with a value counts. Labels "
        "of pods come first, since that is where Kubernetes estates keep it.",
    )
    application_attributes: tuple[str, ...] = Field(
        default=("k8s.pod.label.app.kubernetes.io/part-of", "application"),
        description="Resource attributes that name the application, the first one with a value counts. "
        "part-of is Kubernetes' recommended label. Add service.namespace if that names applications with "
        "you.",
    )
    role_attributes: tuple[str, ...] = Field(
        default=("k8s.pod.label.lowtide.io/role", "lowtide.io/role"),
        description="Resource attributes that declare a role; the value standby keeps a workload from being "
        "called idle.",
    )
    ownership_file: Path | None = Field(
        default=None,
        description="File of rules that say whose a workload is: team, application, environment, cost "
        "centre. What it says goes before attributes. It is read again when it changes. docs/ownership.md "
        "describes the format.",
    )
    sidecar_containers: tuple[str, ...] = Field(
        default=("istio-proxy", "linkerd-proxy", "queue-proxy", "envoy", "envoy-sidecar", "daprd"),
        description="Names of containers that are sidecars: their cost is shown apart from the "
        "application's. The proxies of the common meshes, of Knative and of Dapr.",
    )
    platform_namespaces: tuple[str, ...] = Field(
        default=(
            "kube-system", "kube-public", "kube-node-lease", "istio-system", "mesh-system", "linkerd",
            "knative-serving", "keda", "cert-manager", "observability", "monitoring", "ingress-nginx",
        ),
        description="Kubernetes namespaces that serve the cluster itself. Workloads there without an "
        "owner are shown as platform, and none of them is called idle.",
    )  # fmt: skip
    price_book: tuple[Path, ...] = Field(
        default=(),
        description="Files with prices of one's own, read after the list prices that come with Lowtide; "
        "on the days that they cover they replace those for the same thing. docs/prices.md describes the "
        "format.",
    )
    ledger_interval_s: float = Field(
        default=3600.0,
        ge=60.0,
        le=86_400.0,
        description="Seconds between two runs that compute and keep what days cost that are over, and again "
        "what changed since. Answers do not wait for it: what is not kept is computed when it is asked for.",
    )
    exchange_rate: Decimal = Field(
        default=Decimal(1),
        gt=0,
        description="Units of the setting `currency` for one US dollar, the currency of the price book. "
        "1, because the default currency is USD.",
    )
    function_memory_bytes: int = Field(
        default=128 * 1024 * 1024,
        ge=1,
        description="Memory of a function that does not say how much it has, in bytes. 128 MiB, the "
        "least that is billed; the answer says where it was used.",
    )
    long_tail_request_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="The workloads with the fewest requests that together carry at most this share of "
        "all requests may be long tail.",
    )
    long_tail_silent_minutes: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="A long-tail workload is silent in more than this share of the minutes in which its "
        "application is open. Half, so that one which is used steadily through office hours is not meant.",
    )
    long_tail_requests_per_minute: float = Field(
        default=1.0,
        gt=0,
        description="A long-tail workload has fewer requests a minute than this while its application is "
        "open.",
    )
    open_hour_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="An application is open in the hours of the week in which it has at least this share "
        "of the requests of its mean hour. A quarter leaves out nights with a few stray requests.",
    )
    idle_cpu_cores: float = Field(
        default=0.02,
        ge=0,
        description="CPU usage above a workload's own floor, in cores, that is taken for work. A process "
        "that waits burns a few thousandths of a core.",
    )
    idle_cpu_ratio: float = Field(
        default=2.0,
        ge=1,
        description="CPU usage, as a multiple of the workload's own floor, below which it is not taken "
        "for work.",
    )
    idle_network_bytes_per_s: float = Field(
        default=2000.0,
        ge=0,
        description="Network traffic of a pod, in bytes a second, above which it is taken for work. "
        "Probes and scrapes stay below 2 kB/s.",
    )
    keep_alive_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds a workload stays awake after its last request in the scale-to-zero "
        "estimate. 60 s is the default window of Knative's autoscaler.",
    )
    least_evidence_h: float = Field(
        default=24.0,
        ge=1,
        description="Hours of evidence (time in which a workload was there and none of its requests were "
        "sampled) without which there is no verdict and no recommendation. A day, because traffic repeats "
        "daily at the least.",
    )
    bearable_cold_starts_per_week: float = Field(
        default=50.0,
        ge=0,
        description="Cold starts a week above which a recommendation has low confidence where callers wait "
        "for the answer (SERVER spans). 50, about seven a day: more of them are noticed.",
    )
