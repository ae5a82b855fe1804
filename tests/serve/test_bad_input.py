"""Everything that nobody should send, at a whole server, between telemetry that is in order.

Each kind is examined on its own in tests/collector. Here it is shown that each gets the right answer from the
real thing, that what may be stored is stored, that memory stays bounded and that nobody else loses anything.
"""

from __future__ import annotations

import contextlib
import gzip
import random
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from typing import Any

import cramjam
import grpc
import httpx2
import lz4.frame
import pytest
from backports import zstd
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from support import faults
from support.launcher import Launcher, Running
from support.load import METHODS, Load, Told
from support.oracle import check_bounds, check_identities

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
MIB = 1024 * 1024
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
NAME = "bad-input"
KEYS = 10_000
SLOW_BODY = (
    b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    b"Content-Length: 5000000\r\n\r\nx"
)
MANY_KEYS = [KeyValue(key=f"key-{n}", value=AnyValue(int_value=n)) for n in range(KEYS)]
BAD = "400", grpc.StatusCode.INVALID_ARGUMENT
LARGE = "413", grpc.StatusCode.RESOURCE_EXHAUSTED


def spans(*starts_ns: int, **changes: Any) -> ExportTraceServiceRequest:
    """Spans of an operation that the load does not have, with ids above its ids."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for start_ns in starts_ns:
        number = (1 << 62) + random.getrandbits(61)
        scope.spans.add(**{
            "trace_id": struct.pack(">QQ", 2, number), "span_id": struct.pack(">Q", number), "name": NAME,
            "start_time_unix_nano": start_ns, "end_time_unix_nano": start_ns + 5, **changes,
        })  # fmt: skip
    return request


def field(number: int, content: bytes) -> bytes:
    size, head = len(content), bytearray()
    for value in (number << 3 | 2, size):
        left = value
        while left > 0x7F:
            head.append(left & 0x7F | 0x80)
            left >>= 7
        head.append(left)
    return bytes(head) + content


def deep(levels: int) -> bytes:
    """A span with an attribute of lists in lists, deeper than protobuf would write it."""
    value = b"\x18\x01"
    for _ in range(levels - 1):
        value = field(5, field(1, value))
    span = spans(time.time_ns()).resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    return field(1, field(2, field(2, span + field(9, field(1, b"k") + field(2, value)))))


def year(number: int) -> int:
    """Its beginning, nearly: ns since 1970."""
    return (number - 1970) * 365 * DAY_NS + 1


NOW_NS = time.time_ns()
REFUSED = {
    "noise": (random.Random(1).randbytes(3000), BAD),
    "a field cut off": (spans(NOW_NS).SerializeToString()[:-3], BAD),
    "101 levels": (deep(101), BAD),
    "3000 levels": (deep(3000), BAD),
    "text that is not UTF-8": (
        spans(NOW_NS).SerializeToString().replace(NAME.encode(), b"\xff" * len(NAME)),
        BAD,
    ),
}  # fmt: skip
"""What is refused as a whole over both transports."""


def taken_in_part() -> dict[str, tuple[ExportTraceServiceRequest, int]]:
    """Requests, and how many of their spans are refused; others each time, so that none is a re-send."""
    large = KeyValue(key="large", value=AnyValue(string_value="x" * 1_000_000))
    return {
        "years 1970, 2150 and 2262": (
            spans(year(1970), year(2150), year(2262), (1 << 64) - 10, NOW_NS), 4,
        ),
        "ids of zeros": (spans(NOW_NS, trace_id=bytes(16)), 1),
        "ids of another length": (spans(NOW_NS, span_id=b"\1"), 1),
        "an end before the start": (spans(NOW_NS, end_time_unix_nano=1), 1),
        "101 days": (spans(*(NOW_NS - day * DAY_NS for day in range(101))), 0),
        "unique keys": (spans(NOW_NS, attributes=MANY_KEYS), 0),
        "1 MB in an attribute": (spans(NOW_NS, attributes=[large]), 0),
    }  # fmt: skip


STORED = f"""
SELECT count() AS spans, uniqExact(SpanId) AS ids, uniqExact(toDate(Timestamp)) AS days,
    max(length(mapKeys(SpanAttributes))) AS keys, max(length(SpanAttributes['large'])) AS bytes
