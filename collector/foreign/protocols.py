"""The protocols that are received besides OTLP: one row each. Where it is sent to, how it is written, how it
becomes OTLP and how its sender is answered.

The receivers and the intake ask here, so that limits, tokens, certificates, scrubbing, spool, re-sends and
quarantine are the same for all: a new protocol is a translation and a row. Which signal a row has decides
which scope a token needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from collector.door import Arrival, Form
from collector.foreign import envoy, jaeger_proto, jaeger_thrift, lambda_telemetry, replies, zipkin
from collector.foreign.translated import Translated
from collector.remote_write.replies import write_reply
from collector.remote_write.translate import translate as from_remote_write
from collector.replies import HttpReply
from ingest.signals import Signal


@dataclass(frozen=True, slots=True)
class Limits:
    """What a translation may take."""

    body_bytes: int
    """As OTLP."""
    memory_bytes: int
    """While it is read."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An uncompressed request, and what is known when it is translated."""

    arrival: Arrival
    body: bytes
    now_ns: int
    grow: Callable[[int], None]
    limits: Limits


@dataclass(frozen=True, slots=True)
class HttpProtocol:
    """Sent to a path, with POST."""

    name: str
    path: str
    signal: Signal
    forms: Mapping[tuple[str, str], Form]
    """By media type and the message named beside it; an empty media type is what a sender without any
    means. The first is how a refusal is written before it is known."""
    reply: Callable[..., HttpReply]
    """Makes a reply of an outcome and `retry_after_s`."""
    is_block: bool = False
    """Always compressed as a block of snappy, whether that is said or not."""

    def form_of(self, media_type: str, message: str) -> Form | None:
        """How a body is written; None if that is nothing that is read here."""
        return self.forms.get((media_type, message))

    @property
    def first_form(self) -> Form:
        """How to answer a request whose own form is not known."""
        return next(iter(self.forms.values()))

    @property
    def accepted_types(self) -> str:
        """In words."""
        types = (
            f"{media_type};proto={self.forms[media_type, message]}" if message else media_type
            for media_type, message in self.forms
            if media_type
        )
        return " or ".join(dict.fromkeys(types))


@dataclass(frozen=True, slots=True)
class GrpcProtocol:
    """A call with one message and an empty answer, or a stream of messages without any."""

    name: str
    method: str
    signal: Signal
    form: Form


_PROTOBUF: Final = Form.PROTOBUF.value
_JSON: Final = Form.JSON.value

REMOTE_WRITE: Final = HttpProtocol(
    name="Prometheus remote write",
    path="/api/v1/write",
    signal=Signal.METRICS,
    forms={
        (_PROTOBUF, ""): Form.WRITE_1,
        ("", ""): Form.WRITE_1,
        (_PROTOBUF, Form.WRITE_1.lower()): Form.WRITE_1,
        (_PROTOBUF, Form.WRITE_2.lower()): Form.WRITE_2,
        ("", Form.WRITE_1.lower()): Form.WRITE_1,
        ("", Form.WRITE_2.lower()): Form.WRITE_2,
    },
    reply=write_reply,
    is_block=True,
)
ZIPKIN: Final = HttpProtocol(
    name="Zipkin",
    path="/api/v2/spans",
    signal=Signal.TRACES,
    forms={(_JSON, ""): Form.ZIPKIN_JSON, ("", ""): Form.ZIPKIN_JSON},
    reply=replies.accepted,
)
JAEGER_THRIFT: Final = HttpProtocol(
    name="Jaeger's Thrift",
    path="/api/traces",
    signal=Signal.TRACES,
    forms={
        ("application/x-thrift", ""): Form.JAEGER_THRIFT,
        ("application/vnd.apache.thrift.binary", ""): Form.JAEGER_THRIFT,
    },
    reply=replies.accepted,
)
JAEGER_GRPC: Final = GrpcProtocol(
    name="Jaeger",
    method="/jaeger.api_v2.CollectorService/PostSpans",
    signal=Signal.TRACES,
    form=Form.JAEGER_PROTO,
)
ENVOY: Final = GrpcProtocol(
    name="Envoy's access log service",
    method="/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
    signal=Signal.LOGS,
    form=Form.ENVOY,
)
LAMBDA: Final = HttpProtocol(
    name="Lambda's Telemetry API",
    path="/lambda/telemetry",
    signal=Signal.LOGS,
    forms={(_JSON, ""): Form.LAMBDA, ("", ""): Form.LAMBDA},
    reply=replies.accepted,
)

HTTP: Final = {protocol.path: protocol for protocol in (REMOTE_WRITE, ZIPKIN, JAEGER_THRIFT, LAMBDA)}
GRPC: Final = {protocol.method: protocol for protocol in (JAEGER_GRPC,)}
GRPC_STREAMS: Final = {protocol.method: protocol for protocol in (ENVOY,)}


def translate(
    arrival: Arrival, body: bytes, *, now_ns: int, grow: Callable[[int], None], limits: Limits
) -> Translated:
    """OTLP of one uncompressed request. Raises BadRequestError or TooLargeError."""
    return _TRANSLATORS[arrival.form](Incoming(arrival, body, now_ns, grow, limits))


def _from_write(incoming: Incoming) -> Translated:
    return from_remote_write(
        incoming.arrival.form, incoming.body, now_ns=incoming.now_ns, limit_bytes=incoming.limits.body_bytes,
        grow=incoming.grow,
    )  # fmt: skip


def _from_lambda(incoming: Incoming) -> Translated:
    limits = incoming.limits
    return lambda_telemetry.translate(
        incoming.body,
        incoming.arrival.headers,
        limit_bytes=limits.body_bytes,
        memory_bytes=limits.memory_bytes,
    )


def _plain(of: Callable[..., Translated]) -> Callable[[Incoming], Translated]:
    """Of a translation that needs nothing but the body."""
    return lambda incoming: of(
        incoming.body,
        limit_bytes=incoming.limits.body_bytes,
        memory_bytes=incoming.limits.memory_bytes,
    )


_TRANSLATORS: Final[Mapping[Form, Callable[[Incoming], Translated]]] = {
    Form.WRITE_1: _from_write,
    Form.WRITE_2: _from_write,
    Form.ZIPKIN_JSON: _plain(zipkin.translate),
    Form.JAEGER_THRIFT: _plain(jaeger_thrift.translate),
    Form.JAEGER_PROTO: _plain(jaeger_proto.translate),
    Form.ENVOY: _plain(envoy.translate),
    Form.LAMBDA: _from_lambda,
}
