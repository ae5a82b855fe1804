"""The shape of the answer about cold starts, as the API gives it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from analytics.documents import Document, Telling


class Took(Document):
    """How long something took, in milliseconds."""

    count: int = Field(description="Of how many starts it is known.")
    p50_ms: float
    p95_ms: float
    longest_ms: float


class ColdStarts(Document):
    """How often instances of a workload started, and how long it took. A step that nobody told is null."""

    kind: Literal["function", "initialization", "pod", "replicas"] = Field(
        description="function: cold starts, for each of which a run waited. initialization: instances of a "
        "function that were made ahead of runs, or whose initialization failed, so that no run tells of it "
        "(`initialization`, `failed`). pod: starts of pods, for which "
        "somebody may have waited if there was no other (`from_zero`). replicas: times at which a workload "
        "woke from none, by minutes, where nobody told of its pods."
    )
    cluster: str
    environment: str
    namespace: str
    workload_kind: str
    name: str
    service_namespace: str
    service: str
    starts: int
    from_zero: int | None = Field(
        description="Pods that started while no other of the workload was there; null for functions."
    )
    initialization: str | None = Field(
        description="As Lambda calls it: provisioned-concurrency, snap-start, on-demand (of which only those "
        "that failed, or began anew while a run waited), lambda-managed-instances; empty if its log does not "
        "say. Null for other kinds."
    )
    failed: int | None = Field(description="Initializations that failed; null for other kinds.")
    runs: int | None = Field(description="Of the function, cold or not; null for pods.")
    share: float | None = Field(description="Of these, cold.")
    told_by: tuple[str, ...] = Field(
        description="function_telemetry, function_log, function_runtime (the platform), application "
        "(faas.coldstart), kubernetes (pods), replicas (wanted and available), knative (the same by its "
        "autoscaler)."
    )
    total: Took | None = Field(
        description="Of a function, before its own work begins; of a pod, from created to ready; of "
        "replicas, from the first wanted to the first available. No sum of the steps, which overlap."
    )
    resolution_ms: float | None = Field(
        description="Of replicas: each of these times may be longer or shorter by this much."
    )
    schedule: Took | None = Field(description="Until the pod had a node.")
    image_pull: Took | None = Field(description="Pulling images, all of the pod's together.")
    sidecar: Took | None = Field(description="What the application waited for its proxy.")
    init: Took | None = Field(description="The application's own, until its readiness probe of a pod.")
    restore: Took | None = Field(description="Of a function's snapshot.")
    first_run: Took | None = Field(
        description="A function's own work in cold runs; the first request of each pod after its start."
    )
    warm_run: Took | None = Field(description="A function's own work in other runs, to compare it with.")


class ColdStartsAnswer(Telling):
    """How often instances started, the most starts first."""

    rows: tuple[ColdStarts, ...]
