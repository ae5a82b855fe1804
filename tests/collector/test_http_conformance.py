"""OTLP over HTTP against the specification, over real sockets: one table row per rule.

The rules are those of the OTLP specification ("OTLP/HTTP") and of RFC 9110 where that one defers to it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cramjam
import lz4.frame
import pytest
from backports import zstd
from google.rpc import status_pb2

from ingest.signals import Signal
from ingest.spool.errors import SpoolFailedError, SpoolFullError

PROTOBUF, JSON = "application/x-protobuf", "application/json"
JSON_SPAN = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}'
ONE_SPAN = b"\x0a\x07\x12\x05\x12\x03\x2a\x01a"  # resource_spans.scope_spans.spans.name = "a"

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "x-snappy-framed": lambda data: bytes(cramjam.snappy.compress(data)),
}


@dataclass(frozen=True)
class Rule:
    """A request and what must come back."""

    name: str
    status: int
    path: str = "/v1/traces"
    method: str = "POST"
    kind: str | None = PROTOBUF
    body: bytes = ONE_SPAN
    headers: dict[str, str] = field(default_factory=dict)
    reply_kind: str | None = None
    reply_headers: dict[str, str] = field(default_factory=dict)
    code: int | None = None
    spooled: int = 0

    def __str__(self) -> str:
        return self.name


RULES = [
    # Success
    Rule("protobuf traces", 200, spooled=1),
    Rule("protobuf metrics", 200, path="/v1/metrics", body=b"", spooled=0),
    Rule("protobuf logs", 200, path="/v1/logs", body=b"", spooled=0),
    Rule("json on the same path", 200, kind=JSON, body=JSON_SPAN, spooled=1),
    Rule("json with a charset", 200, kind=f"{JSON}; charset=utf-8", body=JSON_SPAN, spooled=1),
    Rule("media types ignore case", 200, kind="Application/JSON", body=JSON_SPAN, spooled=1),
    Rule("protobuf with a parameter", 200, kind=f"{PROTOBUF}; v=1", spooled=1),
    Rule("an empty protobuf request succeeds", 200, body=b""),
    Rule("an empty json request succeeds", 200, kind=JSON, body=b"{}"),
    Rule("a request without records succeeds", 200, body=b"\x0a\x00"),
    Rule("encoding identity", 200, headers={"content-encoding": "identity"}, spooled=1),
    Rule("encoding none", 200, headers={"content-encoding": "none"}, spooled=1),
    Rule("a query string is ignored", 200, path="/v1/traces?x=1", spooled=1),
    *(
        Rule(f"protobuf in {name}", 200, body=encode(ONE_SPAN), headers={"content-encoding": name}, spooled=1)
        for name, encode in ENCODERS.items()
    ),
    *(
        Rule(
            f"json in {name}",
            200,
            kind=JSON,
            body=encode(JSON_SPAN),
            headers={"content-encoding": name},
            spooled=1,
        )
        for name, encode in ENCODERS.items()
    ),
    Rule("an empty request in gzip", 200, body=gzip.compress(b""), headers={"content-encoding": "gzip"}),
    # Bad data: 400 with google.rpc.Status, INVALID_ARGUMENT
    Rule("no protobuf", 400, body=b"\xff\xff\xff", code=3),
    Rule("truncated protobuf", 400, body=ONE_SPAN[:-1], code=3),
    Rule("json sent as protobuf", 400, body=JSON_SPAN, code=3),
    Rule("protobuf sent as json", 400, kind=JSON, code=3),
    Rule("no json", 400, kind=JSON, body=b"{", code=3),
    Rule("json that is no object", 400, kind=JSON, body=b"[]", code=3),
    Rule("an empty json body", 400, kind=JSON, body=b"", code=3),
    Rule("json that is not UTF-8", 400, kind=JSON, body=b'{"a":"\xff"}', code=3),
    *(
        Rule(f"not {name}", 400, body=b"\x99plain", headers={"content-encoding": name}, code=3)
        for name in ENCODERS
    ),
    *(
        Rule(f"truncated {name}", 400, body=encode(ONE_SPAN)[:-1], headers={"content-encoding": name}, code=3)
        for name, encode in ENCODERS.items()
    ),
    *(
        Rule(
            f"garbage after {name}",
            400,
            body=encode(ONE_SPAN) + b"?",
            headers={"content-encoding": name},
            code=3,
        )
        for name, encode in ENCODERS.items()
    ),
    # Other paths and methods
    Rule("another path", 404, path="/v1/profiles", code=12),
    Rule("another path, json", 404, path="/", kind=JSON, reply_kind=JSON, code=12),
    Rule("a slash too many", 404, path="/v1/traces/", code=12),
    *(
        Rule(f"method {method}", 405, method=method, reply_headers={"allow": "POST"}, code=12)
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH")
    ),
    # Media types and encodings we do not read; in protobuf unless the request was JSON
    Rule("text", 415, kind="text/plain", reply_kind=PROTOBUF, code=3),
    Rule("no content type", 415, kind=None, reply_kind=PROTOBUF, code=3),
    Rule("something like json", 415, kind="application/jsonl", reply_kind=PROTOBUF, code=3),
    *(
        Rule(
            f"encoding {name}",
            415,
            headers={"content-encoding": name},
            reply_headers={"accept-encoding": "gzip, zstd, deflate, snappy, lz4"},
            code=3,
        )
        for name in ("br", "gzip, gzip", "gzip, deflate", "compress")
    ),
    Rule("encoding br, json", 415, kind=JSON, headers={"content-encoding": "br"}, reply_kind=JSON, code=3),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_rule(receivers: Any, rule: Rule) -> None:
    headers = dict(rule.headers)
    if rule.kind is not None:
        headers["content-type"] = rule.kind
    reply = await receivers.client.request(rule.method, rule.path, content=rule.body, headers=headers)
    assert reply.status_code == rule.status
    wanted = rule.reply_kind or (JSON if (rule.kind or "").lower().startswith(JSON) else PROTOBUF)
    assert reply.headers["content-type"] == wanted
    assert "date" in reply.headers
    for name, value in rule.reply_headers.items():
        assert reply.headers[name] == value
    if rule.status == 200:
        assert reply.content == (b"{}" if wanted == JSON else b"")
    else:
        assert "retry-after" not in reply.headers
        code, message = status_of(reply)
        assert code == rule.code
        assert message
    assert len(receivers.spool.stored) == rule.spooled
    assert all(tenant == "default" for _, tenant, _, _ in receivers.spool.stored)


def status_of(reply: Any) -> tuple[int, str]:
    """Code and message of a google.rpc.Status in either form."""
    if reply.headers["content-type"] == JSON:
        written = json.loads(reply.content)
        return written["code"], written["message"]
    status = status_pb2.Status.FromString(reply.content)
    return status.code, status.message


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("form", [PROTOBUF, JSON])
async def test_partial_success(receivers: Any, make_request: Any, signal: Signal, form: str) -> None:
    body = make_request(signal, ["a", "reject", "b", "reject"])
    if form == JSON:
        body = as_json(signal, body)
    reply = await receivers.post(f"/v1/{signal}", body, kind=form)
    assert reply.status_code == 200
    rejected, message = partial_of(signal, reply)
    assert (rejected, message) == (2, "records named reject are refused")
    assert receivers.spool.names() == ["a", "b"]
    assert receivers.spool.stored[0][3] == 2


async def test_a_warning_is_a_partial_success_with_none_refused(receivers: Any, make_request: Any) -> None:
    reply = await receivers.post("/v1/traces", make_request(Signal.TRACES, ["warn"]))
    assert reply.status_code == 200
    assert partial_of(Signal.TRACES, reply) == (0, "something looks odd")
    assert receivers.spool.names() == ["warn"]


async def test_when_all_is_refused_nothing_is_spooled(receivers: Any, make_request: Any) -> None:
    reply = await receivers.post("/v1/logs", make_request(Signal.LOGS, ["reject"]))
    assert reply.status_code == 200
    assert partial_of(Signal.LOGS, reply)[0] == 1
    assert receivers.spool.stored == []


def as_json(signal: Signal, body: bytes) -> bytes:
    from google.protobuf import json_format

    return json_format.MessageToJson(request_of(signal).FromString(body)).encode()


def request_of(signal: Signal) -> Any:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return {
        Signal.TRACES: ExportTraceServiceRequest,
        Signal.METRICS: ExportMetricsServiceRequest,
        Signal.LOGS: ExportLogsServiceRequest,
    }[signal]


def partial_of(signal: Signal, reply: Any) -> tuple[int, str]:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    response, name, json_name = {
        Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
        Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
        Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    }[signal]
    if reply.headers["content-type"] == JSON:
        partial = json.loads(reply.content)["partialSuccess"]
        assert isinstance(partial[json_name], str)
        return int(partial[json_name]), partial["errorMessage"]
    message = response.FromString(reply.content).partial_success
    return getattr(message, name), message.error_message


# Limits on size


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_wire_limit_is_413(start_receivers: Any, chunked: bool, form: str) -> None:
    receivers = await start_receivers(max_wire_bytes=2000, max_body_bytes=1_000_000)

    async def pieces() -> Any:
        for _ in range(3):
            yield b"x" * 667

    body = pieces() if chunked else b"x" * 2001
    reply = await receivers.post("/v1/traces", body, kind=form, content_encoding="gzip")
    assert reply.status_code == 413
    assert status_of(reply)[0] == 8
    assert "retry-after" not in reply.headers
    assert receivers.count("lowtide_collector_inflight_bytes") == 0


@pytest.mark.parametrize("name", [*ENCODERS, "identity"])
async def test_the_limit_counts_decompressed_bytes(
    start_receivers: Any, make_request: Any, name: str
) -> None:
    body = make_request(Signal.TRACES, ["a" * 90] * 100)
    receivers = await start_receivers(max_body_bytes=len(body), max_wire_bytes=1_000_000)
    encode = ENCODERS.get(name, bytes)
    assert (await receivers.post("/v1/traces", encode(body), content_encoding=name)).status_code == 200
    reply = await receivers.post("/v1/traces", encode(body + b"\x0a\x00"), content_encoding=name)
    assert reply.status_code == 413
    assert str(len(body)) in status_of(reply)[1]
    assert len(receivers.spool.stored) == 1
    assert receivers.count("lowtide_collector_inflight_bytes") == 0


async def test_chunked_bodies_are_read(receivers: Any) -> None:
    async def pieces() -> Any:
        for at in range(len(ONE_SPAN)):
            yield ONE_SPAN[at : at + 1]

    assert (await receivers.post("/v1/traces", pieces())).status_code == 200
    assert receivers.spool.names() == ["a"]


async def test_a_large_body_arrives_whole(receivers: Any, make_request: Any) -> None:
    body = make_request(Signal.TRACES, [f"span {i}" * 20 for i in range(30_000)])
    assert len(body) > 4_000_000
    reply = await receivers.post("/v1/traces", gzip.compress(body, 1), content_encoding="gzip")
    assert reply.status_code == 200
    assert receivers.spool.stored[0][2] == body


# Overload and failure


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    "error",
    [SpoolFullError("full"), SpoolFailedError("fsync said EIO on /secret/path")],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_a_spool_that_refuses_is_503(
    start_receivers: Any, form: str, error: Exception, later: bool
) -> None:
    receivers = await start_receivers(retry_after_s=17)
    if later:
        receivers.spool.fail_later = error
    else:
        receivers.spool.fail = error
    reply = await receivers.post("/v1/traces", JSON_SPAN if form == JSON else ONE_SPAN, kind=form)
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "17"
    assert status_of(reply)[0] == 14
    assert "secret" not in reply.text


async def test_more_bytes_in_flight_than_the_budget_is_503(start_receivers: Any, make_request: Any) -> None:
    receivers = await start_receivers(max_wire_bytes=10_000, max_body_bytes=10_000, max_inflight_bytes=20_000)
    receivers.spool.hold = True
    body = make_request(Signal.TRACES, ["a" * 100] * 80)
    waiting = [asyncio.create_task(receivers.post("/v1/traces", body)) for _ in range(2)]
    await receivers.until(lambda: len(receivers.spool.held) >= 2)
    assert receivers.count("lowtide_collector_inflight_bytes") == 2 * len(body)
    refused = await receivers.post("/v1/traces", body)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    receivers.spool.release()
    assert [reply.status_code for reply in await asyncio.gather(*waiting)] == [200, 200]
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    assert (await receivers.post("/v1/traces", body)).status_code == 200


async def test_a_compressed_body_is_counted_as_it_grows(start_receivers: Any, make_request: Any) -> None:
    receivers = await start_receivers(max_wire_bytes=10_000, max_body_bytes=10_000, max_inflight_bytes=20_000)
    receivers.spool.hold = True
    body = make_request(Signal.TRACES, ["a" * 100] * 80)
    wire = gzip.compress(body)
    first = [
        asyncio.create_task(receivers.post("/v1/traces", wire, content_encoding="gzip")) for _ in range(2)
    ]
    await receivers.until(lambda: len(receivers.spool.held) >= 2)
    assert (await receivers.post("/v1/traces", wire, content_encoding="gzip")).status_code == 503
    receivers.spool.release()
    assert [reply.status_code for reply in await asyncio.gather(*first)] == [200, 200]
    assert receivers.count("lowtide_collector_inflight_bytes") == 0


async def test_the_reply_waits_for_the_disk(receivers: Any) -> None:
    receivers.spool.hold = True
    reply = asyncio.create_task(receivers.post("/v1/traces", ONE_SPAN))
    await receivers.until(lambda: receivers.spool.held)
    done, _ = await asyncio.wait([reply], timeout=0.1)
    assert not done
    receivers.spool.release()
    assert (await reply).status_code == 200


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
async def test_a_defect_of_ours_is_500_and_not_told(
    receivers: Any, make_request: Any, form: str, caplog: Any
) -> None:
    body = make_request(Signal.TRACES, ["boom"])
    if form == JSON:
        body = as_json(Signal.TRACES, body)
    reply = await receivers.post("/v1/traces", body, kind=form)
    assert reply.status_code == 500
    assert status_of(reply)[0] == 13
    assert "secret" not in reply.text
    assert (await receivers.post("/v1/traces", ONE_SPAN)).status_code == 200
