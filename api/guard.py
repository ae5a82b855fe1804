"""What every request passes before it reaches a router: plain ASGI layers that `api.app` puts around the
application.

`HostGuard` answers only to names of this machine while the API listens on loopback, so that a web page
elsewhere cannot reach it through a name of its own (DNS rebinding), and lets no foreign page change anything.
`BodyLimit` counts bodies as they arrive. `HeadAsGet` answers HEAD wherever GET is answered. `SecurityHeaders`
tells browsers to run and load nothing that is not ours.

`known_parameters` is a dependency for routers whose parameters are all declared. The trap: the bodies of
streaming answers pass here piece by piece; nothing may be buffered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ApiError, problem

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    # No scripts at all, styles and images of our own only, and nobody may put our pages into a frame.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def host_of(header: str) -> str:
    """The host of a Host header without its port and brackets, lower case; empty if there is none."""
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_this_machine(host: str) -> bool:
    """Whether a host name can only mean this machine: localhost, or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class HostGuard:
    """Refuses requests that a foreign web page made. `loopback_only`: the API listens on loopback."""

    def __init__(self, app: ASGIApp, *, loopback_only: bool) -> None:
        self._app = app
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            refusal = self._refusal(scope["method"], Headers(scope=scope))
            if refusal is not None:
                await problem(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> ApiError | None:
        host = headers.get("host", "")
        if self._loopback_only and not is_this_machine(host_of(host)):
            return ApiError(
                HTTPStatus.FORBIDDEN,
                "foreign-host",
                "Not a name of this machine",
                "This API listens on loopback and answers to localhost and loopback addresses only. Use one "
                "of them.",
            )
        origin = headers.get("origin")
        if method not in _SAFE_METHODS and origin is not None and urlsplit(origin).netloc != host:
            return ApiError(
                HTTPStatus.FORBIDDEN,
                "foreign-origin",
                "Asked for by another site",
                "Pages of other sites may not change anything here.",
            )
        return None


class BodyLimit:
    """Refuses bodies above `limit_bytes`, whatever their stated length. `larger` are paths that may take
    more, with their limits and the settings that say so.
    """

    def __init__(
        self, app: ASGIApp, *, limit_bytes: int, larger: Mapping[str, tuple[int, str]] | None = None
    ) -> None:
        self._app = app
        self._usual = (limit_bytes, "api.max_body_bytes")
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes, setting = self._larger.get(scope["path"], self._usual)
        stated = Headers(scope=scope).get("content-length", "0")
        if stated.isascii() and stated.isdigit() and int(stated) > limit_bytes:
            await problem(self._too_large(limit_bytes, setting))(scope, receive, send)
            return
        taken = 0
        begun = False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit_bytes:
                raise self._too_large(limit_bytes, setting)
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except ApiError as error:
            if begun:
                raise
            await problem(error)(scope, receive, send)

    @staticmethod
    def _too_large(limit_bytes: int, setting: str) -> ApiError:
        return ApiError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too-large",
            "The request is too large",
            f"A request may have at most {limit_bytes} bytes (setting {setting}).",
            headers={"Connection": "close"},
        )


class HeadAsGet:
    """Answers HEAD wherever GET is answered, without the body; a route of its own for HEAD goes first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or _is_answered(scope):
            await self._app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        if not _is_answered(as_get):
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(as_get, receive, without_body)


def _is_answered(scope: Scope) -> bool:
    """Whether there is a route for the scope's path and method."""
    return any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes)


class SecurityHeaders:
    """Adds to every answer what keeps a browser from being used against its owner."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


async def known_parameters(request: Request) -> None:
    """Refuse query parameters the route does not know, and those given twice: a misspelt one must not be
    ignored, nor one of two.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    declared = get_flat_params(route.dependant)
    known = {field.alias for field in declared if isinstance(field.field_info, params.Query)}
    given = Counter(name for name, _ in request.query_params.multi_items())
    repeated = sorted(name for name, times in given.items() if times > 1 and name in known)
    if repeated:
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "repeated-parameter",
            "A parameter is given twice",
            f"{', '.join(repeated)} may be given once.",
            members={"repeated": repeated},
        )
    unknown = sorted(given.keys() - known)
    if unknown:
        taken = ", ".join(sorted(known)) or "none"
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "unknown-parameter",
            "There is no such parameter",
            f"{', '.join(name[:40] for name in unknown[:5])} is not known here; known are: {taken}.",
            members={"unknown": unknown[:20]},
        )
