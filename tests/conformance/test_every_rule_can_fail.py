"""Each rule passes against a receiver that keeps it, and is reported against one that breaks just that."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lowtide.conformance.catalogue import RULES
from lowtide.conformance.rule import Level, Outcome
from support.otlp_receiver import JSON, PROTOBUF, Answer, Asked, Fault, failure, grpc_failure

When = Callable[[Asked], bool]
Then = Callable[[Answer], Answer]
EMPTY_PARTIAL = b"\x0a\x00"


def when(test: When, then: Then) -> Fault:
    return lambda asked, answer: then(answer) if test(asked) else answer


def http(test: When, then: Then) -> Fault:
    return when(lambda asked: asked.transport == "http" and test(asked), then)


def grpc(test: When, then: Then) -> Fault:
    return when(lambda asked: asked.transport == "grpc" and test(asked), then)


def gives(status: int, kind: str = PROTOBUF) -> Then:
    return lambda _: failure(status, "broken on purpose", kind)


def code(number: int) -> Then:
    return lambda _: grpc_failure(number, "broken on purpose")


def takes(_: Answer) -> Answer:
    return Answer(200, {"content-type": PROTOBUF})


def takes_json(_: Answer) -> Answer:
    return Answer(200, {"content-type": JSON}, b"{}")


def takes_call(_: Answer) -> Answer:
    return Answer(200, {"content-type": "application/grpc"}, b"", {"grpc-status": "0"})


def body(data: bytes) -> Then:
    return lambda answer: replace(answer, body=data)


def kind(text: str) -> Then:
    return lambda answer: answer.with_headers(content_type=text)


def without(*names: str) -> Then:
    return lambda answer: replace(
        answer,
        headers={name: value for name, value in answer.headers.items() if name not in names},
        trailers={name: value for name, value in answer.trailers.items() if name not in names},
    )


def has(text: str) -> When:
    return lambda asked: asked.kind == JSON and text in asked.body.decode("utf-8", "replace")


def is_encoded(name: str) -> When:
    return lambda asked: asked.encoding == name


def is_path(path: str, form: str = PROTOBUF) -> When:
    return lambda asked: asked.path == path and asked.kind == form


def is_plain(asked: Asked) -> bool:
    """The plain request of one record, in protobuf."""
    return asked.method == "POST" and asked.kind == PROTOBUF and b"conformance.check" in asked.body


def is_broken(asked: Asked) -> bool:
    return asked.body == b"\xff\xff\xff"


def is_broken_json(asked: Asked) -> bool:
    return asked.kind == JSON and asked.body.startswith(b'{"resourceSpans": [') and len(asked.body) < 20


def is_large(asked: Asked) -> bool:
    return len(asked.body) > 100_000


def is_get(asked: Asked) -> bool:
    return asked.method == "GET"


def method(service: str) -> When:
    return lambda asked: service in asked.path


def without_details(answer: Answer) -> Answer:
    return replace(answer, body=b"\x08\x03\x12\x01x")


def with_retry_info(_: Answer) -> Answer:
    from google.protobuf import any_pb2
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    said = Status(code=8)
    detail = any_pb2.Any()
    detail.Pack(RetryInfo())
    said.details.append(detail)
    import base64

    packed = base64.b64encode(said.SerializeToString()).decode()
    answer = grpc_failure(8, "later")
    return replace(answer, trailers=answer.trailers | {"grpc-status-details-bin": packed})


UNKNOWN_CODING = is_encoded("x-unheard-of")
NOT_JSON_KIND = http(lambda asked: asked.kind == "text/plain", gives(415))

FAULTS: dict[str, Fault] = {
    "http.traces.protobuf": http(is_path("/v1/traces"), gives(500)),
    "http.metrics.protobuf": http(is_path("/v1/metrics"), gives(500)),
    "http.logs.protobuf": http(is_path("/v1/logs"), lambda answer: replace(answer, status=202)),
    "http.traces.json": http(is_path("/v1/traces", JSON), gives(415, JSON)),
    "http.metrics.json": http(is_path("/v1/metrics", JSON), gives(400, JSON)),
    "http.logs.json": http(is_path("/v1/logs", JSON), gives(500, JSON)),
    "http.profiles": http(is_path("/v1development/profiles"), gives(404)),
    "http.success.content-type": http(is_plain, kind("text/plain")),
    "http.success.content-type-json": http(lambda asked: asked.kind == JSON, kind(PROTOBUF)),
    "http.success.body": http(is_plain, body(b"<html>")),
    "http.success.body-json": http(lambda asked: asked.kind == JSON, body(b"")),
    "http.success.partial-unset": http(is_plain, body(EMPTY_PARTIAL)),
    "http.success.partial-unset-json": http(
        lambda asked: asked.kind == JSON, body(b'{"partialSuccess":{"rejectedSpans":"0"}}')
    ),
    "http.empty.protobuf": http(lambda asked: asked.kind == PROTOBUF and not asked.body, gives(400)),
    "http.empty.json": http(lambda asked: asked.body == b"{}", gives(400, JSON)),
    "http.empty.envelope": http(lambda asked: asked.body == b"\x0a\x00", gives(400)),
    "http.unknown-field": http(lambda asked: b"\xfa\xff\x07\x04" in asked.body, gives(400)),
    "http.content-type.parameter": http(lambda asked: "charset" in asked.kind, gives(415, JSON)),
    "http.content-type.case": http(lambda asked: "X-P" in asked.kind, gives(415)),
    "http.chunked": http(lambda asked: "transfer-encoding" in asked.headers, gives(400)),
    "http.keep-alive": http(is_plain, lambda answer: replace(answer, close=True)),
    "http.retry-after": http(UNKNOWN_CODING, lambda _: failure(503, "x", **{"retry-after": "soon"})),
    "http.json.unknown-fields": http(has("fieldOfALaterVersion"), gives(400, JSON)),
    "http.json.original-names": http(has("resource_spans"), gives(400, JSON)),
    "http.json.hex-lower": http(has("5b8efff7"), gives(400, JSON)),
    "http.json.hex-upper": http(has("5B8EFFF7"), gives(400, JSON)),
    "http.json.base64-ids": http(has("W47/"), takes_json),
    "http.json.int64-text": http(has('"9007199254740993"'), gives(400, JSON)),
    "http.json.int64-number": http(has(" 9007199254740993"), gives(400, JSON)),
    "http.json.enum-number": http(has('"kind": 2'), gives(400, JSON)),
    "http.json.enum-name": http(has("SPAN_KIND"), takes_json),
    "http.json.null": http(has('"droppedAttributesCount": null'), gives(400, JSON)),
    "http.json.bytes": http(has("bytesValue"), gives(400, JSON)),
    "http.json.double-number": http(has("1.5e-07"), gives(400, JSON)),
    "http.json.double-text": http(has("NaN"), gives(400, JSON)),
    "http.json.nested": http(has("kvlistValue"), gives(400, JSON)),
    "http.gzip.protobuf": http(lambda asked: asked.encoding == "gzip" and asked.kind == PROTOBUF, gives(400)),
    "http.gzip.json": http(lambda asked: asked.encoding == "gzip" and asked.kind == JSON, gives(415, JSON)),
    **{
        f"http.coding.{name}": http(is_encoded(name), gives(415))
        for name in ("zstd", "deflate", "lz4", "x-snappy-framed")
    },
    "http.coding.snappy": http(is_encoded("snappy"), gives(415)),
    "http.coding.snappy-framed": http(is_encoded("snappy"), gives(415)),
    "http.response.gzip": http(is_plain, without("content-encoding")),
    "http.coding.unknown": http(UNKNOWN_CODING, takes),
    "http.gzip.cut-off": http(is_encoded("gzip"), takes),
    "http.gzip.not-gzip": http(is_encoded("gzip"), gives(500)),
    "http.bad.protobuf": http(is_broken, gives(500)),
    "http.bad.protobuf-cut-off": http(lambda asked: b"conformance" in asked.body, takes),
    "http.bad.json": http(is_broken_json, gives(500, JSON)),
    "http.bad.json-list": http(lambda asked: asked.body == b"[]", takes_json),
    "http.bad.json-as-protobuf": http(lambda asked: asked.body.startswith(b"{"), takes),
    "http.bad.protobuf-as-json": http(
        lambda asked: asked.kind == JSON and asked.body.startswith(b"\x0a"), gives(500, JSON)
    ),
    "http.bad.text": http(lambda asked: b"conformance.text" in asked.body, gives(503)),
    "http.bad.deep": http(lambda asked: b"conformance.deep" in asked.body, gives(500)),
    "http.bad.content-type": http(is_broken, kind("text/plain; charset=utf-8")),
    "http.bad.content-type-json": http(is_broken_json, kind(PROTOBUF)),
    "http.bad.body": http(is_broken, body(b"no status")),
    "http.bad.body-json": http(is_broken_json, body(json.dumps({"error": "x"}).encode())),
    "http.bad.message": http(is_broken, body(b"\x08\x03")),
    "http.bad.details": http(is_broken, without_details),
    "http.type.unknown": http(lambda asked: asked.kind == "text/plain", takes),
    "http.type.unknown-body": http(lambda asked: asked.kind == "text/plain", kind("text/plain")),
    "http.method.unknown": http(is_get, gives(404)),
    "http.method.allow": http(is_get, without("allow")),
    "http.method.body": http(is_get, body(b"")),
    "http.path.unknown": http(is_path("/v1/no-such-signal"), gives(400)),
    "http.path.body": http(is_path("/v1/no-such-signal"), kind("text/html")),
    "http.limit": http(is_large, gives(500)),
    "http.limit.status": http(is_large, gives(400)),
    "grpc.traces": grpc(method("Trace"), code(13)),
    "grpc.metrics": grpc(method("Metrics"), code(13)),
    "grpc.logs": grpc(method("Logs"), code(3)),
    "grpc.profiles": grpc(method("Profiles"), code(12)),
    "grpc.success.body": grpc(is_any := lambda _: True, body(b"<html>")),
    "grpc.success.partial-unset": grpc(is_any, body(EMPTY_PARTIAL)),
    "grpc.success.content-type": grpc(is_any, kind("text/html")),
    "grpc.empty": grpc(lambda asked: not asked.body, code(3)),
    "grpc.empty.envelope": grpc(lambda asked: asked.body == b"\x0a\x00", code(3)),
    "grpc.unknown-field": grpc(lambda asked: b"\xfa\xff\x07\x04" in asked.body, code(3)),
    "grpc.connection": grpc(is_any, lambda answer: replace(answer, close=True)),
    "grpc.gzip": grpc(lambda asked: bool(asked.flag), code(12)),
    "grpc.gzip.unused": grpc(lambda asked: asked.encoding == "gzip" and not asked.flag, code(13)),
    **{f"grpc.coding.{name}": grpc(is_encoded(name), code(12)) for name in ("deflate", "zstd", "snappy")},
    "grpc.coding.unknown": grpc(UNKNOWN_CODING, code(13)),
    "grpc.coding.named": grpc(UNKNOWN_CODING, without("grpc-accept-encoding")),
    "grpc.coding.absent": grpc(lambda asked: bool(asked.flag), takes_call),
    "grpc.gzip.cut-off": grpc(lambda asked: bool(asked.flag), code(14)),
    "grpc.bad.protobuf": grpc(is_broken, takes_call),
    "grpc.bad.cut-off": grpc(lambda asked: b"conformance" in asked.body, takes_call),
    "grpc.bad.code": grpc(is_broken, code(2)),
    "grpc.bad.details": grpc(is_broken, without("grpc-status-details-bin")),
    "grpc.bad.text": grpc(lambda asked: b"conformance.text" in asked.body, code(14)),
    "grpc.bad.deep": grpc(lambda asked: b"conformance.deep" in asked.body, code(15)),
    "grpc.method.unknown": grpc(method("NoSuchMethod"), code(2)),
    "grpc.service.unknown": grpc(method("no.such"), code(5)),
    "grpc.content-type.unknown": grpc(lambda asked: asked.kind == "text/plain", takes_call),
    "grpc.limit": grpc(is_large, code(1)),
    "grpc.limit.code": grpc(is_large, with_retry_info),
}

ALSO = {"http.retry-after": ["http.coding.unknown"]}
"""Rules that must be checked before, for their replies."""


def test_there_is_a_fault_for_every_rule() -> None:
    assert set(FAULTS) == {rule.id for rule in RULES}


async def test_a_receiver_that_keeps_every_rule_passes_every_rule(judge: Any, good: Fault) -> None:
    results = await judge(good)

    assert set(results) == {rule.id for rule in RULES}
    not_passed = {name: (r.outcome, r.observed) for name, r in results.items() if r.outcome != Outcome.PASS}
    # Nothing throttles here, so nothing asks to wait.
    assert not_passed == {"http.retry-after": (Outcome.UNJUDGED, "no reply asked to wait")}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
async def test_what_breaks_a_rule_is_reported(judge: Any, rule: Any) -> None:
    results = await judge(FAULTS[rule.id], *ALSO.get(rule.id, []), rule.id)

    expected = Outcome.UNSUPPORTED if rule.level is Level.MAY else Outcome.FAIL
    assert (results[rule.id].outcome, results[rule.id].observed) == (expected, results[rule.id].observed)
    assert results[rule.id].observed


@pytest.mark.parametrize("value", ["120", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_both_forms_of_retry_after_are_right(judge: Any, value: str) -> None:
    fault = http(UNKNOWN_CODING, lambda _: failure(503, "x", **{"retry-after": value}))

    assert (await judge(fault, "http.coding.unknown", "http.retry-after"))[
        "http.retry-after"
    ].outcome == "pass"


async def test_a_warning_is_no_failure(judge: Any) -> None:
    results = await judge(
        http(is_plain, body(b"\x0a\x06\x12\x04look")), "http.traces.protobuf", "http.success.partial-unset"
    )

    assert {result.outcome for result in results.values()} == {Outcome.PASS}


async def test_a_refused_record_is_seen(judge: Any) -> None:
    """Not what the rule of the unset field is about, but no acceptance either."""
    results = await judge(
        http(is_plain, body(b"\x0a\x08\x08\x01\x12\x04old!")),
        "http.traces.protobuf",
        "http.success.partial-unset",
    )

    assert results["http.traces.protobuf"].observed == "200, but 1 refused: old!"
    assert results["http.success.partial-unset"].outcome == Outcome.UNJUDGED


@pytest.mark.parametrize("status", [404])
async def test_a_signal_that_is_not_received_is_no_failure(judge: Any, status: int) -> None:
    """As with a receiver of traces only."""

    def traces_only(asked: Asked, answer: Answer) -> Answer:
        if asked.path in ("/v1/metrics", "/v1/logs"):
            return failure(status, "no", asked.kind)
        return grpc_failure(12, "no") if "Metrics" in asked.path or "Logs" in asked.path else answer

    results = await judge(traces_only)

    outcomes = {name: r.outcome for name, r in results.items() if ".metrics" in name or ".logs" in name}
    assert set(outcomes.values()) == {Outcome.UNSUPPORTED}
    assert {r.outcome for name, r in results.items() if name not in outcomes} == {
        Outcome.PASS,
        Outcome.UNJUDGED,
    }


@pytest.mark.parametrize("only", ["metrics", "logs"])
async def test_every_rule_can_be_judged_by_another_signal(judge: Any, only: str) -> None:
    def one_signal(asked: Asked, answer: Answer) -> Answer:
        others = {"metrics": ("traces", "logs"), "logs": ("traces", "metrics")}[only]
        if asked.path in tuple(f"/v1/{name}" for name in others):
            return failure(404, "no", asked.kind)
        wanted = {"metrics": "Metrics", "logs": "Logs"}[only]
        is_export = asked.path.startswith("/opentelemetry") and "Export" in asked.path
        return grpc_failure(12, "no") if is_export and wanted not in asked.path else answer

    results = await judge(one_signal)

    failed = [(name, r.observed) for name, r in results.items() if r.outcome == Outcome.FAIL]
    assert failed == []
    assert results[f"http.{only}.protobuf"].outcome == results[f"grpc.{only}"].outcome == Outcome.PASS


async def test_without_json_the_rules_of_json_are_not_judged(judge: Any) -> None:
    results = await judge(http(lambda asked: JSON in asked.kind, gives(415)), "http")

    assert results["http.traces.json"].outcome == Outcome.FAIL
    mapping = {r.outcome for name, r in results.items() if name.startswith("http.json.")}
    assert mapping == {Outcome.UNJUDGED}
