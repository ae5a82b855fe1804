"""The rules about compression, and about what must be refused over HTTP. Part of `catalogue`."""

from __future__ import annotations

from lowtide.conformance import judging
from lowtide.conformance.http_wire import HttpReply, HttpRequest
from lowtide.conformance.making import Probe, json, protobuf, request
from lowtide.conformance.rule import Finding, Level, Rule, failed, passed, unjudged
from lowtide.conformance.samples import Samples
from lowtide.conformance.squeezing import CODINGS, gzip_of, large_gzip

MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY
REQUEST = "OTLP/HTTP Request"
BAD_DATA = "OTLP/HTTP Response, Bad Data"
FAILURES = "OTLP/HTTP Response, Failures"
CODING = "Protocol Details"

NO_PROTOBUF = b"\xff\xff\xff"
NO_JSON = b'{"resourceSpans": ['


def _coded(name: str) -> Probe:
    coding, encode = CODINGS[name]
    return protobuf(judging.optional, lambda samples: encode(samples.protobuf), coding)


def _of_unknown_kind(samples: Samples) -> HttpRequest:
    return HttpRequest(samples.path, samples.protobuf, "text/plain")


def _of_unknown_path(samples: Samples) -> HttpRequest:
    return HttpRequest("/v1/no-such-signal", samples.protobuf)


def _of_wrong_method(samples: Samples) -> HttpRequest:
    return HttpRequest(samples.path, method="GET")


def _of_large_body(samples: Samples) -> HttpRequest:
    return HttpRequest(samples.path, large_gzip(), encoding="gzip")


def _limits(reply: HttpReply) -> Finding:
    """A limit shows only where it is below what was sent; how high it may be is the operator's choice."""
    if reply.status == 200:
        return unjudged("128 MiB were taken; a limit, if there is one, is higher")
    return passed(judging.told(reply)) if 400 <= reply.status < 500 else failed(judging.told(reply))


def _limits_with_413(reply: HttpReply) -> Finding:
    return unjudged("128 MiB were taken") if reply.status == 200 else judging.status_in(413)(reply)


