"""OTLP over HTTP: a plain ASGI application and the listener that runs it under uvicorn's HTTP parser.

`collector.server` makes both. The application reads headers and bodies and writes replies; everything in
between is the intake's. Replies are written as the request was: JSON if its media type is application/json,
protobuf in every other case, also for an unknown media type. The trap: a request refused before its body
was read leaves that body on the connection; the protocol (`collector.http_protocol`) reads it away, except
where the sender waits for "100 Continue", and then the connection is closed.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

import structlog
import uvicorn
from uvicorn.server import ServerState

from collector.admission import Lease
from collector.codecs import ACCEPTED_ENCODINGS, Encoding, encoding_named
from collector.door import Arrival, Form, Transport, joined
from collector.http_protocol import REFUSAL, BoundedProtocol, ConnectionLimits
from collector.intake import Intake, Wire
from collector.later import Later
from collector.listen import BACKLOG
from collector.outcomes import INTERNAL_ERROR, code_of
from collector.peers import Peers
from collector.refusals import SenderGoneError, TooLargeError, UnsupportedTypeError
from collector.replies import Kind, Outcome, http_reply
from collector.settings import CollectorSettings
from collector.telemetry import Telemetry
from collector.tls.certificate import CERTIFICATE
from collector.tls.gate import Gate
from collector.tls.seldom import Mistaken
from collector.tls.telemetry import Listener
from ingest.signals import Signal

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

log = structlog.get_logger(__name__)

PATHS = {f"/v1/{signal}": signal for signal in Signal}
_FORMS = {form.value: form for form in Form}
_CLOSE = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class _Target:
    """What the line and headers of an acceptable request say."""

    signal: Signal
    form: Form
    encoding: Encoding
    limit_bytes: int
    stated_bytes: int


class _EarlyRefusal(Exception):  # noqa: N818 - not an error but a reply known before the body is read
    """Answer with `outcome` and these headers besides the usual ones."""

    def __init__(self, kind: Kind, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.outcome = Outcome(kind, message)
        self.headers = list(headers)


class HttpApp:
    """The ASGI application."""

    def __init__(self, settings: CollectorSettings, intake: Intake, telemetry: Telemetry) -> None:
        self._settings = settings
        self._intake = intake
        self._telemetry = telemetry
        self._later = Later(settings.retry_after_s)
        self._date = (0, b"")

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError("the listener is configured for HTTP only, without lifespan and websockets")
        headers = joined(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
        signal = PATHS.get(scope["path"])
        form = _FORMS.get(_media_type(headers), Form.PROTOBUF)
        extra: list[tuple[bytes, bytes]] = []
        try:
            target = self._target(scope, headers)
            arrival = self._arrival(scope, headers, target)
            outcome = await self._intake.serve(arrival, lambda lease: self._read(target, receive, lease))
        except SenderGoneError:
            return
        except _EarlyRefusal as early:
            outcome, extra = early.outcome, early.headers
            self._telemetry.answered(signal, Transport.HTTP, code_of(outcome, Transport.HTTP))
            self._telemetry.turned_away(signal, Transport.HTTP, outcome.kind)
        except Exception:
            log.exception("an unexpected error refused a request", path=scope["path"][:100])
            outcome = INTERNAL_ERROR
            self._telemetry.answered(signal, Transport.HTTP, code_of(outcome, Transport.HTTP))
        if _must_close(outcome, headers):
            extra.append(_CLOSE)
        retry_after_s = self._later.seconds(outcome.retry_after_s) if outcome.codes.retry else 0
        reply = http_reply(outcome, signal, form, retry_after_s=retry_after_s)
        everything = [(b"date", self._now()), *reply.headers, *extra]
        await send(
            {"type": "http.response.start", "status": reply.status, "headers": everything, "trailers": False}
        )
        await send({"type": "http.response.body", "body": reply.body, "more_body": False})

    def _target(self, scope: HTTPScope, headers: dict[str, str]) -> _Target:
        """What a request asks for. Raises _EarlyRefusal for all that its line and headers rule out."""
        early: Outcome | None = scope.get("state", {}).get(REFUSAL)
        if early is not None:
            raise _EarlyRefusal(early.kind, early.message, _CLOSE)
        signal = PATHS.get(scope["path"])
        if signal is None:
            raise _EarlyRefusal(Kind.NOT_FOUND, f"nothing is here; OTLP is received at {', '.join(PATHS)}")
        if scope["method"] != "POST":
            raise _EarlyRefusal(Kind.BAD_METHOD, "OTLP requests are sent with POST", (b"allow", b"POST"))
        form = _FORMS.get(_media_type(headers))
        if form is None:
            raise _EarlyRefusal(Kind.UNSUPPORTED_TYPE, f"the content type must be {' or '.join(_FORMS)}")
        try:
            encoding = encoding_named(headers.get("content-encoding", ""))
        except UnsupportedTypeError as error:
            accepted = (b"accept-encoding", ACCEPTED_ENCODINGS.encode())
            raise _EarlyRefusal(Kind.UNSUPPORTED_TYPE, str(error), accepted) from error
        limit_bytes = self._settings.max_wire_bytes
        if encoding is Encoding.IDENTITY:
            limit_bytes = min(limit_bytes, self._settings.max_body_bytes)
        stated_bytes = int(headers.get("content-length", "0"))
        if stated_bytes > limit_bytes:
            raise _EarlyRefusal(Kind.TOO_LARGE, _too_large(limit_bytes))
        return _Target(signal, form, encoding, limit_bytes, stated_bytes)

    def _arrival(self, scope: HTTPScope, headers: dict[str, str], target: _Target) -> Arrival:
        client = scope["client"]
        return Arrival(
            signal=target.signal,
            transport=Transport.HTTP,
            form=target.form,
            headers=headers,
            peer=client[0] if client else "",
            certificate=scope.get("state", {}).get(CERTIFICATE),
        )

    async def _read(self, target: _Target, receive: ASGIReceiveCallable, lease: Lease) -> Wire:
        """The whole body.

        The lease grows with what arrives; a stated length costs a sender nothing, so it takes no room away
        from others. But what would not fit now need not be read.
        """
        lease.expect(target.stated_bytes)
        chunks: list[bytes] = []
        total = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise SenderGoneError("the sender hung up before its body was complete")
            chunk = message.get("body", b"")
            total += len(chunk)
            if total > target.limit_bytes:
                raise TooLargeError(_too_large(target.limit_bytes))
            lease.grow(len(chunk))
            chunks.append(chunk)
            if not message.get("more_body", False):
                return Wire(chunks[0] if len(chunks) == 1 else b"".join(chunks), target.encoding)

    def _now(self) -> bytes:
        """The Date header's value, made once a second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True).encode())
        return self._date[1]


