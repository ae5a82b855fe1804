"""Takes the demo's telemetry out of the store: `DELETE /api/v1/demo`. `lowtide demo --remove` calls it.

The trap: it removes what is stored now. What still waits in the spool, or is sent meanwhile, comes after
it; stop the demo first.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import Protocol

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.problems import ApiError
from ingest.store.engine import Session
from ingest.store.removal import remove_demo

log = structlog.get_logger(__name__)


class Store(Protocol):
    """Opens sessions."""

    def session(self) -> Session:
        """A session of one's own."""


class Removed(BaseModel):
    """What was removed."""

    rows: dict[str, int] = Field(description="Rows by table; rollups hold several records in a row.")


def demo_router(store: Store) -> APIRouter:
    """`DELETE /api/v1/demo`."""
    router = APIRouter(prefix="/api/v1", tags=["operation"])
    removing = threading.Lock()

    @router.delete(
        "/demo", operation_id="removeDemo", summary="Remove the demo's telemetry, and nothing else"
    )
    def remove() -> Removed:
        if not removing.acquire(blocking=False):
            raise ApiError(
                HTTPStatus.CONFLICT,
                "removal-runs",
                "The demo is being removed",
                "Another request is removing it already. Wait for that one.",
            )
        try:
            with store.session() as session:
                rows = remove_demo(session)
        finally:
            removing.release()
        log.info("The demo's telemetry was removed", rows=sum(rows.values()))
        return Removed(rows=rows)

    return router
