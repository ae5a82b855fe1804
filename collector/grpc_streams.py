"""Streams of messages that are never answered: Envoy's access log service over gRPC. `collector.grpc_server`
has a `Streams` for each such method.

Each message is a request of its own: let in, counted, translated, checked and on disk before the next is
read. So a stream holds one message at a time, and a sender that is faster is held back by gRPC's flow
control. That is all the sender learns: the protocol has no answer. What it wrote and has no room for it drops
itself, and what was on its way when a connection ended is lost.

Two traps. A stream says who writes it in its first message only, so that is kept and put in front of the
others. And streams never end by themselves, where a server that stops waits for what is open; so `close` ends
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from collector.codecs import Encoding, encoding_of_message
from collector.door import Arrival, Transport
from collector.errors import BadRequestError
from collector.foreign.envoy_messages import OPENING
from collector.handling import Wire
from collector.intake import Entry, Intake
from collector.later import Later
from collector.peers import Peers, host_of
from collector.refusals import RefusedError, TooLargeError
from collector.replies import Kind, Outcome, grpc_reply
from collector.settings import CollectorSettings

MAX_IDENTIFIER_BYTES: Final = 64 * 1024
"""What a sender says of itself, with every message again."""
_TRIES: Final = 5
"""For a message that cannot be taken now; a second apart, while the sender is held back."""
_PAUSE_S: Final = 1.0
_TOO_MANY: Final = "too many streams; open this one again later"

ArrivalOf = Callable[[aio.ServicerContext], Arrival | None]


class Streams:
    """All of one method. `arrival_of` says who calls, None for somebody who may not."""

    def __init__(self, settings: CollectorSettings, intake: Intake, arrival_of: ArrivalOf) -> None:
        self._settings = settings
        self._intake = intake
        self._arrival_of = arrival_of
        self._peers = Peers(settings.max_per_address)
        self._later = Later(settings.retry_after_s)
        self._open = 0
        self._reads: set[asyncio.Future[Any]] = set()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream as soon as what was read is stored."""
        self._closing.set()
        for read in list(self._reads):
            read.cancel()

    async def answer(self, _messages: Any, context: aio.ServicerContext) -> bytes:
        """Take one stream to its end."""
        arrival = self._arrival_of(context)
        if arrival is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "this is not the way in")
            return b""
        address = host_of(arrival.peer)
        fits = self._peers.enter(address) and self._open < self._settings.max_streams
        self._open += 1
        try:
            if fits:
                outcome = await self._stream(arrival, context)
            else:
                outcome = self._intake.turn_away(
                    arrival.signal, Transport.GRPC, Outcome(Kind.OVERLOADED, _TOO_MANY)
                )
        finally:
            self._open -= 1
            self._peers.leave(address)
        if outcome.kind is Kind.OK:
            return b""
        retry_after_s = self._later.seconds(outcome.retry_after_s) if outcome.codes.retry else 0
        reply = grpc_reply(outcome, arrival.signal, retry_after_s=retry_after_s)
        context.set_trailing_metadata(reply.trailers)
        await context.abort(reply.code, reply.message)
        return b""

    async def _stream(self, arrival: Arrival, context: aio.ServicerContext) -> Outcome:
        """Every message, until the sender has no more or one cannot be taken."""
        entry = self._intake.enter(arrival)
        if isinstance(entry, Outcome):
            return entry
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                message = await self._read(context)
        except TimeoutError:
            return self._intake.refused(entry, self._intake.too_slow())
        except asyncio.CancelledError:
            self._intake.gone(entry)
            raise
        if message is aio.EOF:
            self._intake.gone(entry)
            return Outcome(Kind.OK)
        try:
            identifier = _identifier_of(message)
        except (BadRequestError, RefusedError) as error:
            return self._intake.refused(entry, error)
        outcome = await self._store(arrival, message, entry)
        while outcome.kind is Kind.OK:
            message = await self._read(context)
            if message is aio.EOF:
                break
            if encoding_of_message(message) is not Encoding.IDENTITY:
                return self._intake.turn_away(arrival.signal, Transport.GRPC, _COMPRESSED)
            outcome = await self._store(arrival, identifier + message)
        return outcome

    async def _read(self, context: aio.ServicerContext) -> Any:
        """The next message; EOF also where the streams are closed."""
        if self._closing.is_set():
            return aio.EOF
        read = asyncio.ensure_future(context.read())
        self._reads.add(read)
        try:
            return await read
        except asyncio.CancelledError:
            if self._closing.is_set() and read.cancelled():
                return aio.EOF
            raise
        finally:
            self._reads.discard(read)

    async def _store(self, arrival: Arrival, body: bytes, entry: Entry | None = None) -> Outcome:
        """What came of a message. One that cannot be taken now is tried again, and meanwhile the sender
        waits."""
        for _ in range(_TRIES):
            outcome = await self._stored(arrival, body, entry)
            if not outcome.codes.retry or self._closing.is_set():
                break
            entry = None
            await asyncio.sleep(_PAUSE_S)
        return outcome

    async def _stored(self, arrival: Arrival, body: bytes, entry: Entry | None) -> Outcome:
        entered = entry or self._intake.enter(arrival)
        if isinstance(entered, Outcome):
            return entered
        try:
            entered.lease.grow(len(body))
        except RefusedError as error:
            return self._intake.refused(entered, error)
        return await self._intake.finish(entered, Wire(body, Encoding.IDENTITY))


_COMPRESSED: Final = Outcome(Kind.BAD_DATA, "messages of a stream are read uncompressed only")


def _identifier_of(message: bytes) -> bytes:
    """The part of a first message that says who sends, as it stands in one."""
    if encoding_of_message(message) is not Encoding.IDENTITY:
        raise BadRequestError(_COMPRESSED.message)
    opening = OPENING()
    try:
        opening.ParseFromString(message)
    except DecodeError as error:
        raise BadRequestError("not a valid StreamAccessLogsMessage: truncated or damaged") from error
    if not opening.identifier:
        raise BadRequestError("the first message of a stream has an identifier; this one has none")
    if len(opening.identifier) > MAX_IDENTIFIER_BYTES:
        raise TooLargeError(f"the identifier of a stream is larger than {MAX_IDENTIFIER_BYTES} bytes")
    return bytes(OPENING(identifier=opening.identifier).SerializeToString())
