"""One run against one receiver: the two wires, what was sent already, and whether the receiver is at work.

Rules ask it to send. The same request is sent once, however many rules look at its reply. The trap this
module is for: a reply that says "later" or "who are you", or none at all, may be the answer to that very
request or the receiver's condition at the moment. So it is followed by a control, the plainest request there
is; only if that gets a proper reply does the odd one count, and is asked for once more (`Clouded` is raised
otherwise, and the rule is not judged).
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ingest.signals import Signal
from lowtide.conformance.grpc_wire import Code, GrpcCall, GrpcReply, GrpcWire
from lowtide.conformance.http_wire import JSON, HttpReply, HttpRequest, HttpWire
from lowtide.conformance.rule import Transport
from lowtide.conformance.samples import Samples
from lowtide.conformance.target import Target

OVERLOADED = frozenset({429, 502, 503, 504})
NOT_FOR_US = frozenset({401, 403, 407})
CLOUDY_CODES = frozenset(
    {Code.UNAVAILABLE, Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.RESOURCE_EXHAUSTED}
)


class Clouded(Exception):  # noqa: N818 - no error: the receiver's condition hides the answer
    """The receiver is not at work, so a reply says nothing about a rule. The message says what it does."""


class Session:
    """Use in `async with`. `signal` is the one that rules about no particular signal are checked with."""

    def __init__(self, target: Target, signal: Signal = Signal.TRACES) -> None:
        self.target = target
        self.samples = Samples.of(signal)
        self.http_seen: list[HttpReply] = []
        self.gone: dict[Transport, str] = {}
        self._controlled: set[HttpRequest | GrpcCall] = set()
        self._http_tls = target.tls() if target.http.startswith("https:") else None
        self._http = self._open_http()
        self._grpc: GrpcWire | None = None
        if target.grpc is not None:
            grpc_tls = target.tls("h2") if target.grpc_tls else None
            self._grpc = GrpcWire(*target.grpc, target.headers, grpc_tls, target.timeout_s)
        self._http_sent: dict[HttpRequest, HttpReply] = {}
        self._grpc_sent: dict[GrpcCall, GrpcReply] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    def about(self, signal: Signal) -> Samples:
        """Samples of another signal."""
        return Samples(signal, self.samples.now_ns)

    # HTTP

    def _open_http(self) -> HttpWire:
        target = self.target
        return HttpWire(target.http, target.headers, self._http_tls, target.timeout_s)

    async def post_once(self, request: HttpRequest) -> HttpReply:
        """The reply to a request, which is sent if it was not yet. No control."""
        if request not in self._http_sent:
            self._http_sent[request] = await self.send_http(request)
        return self._http_sent[request]

    async def http(self, request: HttpRequest) -> HttpReply:
        """The reply to a request. Raises Clouded."""
        reply = await self.post_once(request)
        if _is_odd(reply) and request not in self._controlled:
            await self._control_http(reply)
            self._controlled.add(request)
            # Odd only once may have been the moment.
            reply = self._http_sent[request] = await self.send_http(request)
        return reply

    async def send_http(self, request: HttpRequest) -> HttpReply:
        """Send a request, also if it was sent before. No control."""
        self._check_there(Transport.HTTP)
        reply = await self._http.send(request)
        self.http_seen.append(reply)
        return reply

    async def http_on_new_connections(self, *requests: HttpRequest) -> list[HttpReply]:
        """The replies to requests from a client that has no connection yet. Raises Clouded."""
        self._check_there(Transport.HTTP)
        wire = self._open_http()
        try:
            replies = [await wire.send(request) for request in requests]
        finally:
            await wire.close()
        for reply in replies:
            if _is_odd(reply):
                await self._control_http(reply)
        return replies

    def plain(self, samples: Samples | None = None) -> HttpRequest:
        """The plainest request: protobuf, uncompressed, one record."""
        about = samples or self.samples
        return HttpRequest(about.path, about.protobuf)

    async def takes_json(self) -> bool:
        """Whether JSON is received at all. Raises Clouded."""
        reply = await self.http(HttpRequest(self.samples.path, self.samples.json(), JSON))
        return reply.status not in (404, 406, 415)

    async def _control_http(self, odd: HttpReply) -> None:
        control = await self.send_http(self.plain())
        if control.problem:
            control = await self.send_http(self.plain())
        if control.problem:
            self.gone[Transport.HTTP] = control.problem
            raise Clouded(f"{odd}; and from then on: {control.problem}")
        if control.status in OVERLOADED | NOT_FOR_US:
            raise Clouded(f"{odd}; the plain request then got {control.status}, too")

    # gRPC

    @property
    def has_grpc(self) -> bool:
        """Whether an address was given for it."""
        return self._grpc is not None

    async def call_once(self, call: GrpcCall) -> GrpcReply:
        """The reply to a call, which is made if it was not yet. No control."""
        if call not in self._grpc_sent:
            self._grpc_sent[call] = (await self.call_grpc(call))[-1]
        return self._grpc_sent[call]

    async def grpc(self, call: GrpcCall) -> GrpcReply:
        """The reply to a call. Raises Clouded."""
        reply = await self.call_once(call)
        if _is_odd_call(reply) and call not in self._controlled:
            await self._control_grpc(reply)
            self._controlled.add(call)
            reply = self._grpc_sent[call] = (await self.call_grpc(call))[-1]
        return reply

    async def call_grpc(self, *calls: GrpcCall) -> list[GrpcReply]:
        """Make calls on one connection, also if they were made before. No control."""
        self._check_there(Transport.GRPC)
        if self._grpc is None:
            raise Clouded("no gRPC address was given")
        return await self._grpc.send(*calls)

    def plain_call(self, samples: Samples | None = None) -> GrpcCall:
        """The plainest call: uncompressed, one record."""
        about = samples or self.samples
        return GrpcCall(about.method, about.protobuf)

    async def _control_grpc(self, odd: GrpcReply) -> None:
        control = (await self.call_grpc(self.plain_call()))[-1]
        if control.problem:
            control = (await self.call_grpc(self.plain_call()))[-1]
        if control.problem:
            self.gone[Transport.GRPC] = control.problem
            raise Clouded(f"{odd}; and from then on: {control.problem}")
        if control.code in CLOUDY_CODES:
            raise Clouded(f"{odd}; the plain call then got {control}, too")

    def _check_there(self, transport: Transport) -> None:
        if transport in self.gone:
            raise Clouded(f"the receiver is gone: {self.gone[transport]}")


def _is_odd(reply: HttpReply) -> bool:
    return bool(reply.problem) or reply.status in OVERLOADED | NOT_FOR_US


def _is_odd_call(reply: GrpcReply) -> bool:
    return bool(reply.problem) or reply.code in CLOUDY_CODES
