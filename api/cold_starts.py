"""The answer about cold starts over HTTP: `/api/v1/cold-starts`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from analytics.answers import Basis
from analytics.cold_start_documents import ColdStartsAnswer
from analytics.cold_starts import cold_starts_answer
from analytics.window import DAY_WINDOW
from api.access import CallerParameter
from api.asking import Asking, Store, TenantParameter, WindowParameter, clock, tenant_of
from api.desk import Desk


def cold_starts_router(
    store: Store, basis: Basis, desk: Desk, now: Callable[[], datetime] = clock
) -> APIRouter:
    """How often instances started, and how long that took. Raises as `answers_router` does."""
    router = APIRouter(prefix="/api/v1", tags=["answers"])
    answered = Asking(store, desk)

    @router.get(
        "/cold-starts",
        operation_id="getColdStarts",
        summary="How often instances start, and how long that takes",
        response_model=ColdStartsAnswer,
    )
    async def cold_starts(
        caller: CallerParameter, window: WindowParameter = DAY_WINDOW, tenant: TenantParameter = None
    ) -> Response:
        """Cold starts of functions and starts of pods by workload, with the steps that are known."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("cold-starts", whose, window),
            lambda session: cold_starts_answer(session, basis.zone, window=window, now=now(), tenant=whose),
        )

    return router
