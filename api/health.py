"""For probes and scrapers: `/healthz` (the process lives), `/readyz` (it can do its work), `/metrics`.

`/readyz` answers 503 with every reason. A store that is away makes it not ready, since nothing can be
answered, although telemetry is still taken and kept in the spool: point the probe of senders at the OTLP
port if that is what matters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from api.pipeline import PipelineSource, PipelineState


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the process: whether it works, and what there is to say about it."""

    name: str
    is_ready: bool
    detail: str


class ReadinessSource(Protocol):
    """Asks every part whether it works."""

    def components(self, state: PipelineState) -> Awaitable[Sequence[Component]]:
        """`state` is of this moment. Bounded in time; raises nothing."""


class ComponentAnswer(BaseModel):
    """One part of the process."""

    ready: bool
    detail: str


class SpoolLag(BaseModel):
    """What is acknowledged and not yet in the store."""

    requests: int
    bytes: int
    seconds: float = Field(description="Age of the oldest of them.")


class Readiness(BaseModel):
    """Whether the process can do its work, and if not, why."""

    ready: bool
    reasons: list[str] = Field(description="A sentence for every part that does not work; empty when ready.")
    last_insert_age_s: float | None = Field(description="Seconds since something was stored; null for never.")
    spool_lag: SpoolLag
    components: dict[str, ComponentAnswer]


def health_router(
    readiness: ReadinessSource, pipeline: PipelineSource, registries: Sequence[CollectorRegistry]
) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics` of the given registries."""
    router = APIRouter(tags=["operation"])

    @router.get(
        "/healthz",
        operation_id="getHealth",
        summary="Whether the process lives",
        response_class=PlainTextResponse,
    )
    async def healthz() -> str:
        return "ok\n"

    @router.get(
        "/readyz",
        operation_id="getReadiness",
        summary="Whether the process can do its work",
        responses={HTTPStatus.SERVICE_UNAVAILABLE: {"model": Readiness}},
    )
    async def readyz(response: Response) -> Readiness:
        state = await run_in_threadpool(pipeline.read)
        components = await readiness.components(state)
        reasons = [f"{one.name}: {one.detail}" for one in components if not one.is_ready]
        if reasons:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(
            ready=not reasons,
            reasons=reasons,
            last_insert_age_s=state.last_insert_age_s,
            spool_lag=SpoolLag(
                requests=state.requests_waiting, bytes=state.waiting_bytes, seconds=state.lag_s
            ),
            components={
                one.name: ComponentAnswer(ready=one.is_ready, detail=one.detail) for one in components
            },
        )

    @router.get(
        "/metrics", operation_id="getMetrics", summary="What Lowtide counts about itself, for Prometheus"
    )
    def metrics() -> Response:
        return Response(_exposition(registries), media_type=CONTENT_TYPE_LATEST)

    return router


def _exposition(registries: Sequence[CollectorRegistry]) -> bytes:
    write: Callable[[CollectorRegistry], bytes] = generate_latest
    return b"".join(write(registry) for registry in registries)
