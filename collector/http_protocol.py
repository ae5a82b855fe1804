"""uvicorn's HTTP/1.1 protocol with the limits it lacks: connections, headers, deadlines, unread bodies.

`collector.http` makes one per connection. uvicorn keeps all headers of a request whatever their size, waits
for them for ever, reads away an unread body for ever, queues pipelined requests without end, and answers
broken requests in plain text. Each is bounded or replaced here by overriding its parser callbacks.

Two traps. These are uvicorn's internals, so a new version of it must pass
`tests/collector/test_http_connection.py`. And its parser takes a request that asks for another protocol
(`Upgrade: h2c`, which the JDK's HttpClient adds to every request) to end with its headers: the application
would see an empty body, which OTLP calls a success. A server may ignore that wish (RFC 9110 7.8), so such a
head is parsed once more without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from collector.door import Form
from collector.later import Later
from collector.peers import Peers
from collector.replies import Kind, Outcome, http_reply
from collector.tls.certificate import CERTIFICATE
from collector.tls.seldom import Mistaken

# Connections above the limit that still get a proper 503; the ones above that are only closed.
SPARE_CONNECTIONS = 64
# uvicorn logs a line for each broken request, which would let any client fill the log; we count instead.
_quiet = logging.getLogger("collector.http_protocol.uvicorn")
_quiet.setLevel(logging.CRITICAL + 1)
_quiet.propagate = False

# Requests of one connection that wait for the one before them. No OTLP sender pipelines at all, and each
# costs a thousand times the bytes it came in.
_MAX_QUEUED = 16

REFUSAL = "collector.refusal"
_SEPARATORS = 4  # the colon, a space and the end of the line


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The bounds of one connection; see the settings of the same names."""

    max_connections: int
    max_per_address: int
    max_header_bytes: int
    header_timeout_s: float
    unread_body_bytes: int
    unread_body_timeout_s: float
    later: Later


class _At(Enum):
    """Where the connection is in the sequence of requests."""

    BETWEEN = auto()
    HEADERS = auto()
    BODY = auto()


class _TooManyQueuedError(Exception):
    """Makes the parser leave off; seen by nobody else."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    `refused` is told of each request answered here, before the application could see it; `peers` counts the
    connections of all.
    """

    def __init__(
        self,
        config: Config,
        state: ServerState,
        limits: ConnectionLimits,
        peers: Peers,
        refused: Callable[[Kind], None],
        mistaken: Mistaken,
    ) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self.logger = _quiet
        self.access_log = False
        self._limits = limits
        self._peers = peers
        self._address: str | None = None
        self._refused = refused
        self._mistaken: Mistaken | None = mistaken
        self._at = _At.BETWEEN
        self._header_bytes = 0
        self._unread_bytes = 0
        self._crowded = False
        self._is_over = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self.app_state = {CERTIFICATE: transport.get_extra_info(CERTIFICATE)}
        count = len(self.connections)
        if count > self._limits.max_connections + SPARE_CONNECTIONS:
            self._refused(Kind.OVERLOADED)
            transport.abort()
            return
        self._address = self.client[0] if self.client else ""
        fits = self._peers.enter(self._address)
        self._crowded = count > self._limits.max_connections or not fits
        self._start_deadline(self._limits.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        if self._address is not None:
            self._peers.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self._read_away(len(data))
            return
        if self._mistaken is not None:
            self._mistaken.look(data, self.transport)
            self._mistaken = None  # what comes first is all that matters
        if self._at is not _At.BODY:
            self._header_bytes += len(data)
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._at is not _At.HEADERS or self._has_ended:
            return
        if self._header_bytes > self._limits.max_header_bytes:
            self._answer(Outcome(Kind.LARGE_HEADERS, self._large_headers()))
        elif self._deadline is None:
            self._start_deadline(self._limits.header_timeout_s)

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserError:
                if not self._has_ended:
                    self.send_400_response("")
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self._has_ended:
                    return
                if self.parser.get_method() == b"CONNECT":
                    self.send_400_response("")
                    return
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        """The request line and headers just parsed, as they came but for the wish for another protocol."""
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._at = _At.HEADERS

    def on_headers_complete(self) -> None:
        size_bytes = len(self.url) + sum(len(name) + len(value) + _SEPARATORS for name, value in self.headers)
        is_large = size_bytes > self._limits.max_header_bytes
        if self.parser.should_upgrade():
            # Not yet: `_parse` comes back with the same head, without the upgrade.
            if is_large:
                self._answer(Outcome(Kind.LARGE_HEADERS, self._large_headers()))
            return
        self._end_deadline()
        self._at = _At.BODY
        self._header_bytes = 0
        if is_large:
            self.scope["state"][REFUSAL] = Outcome(Kind.LARGE_HEADERS, self._large_headers())
        elif self._crowded:
            self.scope["state"][REFUSAL] = Outcome(
                Kind.OVERLOADED, "too many connections; send this request again later"
            )
        super().on_headers_complete()
        if len(self.pipeline) > _MAX_QUEUED:
            self._refused(Kind.OVERLOADED)
            self.transport.abort()
            raise _TooManyQueuedError

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self._read_away(len(body))

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._end_deadline()
        self._at = _At.BETWEEN
        self._unread_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._at is _At.BODY and not self.transport.is_closing():
            # Answered before the body was read. Read on, so that the sender sees the answer instead of
            # a reset.
            self._start_deadline(self._limits.unread_body_timeout_s)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's name
        self._answer(Outcome(Kind.BAD_DATA, "this is not an HTTP/1.1 request that can be read"))

    @property
    def _has_ended(self) -> bool:
        return self._is_over or self.transport.is_closing()

    def _read_away(self, size_bytes: int) -> None:
        """Count what nobody wants any more."""
        self._unread_bytes += size_bytes
        if self._unread_bytes > self._limits.unread_body_bytes:
            self.transport.abort()

    def _large_headers(self) -> str:
        return f"the request line and headers are larger than {self._limits.max_header_bytes} bytes"

    def _answer(self, outcome: Outcome) -> None:
        """Answer without the application and close; the request's media type is not known, so in protobuf.

        What the sender still sends is read away for a while: a connection closed with bytes unread is reset,
        and the answer is lost with it.
        """
        self._is_over = True
        self._end_deadline()
        self._refused(outcome.kind)
        reply = http_reply(outcome, None, Form.PROTOBUF, retry_after_s=self._limits.later.seconds())
        lines = [STATUS_LINE[reply.status]]
        lines += [
            name + b": " + value + b"\r\n" for name, value in (*reply.headers, (b"connection", b"close"))
        ]
        self.transport.write(b"".join([*lines, b"\r\n", reply.body]))
        self.transport.write_eof()
        self._start_deadline(self._limits.header_timeout_s)

    def _start_deadline(self, seconds: float) -> None:
        self._end_deadline()
        self._deadline = self.loop.call_later(seconds, self._out_of_time)

    def _out_of_time(self) -> None:
        if self._is_over:
            self.transport.abort()
        elif self._at is _At.HEADERS:
            late = f"the request's headers did not arrive within {self._limits.header_timeout_s:g} seconds"
            self._answer(Outcome(Kind.SLOW_SENDER, late))
        else:
            self.transport.close()

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
