"""One HTTP/1.1 connection of an OTLP sender: the order of its requests, what is waited for, and its end.

`collector.http` makes one per connection. It is a protocol of its own, not an ASGI server's, because nothing
but the body and the outcome has to pass between the network and the intake: requests are counted in
thousands a second, and a server's tasks, events and copies for each cost more than checking five hundred
spans (ADR 18). Headers, bodies, pipelined requests and silences each have a limit.

The trap: a request refused before its body was read leaves that body on the connection; it is read away, so
that the sender sees the answer instead of a reset.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial

import structlog

from collector.door import Transport
from collector.http_deadline import Deadline
from collector.http_exchange import Exchange, Sender
from collector.http_message import Head, Writer
from collector.http_parser import RequestParser
from collector.intake import Intake
from collector.peers import Peers
from collector.replies import Kind, Outcome
from collector.settings import CollectorSettings
from collector.tls.certificate import CERTIFICATE
from collector.tls.seldom import Mistaken

log = structlog.get_logger(__name__)

# Connections above the limit that still get a proper 503; the ones above that are only closed.
SPARE_CONNECTIONS = 64
# Requests of one connection that wait for the one before them. No OTLP sender pipelines at all, and each
# costs a thousand times the bytes it came in.
_MAX_QUEUED = 16
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of a listener have in common."""

    settings: CollectorSettings
    intake: Intake
    writer: Writer
    peers: Peers
    mistaken: Mistaken


class Connections:
    """Those of one listener that are open."""

    def __init__(self) -> None:
        self._open: set[HttpConnection] = set()
        self.all_gone = asyncio.Event()
        self.all_gone.set()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: HttpConnection) -> None:
        """It is open."""
        self._open.add(connection)
        self.all_gone.clear()

    def leave(self, connection: HttpConnection) -> None:
        """It is closed."""
        self._open.discard(connection)
        if not self._open:
            self.all_gone.set()

    def shutdown(self) -> None:
        """Close each as soon as its request in work is answered."""
        for connection in list(self._open):
            connection.shutdown()

    def abort(self) -> None:
        """Hang up on all."""
        for connection in list(self._open):
            connection.abort()


