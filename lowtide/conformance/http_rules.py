"""The rules about good requests over HTTP: what succeeds, and how the reply looks. Part of `catalogue`."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from ingest.signals import Signal
from lowtide.conformance import judging
from lowtide.conformance.http_wire import JSON, PROTOBUF, HttpReply, HttpRequest
from lowtide.conformance.making import Probe, json, protobuf, request
from lowtide.conformance.rule import Finding, Level, Rule, failed, passed, unjudged
from lowtide.conformance.session import OVERLOADED, Session

MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY
RESPONSE = "OTLP/HTTP Response"
SUCCESS = "OTLP/HTTP Response, Full Success"
_TOKENS = re.compile(r"\d+")


def _signal(signal: Signal, form: str) -> Probe:
    async def probe(session: Session) -> Finding:
        samples = session.about(signal)
        body = samples.protobuf if form == PROTOBUF else samples.json()
        return judging.signal_accepted(await session.http(HttpRequest(samples.path, body, form)))

    return probe


async def _keeps_alive(session: Session) -> Finding:
    plain = session.plain()
    first, second = await session.http_on_new_connections(plain, plain)
    if first.problem or second.problem:
        return failed(first.problem or second.problem)
    if first.port is None:
        return unjudged("the connection's own port is not known")
    if first.port == second.port:
        return passed("both on one connection")
    return failed("the connection was closed after the first reply")


async def _retry_after(session: Session) -> Finding:
    seen = [
        reply for reply in session.http_seen if reply.status in OVERLOADED and "retry-after" in reply.headers
    ]
    if not seen:
        return unjudged("no reply asked to wait")
    return next((finding for finding in map(_waits, seen) if finding.outcome == "fail"), _waits(seen[0]))


def _waits(reply: HttpReply) -> Finding:
    value = reply.headers["retry-after"].strip()
    said = f"Retry-After: {value} with status {reply.status}"
    if _TOKENS.fullmatch(value):
        return passed(said)
    try:
        parsedate_to_datetime(value)
    except ValueError:
        return failed(said)
    return passed(said)


RULES = [
    *(
        Rule(
            f"http.{signal.value}.protobuf", MUST, SUCCESS,
            f"one record to /v1/{signal.value}, protobuf", "200", _signal(signal, PROTOBUF),
        )
        for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)
    ),
    *(
        Rule(
            f"http.{signal.value}.json", SHOULD, "OTLP/HTTP Connection",
            f"one record to /v1/{signal.value}, JSON, on the same port", "200", _signal(signal, JSON),
        )
        for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)
    ),
    Rule(
        "http.profiles", MAY, "OTLP/HTTP Request", "an empty request to /v1development/profiles", "200",
        request(judging.optional, lambda _: HttpRequest("/v1development/profiles")),
    ),
    Rule(
        "http.success.content-type", MUST, RESPONSE, "one record, protobuf",
        f"a reply with Content-Type: {PROTOBUF}", protobuf(judging.kind_as_sent, lambda s: s.protobuf),
    ),
    Rule(
        "http.success.content-type-json", MUST, RESPONSE, "one record, JSON",
        f"a reply with Content-Type: {JSON}", json(judging.kind_as_sent, lambda s: s.json()),
    ),
    Rule(
        "http.success.body", MUST, SUCCESS, "one record, protobuf",
        "a body that is the signal's Export...ServiceResponse in protobuf",
        protobuf(judging.holds_success, lambda s: s.protobuf),
    ),
    Rule(
        "http.success.body-json", MUST, SUCCESS, "one record, JSON",
        "a body that is the signal's Export...ServiceResponse in JSON",
        json(judging.holds_success, lambda s: s.json()),
    ),
    Rule(
        "http.success.partial-unset", MUST, SUCCESS, "one record, protobuf",
        "partial_success unset, or with a warning",
        protobuf(judging.leaves_partial_unset, lambda s: s.protobuf),
    ),
    Rule(
        "http.success.partial-unset-json", MUST, SUCCESS, "one record, JSON",
        "partialSuccess unset, or with a warning", json(judging.leaves_partial_unset, lambda s: s.json()),
    ),
    Rule(
        "http.empty.protobuf", SHOULD, SUCCESS, "a body of no bytes, protobuf", "200",
        protobuf(judging.accepted, lambda _: b""),
    ),
    Rule(
        "http.empty.json", SHOULD, SUCCESS, "{}, JSON", "200", json(judging.accepted, lambda _: b"{}"),
    ),
    Rule(
        "http.empty.envelope", SHOULD, SUCCESS, "a resource without records, protobuf", "200",
        protobuf(judging.accepted, lambda s: s.empty_envelope),
    ),
    Rule(
        "http.unknown-field", MUST, "Future Versions and Interoperability",
        "one record and a field of a later version, protobuf", "200",
        protobuf(judging.accepted, lambda s: s.with_unknown_fields),
    ),
    Rule(
        "http.content-type.parameter", SHOULD, "RFC 9110, 8.3.1",
        "one record, Content-Type: application/json; charset=utf-8", "200",
        json(judging.accepted, lambda s: s.json(), kind="application/json; charset=utf-8"),
    ),
    Rule(
        "http.content-type.case", SHOULD, "RFC 9110, 8.3.1",
        "one record, Content-Type: Application/X-Protobuf", "200",
        request(judging.accepted, lambda s: HttpRequest(s.path, s.protobuf, "Application/X-Protobuf")),
    ),
    Rule(
        "http.chunked", MUST, "RFC 9112, 7.1", "one record, Transfer-Encoding: chunked", "200, or 411",
        request(
            lambda reply: passed(str(reply)) if reply.status == 411 else judging.accepted(reply),
            lambda s: HttpRequest(s.path, s.protobuf, chunked=True),
        ),
    ),
    Rule(
        "http.keep-alive", SHOULD, "RFC 9112, 9.3", "two requests, one after the other",
        "both on one connection", _keeps_alive,
    ),
]  # fmt: skip

LAST = [
    Rule(
        "http.retry-after", MUST, "RFC 9110, 10.2.3", "nothing more: the replies to all other rules",
        "Retry-After, where it was seen, is whole seconds or a date", _retry_after,
    ),
]  # fmt: skip
"""Rules about what was seen while the others were checked."""
