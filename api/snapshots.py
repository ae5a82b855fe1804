"""Holds the data directory as it is for a moment, for `lowtide backup`: `POST /api/v1/snapshot`.

What is held lies in the data directory; nothing is written anywhere else and no path is taken from the
request. Whoever may change something may ask for it; only those who can read the data directory get anything
of it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, Protocol

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from api.problems import ApiError

_RETRY_AFTER_S: Final = 5


class SnapshotTaken(BaseModel):
    """What is held."""

    taken_at: AwareDatetime = Field(description="Everything acknowledged before is in it.")
    loading_paused_s: float = Field(
        description="For how long no new batch was begun meanwhile. What came in went to the spool."
    )


class SnapshotRefusedError(Exception):
    """Nothing can be held now. `is_held`: because something is held already."""

    def __init__(self, message: str, *, is_held: bool) -> None:
        super().__init__(message)
        self.is_held = is_held


class Snapshots(Protocol):
    """Holds the data directory of this server."""

    def take(self) -> SnapshotTaken:
        """Blocks until it is held. Raises SnapshotRefusedError, StoreError."""


def snapshots_router(snapshots: Snapshots) -> APIRouter:
    """`POST /api/v1/snapshot`."""
    router = APIRouter(prefix="/api/v1", tags=["operation"])

    @router.post(
        "/snapshot",
        operation_id="takeSnapshot",
        summary="Hold the data directory as it is, for `lowtide backup`",
        status_code=HTTPStatus.CREATED,
    )
    def take() -> SnapshotTaken:
        try:
            return snapshots.take()
        except SnapshotRefusedError as error:
            raise _refusal(error) from error

    return router


def _refusal(error: SnapshotRefusedError) -> ApiError:
    if error.is_held:
        return ApiError(HTTPStatus.CONFLICT, "snapshot-held", "A backup is being made", str(error))
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE, "snapshot-refused", "Nothing can be held now", str(error),
        headers={"Retry-After": str(_RETRY_AFTER_S)},
    )  # fmt: skip
