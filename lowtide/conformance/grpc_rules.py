"""The rules about OTLP over gRPC. Part of `catalogue`.

What gRPC itself asks of a server counts as much as what OTLP asks: a sender cannot tell whose fault it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from ingest.signals import Signal
from lowtide.conformance.grpc_judging import (
    Judge,
    accepted,
    code_in,
    grpc_content_type,
    has_details,
    holds_success,
    http_415,
    leaves_partial_unset,
    limits,
    limits_without_retry,
    names_codings,
    optional,
    refused_for_good,
    settled,
    signal_accepted,
)
from lowtide.conformance.grpc_wire import Code, GrpcCall
from lowtide.conformance.making import Probe, call
from lowtide.conformance.rule import Finding, Level, Rule, failed, passed
from lowtide.conformance.samples import Samples
from lowtide.conformance.session import Session
from lowtide.conformance.squeezing import CODINGS, gzip_of, large_gzip

MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY
SUCCESS = "OTLP/gRPC Response, Full Success"
FAILURES = "OTLP/gRPC Response, Failures"
COMPRESSION = "gRPC compression.md, Test cases"
WIRE = "gRPC PROTOCOL-HTTP2.md"
NO_PROTOBUF = b"\xff\xff\xff"
PROFILES = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"


def _signal(signal: Signal) -> Probe:
    async def probe(session: Session) -> Finding:
        return signal_accepted(await session.grpc(session.plain_call(session.about(signal))))

    return probe


async def _on_one_connection(session: Session) -> Finding:
    plain = session.plain_call()
    await session.grpc(plain)  # for its control, should the receiver not be at work
    replies = await session.call_grpc(plain, plain, plain)
    wrong = next((reply for reply in replies if reply.code is not Code.OK), None)
    return passed("three times OK") if wrong is None else failed(f"call {len(replies)}: {wrong}")


def _message(judge: Judge, message: Callable[[Samples], bytes], encoding: str | None = None) -> Probe:
    """A call of the signal's Export; compressed if an encoding is named."""
    return call(judge, lambda s: GrpcCall(s.method, message(s), encoding, encoding is not None))


def _coded(name: str, form: str) -> Probe:
    encode = CODINGS[form][1]
    return _message(optional, lambda samples: encode(samples.protobuf), name)


def _large(samples: Samples) -> bytes:  # noqa: ARG001 - the same for all signals
    return large_gzip()


