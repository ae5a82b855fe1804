"""OTLP over gRPC: three unary methods whose messages stay bytes, on grpc.aio in the caller's event loop.

`collector.server` makes it. Two things are not as in a generated servicer. The methods are registered
as client-streaming, which is the same on the wire, so that a call is let in (or refused) before its
message is read, and the read has a time limit. And gRPC's core does not decompress: it would stop at
the size limit of one message, but a hundred small bombs at a time would still become a hundred times
that limit before anybody counted them. The intake inflates them under its budget instead. The core
removes the encoding's name from the metadata, so it is read from the message's first bytes
(`codecs.encoding_of_message`).

Two traps. The core hands over a message whole and says nothing of its size before, so what is arriving
cannot be counted; instead only as many calls read at a time as have room in the budget (`collector.turns`).
And a `grpc-encoding` that the core does not know (snappy, zstd: it has identity, deflate and gzip) is
answered INTERNAL, where the gRPC protocol asks for UNIMPLEMENTED, and that cannot be changed from here. The
transport fails the stream while it parses the headers ("Error parsing 'grpc-encoding' metadata"), with its
own status; a handler or interceptor is still started, but it sees no metadata at all and can send nothing any
more. The channel argument that disables encodings yields UNIMPLEMENTED, but only knows those three. It is a
defect of the core (grpc/grpc issue 36770). Neither code is retried by OTLP senders, so nothing but the code
is different.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

import grpc
from grpc import aio

from collector.admission import Lease
from collector.codecs import encoding_of_message
from collector.door import Arrival, Form, Transport, joined
from collector.errors import BadRequestError
from collector.foreign.protocols import GRPC, GRPC_STREAMS
from collector.foreign.replies import called
from collector.grpc_streams import Streams
from collector.handling import Wire
from collector.intake import Intake
from collector.later import Later
from collector.listen import BACKLOG, Endpoint, ListenError, bound_socket, free_address
from collector.peers import Peers, host_of
from collector.refusals import TooLargeError
from collector.replies import Kind, Outcome, grpc_reply
from collector.settings import CollectorSettings
from collector.tls.gate import Gate
from collector.tls.relay import Peer, Relay
from collector.turns import Turns
from ingest.signals import Signal

METHODS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": Signal.TRACES,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": Signal.METRICS,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": Signal.LOGS,
}
_TOO_MANY_CALLS = "too many calls at a time from this address; send this request again later"
# What an export response may weigh; the specification recommends that clients stop reading at 4 MiB.
_MAX_REPLY_BYTES = 4 * 1024 * 1024


_RELAY_DRAIN_S = 1.0
"""For what the gRPC server said last to get through the relay."""


class GrpcReceiver:
    """The gRPC listener, over TLS if there is a gate; start and stop it in one event loop."""

    def __init__(self, settings: CollectorSettings, intake: Intake, gate: Gate | None = None) -> None:
        self._settings = settings
        self._intake = intake
        self._gate = gate
        self._server: aio.Server | None = None
        self._front: asyncio.Server | None = None
        self._relay: Relay | None = None
        self._methods: _Methods | None = None

    async def start(self, endpoint: Endpoint) -> int:
        """Listen and return the real port. Raises PortInUseError or ListenError."""
        if self._gate is None:
            self._server, port = await self._serving(free_address(endpoint), endpoint, None)
            return port
        bound = bound_socket(endpoint)
        try:
            port = int(bound.getsockname()[1])
            self._front = await self._behind(bound, endpoint, self._gate)
        except BaseException:
            bound.close()
            raise
        return port

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let calls in progress end, cancel what is left after `grace_s`."""
        front, self._front = self._front, None
        if front is not None:
            front.close()
        if self._methods is not None:
            self._methods.close_streams()
        if self._server is not None:
            await self._server.stop(grace_s)
            self._server = None
        if front is not None and self._gate is not None and self._relay is not None:
            await self._relay.drained(_RELAY_DRAIN_S)
            self._gate.close()
            await front.wait_closed()

    async def _behind(self, bound: socket.socket, endpoint: Endpoint, gate: Gate) -> asyncio.Server:
        """Serve where only the relay gets, and TLS on the address asked for."""
        relay = self._relay = Relay()
        self._server, _ = await self._serving(relay.address, endpoint, relay)
        return await asyncio.get_running_loop().create_server(
            lambda: gate.protocol(relay.protocol()), sock=bound, backlog=BACKLOG
        )

    async def _serving(self, address: str, endpoint: Endpoint, relay: Relay | None) -> tuple[aio.Server, int]:
        server = aio.server(options=_options(self._settings))
        self._methods = _Methods(self._settings, self._intake, relay)
        server.add_generic_rpc_handlers((self._methods,))
        try:
            port: int = server.add_insecure_port(address)
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {endpoint} for OTLP/gRPC: {error}") from error
        await server.start()
        return server, port


