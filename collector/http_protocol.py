"""One HTTP/1.1 connection of an OTLP sender: llhttp parses, the intake decides, and everything is bounded.

`collector.http` makes one per connection. It is a protocol of its own, not an ASGI server's, because nothing
but the body and the outcome has to pass between the network and the intake: requests are counted in
thousands a second, and a server's tasks, events and copies for each cost more than checking five hundred
spans (ADR 18). Headers, bodies, pipelined requests and silences each have a limit.

Three traps. A request refused before its body was read leaves that body on the connection; it is read away,
so that the sender sees the answer instead of a reset. The parser takes a request that asks for another
protocol (`Upgrade: h2c`, which the JDK's HttpClient adds to every request) to end with its headers, and an
empty body is what OTLP calls a success; a server may ignore that wish (RFC 9110 7.8), so such a head is
parsed once more without it. And what the parser calls must raise nothing but what makes a request a broken
one: the parser takes everything for that, and goes on with the rest of what it was given whatever happened
meanwhile, so that each callback asks whether anything is still wanted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from urllib.parse import unquote

import httptools
import structlog

from collector.door import Arrival, Transport, joined
from collector.http_message import EarlyRefusal, Field, Head, Target, Writer, target_of, too_large
from collector.intake import Entry, Intake, Wire
from collector.outcomes import INTERNAL_ERROR, code_of
from collector.peers import Peers
from collector.refusals import TooLargeError
from collector.replies import Kind, Outcome
from collector.settings import CollectorSettings
from collector.telemetry import Telemetry
from collector.tls.certificate import CERTIFICATE
from collector.tls.seldom import Mistaken

log = structlog.get_logger(__name__)

# Connections above the limit that still get a proper 503; the ones above that are only closed.
SPARE_CONNECTIONS = 64
# Requests of one connection that wait for the one before them. No OTLP sender pipelines at all, and each
# costs a thousand times the bytes it came in.
_MAX_QUEUED = 16
_SEPARATORS = 4  # the colon, a space and the end of the line
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of a listener have in common."""

    settings: CollectorSettings
    intake: Intake
    telemetry: Telemetry
    writer: Writer
    peers: Peers
    mistaken: Mistaken
    connections: set[HttpConnection] = field(default_factory=set)
    all_gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while there is no connection."""


@dataclass(slots=True, eq=False)
class _Exchange:
    """One request, as far as it has come."""

    head: Head | None
    """None if it could not be read."""
    keeps_alive: bool
    refusal: Outcome | None = None
    """The answer, if the connection has decided on it."""
    target: Target | None = None
    entry: Entry | None = None
    body: bytes | bytearray = b""
    """What has come of it; one piece, for a chunk may be a byte."""
    is_whole: bool = False
    is_answered: bool = False


class _At(Enum):
    """Where the parser is in the sequence of requests."""

    BETWEEN = auto()
    HEADERS = auto()
    BODY = auto()


class _TooManyQueuedError(Exception):
    """Makes the parser leave off; seen by nobody else."""


class HttpConnection(asyncio.Protocol):
    """One connection. `_current` is the request that is answered next, or was answered before its body was
    read; `_parsing` is the one whose body comes, `_queue` has those after the current one."""

    _transport: asyncio.Transport

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._intake = shared.intake
        self._loop = asyncio.get_running_loop()
        self._parser = _new_parser(self)
        self._mistaken: Mistaken | None = shared.mistaken
        self._certificate = None
        self._address: str | None = None
        self._is_crowded = False
        self._at = _At.BETWEEN
        self._url = b""
        self._fields: list[Field] = []
        self._header_bytes = 0
        self._brought_body = False
        self._unread_bytes = 0
        self._parsing: _Exchange | None = None
        self._current: _Exchange | None = None
        self._queue: deque[_Exchange] = deque()
        self._is_deaf = False
        """Nothing that comes is wanted any more."""
        self._is_over = False
        """Nothing more is answered; the deadline is the last, and nothing takes it away."""
        self._is_ending = False
        self._writing_is_paused = False
        self._reading_is_paused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._is_idle = False

    # --- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shared = self._shared
        self._transport = transport  # type: ignore[assignment]  # that of a stream, although uvloop's does not say so
        self._certificate = transport.get_extra_info(CERTIFICATE)
        shared.connections.add(self)
        shared.all_gone.clear()
        count = len(shared.connections)
        if count > self._settings.max_connections + SPARE_CONNECTIONS:
            self._count(None, Outcome(Kind.OVERLOADED))
            self._hang_up()
            return
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if peer else ""
        fits = shared.peers.enter(self._address)
        self._is_crowded = count > self._settings.max_connections or not fits
        self._wait(self._settings.header_timeout_s, self._headers_are_late)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        if self._deadline is not None:
            self._deadline.cancel()
        self._is_deaf = self._is_over = True
        current, self._current, self._parsing = self._current, None, None
        self._queue.clear()
        # It knows this connection and this one knows it: a body would stay in memory until both are found.
        self._parser = None  # type: ignore[assignment]
        if current is not None and not current.is_whole:
            current.body = b""
            if current.entry is not None and not current.is_answered:
                self._intake.gone(current.entry)
        if self._address is not None:
            self._shared.peers.leave(self._address)
            self._address = None
        self._shared.connections.discard(self)
        if not self._shared.connections:
            self._shared.all_gone.set()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._read_away(len(data))
            return
        if self._mistaken is not None:
            self._mistaken.look(data, self._transport)
            self._mistaken = None  # what comes first is all that matters
        was_at = self._at
        if was_at is not _At.BODY:
            self._header_bytes += len(data)
        self._brought_body = False
        self._parse(data)
        if self._at is was_at is _At.BODY:
            # Neither are trailers and what stands beside the length of a chunk part of the body.
            self._header_bytes = 0 if self._brought_body else self._header_bytes + len(data)
        is_large = self._at is not _At.BETWEEN and self._header_bytes > self._settings.max_header_bytes
        if is_large and not self._is_deaf:
            self._give_up(Outcome(Kind.LARGE_HEADERS, self._large_headers()))
        self._mind_the_time()

    def eof_received(self) -> bool:
        """Nothing more will come. Who has sent a whole request may wait for its answer (RFC 9112 9.6)."""
        self._is_ending = True
        current = self._current
        return current is not None and current.is_whole and not current.is_answered

    def pause_writing(self) -> None:
        self._writing_is_paused = True
        self._read_or_not()
        self._end_deadline()
        self._mind_the_time()

    def resume_writing(self) -> None:
        self._writing_is_paused = False
        self._read_or_not()
        self._end_deadline()
        self._mind_the_time()

    # --- the listener's

    def shutdown(self) -> None:
        """Close as soon as the request in work is answered."""
        self._is_ending = True
        if self._current is None or self._current.is_answered:
            self._close()

    def abort(self) -> None:
        """Hang up."""
        self._transport.abort()

    # --- the parser's

    def on_message_begin(self) -> None:
        if self._is_idle:
            self._end_deadline()
        self._url = b""
        self._fields = []
        self._at = _At.HEADERS

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._at is _At.HEADERS:  # trailers are of no use to anybody here
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self._is_deaf:
            return
        size_bytes = len(self._url)
        for name, value in self._fields:
            size_bytes += len(name) + len(value) + _SEPARATORS
        is_large = size_bytes > self._settings.max_header_bytes
        if self._parser.should_upgrade():
            # Not yet: `_parse` comes back with the same head, without the upgrade.
            if is_large:
                self._give_up(Outcome(Kind.LARGE_HEADERS, self._large_headers()))
            return
        self._end_deadline()
        self._at = _At.BODY
        self._header_bytes = 0
        exchange = _Exchange(
            Head(self._parser.get_method(), _path_of(self._url), _headers_of(self._fields)),
            self._parser.should_keep_alive() and self._parser.get_http_version() != "1.0",
        )
        if is_large:
            exchange.refusal = Outcome(Kind.LARGE_HEADERS, self._large_headers())
        elif self._is_crowded:
            exchange.refusal = Outcome(Kind.OVERLOADED, "too many connections; send this request again later")
        self._parsing = exchange
        self._enqueue(exchange)

    def on_body(self, body: bytes) -> None:
        exchange = self._parsing
        self._brought_body = True
        if self._is_deaf or exchange is None or exchange.is_answered:
            self._read_away(len(body))
        elif exchange is self._current:
            self._take(exchange, body)
        else:
            _append(exchange, body)  # no more than what was read at once: reading is paused

    def on_message_complete(self) -> None:
        exchange = self._parsing
        if self._is_over:
            self._transport.close()  # all of it is read, so nothing is reset
            return
        if self._is_deaf or self._parser.should_upgrade() or exchange is None:
            return
        self._end_deadline()
        self._at = _At.BETWEEN
        self._header_bytes = 0
        self._unread_bytes = 0
        self._parsing = None
        exchange.is_whole = True
        if exchange is not self._current:
            return
        if exchange.is_answered:
            self._next()
        else:
            self._handle(exchange)

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._is_deaf:
                    return
                if self._parser.get_method() == b"CONNECT":
                    self._give_up(_UNREADABLE)
                    return
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self._parser = _new_parser(self)
            except httptools.HttpParserError as error:
                if not self._is_deaf:
                    self._give_up(_outcome_of(error))
                return
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        """The request line and headers just parsed, as they came but for the wish for another protocol."""
        version = self._parser.get_http_version().encode()
        lines = [self._parser.get_method() + b" " + self._url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self._fields if name.lower() != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    # --- one request after the other

    def _enqueue(self, exchange: _Exchange) -> None:
        """Begin with it, if nothing is before it."""
        if self._current is None:
            self._begin(exchange)
            return
        self._queue.append(exchange)
        if len(self._queue) > _MAX_QUEUED:
            self._count(None, Outcome(Kind.OVERLOADED))
            self._hang_up()
            raise _TooManyQueuedError
        self._read_or_not()

    def _begin(self, exchange: _Exchange) -> None:
        """Decide what can be decided before its body is read."""
        self._current = exchange
        head = exchange.head
        if head is None or exchange.refusal is not None:
            outcome = exchange.refusal or INTERNAL_ERROR
            exchange.keeps_alive = False
            self._count(head, outcome)
            self._answer(exchange, outcome)
            return
        try:
            exchange.target = target_of(head, self._settings)
        except EarlyRefusal as early:
            self._count(head, early.outcome)
            self._answer(exchange, early.outcome, early.headers)
            return
        entry = self._intake.enter(self._arrival(head, exchange.target))
        if isinstance(entry, Outcome):
            self._answer(exchange, entry)
            return
        exchange.entry = entry
        self._expect_body(exchange, head, entry)

    def _arrival(self, head: Head, target: Target) -> Arrival:
        return Arrival(
            signal=target.signal,
            transport=Transport.HTTP,
            form=target.form,
            headers=head.headers,
            peer=self._address or "",
            certificate=self._certificate,
        )

    def _expect_body(self, exchange: _Exchange, head: Head, entry: Entry) -> None:
        """The lease grows with what arrives; a stated length costs a sender nothing, so it takes no room away
        from others. But what would not fit now need not be read.
        """
        try:
            entry.lease.expect(head.stated_bytes)
        except Exception as error:  # noqa: BLE001 - the intake knows what it means
            self._answer(exchange, self._intake.refused(entry, error))
            return
        came, exchange.body = exchange.body, b""
        if came:
            self._take(exchange, came)
        elif head.wants_to_be_asked and not exchange.is_whole:
            self._transport.write(_CONTINUE)
        if exchange.is_whole and not exchange.is_answered:
            self._handle(exchange)

    def _take(self, exchange: _Exchange, piece: bytes | bytearray) -> None:
        """A piece of its body."""
        entry, target = exchange.entry, exchange.target
        assert entry is not None and target is not None  # noqa: S101, PT018 - it was let in
        try:
            if len(exchange.body) + len(piece) > target.limit_bytes:
                raise TooLargeError(too_large(target.limit_bytes))  # noqa: TRY301 - one way out for both
            entry.lease.grow(len(piece))
        except Exception as error:  # noqa: BLE001 - the intake knows what it means
            self._answer(exchange, self._intake.refused(entry, error))
            return
        _append(exchange, piece)

    def _handle(self, exchange: _Exchange) -> None:
        """Its body is here."""
        entry, target, body = exchange.entry, exchange.target, exchange.body
        assert entry is not None and target is not None  # noqa: S101, PT018 - it was let in
        exchange.body = b""
        task = self._intake.handle(entry, Wire(bytes(body), target.encoding))
        task.add_done_callback(partial(self._handled, exchange, entry))

    def _handled(self, exchange: _Exchange, entry: Entry, task: asyncio.Task[Outcome]) -> None:
        if task.cancelled():  # the intake was closed over it
            self._intake.gone(entry)
            self._hang_up()
            return
        outcome = self._intake.answered(entry, task.result())
        if self._current is not exchange:
            return  # nobody is there any more
        try:
            self._answer(exchange, outcome)
            self._mind_the_time()
        except Exception:
            log.exception("an answer could not be written", transport=Transport.HTTP.value)
            self._hang_up()

    def _answer(self, exchange: _Exchange, outcome: Outcome, headers: Sequence[Field] = ()) -> None:
        """Write its reply; what follows on this connection comes after its body."""
        exchange.is_answered = True
        exchange.body = b""
        self._end_deadline()
        head = exchange.head
        closes = (
            not exchange.keeps_alive
            or outcome.kind is Kind.STOPPING
            or (outcome.kind is not Kind.OK and head is not None and "expect" in head.headers)
            or (self._is_ending and not self._queue)
        )
        if self._transport.is_closing():
            # It closes by itself where the other side is done, and waits for answers to be taken.
            self._end()
            return
        self._transport.write(self._shared.writer.reply(outcome, head, closes=closes, headers=headers))
        if closes:
            self._part(exchange)
        elif exchange.is_whole:
            self._next()

    def _next(self) -> None:
        self._current = None
        if self._queue:
            self._begin(self._queue.popleft())
        self._read_or_not()

    # --- the end of a connection

    def _give_up(self, outcome: Outcome) -> None:
        """Answer for the connection, after what came before, and end it; in protobuf where a request's media
        type is not known.
        """
        self._is_deaf = True
        broken, self._parsing = self._parsing, None
        if broken is not None and broken.is_answered:
            self._part(broken)  # its answer was the last; a second one would be taken for another's
            return
        if broken is not None and broken is self._current:
            if broken.entry is not None:
                outcome = self._intake.broken(broken.entry, outcome)
            broken.keeps_alive = False
            self._answer(broken, outcome)
            return
        if broken is not None:
            self._queue.remove(broken)
        last = _Exchange(None, keeps_alive=False, refusal=outcome)
        if self._current is None:
            self._begin(last)
        else:
            self._queue.append(last)

    def _part(self, exchange: _Exchange) -> None:
        """Nothing follows. What the sender still sends is read away for a while: a connection closed with
        bytes unread is reset, and the answer is lost with it.
        """
        self._queue.clear()
        if exchange.is_whole:
            self._close()
            return
        self._transport.write_eof()
        self._end()
        self._read_or_not()

    def _close(self) -> None:
        """Once the other side has taken what was written."""
        self._transport.close()
        self._end()

    def _end(self) -> None:
        """Whatever the other side does or leaves undone, the connection will not be there for long."""
        self._is_deaf = True
        self._wait(self._settings.header_timeout_s, self._hang_up)
        self._is_over = True

    def _hang_up(self) -> None:
        self._is_deaf = True
        self._transport.abort()

    def _read_away(self, size_bytes: int) -> None:
        """Count what nobody wants any more."""
        self._unread_bytes += size_bytes
        if self._unread_bytes > self._settings.max_wire_bytes:
            self._hang_up()

    def _read_or_not(self) -> None:
        """Nothing is read while others wait, or while the sender does not read its answers."""
        paused = self._writing_is_paused or bool(self._queue)
        if paused == self._reading_is_paused or self._transport.is_closing():
            return
        self._reading_is_paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # --- time

    def _mind_the_time(self) -> None:
        """Nothing that a sender owes is waited for without a limit."""
        if self._deadline is not None or self._is_deaf or self._transport.is_closing():
            return
        current, settings = self._current, self._settings
        if self._writing_is_paused:
            self._wait(settings.body_timeout_s, self._hang_up)
        elif current is None and self._at is _At.HEADERS:
            self._wait(settings.header_timeout_s, self._headers_are_late)
        elif current is None:
            self._wait(settings.keep_alive_s, self._close)
            self._is_idle = True
        elif current.is_answered:
            self._wait(settings.body_timeout_s, self._close)
        elif not current.is_whole:
            self._wait(settings.body_timeout_s, self._body_is_late)

    def _headers_are_late(self) -> None:
        if self._at is not _At.HEADERS:
            self._close()
            return
        late = f"the request's headers did not arrive within {self._settings.header_timeout_s:g} seconds"
        self._give_up(Outcome(Kind.SLOW_SENDER, late))

    def _body_is_late(self) -> None:
        current = self._current
        if current is not None and current.entry is not None and not current.is_answered:
            self._answer(current, self._intake.refused(current.entry, self._intake.too_slow()))
            self._mind_the_time()

    def _wait(self, seconds: float, late: Callable[[], None]) -> None:
        self._end_deadline()
        if not self._is_over:
            self._deadline = self._loop.call_later(seconds, late)

    def _end_deadline(self) -> None:
        self._is_idle = False
        if self._deadline is not None and not self._is_over:
            self._deadline.cancel()
            self._deadline = None

    # --- words and counts

    def _large_headers(self) -> str:
        return f"the request line and headers are larger than {self._settings.max_header_bytes} bytes"

    def _count(self, head: Head | None, outcome: Outcome) -> None:
        """Count what was answered without asking the intake."""
        signal = None if head is None else head.signal
        self._shared.telemetry.answered(signal, Transport.HTTP, code_of(outcome, Transport.HTTP))
        self._shared.telemetry.turned_away(signal, Transport.HTTP, outcome.kind)


_UNREADABLE = Outcome(Kind.BAD_DATA, "this is not an HTTP/1.1 request that can be read")


def _outcome_of(error: httptools.HttpParserError) -> Outcome:
    """What a parser's error means: it also reports what its callbacks raised."""
    cause = error.__context__
    if not isinstance(error, httptools.HttpParserCallbackError) or isinstance(
        cause, (httptools.HttpParserError, UnicodeError)
    ):
        return _UNREADABLE
    log.error("an unexpected error refused a request", transport=Transport.HTTP.value, exc_info=cause)
    return INTERNAL_ERROR


def _append(exchange: _Exchange, piece: bytes | bytearray) -> None:
    """Most bodies come in one piece."""
    if not exchange.body:
        exchange.body = piece
        return
    if isinstance(exchange.body, bytes):
        exchange.body = bytearray(exchange.body)
    exchange.body += piece


def _new_parser(connection: HttpConnection) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(connection)
    # Bytes after a request that is to be the last are no fault of that request.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _path_of(url: bytes) -> str:
    """Without host and query. Raises HttpParserError or UnicodeError."""
    path = (httptools.parse_url(url).path or b"/").decode("ascii")
    return unquote(path) if "%" in path else path


def _headers_of(fields: list[Field]) -> dict[str, str]:
    return joined((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields)
