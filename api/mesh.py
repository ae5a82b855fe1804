"""Answers about meshes and who takes part in them over HTTP: `/api/v1/mesh/...`, `/api/v1/services/access`.

The trap: as in `api.answers`, an answer takes its turn at the desk and opens a session for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import Response

from analytics.access import service_access_answer
from analytics.access_documents import ServiceAccessAnswer
from analytics.answers import Basis
from analytics.documents import Telling
from analytics.mesh import mesh_edges_answer, mesh_overhead_answer
from analytics.mesh_documents import MeshEdgesAnswer, MeshOverheadAnswer
from analytics.queries import Session
from analytics.window import DAY_WINDOW
from api.access import CallerParameter
from api.answers import Store, TenantParameter, WindowParameter, tenant_of
from api.desk import Desk


def _clock() -> datetime:
    return datetime.now(UTC)


def mesh_router(store: Store, basis: Basis, desk: Desk, now: Callable[[], datetime] = _clock) -> APIRouter:
    """Who calls whom, what proxies add, how services take part. Raises as `answers_router` does."""
    router = APIRouter(prefix="/api/v1", tags=["mesh"])
    zone = basis.zone

    async def answered(key: tuple[str, ...], answer: Callable[[Session], Telling]) -> Response:
        def work() -> str:
            with store.session() as session:
                return answer(session).model_dump_json()

        return Response(await desk.ask(key, work), media_type="application/json")

    @router.get(
        "/mesh/edges",
        operation_id="getMeshEdges",
        summary="Who calls whom",
        response_model=MeshEdgesAnswer,
    )
    async def mesh_edges(
        caller: CallerParameter, window: WindowParameter = DAY_WINDOW, tenant: TenantParameter = None
    ) -> Response:
        """Who called whom, as the proxies of a mesh counted it; every call once."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("mesh-edges", whose, window),
            lambda session: mesh_edges_answer(session, zone, window=window, now=now(), tenant=whose),
        )

    @router.get(
        "/mesh/overhead",
        operation_id="getMeshOverhead",
        summary="What proxies add",
        response_model=MeshOverheadAnswer,
    )
    async def mesh_overhead(
        caller: CallerParameter, window: WindowParameter = DAY_WINDOW, tenant: TenantParameter = None
    ) -> Response:
        """What proxies added to requests, measured in their access logs, by workload."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("mesh-overhead", whose, window),
            lambda session: mesh_overhead_answer(session, zone, window=window, now=now(), tenant=whose),
        )

    @router.get(
        "/services/access",
        operation_id="getServicesAccess",
        summary="How services take part",
        response_model=ServiceAccessAnswer,
    )
    async def services_access(
        caller: CallerParameter, window: WindowParameter = DAY_WINDOW, tenant: TenantParameter = None
    ) -> Response:
        """By which SDK, framework, agent or sidecar each service takes part, and what it is made with."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("services-access", whose, window),
            lambda session: service_access_answer(
                session, basis.settings, zone, window=window, now=now(), tenant=whose
            ),
        )

    return router