class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio ships no types
    """Looks up a method by its full name; others are UNIMPLEMENTED by the core."""

    def __init__(self, settings: CollectorSettings, intake: Intake, relay: Relay | None) -> None:
        turns = Turns(max(1, settings.max_inflight_bytes // settings.max_wire_bytes))
        peers = Peers(settings.max_per_address)
        methods = {name: (signal, Form.PROTOBUF) for name, signal in METHODS.items()}
        methods |= {name: (protocol.signal, protocol.form) for name, protocol in GRPC.items()}
        self._handlers = {
            name: grpc.stream_unary_rpc_method_handler(
                _Export(settings, intake, turns, peers, relay, signal, form).answer
            )
            for name, (signal, form) in methods.items()
        }
        self._streams = {
            name: Streams(settings, intake, partial(_arrival, relay, protocol.signal, protocol.form))
            for name, protocol in GRPC_STREAMS.items()
        }
        self._handlers |= {
            name: grpc.stream_unary_rpc_method_handler(streams.answer)
            for name, streams in self._streams.items()
        }

    def close_streams(self) -> None:
        """End those that are open."""
        for streams in self._streams.values():
            streams.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handlers.get(handler_call_details.method)


class _Export:
    """The Export method of one signal, or the like of another protocol."""

    def __init__(
        self,
        settings: CollectorSettings,
        intake: Intake,
        turns: Turns,
        peers: Peers,
        relay: Relay | None,
        signal: Signal,
        form: Form,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._turns = turns
        self._peers = peers
        self._relay = relay
        self._signal = signal
        self._form = form
        self._later = Later(settings.retry_after_s)

    async def answer(self, _messages: Any, context: aio.ServicerContext) -> bytes:
        """Answer one call.

        The iterator of messages is left alone: reading through `context` is the same and can be timed.
        """
        arrival = _arrival(self._relay, self._signal, self._form, context)
        if arrival is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "this is not the way in")
            return b""
        address = host_of(arrival.peer)
        try:
            if self._peers.enter(address):
                outcome = await self._intake.serve(
                    arrival, lambda lease: self._turns.take(lambda: self._read(context, lease))
                )
            else:
                outcome = self._intake.turn_away(
                    arrival.signal, arrival.transport, Outcome(Kind.OVERLOADED, _TOO_MANY_CALLS)
                )
        finally:
            self._peers.leave(address)
        retry_after_s = self._later.seconds(outcome.retry_after_s) if outcome.codes.retry else 0
        if self._form.is_foreign and outcome.kind is Kind.OK:
            reply = called(outcome)
        else:
            reply = grpc_reply(outcome, self._signal, retry_after_s=retry_after_s)
        if reply.trailers:
            context.set_trailing_metadata(reply.trailers)
        if reply.code is not grpc.StatusCode.OK:
            await context.abort(reply.code, reply.message)
        return reply.body

    async def _read(self, context: aio.ServicerContext, lease: Lease) -> Wire:
        """The one message of the call."""
        message = await context.read()
        if message is aio.EOF:
            # Also what the core hands over after it refused a larger message with RESOURCE_EXHAUSTED itself.
            raise TooLargeError(
                f"no message arrived: it is larger than {self._settings.max_wire_bytes} bytes, or the "
                "call had none"
            )
        lease.grow(len(message))
        if await context.read() is not aio.EOF:
            raise BadRequestError("an export call carries exactly one message; this one carried more")
        return Wire(message, encoding_of_message(message))


def _arrival(relay: Relay | None, signal: Signal, form: Form, context: aio.ServicerContext) -> Arrival | None:
    """Who calls, and with what; None for somebody on this machine who has got around TLS."""
    name: str = context.peer()
    peer = Peer(name, None) if relay is None else relay.peer(name)
    if peer is None:
        return None
    return Arrival(
        signal=signal,
        transport=Transport.GRPC,
        form=form,
        headers=joined(
            (key, value) for key, value in context.invocation_metadata() if isinstance(value, str)
        ),
        peer=peer.address,
        certificate=peer.certificate,
    )


def _options(settings: CollectorSettings) -> list[tuple[str, int]]:
    """Channel arguments: limits from the settings; keep-alive that suits the SDKs and finds dead peers."""
    return [
        ("grpc.so_reuseport", 0),  # a second server on the port is refused instead of sharing it
        ("grpc.per_message_decompression", 0),
        ("grpc.max_receive_message_length", settings.max_wire_bytes),
        ("grpc.max_send_message_length", _MAX_REPLY_BYTES),
        ("grpc.max_concurrent_streams", settings.grpc_max_streams),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.max_metadata_size", settings.max_header_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_header_bytes),
        ("grpc.server_handshake_timeout_ms", int(settings.header_timeout_s * 1000)),
        ("grpc.max_connection_age_ms", int(settings.grpc_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", int(settings.body_timeout_s * 2000)),
        # Those that only take up a place; a client connects anew when it has something to send.
        ("grpc.max_connection_idle_ms", int(settings.keep_alive_s * 1000)),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
