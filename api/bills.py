"""Bills: `POST /api/v1/bills` takes one, `GET` lists what counts, `.../reconciliation` compares.

The body is the file itself. It goes to the disk as it comes, never into memory as a whole, and is looked at
once all of it is there. The trap: whoever hangs up halfway has imported nothing, and a file that is wrong is
refused as a whole, with every problem by line and column.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Protocol

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from analytics.answers import Basis, bills_answer, reconcile_answer
from analytics.bill_documents import BillsAnswer, ReconciliationAnswer
from analytics.window import DEFAULT_WINDOW
from api.access import CallerParameter
from api.asking import Asking, Store, TenantParameter, WindowParameter, clock, tenant_of
from api.desk import Desk
from api.imports import import_runs, incomplete, refused
from ingest.bills.errors import BillError, BillTooLargeError
from ingest.bills.report import BillReport

_PIECE_BYTES: Final = 1024 * 1024


class ImportRunsError(Exception):
    """Another bill is being imported."""


class Bills(Protocol):
    """Takes bills in."""

    def take(self, path: Path, name: str, *, tenant: str, add: bool) -> BillReport:
        """Import a file. Blocks. Raises BillError, ImportRunsError, StoreError, OSError."""


def bills_router(
    bills: Bills, store: Store, basis: Basis, desk: Desk, now: Callable[[], datetime] = clock
) -> APIRouter:
    """`POST` and `GET /api/v1/bills`, and `GET /api/v1/bills/reconciliation`."""
    router = APIRouter(prefix="/api/v1", tags=["bills"])
    answered = Asking(store, desk)

    @router.post(
        "/bills",
        operation_id="importBill",
        summary="Import a bill: FOCUS as CSV, CSV in gzip, or Parquet",
        openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}, "required": True}},
    )
    async def take(
        request: Request,
        caller: CallerParameter,
        name: Annotated[
            str,
            Query(
                pattern=r"^[^/\\\x00-\x1f\x7f]{1,255}$", description="What the file is called, for messages."
            ),
        ] = "bill",
        add: Annotated[
            bool, Query(description="Beside what is there of its slices, instead of in its place.")
        ] = False,
        tenant: TenantParameter = None,
    ) -> BillReport:
        whose = tenant_of(caller, tenant)
        return await _taken(bills, request.stream(), name, whose, add=add)

    @router.get("/bills", operation_id="listBills", summary="The bills there are", response_model=BillsAnswer)
    async def listed(caller: CallerParameter, tenant: TenantParameter = None) -> Response:
        """What counts, by billing account, billing period and currency."""
        whose = tenant_of(caller, tenant)
        return await answered(("bills", whose), lambda session: bills_answer(session, tenant=whose))

    @router.get(
        "/bills/reconciliation",
        operation_id="getReconciliation",
        summary="The bill beside what was computed",
        response_model=ReconciliationAnswer,
    )
    async def reconciliation(
        caller: CallerParameter, window: WindowParameter = DEFAULT_WINDOW, tenant: TenantParameter = None
    ) -> Response:
        """What both know, what only one side knows, and discounts by instance type."""
        whose = tenant_of(caller, tenant)
        return await answered(
            ("reconciliation", whose, window),
            lambda session: reconcile_answer(session, basis, window=window, now=now(), tenant=whose),
        )

    return router


async def _taken(
    bills: Bills, pieces: AsyncIterator[bytes], name: str, tenant: str, *, add: bool
) -> BillReport:
    number, place = tempfile.mkstemp(prefix="bill-")
    path = Path(place)
    try:
        await _written(number, pieces)
        return await asyncio.to_thread(bills.take, path, name, tenant=tenant, add=add)
    except BillError as error:
        too_large = isinstance(error, BillTooLargeError)
        raise refused("bill", error.problems, is_too_large=too_large) from error
    except ImportRunsError as error:
        raise import_runs("bill") from error
    except ClientDisconnect as error:
        raise incomplete() from error
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _written(number: int, pieces: AsyncIterator[bytes]) -> None:
    """Write the body to the file, some at a time, on a thread: a disk may be slow."""
    with os.fdopen(number, "wb") as file:
        waiting = bytearray()
        async for piece in pieces:
            waiting += piece
            if len(waiting) >= _PIECE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))