RULES = [
    Rule(
        "http.gzip.protobuf", MUST, CODING, "one record, protobuf, Content-Encoding: gzip", "200",
        protobuf(judging.accepted, lambda s: gzip_of(s.protobuf), "gzip"),
    ),
    Rule(
        "http.gzip.json", MUST, CODING, "one record, JSON, Content-Encoding: gzip", "200",
        json(judging.accepted, lambda s: gzip_of(s.json()), "gzip"),
    ),
    *(
        Rule(
            f"http.coding.{name}", MAY, "none: more than OTLP asks for",
            f"one record, protobuf, Content-Encoding: {coding}"
            + {"snappy": " (one block)", "snappy-framed": " (framed)"}.get(name, ""), "200", _coded(name),
        )
        for name, (coding, _) in CODINGS.items()
    ),
    Rule(
        "http.response.gzip", MAY, "OTLP/HTTP Response", "one record with Accept-Encoding: gzip",
        "a reply in gzip",
        request(judging.squeezed, lambda s: HttpRequest(s.path, s.protobuf, accepts="gzip")),
    ),
    Rule(
        "http.coding.unknown", SHOULD, "RFC 9110, 15.5.16", "one record, Content-Encoding: x-unheard-of",
        "415, or 400", protobuf(judging.status_in(415, 400), lambda s: s.protobuf, "x-unheard-of"),
    ),
    Rule(
        "http.gzip.cut-off", MUST, BAD_DATA, "a gzip stream that ends too early", "400",
        protobuf(judging.status_in(400), lambda s: gzip_of(s.protobuf)[:-12], "gzip"),
    ),
    Rule(
        "http.gzip.not-gzip", MUST, BAD_DATA, "plain protobuf under Content-Encoding: gzip", "400",
        protobuf(judging.status_in(400), lambda s: s.protobuf, "gzip"),
    ),
    Rule(
        "http.bad.protobuf", MUST, BAD_DATA, "bytes that are no protobuf", "400",
        protobuf(judging.status_in(400), lambda _: NO_PROTOBUF),
    ),
    Rule(
        "http.bad.protobuf-cut-off", MUST, BAD_DATA, "a request without its last byte, protobuf", "400",
        protobuf(judging.status_in(400), lambda s: s.cut_off),
    ),
    Rule(
        "http.bad.json", MUST, BAD_DATA, "text that is no JSON", "400",
        json(judging.status_in(400), lambda _: NO_JSON),
    ),
    Rule(
        "http.bad.json-list", MUST, BAD_DATA, "JSON that is no object: []", "400",
        json(judging.status_in(400), lambda _: b"[]"),
    ),
    Rule(
        "http.bad.json-as-protobuf", MUST, BAD_DATA, "JSON under the media type of protobuf", "400",
        protobuf(judging.status_in(400), lambda s: s.json()),
    ),
    Rule(
        "http.bad.protobuf-as-json", MUST, BAD_DATA, "protobuf under the media type of JSON", "400",
        json(judging.status_in(400), lambda s: s.protobuf),
    ),
    Rule(
        "http.bad.text", MUST, BAD_DATA, "a text attribute that is not UTF-8, protobuf",
        "200 or 400: nothing that makes a sender repeat it",
        protobuf(judging.settled, lambda s: s.with_bad_text),
    ),
    Rule(
        "http.bad.deep", MUST, BAD_DATA, "an attribute of 200 lists in lists, protobuf",
        "200 or 400: nothing that makes a sender repeat it",
        protobuf(judging.settled, lambda s: s.nested(200)),
    ),
    Rule(
        "http.bad.content-type", MUST, "OTLP/HTTP Response", "bytes that are no protobuf",
        "a reply with Content-Type: application/x-protobuf",
        protobuf(judging.kind_as_sent, lambda _: NO_PROTOBUF),
    ),
    Rule(
        "http.bad.content-type-json", MUST, "OTLP/HTTP Response", "text that is no JSON",
        "a reply with Content-Type: application/json", json(judging.kind_as_sent, lambda _: NO_JSON),
    ),
    Rule(
        "http.bad.body", MUST, FAILURES, "bytes that are no protobuf",
        "a body that is a google.rpc.Status in protobuf",
        protobuf(judging.holds_status, lambda _: NO_PROTOBUF),
    ),
    Rule(
        "http.bad.body-json", MUST, FAILURES, "text that is no JSON",
        "a body that is a google.rpc.Status in JSON", json(judging.holds_status, lambda _: NO_JSON),
    ),
    Rule(
        "http.bad.message", SHOULD, FAILURES, "bytes that are no protobuf",
        "Status.message says what is wrong", protobuf(judging.holds_message, lambda _: NO_PROTOBUF),
    ),
    Rule(
        "http.bad.details", SHOULD, BAD_DATA, "bytes that are no protobuf",
        "Status.details holds a google.rpc.BadRequest",
        protobuf(judging.holds_bad_request, lambda _: NO_PROTOBUF),
    ),
    Rule(
        "http.type.unknown", SHOULD, "RFC 9110, 15.5.16", "one record under Content-Type: text/plain", "415",
        request(judging.status_in(415), _of_unknown_kind),
    ),
    Rule(
        "http.type.unknown-body", MUST, FAILURES, "one record under Content-Type: text/plain",
        "a body that is a google.rpc.Status", request(judging.holds_status, _of_unknown_kind),
    ),
    Rule(
        "http.method.unknown", SHOULD, "RFC 9110, 9.1", "GET on the signal's path", "405",
        request(judging.status_in(405), _of_wrong_method),
    ),
    Rule(
        "http.method.allow", MUST, "RFC 9110, 15.5.6", "GET on the signal's path", "405 with Allow: POST",
        request(judging.allows_post, _of_wrong_method),
    ),
    Rule(
        "http.method.body", MUST, FAILURES, "GET on the signal's path", "a body that is a google.rpc.Status",
        request(judging.holds_status, _of_wrong_method),
    ),
    Rule(
        "http.path.unknown", SHOULD, "RFC 9110, 15.5.5", "one record to /v1/no-such-signal", "404",
        request(judging.status_in(404), _of_unknown_path),
    ),
    Rule(
        # The sentence says "all"; but whether a path outside OTLP is still its matter may be disputed.
        "http.path.body", SHOULD, FAILURES, "one record to /v1/no-such-signal",
        "a body that is a google.rpc.Status", request(judging.holds_status, _of_unknown_path),
    ),
    Rule(
        "http.limit", MUST, REQUEST, "128 MiB of zeros in 130 kB of gzip, as an unknown field",
        "refused for good, by any 4xx", request(_limits, _of_large_body), large=True,
    ),
    Rule(
        "http.limit.status", SHOULD, REQUEST, "128 MiB of zeros in 130 kB of gzip, as an unknown field",
        "413", request(_limits_with_413, _of_large_body), large=True,
    ),
]  # fmt: skip
