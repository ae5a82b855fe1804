"""A receiver that keeps every rule of OTLP, and on demand breaks one. For the tests of the conformance suite.

    async with Receiver(fault) as receiver: ...

A fault sees each request and the right answer to it, and returns another answer. Both listeners are written
out byte by byte, so that they can say what a library would not; nothing is stored.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import re
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import cramjam
import lz4.frame
from backports import zstd
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lowtide.conformance import http2
from lowtide.conformance.hpack import decode, encode

PROTOBUF, JSON = "application/x-protobuf", "application/json"
LIMIT_BYTES = 64 * 1024 * 1024
PATHS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1development/profiles": None,
}
METHODS: dict[str, Any] = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": ExportTraceServiceRequest,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": ExportMetricsServiceRequest,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": ExportLogsServiceRequest,
    "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export": None,
}


@dataclass(frozen=True)
class Asked:
    """A request. Over gRPC `path` is the method, and `flag` says whether the message is compressed."""

    transport: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    flag: int = 0

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def encoding(self) -> str:
        return self.headers.get("grpc-encoding" if self.transport == "grpc" else "content-encoding", "")


@dataclass(frozen=True)
class Answer:
    """An answer. Over gRPC `trailers` follow, and `body` is the message.

    `silent` gives none at all, `hang_up` closes the connection before, `close` after it.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    hang_up: bool = False
    close: bool = False

    def with_headers(self, **headers: str) -> Answer:
        """The answer with other headers; an underscore stands for a hyphen."""
        return replace(self, headers=self.headers | {n.replace("_", "-"): v for n, v in headers.items()})


Fault = Callable[[Asked, Answer], Answer]


class RefusedError(Exception):
    """The status (or code) and the message of a refusal."""


def right(_: Asked, answer: Answer) -> Answer:
    """No fault."""
    return answer


# HTTP


def failure(status: int, message: str, kind: str = PROTOBUF, **headers: str) -> Answer:
    """A failure over HTTP as it should be."""
    said = Status(code=3, message=message)
    if status == 400:
        said.details.add().Pack(BadRequest())
    body = json_format.MessageToJson(said).encode() if kind == JSON else said.SerializeToString()
    return Answer(status, {"content-type": kind, **headers}, body)


def http_answer(asked: Asked) -> Answer:
    """The right answer."""
    kind = asked.kind.partition(";")[0].lower()
    form = kind if kind == JSON else PROTOBUF
    if asked.path not in PATHS:
        return failure(404, "nothing is here", form)
    if asked.method != "POST":
        return failure(405, "POST it", form, allow="POST")
    if kind not in (PROTOBUF, JSON):
        return failure(415, "protobuf or JSON", form)
    try:
        body = inflated(asked.encoding, asked.body, {})
        check_json(asked.path, body) if kind == JSON else check_protobuf(PATHS[asked.path], body)
    except RefusedError as refused:
        return failure(*refused.args, form)
    reply = b"{}" if kind == JSON else b""
    if asked.headers.get("accept-encoding") == "gzip":
        return Answer(200, {"content-type": kind, "content-encoding": "gzip"}, gzip.compress(reply))
    return Answer(200, {"content-type": kind}, reply)


def check_protobuf(kind: Any, body: bytes) -> None:
    """Raises RefusedError with 400."""
    if kind is None:
        return
    try:
        kind.FromString(body)
    except DecodeError as error:
        raise RefusedError(400, str(error)) from None


def check_json(path: str, body: bytes) -> None:
    """As far as the suite's requests go. Raises RefusedError with 400."""
    outer = {"/v1/traces": "resourceSpans", "/v1/metrics": "resourceMetrics", "/v1/logs": "resourceLogs"}
    try:
        written = json.loads(body)
    except ValueError as error:
        raise RefusedError(400, str(error)) from None
    if not isinstance(written, dict) or not isinstance(written.get(outer[path], []), list):
        raise RefusedError(400, "an object of lists is wanted")
    check_fields(written)


def check_fields(value: Any) -> None:
    """Ids are hex, enumerations numbers."""
    if isinstance(value, list):
        for item in value:
            check_fields(item)
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name in {"traceId", "spanId"} and not re.fullmatch(r"([0-9a-fA-F]{2})*", inner):
            raise RefusedError(400, f"{name} is no hex")
        if name in {"kind", "severityNumber", "aggregationTemporality"} and isinstance(inner, str):
            raise RefusedError(400, f"{name} is no number")
        check_fields(inner)


def gunzip(data: bytes) -> bytes:
    """Raises RefusedError with 413 above the limit."""
    unpacker = zlib.decompressobj(wbits=31)
    out = unpacker.decompress(data, LIMIT_BYTES)
    if unpacker.unconsumed_tail:
        raise RefusedError(413, "too large")
    if not unpacker.eof:
        raise ValueError("cut off")
    return out


def unsnap(data: bytes) -> bytes:
    framed = data.startswith(b"\xff\x06\x00\x00sNaPpY")
    return bytes(cramjam.snappy.decompress(data) if framed else cramjam.snappy.decompress_raw(data))


DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, "gzip": gunzip, "deflate": zlib.decompress, "zstd": zstd.decompress,
    "lz4": lz4.frame.decompress, "snappy": unsnap, "x-snappy-framed": unsnap,
}  # fmt: skip


