"""The answers as an API: `/api/v1/cost`, `/api/v1/idle`, `/api/v1/recommendations`.

The trap: an answer reads a week of samples and takes seconds on a large estate, so these are plain
functions that the framework runs on threads of its own, and each opens a session for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Query

from analytics.answers import Basis, cost_answer, idle_answer, recommend_answer
from analytics.documents import CostAnswer, IdleAnswer, RecommendAnswer
from analytics.grouping import By
from analytics.queries import Session

DEFAULT_WINDOW = "7d"
TENANT = "default"

WindowParameter = Annotated[
    str,
    Query(
        max_length=100,
        description="7d, 24h, 4w, or START/END as ISO 8601 times with offset. The start is moved back to "
        "a full hour.",
    ),
]


class Store(Protocol):
    """Opens sessions."""

    def session(self) -> AbstractContextManager[Session]:
        """A session of one's own."""


def _clock() -> datetime:
    return datetime.now(UTC)


def answers_router(store: Store, basis: Basis, now: Callable[[], datetime] = _clock) -> APIRouter:
    """The three answers. A wrong window is WindowError, what the store says StoreError; the app turns them
    into words.
    """
    router = APIRouter(prefix="/api/v1", tags=["answers"])

    @router.get("/cost")
    def cost(by: By = By.APPLICATION, window: WindowParameter = DEFAULT_WINDOW) -> CostAnswer:
        """What everything cost, by team, application, service, workload, namespace or cluster."""
        with store.session() as session:
            return cost_answer(session, basis, by=by, window=window, now=now(), tenant=TENANT)

    @router.get("/idle")
    def idle(window: WindowParameter = DEFAULT_WINDOW) -> IdleAnswer:
        """Silent and long-tail workloads, with their witnesses."""
        with store.session() as session:
            return idle_answer(session, basis, window=window, now=now(), tenant=TENANT)

    @router.get("/recommendations")
    def recommendations(window: WindowParameter = DEFAULT_WINDOW) -> RecommendAnswer:
        """What could sleep, the largest saving first. Candidates, not proven."""
        with store.session() as session:
            return recommend_answer(session, basis, window=window, now=now(), tenant=TENANT)

    return router