class HttpListener:
    """Accepts connections on a bound socket until it is stopped; over TLS if there is a gate."""

    def __init__(
        self, settings: CollectorSettings, app: HttpApp, telemetry: Telemetry, gate: Gate | None = None
    ) -> None:
        self._telemetry = telemetry
        self._gate = gate
        self._mistaken = Mistaken(Listener.OTLP_HTTP)
        self._config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # call_later takes floats
        )
        self._limits = ConnectionLimits(
            max_connections=settings.max_connections,
            max_per_address=settings.max_per_address,
            max_header_bytes=settings.max_header_bytes,
            header_timeout_s=settings.header_timeout_s,
            unread_body_bytes=settings.max_wire_bytes,
            unread_body_timeout_s=settings.body_timeout_s,
            later=Later(settings.retry_after_s),
        )
        self._peers = Peers(settings.max_per_address)
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def start(self, bound: socket.socket) -> None:
        """Listen on `bound`, which is closed when the listener stops."""
        self._config.load()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=bound, backlog=BACKLOG)

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let requests in progress end, close what is still open after `grace_s`."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=grace_s)
        # Hang up on the rest: to a sender that is a failed connection, and it tries again.
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._gate is not None:
            self._gate.close()
        await asyncio.sleep(0)
        for task in list(self._state.tasks):
            task.cancel()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks)
        await server.wait_closed()

    def _connection(self) -> asyncio.Protocol:
        plain = BoundedProtocol(
            self._config, self._state, self._limits, self._peers, self._refused, self._mistaken
        )
        return plain if self._gate is None else self._gate.protocol(plain)

    def _refused(self, kind: Kind) -> None:
        self._telemetry.answered(None, Transport.HTTP, code_of(Outcome(kind), Transport.HTTP))
        self._telemetry.turned_away(None, Transport.HTTP, kind)


def _media_type(headers: dict[str, str]) -> str:
    """The media type without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _must_close(outcome: Outcome, headers: dict[str, str]) -> bool:
    """Whether the connection cannot or should not be used again."""
    if outcome.kind is Kind.STOPPING:
        return True
    return outcome.kind is not Kind.OK and "expect" in headers


def _too_large(limit_bytes: int) -> str:
    return f"the request is larger than {limit_bytes} bytes; send smaller batches"