class HttpConnection(asyncio.Protocol):
    """One connection. `_current` is the request that is answered next, or was answered before its body was
    read; `_parsing` is the one whose body comes, `_queue` has those after the current one. Once the parser is
    stopped nothing that comes is wanted any more; once the last deadline is set nothing more is answered."""

    _transport: asyncio.Transport

    def __init__(self, shared: Shared, connections: Connections) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._intake = shared.intake
        self._connections = connections
        self._parser = RequestParser(self, shared.settings.max_header_bytes)
        self._deadline = Deadline()
        self._mistaken: Mistaken | None = shared.mistaken
        self._sender: Sender | None = None
        self._is_crowded = False
        self._unread_bytes = 0
        self._parsing: Exchange | None = None
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._is_ending = False
        self._writing_is_paused = False
        self._reading_is_paused = False

    # --- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shared = self._shared
        self._transport = transport  # type: ignore[assignment]  # that of a stream, although uvloop's does not say so
        self._connections.enter(self)
        count = len(self._connections)
        if count > self._settings.max_connections + SPARE_CONNECTIONS:
            self._intake.turn_away(None, Transport.HTTP, Outcome(Kind.OVERLOADED))
            self._hang_up()
            return
        peer = transport.get_extra_info("peername")
        self._sender = Sender(peer[0] if peer else "", transport.get_extra_info(CERTIFICATE))
        fits = shared.peers.enter(self._sender.address)
        self._is_crowded = count > self._settings.max_connections or not fits
        self._deadline.wait(self._settings.header_timeout_s, self._headers_are_late)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._deadline.close()
        self._parser.close()
        current, self._current, self._parsing = self._current, None, None
        self._queue.clear()
        if current is not None and not current.is_whole:
            current.gone()
        if self._sender is not None:
            self._shared.peers.leave(self._sender.address)
            self._sender = None
        self._connections.leave(self)

    def data_received(self, data: bytes) -> None:
        if self._parser.is_stopped:
            self._read_away(len(data))
            return
        if self._mistaken is not None:
            self._mistaken.look(data, self._transport)
            self._mistaken = None  # what comes first is all that matters
        self._parser.feed(data)
        self._mind_the_time()

    def eof_received(self) -> bool:
        """Nothing more will come. Who has sent a whole request may wait for its answer (RFC 9112 9.6)."""
        self._is_ending = True
        current = self._current
        return current is not None and current.is_whole and not current.is_answered

    def pause_writing(self) -> None:
        self._writing_is_paused = True
        self._read_or_not()
        self._deadline.end()
        self._mind_the_time()

    def resume_writing(self) -> None:
        self._writing_is_paused = False
        self._read_or_not()
        self._deadline.end()
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

    def request_begins(self) -> None:
        if self._deadline.is_idle:
            self._deadline.end()

    def head_comes(self, head: Head, refusal: Outcome | None, *, keeps_alive: bool) -> None:
        self._deadline.end()
        if refusal is None and self._is_crowded:
            refusal = Outcome(Kind.OVERLOADED, "too many connections; send this request again later")
        exchange = Exchange(self._settings, self._intake, head, keeps_alive=keeps_alive, refusal=refusal)
        self._parsing = exchange
        if self._current is None:
            self._begin(exchange)
            return
        self._queue.append(exchange)
        if len(self._queue) > _MAX_QUEUED:
            self._intake.turn_away(None, Transport.HTTP, Outcome(Kind.OVERLOADED))
            self._hang_up()
        else:
            self._read_or_not()

    def body_comes(self, piece: bytes) -> None:
        exchange = self._parsing
        if self._parser.is_stopped or exchange is None or exchange.is_answered:
            self._read_away(len(piece))
            return
        refusal = exchange.take(piece)
        if refusal is not None:
            self._answer(exchange, refusal)

    def request_ends(self) -> None:
        exchange = self._parsing
        if self._deadline.is_last:
            self._transport.close()  # all of it is read, so nothing is reset
            return
        if self._parser.is_stopped or exchange is None:
            return
        self._deadline.end()
        self._unread_bytes = 0
        self._parsing = None
        exchange.is_whole = True
        if exchange is not self._current:
            return
        if exchange.is_answered:
            self._next()
        else:
            self._handle(exchange)

    def request_breaks(self, outcome: Outcome) -> None:
        """Answer for the connection, after what came before, and end it; in protobuf where a request's media
        type is not known.
        """
        self._parser.stop()
        broken, self._parsing = self._parsing, None
        if broken is not None and broken.is_answered:
            self._part(broken)  # its answer was the last; a second one would be taken for another's
            return
        if broken is not None and broken is self._current:
            self._answer(broken, broken.broken(outcome))
            return
        if broken is not None:
            self._queue.remove(broken)
        last = Exchange(self._settings, self._intake, None, keeps_alive=False, refusal=outcome)
        if self._current is None:
            self._begin(last)
        else:
            self._queue.append(last)

    # --- one request after the other

    def _begin(self, exchange: Exchange) -> None:
        """All before it are answered."""
        self._current = exchange
        assert self._sender is not None  # noqa: S101 - it is as long as there is a connection
        refusal = exchange.begin(self._sender)
        if refusal is not None:
            self._answer(exchange, refusal)
        elif exchange.is_whole:
            self._handle(exchange)
        elif exchange.waits_to_be_asked:
            self._transport.write(_CONTINUE)

    def _handle(self, exchange: Exchange) -> None:
        """Its body is here."""
        exchange.handle().add_done_callback(partial(self._handled, exchange))

    def _handled(self, exchange: Exchange, task: asyncio.Task[Outcome]) -> None:
        if task.cancelled():  # the intake was closed over it
            exchange.gone()
            self._hang_up()
            return
        outcome = exchange.answered(task.result())
        if self._current is not exchange:
            return  # nobody is there any more
        try:
            self._answer(exchange, outcome)
            self._mind_the_time()
        except Exception:
            log.exception("an answer could not be written", transport=Transport.HTTP.value)
            self._hang_up()

    def _answer(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write its reply; what follows on this connection comes after its body."""
        exchange.is_answered = True
        exchange.let_go()
        self._deadline.end()
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
        reply = self._shared.writer.reply(outcome, head, closes=closes, headers=exchange.headers)
        self._transport.write(reply)
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

    def _part(self, exchange: Exchange) -> None:
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
        self._parser.stop()
        self._deadline.wait_last(self._settings.header_timeout_s, self._hang_up)

    def _hang_up(self) -> None:
        self._parser.stop()
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
        deadline, settings, current = self._deadline, self._settings, self._current
        if deadline.is_set or self._parser.is_stopped or self._transport.is_closing():
            return
        if self._writing_is_paused:
            deadline.wait(settings.body_timeout_s, self._hang_up)
        elif current is None and self._parser.is_in_head:
            deadline.wait(settings.header_timeout_s, self._headers_are_late)
        elif current is None:
            deadline.wait(settings.keep_alive_s, self._close, is_idle=True)
        elif current.is_answered:
            deadline.wait(settings.body_timeout_s, self._close)
        elif not current.is_whole:
            deadline.wait(settings.body_timeout_s, self._body_is_late)

    def _headers_are_late(self) -> None:
        if not self._parser.is_in_head:
            self._close()
            return
        late = f"the request's headers did not arrive within {self._settings.header_timeout_s:g} seconds"
        self.request_breaks(Outcome(Kind.SLOW_SENDER, late))

    def _body_is_late(self) -> None:
        refusal = None if self._current is None else self._current.late()
        if self._current is not None and refusal is not None:
            self._answer(self._current, refusal)
            self._mind_the_time()
