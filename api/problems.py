"""Every error of the API as problem details (RFC 9457). `api.app` installs the handlers; routers raise
`ApiError`.

ApiError        a request that cannot be answered: status, a short title, and a sentence of what to do

The trap: an unexpected error tells the caller nothing but that it happened; the log has the rest, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from http.client import responses
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from analytics.errors import AnalyticsError, FilterError, WindowError
from ingest.store.errors import StoreError, StoreUnavailableError

MEDIA_TYPE = "application/problem+json"
_TYPES = "urn:lowtide:problem:"
_RETRY_AFTER_S = 5
_OTLP_PATHS = frozenset({"/v1/traces", "/v1/metrics", "/v1/logs"})


class ApiError(Exception):
    """A request that cannot be answered. `kind` is a stable name for programs, `members` are further
    facts."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.members = dict(members or {})
        self.headers = dict(headers or {})


def problem(error: ApiError) -> Response:
    """The answer to a request that failed."""
    document = {
        "type": _TYPES + error.kind,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        **error.members,
    }
    return Response(orjson.dumps(document), error.status, dict(error.headers), media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of the application problem details."""
    app.add_exception_handler(ApiError, _own)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _of_the_framework)
    app.add_exception_handler(StoreError, _of_the_store)
    app.add_exception_handler(AnalyticsError, _of_analytics)
    app.add_exception_handler(Exception, _unexpected)


async def _own(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this class only
    return problem(error)


async def _invalid(_: Request, error: Exception) -> Response:
    """What pydantic found, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    found = [
        {"where": ".".join(str(part) for part in one["loc"]), "message": str(one["msg"])}
        for one in error.errors()
    ]
    said = "; ".join(f"{one['where']}: {one['message']}" for one in found)
    return problem(
        ApiError(
            HTTPStatus.BAD_REQUEST, "bad-request", "The request is not valid", said, members={"errors": found}
        )
    )


async def _of_the_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    status = error.status_code
    phrase = responses.get(status, "Error")
    detail = str(error.detail)
    if status == HTTPStatus.NOT_FOUND and detail == phrase:
        detail = f"There is nothing at {request.url.path}."
        if request.url.path in _OTLP_PATHS:
            detail += " OTLP has a port of its own (4318 for HTTP, 4317 for gRPC unless set otherwise)."
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not possible at {request.url.path}."
    kind = phrase.lower().replace(" ", "-")
    return problem(ApiError(status, kind, phrase, detail, headers=error.headers))


async def _of_the_store(_: Request, error: Exception) -> Response:
    assert isinstance(error, StoreError)  # noqa: S101 - registered for this class only
    return problem(of_store(error))


def of_store(error: StoreError) -> ApiError:
    """An error of the store as an answer: retryable or not is what the caller needs to know."""
    if isinstance(error, StoreUnavailableError):
        return ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "store-unavailable",
            "The store does not answer",
            f"{error} Telemetry is still accepted and kept in the spool; ask again later.",
            headers={"Retry-After": str(_RETRY_AFTER_S)},
        )
    return ApiError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "store-refused",
        "The store refused a query of Lowtide's",
        f"{error} This is a fault in Lowtide; please report it.",
    )


async def _of_analytics(_: Request, error: Exception) -> Response:
    assert isinstance(error, AnalyticsError)  # noqa: S101 - registered for this class only
    if isinstance(error, WindowError):
        return problem(ApiError(HTTPStatus.BAD_REQUEST, "bad-window", "The window is not valid", str(error)))
    if isinstance(error, FilterError):
        return problem(ApiError(HTTPStatus.BAD_REQUEST, "bad-filter", "The filter is not valid", str(error)))
    return problem(
        ApiError(
            HTTPStatus.INTERNAL_SERVER_ERROR, "no-answer", "There is no answer to this question", str(error)
        )
    )


async def _unexpected(_: Request, __: Exception) -> Response:
    """The server logs the error itself after this answer was sent."""
    return problem(
        ApiError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal",
            "Lowtide failed on this request",
            "The server's log says why. Please report it.",
        )
    )
