"""The demo's telemetry: whether it is there, and its removal. `GET` and `DELETE /api/v1/demo`, for
`lowtide demo`.

The trap: what still waits in the spool would come after a removal, so a demo that this server plays itself is
ended first, and what was accepted is stored. A demo that somebody else plays cannot be stopped from here; the
answer says if it went on.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from http import HTTPStatus
from typing import Protocol

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.problems import ApiError
from ingest.store.engine import Session
from ingest.store.removal import Step, has_demo, remove_demo

log = structlog.get_logger(__name__)


class Store(Protocol):
    """Opens sessions."""

    def session(self) -> Session:
        """A session of one's own."""


class Play(Protocol):
    """What the server knows of the demo beside the store. All methods block."""

    def end(self) -> None:
        """End the demo this server plays itself, if it does."""

    def settle(self) -> bool:
        """Return once everything accepted by now is stored; False if that does not come about."""

    def keep(self) -> None:
        """Have the store be as it is now also after a kill."""


class Progress(BaseModel):
    """Where a removal is."""

    table: str = Field(description="The table being cleared; empty while accepted telemetry is still stored.")
    number: int = Field(description="Which of the tables it is, from 1; 0 before the first.")
    tables: int = Field(description="How many tables there are; 0 before the first.")
    round: int = Field(description="1 for the first pass over them; the last pass finds nothing any more.")
    rows: int = Field(description="Rows removed so far.")


class DemoState(BaseModel):
    """What there is of the demo."""

    stored: bool = Field(description="Whether telemetry of the demo is in the store.")
    removal: Progress | None = Field(description="The removal that runs now, if one does.")


class Removed(BaseModel):
    """What was removed."""

    rows: dict[str, int] = Field(description="Rows by table; rollups hold several records in a row.")
    finished: bool = Field(
        description="False if the demo was still being sent, so that some of it is there again."
    )


_WAITING = Progress(table="", number=0, tables=0, round=0, rows=0)


class _Removal:
    """The removal, of which there is one at a time."""

    def __init__(self, store: Store, play: Play) -> None:
        self._store = store
        self._play = play
        self._running = threading.Lock()
        self.progress: Progress | None = None

    def run(self) -> Removed:
        if not self._running.acquire(blocking=False):
            raise ApiError(
                HTTPStatus.CONFLICT,
                "removal-runs",
                "The demo is being removed",
                "Another request is removing it already. Wait for that one.",
            )
        try:
            self.progress = _WAITING
            self._play.end()
            with self._store.session() as session:
                removal = remove_demo(session, settle=self._settle, tell=self._tell)
            self._play.keep()
        finally:
            self.progress = None
            self._running.release()
        log.info(
            "The demo's telemetry was removed", rows=sum(removal.rows.values()), finished=removal.finished
        )
        return Removed(rows=dict(removal.rows), finished=removal.finished)

    def _tell(self, step: Step) -> None:
        self.progress = Progress(**asdict(step))

    def _settle(self) -> None:
        if not self._play.settle():
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "still-storing",
                "Accepted telemetry is not stored yet",
                "The demo's rows would come after the removal. See /readyz, and try again later.",
            )


def demo_router(store: Store, play: Play) -> APIRouter:
    """`GET` and `DELETE /api/v1/demo`."""
    router = APIRouter(prefix="/api/v1", tags=["operation"])
    removal = _Removal(store, play)

    @router.get("/demo", operation_id="getDemo", summary="Whether the demo is stored or being removed")
    def state() -> DemoState:
        with store.session() as session:
            return DemoState(stored=has_demo(session), removal=removal.progress)

    @router.delete(
        "/demo", operation_id="removeDemo", summary="Remove the demo's telemetry, and nothing else"
    )
    def remove() -> Removed:
        return removal.run()

    return router
