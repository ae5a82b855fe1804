"""Sends HTTP requests exactly as they are given, and says what came back, or why nothing did.

Used by `session`. Bodies are not decoded, redirects not followed, proxies of the environment not used. The
trap: "nothing came back" is an answer too (`HttpReply.problem`); only the session knows whether it is the
receiver's fault.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx2

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_WAITS = 4
_MAX_REPLY_BYTES = 4 * 1024 * 1024  # what OTLP recommends a client to read at most


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request. `path` is below the base address; `kind` is its media type, `encoding` the coding."""

    path: str
    body: bytes = b""
    kind: str | None = PROTOBUF
    encoding: str | None = None
    method: str = "POST"
    accepts: str = "identity"
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A reply; with `problem` set there was none, and everything else is empty.

    `unconnected` says that not even a connection was made. `port` is our end of the connection.
    """

    request: HttpRequest
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    port: int | None = None
    problem: str = ""
    unconnected: bool = False

    @property
    def kind(self) -> str:
        """The media type without parameters, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def form(self) -> str:
        """PROTOBUF or JSON: how the request was written, and so the reply should be."""
        kind = (self.request.kind or "").partition(";")[0].strip().lower()
        return JSON if kind == JSON else PROTOBUF

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        return f"{self.status}, {self.kind or 'no content type'}, {len(self.body)} bytes"


class HttpWire:
    """A client of one receiver. Close it when done."""

    def __init__(
        self, base: str, headers: Mapping[str, str], tls: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        self.base = base.rstrip("/")
        self._headers = dict(headers)
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            timeout=timeout_s,
            verify=tls if tls is not None else True,
            trust_env=False,
            follow_redirects=False,
        )

    async def send(self, request: HttpRequest) -> HttpReply:
        """One request and its reply. Never raises for what the receiver or the network does."""
        try:
            # The client's own limit is for each wait, and it cleans up best; this one is for a reply that
            # comes drop by drop.
            async with asyncio.timeout(self._timeout_s * _WAITS):
                return await self._send(request)
        except (TimeoutError, httpx2.TimeoutException):
            return HttpReply(request, problem=f"no reply within {self._timeout_s:g} s")
        except httpx2.ConnectError as error:
            return HttpReply(request, problem=f"no connection: {error}", unconnected=True)
        except httpx2.TransportError as error:
            said = str(error) or type(error).__name__
            return HttpReply(request, problem=f"the connection broke: {said}")

    async def _send(self, request: HttpRequest) -> HttpReply:
        given = {
            "Accept-Encoding": request.accepts,
            "User-Agent": "lowtide-conformance",
            **self._headers,
            **({"Content-Type": request.kind} if request.kind is not None else {}),
            **({"Content-Encoding": request.encoding} if request.encoding is not None else {}),
        }
        content = _pieces(request.body) if request.chunked else request.body or None
        made = self._client.build_request(
            request.method, self.base + request.path, headers=given, content=content
        )
        response = await self._client.send(made, stream=True)
        try:
            # Before the body is read: a connection that does not outlive the reply is gone then.
            stream = response.extensions.get("network_stream")
            end = stream.get_extra_info("client_addr") if stream is not None else None
            body = b""
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > _MAX_REPLY_BYTES:
                    return HttpReply(request, problem=f"a reply of more than {_MAX_REPLY_BYTES} bytes")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpReply(request, response.status_code, headers, body, end[1] if end else None)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """The body in two pieces, so that it is sent without its length."""
    for piece in (body[: len(body) // 2], body[len(body) // 2 :]):
        if piece:
            yield piece
