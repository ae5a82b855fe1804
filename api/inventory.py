"""Snapshots of clusters: `POST /api/v1/import/kubernetes` takes what `kubectl get -A -o json` writes, `GET
/api/v1/inventory` says what there is.

The body is read while it comes in, and only what is kept of it is held: nothing of it ever goes to the disk
of the server, since there may be Secrets in it. The trap: a refusal is only answered once all of the body has
come, because a client that still sends would not see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Final, Protocol

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from analytics.inventory import inventory_answer
from analytics.inventory_documents import InventoryAnswer
from api.access import CallerParameter
from api.asking import Asking, Store, TenantParameter, clock, tenant_of
from api.desk import Desk
from api.imports import import_runs, incomplete, refused
from ingest.inventory.errors import InventoryError, InventoryTooLargeError
from ingest.inventory.report import InventoryReport
from ingest.inventory.snapshot import Reading, Snapshot

_PIECE_BYTES: Final = 1024 * 1024


class Inventories(Protocol):
    """Takes snapshots in."""

    def take(self, snapshot: Snapshot, *, tenant: str, cluster: str, taken_at: datetime) -> InventoryReport:
        """Import what was read. Blocks. Raises InventoryError, StoreError."""


class _Counter:
    """One snapshot at a time: what is kept of one is in memory."""

    def __init__(self, inventories: Inventories) -> None:
        self._inventories = inventories
        self._is_busy = False

    async def take(
        self, pieces: AsyncIterator[bytes], name: str, *, tenant: str, cluster: str, taken_at: datetime
    ) -> InventoryReport:
        if self._is_busy:
            raise import_runs("snapshot")
        self._is_busy = True
        try:
            snapshot = await _read(pieces, Reading(name))
            return await asyncio.to_thread(
                self._inventories.take, snapshot, tenant=tenant, cluster=cluster, taken_at=taken_at
            )
        except InventoryError as error:
            too_large = isinstance(error, InventoryTooLargeError)
            raise refused("snapshot", error.problems, is_too_large=too_large) from error
        except ClientDisconnect as error:
            raise incomplete() from error
        finally:
            self._is_busy = False


def inventory_router(
    inventories: Inventories, store: Store, desk: Desk, now: Callable[[], datetime] = clock
) -> APIRouter:
    """`POST /api/v1/import/kubernetes` and `GET /api/v1/inventory`."""
    router = APIRouter(prefix="/api/v1", tags=["import"])
    counter = _Counter(inventories)
    answered = Asking(store, desk)

    @router.post(
        "/import/kubernetes",
        operation_id="importKubernetes",
        summary="Import a snapshot of a cluster: what `kubectl get -A -o json` writes, plain or in gzip",
        openapi_extra={"requestBody": {"content": {"application/json": {}}, "required": True}},
    )
    async def take(
        request: Request,
        caller: CallerParameter,
        cluster: Annotated[
            str,
            Query(
                pattern=r"^[^\x00-\x1f\x7f]{0,253}$",
                description="What telemetry calls the cluster (k8s.cluster.name); empty if it says none.",
            ),
        ],
        name: Annotated[
            str,
            Query(
                pattern=r"^[^/\\\x00-\x1f\x7f]{1,255}$", description="What the file is called, for messages."
            ),
        ] = "snapshot",
        taken_at: Annotated[
            AwareDatetime | None, Query(description="When kubectl wrote it, with offset; now if not given.")
        ] = None,
        tenant: TenantParameter = None,
    ) -> InventoryReport:
        whose = tenant_of(caller, tenant)
        when = taken_at or now()
        return await counter.take(request.stream(), name, tenant=whose, cluster=cluster, taken_at=when)

    @router.get(
        "/inventory",
        operation_id="getInventory",
        summary="What was imported of clusters",
        response_model=InventoryAnswer,
    )
    async def inventory(caller: CallerParameter, tenant: TenantParameter = None) -> Response:
        """The snapshot of each cluster that counts: when it was taken, and its objects by kind."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("inventory", whose), lambda session: inventory_answer(session, now=now(), tenant=whose)
        )

    return router


async def _read(pieces: AsyncIterator[bytes], reading: Reading) -> Snapshot:
    """Read all of it, on a thread, some at a time. Raises InventoryError once it has all come."""
    waiting, wrong = bytearray(), list[InventoryError]()

    async def read() -> None:
        if not wrong:
            try:
                await asyncio.to_thread(reading.feed, bytes(waiting))
            except InventoryError as error:
                wrong.append(error)
        waiting.clear()

    async for piece in pieces:
        waiting += piece
        if len(waiting) >= _PIECE_BYTES:
            await read()
    await read()
    if wrong:
        raise wrong[0]
    return await asyncio.to_thread(reading.finish)
