"""What the answers look like: the models that the API serves, and the command reads back. No logic.

Money is a Decimal in the answer's currency and travels as text with every digit; times are aware UTC. The
trap: these are the API's contract, so a field may be added, but not renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

Money = Annotated[
    Decimal, PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json")
]


class Document(BaseModel):
    """Common to everything below."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(Document):
    """A span of time, in UTC."""

    start: datetime
    end: datetime


class Telling(Document):
    """What every answer says about itself."""

    window: Span
    time_zone: str = Field(description="Zone in which times are shown to people; times here are UTC.")
    notes: tuple[str, ...] = Field(description="What is estimated, missing or left out, as sentences.")


class Answer(Telling):
    """What every answer about money says about itself."""

    currency: str
    prices_retrieved_on: date
    coverage: float | None = Field(
        description="Share of the nodes' time, from each one's first to its last sample, that samples cover."
    )
    demo_workloads: int = Field(
        default=0, description="How many of the window's workloads are of the demo's invented company."
    )


class CostRow(Document):
    """One line of the cost table. Lines add up to the line `total` to the last digit."""

    name: str
    line: Literal["direct", "platform", "unowned", "shared", "idle", "system", "total"]
    cpu: Money
    memory: Money
    sidecars: Money = Field(description="CPU and memory of sidecar containers; not in `cpu` and `memory`.")
    functions: Money
    storage: Money = Field(description="Persistent volumes.")
    idle: Money = Field(
        default=Decimal(0), description="Idle capacity it bears, where that is shared out (`idle=shared`)."
    )
    system: Money = Field(
        default=Decimal(0),
        description="What nodes keep for themselves, where that is shared out (`system=shared`).",
    )
    shared: Money = Field(
        default=Decimal(0), description="What it bears of others' costs (`shared`) and of `overhead`."
    )
    total: Money
    share: float | None = Field(description="Of the grand total.")
    unused: Money = Field(
        description="Part of `total` that was reserved and not used; not added to anything."
    )
    requests: float | None
    per_million_requests: Money | None = Field(
        description="Null without requests, and where no cost is known."
    )
    service_namespace: str | None = Field(
        default=None, description="By service: its service.namespace, else its Kubernetes namespace."
    )
    service: str | None = Field(
        default=None, description="By service: its service.name, else the workload's name."
    )
    environments: tuple[str, ...] = Field(
        default=(), description="By service: the environments that are added up in this line."
    )


class CostAnswer(Answer):
    """What everything cost, grouped by one key."""

    by: str
    filter: str = Field(default="", description="Whom it is about, as asked; empty: everybody.")
    shared: str = Field(default="", description="Whose costs the others bear, as asked; empty: nobody's.")
    split: str = Field(default="weighted", description="How shared costs are divided: weighted, even.")
    idle: str = Field(default="separate", description="Idle capacity: a line of its own, or shared.")
    system: str = Field(default="separate", description="The same of what nodes keep for themselves.")
    overhead: Money = Field(default=Decimal(0), description="An amount an hour that is shared as well.")
    filtered_away: Money = Field(
        default=Decimal(0), description="What the filter leaves out; with the total, what there is."
    )
    rows: tuple[CostRow, ...]


class IdleRow(Document):
    """A workload that is silent, long tail, or cannot be judged by its requests, or not yet."""

    name: str
    kind: str
    namespace: str
    cluster: str
    environment: str
    service_namespace: str = Field(description="Its service.namespace, else its Kubernetes namespace.")
    service: str = Field(description="Its service.name, else the workload's name.")
    application: str
    team: str
    verdict: Literal[
        "silent", "long tail", "fixed hours", "standby", "no telemetry", "works without requests",
        "too early to say",
    ]  # fmt: skip
    why: str
    evidence: Span = Field(description="The time it is judged by: it was there, and nothing was sampled.")
    evidence_hours: float
    requests: float
    active_seconds_share: float
    active_minutes_share: float
    longest_gap_s: float | None
    last_request_at: datetime | None
    cost: Money
    cpu_cores: float | None = Field(description="Mean CPU usage of one of its containers.")
    cpu_floor_cores: float | None = Field(description="What it uses at its quietest, per container.")
    network_bytes_per_s: float | None = Field(description="Mean traffic of one of its pods or machines.")


class IdleAnswer(Answer):
    """What sits idle."""

    thresholds: dict[str, float]
    rows: tuple[IdleRow, ...]


class Recommendation(Document):
    """A first estimate of what sleeping would save. Not proven by a replay."""

    id: str
    name: str
    kind: str
    namespace: str
    cluster: str
    environment: str
    application: str
    team: str
    action: Literal["scale-to-zero"]
    status: Literal["candidate, not proven"]
    verdict: str
    cost_per_week: Money
    freed_per_week: Money = Field(
        description="Reservation that would be free while it sleeps, its sidecars' left out."
    )
    sidecars_freed_per_week: Money = Field(
        description="The same of its sidecars: free only if the whole pod goes."
    )
    awake_share: float
    cold_starts_per_week: float
    requests_per_week: float
    keep_alive_s: float
    evidence: Span
    evidence_requests: int
    evidence_hours: float
    synchronous: bool = Field(description="Callers wait for its answers: it has SERVER spans.")
    sampled_before: datetime | None
    confidence: Literal["low", "medium"]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Freed:
    """What the candidates of one confidence would free together."""

    confidence: str
    count: int
    freed_per_week: Decimal


class RecommendAnswer(Answer):
    """What could sleep, the largest saving first."""

    rows: tuple[Recommendation, ...]

    @property
    def freed(self) -> tuple[Freed, ...]:
        """What the candidates of each confidence would free together, the better one first."""
        sums = []
        for confidence in ("medium", "low"):
            freed = [row.freed_per_week for row in self.rows if row.confidence == confidence]
            if freed:
                sums.append(Freed(confidence, len(freed), sum(freed, Decimal(0))))
        return tuple(sums)

    @property
    def common_reasons(self) -> tuple[str, ...]:
        """Reasons that every candidate has: whoever shows a table says them once, not in each line."""
        first = self.rows[0].reasons if len(self.rows) > 1 else ()
        return tuple(one for one in first if all(one in row.reasons for row in self.rows))
