"""The answers as an API: `/api/v1/cost`, `/api/v1/idle`, `/api/v1/recommendations`, `/api/v1/owners`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from analytics.answers import (
    Basis,
    cost_answer,
    idle_answer,
    owners_answer,
    owners_explained,
    recommend_answer,
)
from analytics.documents import CostAnswer, IdleAnswer, RecommendAnswer
from analytics.filters.grammar import MOST_CHARACTERS
from analytics.grouping import MOST_OVERHEAD, OVERHEAD_PLACES, By, CostTerms, Split, Treatment
from analytics.ownership.documents import OwnersAnswer, OwnersExplained
from analytics.window import DEFAULT_WINDOW
from api.access import CallerParameter
from api.asking import Asking, Store, TenantParameter, WindowParameter, clock, tenant_of
from api.desk import Desk

_FILTER = 'A filter: namespace:"shop","pay" + team!:"web". Fields are those of docs/cost.md.'


def _terms(
    filter: Annotated[str, Query(max_length=MOST_CHARACTERS, description=_FILTER)] = "",  # noqa: A002 - its name
    shared: Annotated[
        str, Query(max_length=MOST_CHARACTERS, description="Whose costs all others bear: a filter.")
    ] = "",
    split: Annotated[Split, Query(description="How shared costs are divided.")] = Split.WEIGHTED,
    idle: Annotated[
        Treatment, Query(description="Idle capacity: a line of its own, or a part of everybody's.")
    ] = Treatment.SEPARATE,
    system: Annotated[
        Treatment, Query(description="The same of what nodes keep for themselves.")
    ] = Treatment.SEPARATE,
    overhead: Annotated[
        Decimal,
        Query(
            ge=0, le=MOST_OVERHEAD, max_digits=18, decimal_places=OVERHEAD_PLACES,
            description="An amount an hour, in the answer's currency, that is shared as well.",
        ),
    ] = Decimal(0),
) -> CostTerms:  # fmt: skip
    """On what terms costs are told."""
    return CostTerms(filter, shared, split, idle, system, overhead)


TermsParameters = Annotated[CostTerms, Depends(_terms)]


def answers_router(store: Store, basis: Basis, desk: Desk, now: Callable[[], datetime] = clock) -> APIRouter:
    """The answers. A wrong window is WindowError, what the store says StoreError, too many questions
    ApiError; the app turns them into words.
    """
    router = APIRouter(prefix="/api/v1", tags=["answers"])
    answered = Asking(store, desk)

    @router.get("/cost", operation_id="getCost", summary="What everything costs", response_model=CostAnswer)
    async def cost(
        caller: CallerParameter,
        terms: TermsParameters,
        by: By = By.APPLICATION,
        window: WindowParameter = DEFAULT_WINDOW,
        tenant: TenantParameter = None,
    ) -> Response:
        """What everything cost: by team, application, environment, cost centre, service, workload, namespace
        or cluster; of whom, and with idle capacity and shared costs shared out or not."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("cost", whose, by, window, *(value or "" for value in terms.told().values())),
            lambda session: cost_answer(
                session, basis, by=by, window=window, now=now(), tenant=whose, terms=terms
            ),
        )

    @router.get("/idle", operation_id="getIdle", summary="What sits idle", response_model=IdleAnswer)
    async def idle(
        caller: CallerParameter, window: WindowParameter = DEFAULT_WINDOW, tenant: TenantParameter = None
    ) -> Response:
        """Silent and long-tail workloads, with their witnesses."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("idle", whose, window),
            lambda session: idle_answer(session, basis, window=window, now=now(), tenant=whose),
        )

    @router.get(
        "/recommendations",
        operation_id="getRecommendations",
        summary="What could sleep",
        response_model=RecommendAnswer,
    )
    async def recommendations(
        caller: CallerParameter, window: WindowParameter = DEFAULT_WINDOW, tenant: TenantParameter = None
    ) -> Response:
        """What could sleep, the largest saving first. Candidates, not proven."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("recommendations", whose, window),
            lambda session: recommend_answer(session, basis, window=window, now=now(), tenant=whose),
        )

    @router.get("/owners", operation_id="getOwners", summary="Who owns what", response_model=OwnersAnswer)
    async def owners(
        caller: CallerParameter, window: WindowParameter = DEFAULT_WINDOW, tenant: TenantParameter = None
    ) -> Response:
        """Every workload with its team, application, environment and cost centre, and who says so."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("owners", whose, window),
            lambda session: owners_answer(session, basis, window=window, now=now(), tenant=whose),
        )

    @router.get(
        "/owners/explanation",
        operation_id="getOwnersExplanation",
        summary="Why a service is whose it is",
        response_model=OwnersExplained,
    )
    async def owners_explanation(
        caller: CallerParameter,
        service: Annotated[
            str, Query(min_length=1, max_length=500, description="Its service.name, or the workload's name.")
        ],
        window: WindowParameter = DEFAULT_WINDOW,
        tenant: TenantParameter = None,
    ) -> Response:
        """The workloads of a name, with every rule of the ownership file that was tried on them."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("owners-explanation", whose, window, service),
            lambda session: owners_explained(
                session, basis, service=service, window=window, now=now(), tenant=whose
            ),
        )

    return router
