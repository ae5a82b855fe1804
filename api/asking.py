"""What the answers of the API have in common: whose telemetry is asked about, which window, and how an answer
comes about. `api.answers`, `api.mesh`, `api.bills` and `api.page` are made with it.

The trap: an answer reads a week of samples and takes seconds on a large estate, so each takes its turn at the
desk, opens a session for itself, and is written down in the same thread.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Protocol

from fastapi import Query
from pydantic import BaseModel
from starlette.responses import Response

from analytics.queries import Session
from api.access import Caller
from api.desk import Desk
from api.problems import ApiError

TenantParameter = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="Whose costs. Only who sees all tenants may name one; everybody else gets their own.",
    ),
]
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


def clock() -> datetime:
    """The time."""
    return datetime.now(UTC)


def tenant_of(caller: Caller, named: str | None) -> str:
    """Whose telemetry is meant. Raises ApiError."""
    if named is None:
        return caller.tenant
    if not caller.sees_all:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "tenant-forbidden",
            "Only one tenant is yours",
            "Answers are about the tenant of the token; leave the parameter tenant out.",
        )
    return named


class Asking:
    """Answers of a store as JSON, each in its turn."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store = store
        self._desk = desk

    async def __call__(self, key: tuple[str, ...], answer: Callable[[Session], BaseModel]) -> Response:
        """What `answer` says; `key` is everything it depends on. Raises StoreError, or ApiError for too many
        questions."""

        def work() -> str:
            with self._store.session() as session:
                return answer(session).model_dump_json()

        return Response(await self._desk.ask(key, work), media_type="application/json")
