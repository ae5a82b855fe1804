"""Makes the probe of a rule from a request and a judge. Used by the tables of rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lowtide.conformance.grpc_wire import GrpcCall, GrpcReply
from lowtide.conformance.http_wire import JSON, PROTOBUF, HttpRequest
from lowtide.conformance.judging import Judge
from lowtide.conformance.rule import Finding, unjudged
from lowtide.conformance.samples import Samples
from lowtide.conformance.session import Session

Probe = Callable[[Session], Awaitable[Finding]]
Body = Callable[[Samples], bytes]


def request(judge: Judge, ask: Callable[[Samples], HttpRequest]) -> Probe:
    """The reply to one request, judged."""

    async def probe(session: Session) -> Finding:
        return judge(await session.http(ask(session.samples)))

    return probe


def protobuf(judge: Judge, body: Body, encoding: str | None = None) -> Probe:
    """A POST in protobuf to the signal's path."""
    return request(judge, lambda samples: HttpRequest(samples.path, body(samples), PROTOBUF, encoding))


def json(judge: Judge, body: Body, encoding: str | None = None, kind: str = JSON) -> Probe:
    """A POST in JSON. Not judged where JSON is not received at all: that is a rule of its own."""

    async def probe(session: Session) -> Finding:
        if not await session.takes_json():
            return unjudged("JSON is not received")
        return judge(
            await session.http(HttpRequest(session.samples.path, body(session.samples), kind, encoding))
        )

    return probe


def call(judge: Callable[[GrpcReply], Finding], ask: Callable[[Samples], GrpcCall]) -> Probe:
    """The reply to one gRPC call, judged."""

    async def probe(session: Session) -> Finding:
        return judge(await session.grpc(ask(session.samples)))

    return probe
