"""Calls gRPC methods byte by byte as they are given, and says what came back, or why nothing did.

Used by `session`. Every call has a connection of its own, unless several are asked for on one. The trap: a
reply without `grpc-status` is no gRPC reply; `code` is None then, and the HTTP status tells more.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import unquote

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from lowtide.conformance.http2 import Connection, Http2Error, Stream, connect


class Code(IntEnum):
    """gRPC's status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class GrpcCall:
    """A call with one message, sent as it stands under the flag and encoding given."""

    method: str
    message: bytes = b""
    encoding: str | None = None
    compressed: bool = False
    content_type: str = "application/grpc"


@dataclass(frozen=True, slots=True)
class GrpcReply:
    """A reply; with `problem` set there was none, and everything else is empty."""

    call: GrpcCall
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    trailers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = ""
    unconnected: bool = False

    @property
    def code(self) -> Code | None:
        """The code, None if none came or it is none of gRPC's."""
        try:
            return Code(int(self.trailers.get("grpc-status", "")))
        except ValueError:
            return None

    @property
    def text(self) -> str:
        """The status message."""
        return unquote(self.trailers.get("grpc-message", ""), errors="replace")

    @property
    def message(self) -> bytes | None:
        """The one message of the reply, uncompressed; None if there is none of that kind."""
        if len(self.body) < 5 or self.body[0] or len(self.body) - 5 != int.from_bytes(self.body[1:5], "big"):
            return None
        return self.body[5:]

    @property
    def details(self) -> Status | None:
        """The google.rpc.Status of a failure, None if none came or it cannot be read."""
        packed = self.trailers.get("grpc-status-details-bin", "")
        try:
            data = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
            return Status.FromString(data) if packed else None
        except (DecodeError, binascii.Error):
            return None

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        if self.code is None:
            return f"HTTP status {self.status} and no grpc-status"
        return f"{self.code.name}: {self.text}" if self.text else self.code.name


class GrpcWire:
    """A client of one receiver."""

    def __init__(
        self,
        host: str,
        port: int,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        timeout_s: float,
    ) -> None:
        self._host, self._port, self._tls, self._timeout_s = host, port, tls, timeout_s
        self._headers = {name.lower(): value for name, value in headers.items()}

    async def send(self, *calls: GrpcCall) -> list[GrpcReply]:
        """The calls one after another on one connection. Never raises for what the receiver or network does.

        After a call without a reply the rest is not made; the last of the list has the problem.
        """
        replies: list[GrpcReply] = []
        problem, unconnected = "", True
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await connect(self._host, self._port, self._tls)
                unconnected = False
                for call in calls:
                    stream = await connection.call(self._with_headers(call), _framed(call))
                    replies.append(_reply(call, stream))
        except TimeoutError:
            problem = f"no reply within {self._timeout_s:g} s"
        except Http2Error as error:
            problem = str(error)
        except OSError as error:
            problem = f"{'no connection' if unconnected else 'the connection broke'}: {error}"
        finally:
            if connection is not None:
                await connection.close()
        if problem:
            replies.append(GrpcReply(calls[len(replies)], problem=problem, unconnected=unconnected))
        return replies

    def _with_headers(self, call: GrpcCall) -> Sequence[tuple[str, str]]:
        given = {
            ":method": "POST",
            ":scheme": "http" if self._tls is None else "https",
            ":path": call.method,
            ":authority": f"{self._host}:{self._port}",
            "te": "trailers",
            "content-type": call.content_type,
            "user-agent": "lowtide-conformance",
            **({"grpc-encoding": call.encoding} if call.encoding is not None else {}),
            **self._headers,
        }
        return list(given.items())


def _framed(call: GrpcCall) -> bytes:
    return struct.pack(">BI", call.compressed, len(call.message)) + call.message


def _reply(call: GrpcCall, stream: Stream) -> GrpcReply:
    if not stream.blocks:
        return GrpcReply(call, problem=f"the stream was reset (RST_STREAM {stream.reset}) without a reply")
    headers, trailers = stream.blocks[0], stream.blocks[-1]
    status = headers.get(":status", "")
    return GrpcReply(call, int(status) if status.isdigit() else 0, headers, trailers, bytes(stream.body))