def inflated(encoding: str, body: bytes, statuses: dict[int, int]) -> bytes:
    """The plain body. Raises RefusedError with an HTTP status, or what `statuses` has for it."""
    if encoding not in DECODERS:
        raise RefusedError(statuses.get(415, 415), "the encoding is not known")
    try:
        return DECODERS[encoding](body)
    except RefusedError as refused:
        raise RefusedError(statuses.get(413, 413), refused.args[1]) from None
    except (ValueError, zlib.error, cramjam.DecompressionError):
        raise RefusedError(statuses.get(400, 400), "not what its encoding says") from None


# gRPC


def grpc_failure(code: int, message: str, **headers: str) -> Answer:
    """A failure over gRPC as it should be."""
    said = Status(code=code, message=message)
    if code == 3:
        said.details.add().Pack(BadRequest())
    packed = base64.b64encode(said.SerializeToString()).decode().rstrip("=")
    trailers = {"grpc-status": str(code), "grpc-message": message, "grpc-status-details-bin": packed}
    return Answer(200, {"content-type": "application/grpc"} | headers, b"", trailers)


def grpc_answer(asked: Asked) -> Answer:
    """The right answer."""
    if not asked.kind.startswith("application/grpc"):
        return Answer(415, {"content-type": "text/plain"})
    if asked.path not in METHODS:
        return grpc_failure(12, "no such method")
    if asked.flag and not asked.encoding:
        return grpc_failure(13, "the compressed flag is set without an encoding")
    try:
        body = inflated(asked.encoding if asked.flag else "", asked.body, {415: 12, 413: 8, 400: 3})
        check_protobuf(METHODS[asked.path], body)
    except RefusedError as refused:
        code, message = refused.args
        named = {"grpc_accept_encoding": "gzip, deflate"} if code == 12 else {}
        return grpc_failure(3 if code == 400 else code, message).with_headers(**named)
    return Answer(200, {"content-type": "application/grpc"}, b"", {"grpc-status": "0"})


# The listeners


class Receiver:
    """Both listeners on free ports of loopback. `asked` is all that came in."""

    def __init__(self, fault: Fault = right, tls: ssl.SSLContext | None = None) -> None:
        self.fault = fault
        self.tls = tls
        self.asked: list[Asked] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._http = await asyncio.start_server(self._on(self._serve_http), "127.0.0.1", 0, ssl=self.tls)
        self._grpc = await asyncio.start_server(self._on(self._serve_grpc), "127.0.0.1", 0, ssl=self.tls)
        scheme = "http" if self.tls is None else "https"
        self.http = f"{scheme}://127.0.0.1:{self._http.sockets[0].getsockname()[1]}"
        self.grpc = f"{scheme}://127.0.0.1:{self._grpc.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def die(self) -> None:
        """Close both listeners and every connection."""
        # Begun before closing: afterwards Python 3.11 no longer waits, and connections whose handshake has
        # just failed are known to their server only.
        closed = [asyncio.create_task(server.wait_closed()) for server in (self._http, self._grpc)]
        await asyncio.sleep(0)
        self._http.close()
        self._grpc.close()
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if asyncio.current_task() not in self._tasks:
            await asyncio.gather(*closed)

    def _on(self, serve: Any) -> Any:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
                pass  # the suite hung up, or the test is over
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                    await writer.wait_closed()
                self._tasks.discard(task)

        return connected

    async def _answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        answer = self.fault(asked, http_answer(asked) if asked.transport == "http" else grpc_answer(asked))
        if answer.silent:
            await asyncio.sleep(3600)
        if answer.hang_up:
            raise ConnectionError
        return answer

    async def _serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
            body = b""
            if "transfer-encoding" in headers:
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readexactly(2)
            else:
                body = await reader.readexactly(int(headers.get("content-length", "0")))
            answer = await self._answer(Asked("http", method, path, headers, body))
            lines = [f"HTTP/1.1 {answer.status} x", f"content-length: {len(answer.body)}"]
            lines += [f"{name}: {value}" for name, value in answer.headers.items()]
            lines += ["connection: close"] if answer.close else []
            writer.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
            await writer.drain()
            if answer.close:
                return

    async def _serve_grpc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(http2.PREFACE))
        writer.write(http2.frame(http2.SETTINGS, 0, 0))
        headers: dict[str, str] = {}
        body = b""
        while True:
            head = await reader.readexactly(9)
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            stream = int.from_bytes(head[5:], "big")
            payload = await reader.readexactly(size)
            if kind == http2.HEADERS:
                headers, body = dict(decode(payload)), b""
            elif kind == http2.DATA:
                body += payload
                for number in (0, stream):
                    room = size.to_bytes(4, "big")
                    writer.write(http2.frame(http2.WINDOW_UPDATE, 0, number, room) if size else b"")
                if flags & http2.END_STREAM:
                    asked = Asked("grpc", "POST", headers[":path"], headers, body[5:], body[0])
                    answer = await self._answer(asked)
                    writer.write(_framed(answer, stream))
                    if answer.close:
                        return
            await writer.drain()


def _framed(answer: Answer, stream: int) -> bytes:
    ended = http2.END_HEADERS | http2.END_STREAM
    first = [(":status", str(answer.status)), *answer.headers.items()]
    last = list(answer.trailers.items())
    if not last or answer.trailers.get("grpc-status") != "0":  # trailers only
        return http2.frame(http2.HEADERS, ended, stream, encode([*first, *last]))
    message = b"\x00" + len(answer.body).to_bytes(4, "big") + answer.body
    return (
        http2.frame(http2.HEADERS, http2.END_HEADERS, stream, encode(first))
        + http2.frame(http2.DATA, 0, stream, message)
        + http2.frame(http2.HEADERS, ended, stream, encode(last))
    )
