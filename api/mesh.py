"""Answers about meshes and who takes part in them: `/api/v1/mesh/...`, `/api/v1/services/access`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from analytics.access import service_access_answer
from analytics.access_documents import ServiceAccessAnswer
from analytics.answers import Basis
from analytics.mesh import mesh_edges_answer, mesh_overhead_answer
from analytics.mesh_documents import MeshEdgesAnswer, MeshOverheadAnswer
from analytics.window import DAY_WINDOW
from api.access import CallerParameter
from api.asking import Asking, Store, TenantParameter, WindowParameter, clock, tenant_of
from api.desk import Desk


def mesh_router(store: Store, basis: Basis, desk: Desk, now: Callable[[], datetime] = clock) -> APIRouter:
    """Who calls whom, what proxies add, how services take part. Raises as `answers_router` does."""
    router = APIRouter(prefix="/api/v1", tags=["mesh"])
    zone = basis.zone
    answered = Asking(store, desk)

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