RULES = [
    *(
        Rule(
            f"grpc.{signal.value}", MUST, SUCCESS, f"one record to the Export method of {signal.value}", "OK",
            _signal(signal),
        )
        for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)
    ),
    Rule(
        "grpc.profiles", MAY, "OTLP/gRPC Request", "an empty request to ProfilesService (v1development)",
        "OK", call(optional, lambda _: GrpcCall(PROFILES)),
    ),
    Rule(
        "grpc.success.body", MUST, SUCCESS, "one record",
        "one message: the signal's Export...ServiceResponse",
        _message(holds_success, lambda s: s.protobuf),
    ),
    Rule(
        "grpc.success.partial-unset", MUST, SUCCESS, "one record", "partial_success unset, or with a warning",
        _message(leaves_partial_unset, lambda s: s.protobuf),
    ),
    Rule(
        "grpc.success.content-type", MUST, WIRE, "one record", "a reply with content-type: application/grpc",
        _message(grpc_content_type, lambda s: s.protobuf),
    ),
    Rule("grpc.empty", SHOULD, SUCCESS, "a message of no bytes", "OK", _message(accepted, lambda _: b"")),
    Rule(
        "grpc.empty.envelope", SHOULD, SUCCESS, "a resource without records", "OK",
        _message(accepted, lambda s: s.empty_envelope),
    ),
    Rule(
        "grpc.unknown-field", MUST, "Future Versions and Interoperability",
        "one record and a field of a later version", "OK",
        _message(accepted, lambda s: s.with_unknown_fields),
    ),
    Rule(
        "grpc.connection", MUST, "OTLP/gRPC Request", "three calls, one after another, on one connection",
        "three times OK", _on_one_connection,
    ),
    Rule(
        "grpc.gzip", MUST, "Protocol Details", "one record, grpc-encoding: gzip", "OK",
        _message(accepted, lambda s: gzip_of(s.protobuf), "gzip"),
    ),
    Rule(
        "grpc.gzip.unused", MUST, WIRE, "one record, grpc-encoding: gzip, the message itself not compressed",
        "OK", call(accepted, lambda s: GrpcCall(s.method, s.protobuf, "gzip")),
    ),
    Rule(
        "grpc.coding.deflate", MAY, "none: more than OTLP asks for", "one record, grpc-encoding: deflate",
        "OK", _message(optional, lambda s: zlib.compress(s.protobuf), "deflate"),
    ),
    *(
        Rule(
            f"grpc.coding.{name}", MAY, "none: more than OTLP asks for", f"one record, grpc-encoding: {name}",
            "OK", _coded(name, form),
        )
        for name, form in (("zstd", "zstd"), ("snappy", "snappy-framed"))
    ),
    Rule(
        "grpc.coding.unknown", MUST, COMPRESSION, "one record, grpc-encoding: x-unheard-of", "UNIMPLEMENTED",
        _message(code_in(Code.UNIMPLEMENTED), lambda s: s.protobuf, "x-unheard-of"),
    ),
    Rule(
        "grpc.coding.named", SHOULD, "gRPC compression.md, Compression Method Asymmetry",
        "one record, grpc-encoding: x-unheard-of", "a reply with grpc-accept-encoding",
        _message(names_codings, lambda s: s.protobuf, "x-unheard-of"),
    ),
    Rule(
        "grpc.coding.absent", MUST, COMPRESSION, "a message that says it is compressed, no grpc-encoding",
        "INTERNAL",
        call(code_in(Code.INTERNAL), lambda s: GrpcCall(s.method, gzip_of(s.protobuf), None, True)),
    ),
    Rule(
        "grpc.gzip.cut-off", MUST, FAILURES, "a gzip stream that ends too early",
        "a code that is not retried", _message(refused_for_good, lambda s: gzip_of(s.protobuf)[:-12], "gzip"),
    ),
    Rule(
        "grpc.bad.protobuf", MUST, FAILURES, "bytes that are no protobuf", "a code that is not retried",
        _message(refused_for_good, lambda _: NO_PROTOBUF),
    ),
    Rule(
        "grpc.bad.cut-off", MUST, FAILURES, "a request without its last byte", "a code that is not retried",
        _message(refused_for_good, lambda s: s.cut_off),
    ),
    Rule(
        # OTLP recommends the first; frameworks that decode before the receiver is asked give the second.
        "grpc.bad.code", SHOULD, FAILURES, "bytes that are no protobuf", "INVALID_ARGUMENT, or INTERNAL",
        _message(code_in(Code.INVALID_ARGUMENT, Code.INTERNAL), lambda _: NO_PROTOBUF),
    ),
    Rule(
        "grpc.bad.details", MAY, FAILURES, "bytes that are no protobuf",
        "a google.rpc.BadRequest in grpc-status-details-bin", _message(has_details, lambda _: NO_PROTOBUF),
    ),
    Rule(
        "grpc.bad.text", MUST, FAILURES, "a text attribute that is not UTF-8",
        "OK, or a code that is not retried", _message(settled, lambda s: s.with_bad_text),
    ),
    Rule(
        "grpc.bad.deep", MUST, FAILURES, "an attribute of 200 lists in lists",
        "OK, or a code that is not retried", _message(settled, lambda s: s.nested(200)),
    ),
    Rule(
        "grpc.method.unknown", SHOULD, "gRPC statuscodes.md", "a method that the service does not have",
        "UNIMPLEMENTED",
        call(code_in(Code.UNIMPLEMENTED), lambda s: GrpcCall(s.method.replace("/Export", "/NoSuchMethod"))),
    ),
    Rule(
        "grpc.service.unknown", SHOULD, "gRPC statuscodes.md", "a service that there is not", "UNIMPLEMENTED",
        call(code_in(Code.UNIMPLEMENTED), lambda _: GrpcCall("/no.such.Service/Export")),
    ),
    Rule(
        "grpc.content-type.unknown", SHOULD, WIRE, "one record under content-type: text/plain",
        "HTTP status 415",
        call(http_415, lambda s: GrpcCall(s.method, s.protobuf, content_type="text/plain")),
    ),
    Rule(
        "grpc.limit", MUST, "OTLP/gRPC Request", "128 MiB of zeros in 130 kB of gzip, as an unknown field",
        "a code that is not retried", _message(limits, _large, "gzip"), large=True,
    ),
    Rule(
        "grpc.limit.code", SHOULD, FAILURES, "128 MiB of zeros in 130 kB of gzip, as an unknown field",
        "RESOURCE_EXHAUSTED without RetryInfo", _message(limits_without_retry, _large, "gzip"), large=True,
    ),
]  # fmt: skip
