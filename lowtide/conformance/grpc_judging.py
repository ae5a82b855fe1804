"""Looks at a gRPC reply with one question in mind. Used by the rules over gRPC.

The trap: a reply may have come without a code; it is then a failure of any rule about codes.
"""

from __future__ import annotations

from collections.abc import Callable

from google.rpc.error_details_pb2 import RetryInfo

from ingest.signals import Signal
from lowtide.conformance.grpc_wire import Code, GrpcReply
from lowtide.conformance.judging import has_bad_request, success_in
from lowtide.conformance.rule import Finding, failed, passed, unjudged, unsupported

RETRYABLE = frozenset(
    {
        Code.CANCELLED,
        Code.DEADLINE_EXCEEDED,
        Code.ABORTED,
        Code.OUT_OF_RANGE,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
    }
)

Judge = Callable[[GrpcReply], Finding]


def _signal_of(reply: GrpcReply) -> Signal | None:
    name = reply.call.method.rpartition(".")[2].partition("Service/")[0].lower()
    return {"trace": Signal.TRACES, "metrics": Signal.METRICS, "logs": Signal.LOGS}.get(name)


def accepted(reply: GrpcReply) -> Finding:
    if reply.code is not Code.OK:
        return failed(str(reply))
    signal = _signal_of(reply)
    success = success_in(signal, reply.message or b"") if signal is not None else None
    if success is not None and success.rejected:
        return failed(f"OK, but {success.rejected} refused: {success.message or 'no reason given'}")
    return passed(str(reply))


def signal_accepted(reply: GrpcReply) -> Finding:
    if reply.code is Code.UNIMPLEMENTED:
        return unsupported(f"{reply}: this signal is not received")
    return accepted(reply)


def optional(reply: GrpcReply) -> Finding:
    return passed(str(reply)) if reply.code is Code.OK else unsupported(str(reply))


def holds_success(reply: GrpcReply) -> Finding:
    signal = _signal_of(reply)
    if reply.code is not Code.OK or signal is None:
        return unjudged(f"no success to look at: {reply}")
    if reply.message is None:
        return failed("no single, uncompressed message in the reply")
    found = success_in(signal, reply.message)
    return failed("a message of another kind") if found is None else passed(f"{len(reply.message)} bytes")


def leaves_partial_unset(reply: GrpcReply) -> Finding:
    signal = _signal_of(reply)
    found = success_in(signal, reply.message) if signal is not None and reply.message is not None else None
    if reply.code is not Code.OK or found is None:
        return unjudged(f"no success to look at: {reply}")
    if found.rejected:
        return unjudged(f"{found.rejected} refused: {found.message}")
    if found.is_partial and not found.message:
        return failed("partial_success is set and empty")
    return passed(f"a warning: {found.message}" if found.is_partial else "unset")


def refused_for_good(reply: GrpcReply) -> Finding:
    is_good = reply.code not in {None, Code.OK} | RETRYABLE
    return passed(str(reply)) if is_good else failed(str(reply))


def settled(reply: GrpcReply) -> Finding:
    return passed(str(reply)) if reply.code is Code.OK else refused_for_good(reply)


def code_in(*codes: Code) -> Judge:
    return lambda reply: passed(str(reply)) if reply.code in codes else failed(str(reply))


def has_details(reply: GrpcReply) -> Finding:
    if reply.code in (None, Code.OK):
        return unjudged(f"no failure to look at: {reply}")
    status = reply.details
    if status is not None and has_bad_request(status):
        return passed("BadRequest")
    return unsupported("no BadRequest in grpc-status-details-bin")


def names_codings(reply: GrpcReply) -> Finding:
    if reply.code is not Code.UNIMPLEMENTED:
        return unjudged(f"no UNIMPLEMENTED to look at: {reply}")
    named = reply.headers.get("grpc-accept-encoding") or reply.trailers.get("grpc-accept-encoding")
    said = f"grpc-accept-encoding: {named or '(absent)'}"
    return passed(said) if named and "x-unheard-of" not in named else failed(said)


def grpc_content_type(reply: GrpcReply) -> Finding:
    said = reply.headers.get("content-type", "no content type")
    return (
        passed(said) if said.startswith("application/grpc") else failed(f"{said}, HTTP status {reply.status}")
    )


def http_415(reply: GrpcReply) -> Finding:
    said = f"HTTP status {reply.status}" if not reply.problem else reply.problem
    return passed(said) if reply.status == 415 else failed(said)


def limits(reply: GrpcReply) -> Finding:
    if reply.code is Code.OK:
        return unjudged("128 MiB were taken; a limit, if there is one, is higher")
    return refused_for_good(reply)


def limits_without_retry(reply: GrpcReply) -> Finding:
    if reply.code is Code.OK:
        return unjudged("128 MiB were taken")
    status = reply.details
    details = status.details if status is not None else ()
    if any(detail.Is(RetryInfo.DESCRIPTOR) for detail in details):
        return failed(f"{reply}, with RetryInfo: a sender would repeat it")
    return code_in(Code.RESOURCE_EXHAUSTED)(reply)