FROM otel_traces WHERE SpanName = '{NAME}'
"""  # noqa: S608 - a name of ours


def gigabyte(window_bits: int) -> bytes:
    packer = zlib.compressobj(9, wbits=window_bits)
    first = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)) * 1023


BOMBS = {
    "gzip": gigabyte(31),
    "deflate": gigabyte(15),
    "zstd": zstd.compress(bytes(64 * MIB)) * 16,
    "lz4": lz4.frame.compress(bytes(256 * MIB)),
    "snappy": bytes(cramjam.snappy.compress(bytes(80 * MIB))),
}


class Attacker:
    """Sends them to one server, over both transports."""

    def __init__(self, server: Running) -> None:
        addresses = server.wait_ready()
        self.http = httpx2.Client(base_url=addresses["otlp_http"], timeout=60, trust_env=False)
        self.channel = grpc.insecure_channel(addresses["otlp_grpc"].partition("://")[2])
        self.call = self.channel.unary_unary(METHODS["traces"])
        self.ports = {name: int(addresses[name].rpartition(":")[2]) for name in ("otlp_http", "otlp_grpc")}

    def close(self) -> None:
        self.http.close()
        self.channel.close()

    def post(self, body: bytes, **headers: str) -> httpx2.Response:
        faults.done["bad requests to a server"] += 1
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post("/v1/traces", content=body, headers=PROTOBUF | named)

    def refused(self, body: bytes, **headers: str) -> str:
        return str(self.post(body, **headers).status_code)

    def refused_by_grpc(self, body: bytes) -> grpc.StatusCode:
        faults.done["bad requests to a server"] += 1
        with pytest.raises(grpc.RpcError) as caught:
            self.call(body, timeout=60)
        return caught.value.code()


def whole_requests(attacker: Attacker) -> None:
    for name, (body, (status, code)) in REFUSED.items():
        assert attacker.refused(body) == status, name
        assert attacker.refused_by_grpc(body) is code, name


def requests_in_part(attacker: Attacker) -> int:
    """How many spans of them are to be stored: of each transport's own, and nothing of a re-send."""
    by_http, by_grpc = taken_in_part(), taken_in_part()
    for name, (request, count) in by_http.items():
        body = request.SerializeToString()
        answer = attacker.post(body)
        assert answer.status_code == 200, name
        own, _ = by_grpc[name]
        answers = (
            answer.content,
            attacker.call(own.SerializeToString(), timeout=60),
            attacker.call(body, timeout=60),
        )
        for told in answers:
            assert ExportTraceServiceResponse.FromString(told).partial_success.rejected_spans == count, name
    return sum(
        len(request.resource_spans[0].scope_spans[0].spans) - refused
        for requests in (by_http, by_grpc)
        for request, refused in requests.values()
    )


def json_requests(attacker: Attacker) -> None:
    deep_json = (
        '{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":' + '{"arrayValue":{"values":[' * 101
    )
    for body in (
        b"{",
        b"[]",
        b"nul",
        b"\xff",
        deep_json.encode(),
        b"[" * 100_000,
        b'{"resourceSpans": 1}',
        b'{"a":1}' * 9,
    ):
        assert attacker.refused(body, Content_Type="application/json") == "400", body[:40]


def compressed_requests(attacker: Attacker) -> None:
    packed = gzip.compress(spans(NOW_NS).SerializeToString())
    for size in (0, 1, 10, len(packed) // 2, len(packed) - 1):
        # Nothing at all is an empty request, but no gzip of one.
        assert attacker.refused(packed[:size], Content_Encoding="gzip") == "400", size
    assert attacker.refused(packed, Content_Encoding="middle-out") in {"400", "415"}
    for encoding, bomb in BOMBS.items():
        assert attacker.refused(bomb, Content_Encoding=encoding) == LARGE[0], encoding
        if encoding in ("gzip", "deflate"):  # gRPC carries no other
            assert attacker.refused_by_grpc(bomb) is LARGE[1], encoding


def resets(attacker: Attacker) -> None:
    """HTTP/2 calls that are taken back at once (CVE-2023-44487), and what is no HTTP/2 at all."""

    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    head = b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        for name, value in (
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", METHODS["traces"].encode()),
            (b":authority", b"localhost"), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
        )
    )  # fmt: skip
    calls = b"".join(
        frame(1, 4, stream, head) + frame(3, 0, stream, b"\0\0\0\x08") for stream in range(1, 4001, 2)
    )
    for begin in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0), b"", b"GET / HTTP/1.1\r\n\r\n"):
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", attacker.ports["otlp_grpc"])) as peer,
        ):
            peer.sendall(begin + calls)
            faults.done["HTTP/2 resets"] += 2000


@contextlib.contextmanager
def slow_senders(attacker: Attacker) -> Iterator[None]:
    """They begin headers and bodies and never get on with it. In the end each was hung up on."""
    with contextlib.ExitStack() as stack:
        peers = []
        for begun in (
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n",
            SLOW_BODY,
        ) * 30:
            peer = stack.enter_context(
                socket.create_connection(("127.0.0.1", attacker.ports["otlp_http"]), 60)
            )
            peer.sendall(begun)
            peers.append(peer)
        faults.done["slow senders"] += len(peers)
        yield
        for peer in peers:
            said = b""
            with contextlib.suppress(ConnectionError):
                while more := peer.recv(4096):
                    said += more
            assert said.startswith(b"HTTP/1.1 503 ") or not said, said


def test_each_gets_its_answer_and_nobody_else_notices(launch: Launcher) -> None:
    server = launch.serve(
        "--set", "store.retention.traces_days=400",
        "--set", "store.retention.logs_days=400", "--set", "store.retention.metrics_days=400",
        "--set", "collector.header_timeout_s=2", "--set", "collector.body_timeout_s=5",
    )  # fmt: skip
    told, attacker = Told(), Attacker(server)
    with contextlib.closing(attacker), Load(told, server.wait_ready(), 1), slow_senders(attacker):
        whole_requests(attacker)
        stored = requests_in_part(attacker)
        json_requests(attacker)
        compressed_requests(attacker)
        resets(attacker)
        told.wait_more(100)
    server.wait_stored()

    assert {signal: ids for signal, ids in told.unknown.items() if ids} == {}, "somebody else was refused"
    found = server.rows(STORED)[0]
    assert {name: int(value) for name, value in found.items()} == {
        "spans": stored, "ids": stored, "days": 101, "keys": KEYS, "bytes": 1_000_000,
    }  # fmt: skip
    check_identities(server, told.acknowledged, told.unknown, beside=1 << 62)
    check_bounds(server)
    assert "Traceback" not in server.told()
    assert server.stop() == 0, server.told()
