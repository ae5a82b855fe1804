"""The read-only SQL endpoint, `/sql`, in ClickHouse's HTTP protocol. `api.app` mounts it.

clickhouse-connect reaches it with `proxy_path="/sql"`; others by adding `/sql` to the address. User names
and settings that clients send are ignored, since what a statement may do here does not depend on them;
whose rows it sees is `api.access`'s to say. The trap: one statement is one thread and one handle, so a
request that finds all of them taken and the queue full is answered with 429 before it takes either.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio
import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from api.access import Caller, CallerParameter
from api.settings import SqlSettings
from api.sql.encodings import choose_encoding, compressed, decompressed
from api.sql.errors import SqlBusyError, SqlError, SqlRefusedError, SqlRequestError
from api.sql.formats import CONTENT_TYPES
from api.sql.native import in_revision
from api.sql.request import SqlRequest, read_request
from api.sql.service import SqlAnswer, SqlService
from api.sql.statuses import http_status
from api.sql.telemetry import STATEMENTS
from ingest.store.engine import Engine

_OK: Final = "Ok.\n"
_FEWEST_COMPRESSED_BYTES: Final = 1024
"""Below this, compression costs more than it saves."""
_FORM_ROOM_BYTES: Final = 64 * 1024
"""What a form's own lines may add to the statement and its parameters."""


def sql_router(engine: Engine, settings: SqlSettings) -> APIRouter:
    """`/sql`, `/sql/ping` and `/ping` on this store. Its handles are closed when the application ends."""
    service = SqlService(engine, settings)
    # One thread for each statement at work or waiting, apart from the threads of the other pages.
    threads = anyio.CapacityLimiter(settings.workers + settings.queue)

    @asynccontextmanager
    async def closing(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    router = APIRouter(lifespan=closing, tags=["sql"])

    async def answer(request: Request, caller: CallerParameter) -> Response:
        query_id = str(uuid.uuid4())
        if request.method in ("GET", "HEAD") and "query" not in request.query_params:
            return PlainTextResponse(_OK)  # how some clients see whether anyone is there
        try:
            if not settings.enabled:
                raise SqlRefusedError("SQL from outside is switched off (setting api.sql.enabled)")
            body = await _body(request, settings.max_statement_bytes + _FORM_ROOM_BYTES)
            asked = read_request(request.query_params, request.headers, body, database=service.database)
            query_id = asked.query_id or query_id
            if threads.available_tokens < 1:
                STATEMENTS.labels("busy").inc()
                raise SqlBusyError("All handles for SQL are taken and the queue is full")
            found = await anyio.to_thread.run_sync(_ask, service, asked, caller, limiter=threads)
        except SqlError as error:
            return _failure(error, query_id)
        return _success(found, asked, query_id, request.headers.get("accept-encoding", ""))

    async def ping() -> PlainTextResponse:
        return PlainTextResponse(_OK)

    for path in ("/sql", "/sql/"):
        router.add_api_route(
            path, answer, methods=["GET", "HEAD", "POST"], response_class=Response, include_in_schema=False
        )
    for path in ("/sql/ping", "/ping"):
        router.add_api_route(path, ping, methods=["GET", "HEAD"], include_in_schema=False)
    return router


def _ask(service: SqlService, asked: SqlRequest, caller: Caller) -> SqlAnswer:
    found = service.answer(
        asked.statement,
        asked.params,
        default_format=asked.format,
        tenant=None if caller.sees_all else caller.tenant,
    )
    if found.format != "Native":
        return found
    return replace(found, body=in_revision(found.body, asked.protocol))


async def _body(request: Request, limit: int) -> bytes:
    """The body, decompressed and bounded. Raises SqlRequestError."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    whole = decompressed(b"".join(pieces), request.headers.get("content-encoding", "").strip().lower(), limit)
    if len(whole) > limit:
        raise _too_large(limit)
    return whole


def _too_large(limit: int) -> SqlRequestError:
    return SqlRequestError(f"The body has more than the {limit} bytes allowed", 412, "QUERY_IS_TOO_LARGE")


def _success(found: SqlAnswer, asked: SqlRequest, query_id: str, accept: str) -> Response:
    headers = _headers(query_id) | {
        "X-ClickHouse-Format": found.format,
        "X-ClickHouse-Timezone": found.time_zone,
        "X-ClickHouse-Summary": json.dumps(
            {"result_bytes": str(len(found.body)), "elapsed_ns": str(found.elapsed_ns)}
        ),
        "Vary": "Accept-Encoding",
    }
    if asked.ignored:
        headers["X-Lowtide-Ignored-Settings"] = ", ".join(asked.ignored)[:1024]
    media_type = CONTENT_TYPES[found.format]
    encoding = choose_encoding(accept) if asked.compression_allowed else None
    if encoding is None or len(found.body) < _FEWEST_COMPRESSED_BYTES:
        return Response(found.body, media_type=media_type, headers=headers)
    headers["Content-Encoding"] = encoding
    return StreamingResponse(compressed(found.body, encoding), media_type=media_type, headers=headers)


def _failure(error: SqlError, query_id: str) -> Response:
    headers = _headers(query_id) | {"X-ClickHouse-Exception-Code": str(error.code)}
    if isinstance(error, SqlBusyError):
        headers["Retry-After"] = str(error.retry_after_s)
    return PlainTextResponse(error.body(), status_code=http_status(error.code), headers=headers)


def _headers(query_id: str) -> dict[str, str]:
    return {
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Server-Display-Name": "lowtide",
        "Cache-Control": "no-store",
    }
