"""Who asks, and may they: decided for every request before it reaches a router or its body is read.
`api.app` puts `Access` around the application; `lowtide.serve.doors` has the keeper who knows tokens.

`/healthz` is open to everybody. `/sql` and the pings of its clients need the scope `query`, whatever
changes something `admin`, all else `read`. While the API listens on loopback only, `/readyz` and `/metrics`
are open too.

A token is shown as `Authorization: Bearer`, or as the password of HTTP Basic, for browsers and whatever
else asks for a name and a password; ClickHouse's clients may put it into `X-ClickHouse-Key`. The traps: one
of these, once; two answers to who somebody is are none. And never in the URL, which ends up in histories
and logs. Over TLS a client certificate may say who asks instead; the listener puts what it proves into the
scope's `state`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Final, Protocol

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import ApiError, problem
from api.telemetry import REFUSED

_OPEN: Final = frozenset({"/healthz"})
_OPEN_ON_LOOPBACK: Final = frozenset({"/readyz", "/metrics"})
_SQL: Final = frozenset({"/sql", "/sql/"})
_PINGS: Final = frozenset({"/ping", "/sql/ping"})
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY: Final = "lowtide.caller"
CERTIFICATE: Final = "lowtide.certificate"
"""Under this name the scope's `state` has the client's certificate, whatever the keeper takes for one."""
_CHALLENGE: Final = 'Basic realm="Lowtide", charset="UTF-8", Bearer realm="Lowtide"'
_RETRY_AFTER_S: Final = 5


class Need(StrEnum):
    """What a request takes, by the name of the scope that allows it."""

    READ = "read"
    QUERY = "query"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Answers are about `tenant`; SQL is confined to it unless the caller `sees_all`."""

    tenant: str
    sees_all: bool = False


class UnknownCallerError(Exception):
    """Nothing was shown that proves who asks. What it says, if anything, is told to the caller."""


class NotAllowedError(Exception):
    """The caller is known, and may not do this."""


class UndecidedCallerError(Exception):
    """Who asks cannot be found out now; another try may be answered."""


class Keeper(Protocol):
    """Knows who holds which token, and whose certificates are whose."""

    def admit(self, token: str | None, need: Need, certificate: object | None) -> Caller:
        """Quick: it is called on the event loop. `token` is None only if nothing was shown as one.

        Raises UnknownCallerError, NotAllowedError or UndecidedCallerError.
        """


class OpenKeeper:
    """Lets everybody do everything, as the default tenant: for an API whose every caller owns the data."""

    def admit(self, token: str | None, need: Need, certificate: object | None) -> Caller:  # noqa: ARG002 - the interface's names
        """Let it in."""
        return Caller("default", sees_all=True)


def caller_of(request: Request) -> Caller:
    """Who asks, for routers."""
    caller = request.scope[_KEY]
    assert isinstance(caller, Caller)  # noqa: S101 - put there below, and nowhere else
    return caller


CallerParameter = Annotated[Caller, Depends(caller_of)]


class Access:
    """Lets a request through with its caller in the scope, or answers it."""

    def __init__(self, app: ASGIApp, *, keeper: Keeper, loopback_only: bool) -> None:
        self._app = app
        self._keeper = keeper
        self._open = _OPEN | (_OPEN_ON_LOOPBACK if loopback_only else frozenset())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            if path not in self._open or method not in _READING:
                try:
                    token = token_of(Headers(scope=scope), is_sql=path in _SQL or path in _PINGS)
                    certificate = scope.get("state", {}).get(CERTIFICATE)
                    scope[_KEY] = self._keeper.admit(token, need_of(method, path), certificate)
                except (UnknownCallerError, NotAllowedError, UndecidedCallerError) as error:
                    REFUSED.labels(_REASONS[type(error)]).inc()
                    answer = _sql_refusal(error) if path in _SQL else problem(_refusal(error, method, path))
                    await answer(scope, receive, send)
                    return
        await self._app(scope, receive, send)


def need_of(method: str, path: str) -> Need:
    """The scope that a request takes. What nobody thought of takes the most."""
    if path in _SQL and method in _READING | {"POST"}:
        return Need.QUERY
    if method not in _READING:
        return Need.ADMIN
    return Need.QUERY if path in _PINGS else Need.READ


def token_of(headers: Headers, *, is_sql: bool) -> str | None:
    """What the headers show, None if nothing. Raises UnknownCallerError for what cannot be one token."""
    shown = headers.getlist("authorization")
    keys = headers.getlist("x-clickhouse-key") if is_sql else []
    if len(shown) + len(keys) > 1:
        raise UnknownCallerError
    if keys:
        return keys[0]
    return _credentials(shown[0]) if shown else None


def _credentials(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip(" ")
        case "basic":
            return _password(rest.strip(" "))
        case _:
            raise UnknownCallerError


def _password(encoded: str) -> str:
    """The password of HTTP Basic (RFC 7617); the name before it says nothing."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise UnknownCallerError from error
    return text.partition(":")[2]


_REASONS: Final[Mapping[type[Exception], str]] = {
    UnknownCallerError: "unknown",
    NotAllowedError: "scope",
    UndecidedCallerError: "undecided",
}


def _refusal(error: Exception, method: str, path: str) -> ApiError:
    match error:
        case NotAllowedError():
            return ApiError(
                HTTPStatus.FORBIDDEN,
                "scope-missing",
                "The token does not allow this",
                f"This takes a token, or a certificate, with the scope {need_of(method, path).value} "
                "(`lowtide token create`, setting tls.clients).",
            )
        case UndecidedCallerError():
            return ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "undecided",
                "Tokens cannot be checked now",
                "The server cannot read its tokens; its log says why.",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )
        case _:
            return ApiError(
                HTTPStatus.UNAUTHORIZED,
                "token-missing",
                "A token is needed",
                str(error)
                or "Show one that is valid as `Authorization: Bearer lt_...`, or as the password in HTTP "
                "Basic with any name. `lowtide token create` makes one.",
                headers={"WWW-Authenticate": _CHALLENGE},
            )


def _sql_refusal(error: Exception) -> Response:
    """The same as a ClickHouse server says it: its clients read codes, not problem details."""
    match error:
        case NotAllowedError():
            status, code, name = HTTPStatus.FORBIDDEN, 497, "ACCESS_DENIED"
            text = "This takes a token with the scope query"
        case UndecidedCallerError():
            status, code, name = HTTPStatus.SERVICE_UNAVAILABLE, 209, "SOCKET_TIMEOUT"
            text = "Tokens cannot be checked now; the server's log says why"
        case _:
            status, code, name = HTTPStatus.UNAUTHORIZED, 516, "AUTHENTICATION_FAILED"
            text = str(error) or "A token is needed: as the password, or as Authorization: Bearer"
    headers = {"X-ClickHouse-Exception-Code": str(code)}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _CHALLENGE
    return PlainTextResponse(f"Code: {code}. DB::Exception: {text} ({name})\n", status, headers)
