"""Who is sending, and may they: decided here and nowhere else, before a body is read.

Both receivers describe a request as an `Arrival`; the intake asks its `Door` once for each.
`lowtide.serve.doors` has the one that knows tokens and certificates. The trap: exactly one header says who
somebody is, and beside it what TLS has proved. A name for a tenant that comes in another header, or in the
URL, is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from collector.tls.certificate import Certificate
from ingest.signals import Signal

DEFAULT_TENANT = "default"


class Transport(StrEnum):
    """How a request came in; a metric label."""

    HTTP = "http"
    GRPC = "grpc"
    SCRAPE = "scrape"
    """It did not come in: Lowtide fetched it (`collector.scrape`)."""


class Form(StrEnum):
    """How a request and therefore its reply is written: the media type of OTLP, the message of another
    protocol (`collector.foreign.protocols`)."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"
    WRITE_1 = "prometheus.WriteRequest"
    WRITE_2 = "io.prometheus.write.v2.Request"
    ZIPKIN_JSON = "zipkin.v2.json"
    JAEGER_THRIFT = "jaeger.thrift.Batch"
    JAEGER_PROTO = "jaeger.api_v2.PostSpansRequest"
    LAMBDA = "lambda.telemetry"
    ENVOY = "envoy.service.accesslog.v3.StreamAccessLogsMessage"

    @property
    def is_foreign(self) -> bool:
        """Whether it is no OTLP, and has to be translated."""
        return self not in (Form.PROTOBUF, Form.JSON)

    @property
    def is_write(self) -> bool:
        """Whether it is remote write, whose messages are named beside the media type."""
        return self in (Form.WRITE_1, Form.WRITE_2)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a request before its body. Header names are lower case; the values of repeated ones
    are joined by a comma.
    """

    signal: Signal
    transport: Transport
    form: Form
    headers: Mapping[str, str]
    peer: str
    certificate: Certificate | None = None
    """What the sender proved to be over TLS."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request belongs to."""

    tenant: str


class Door(Protocol):
    """Lets a request in, or raises UnauthenticatedError, ForbiddenError or UndecidedError."""

    def admit(self, arrival: Arrival) -> Caller:
        """Return the caller; must be quick, it runs on the event loop."""


class OpenDoor:
    """Everyone may send, as the default tenant.

    Right for loopback only, which is where the listeners bind by default.
    """

    def admit(self, arrival: Arrival) -> Caller:  # noqa: ARG002 - the interface's name
        """Let it in."""
        return Caller(tenant=DEFAULT_TENANT)


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The credentials of `Authorization: Bearer` (RFC 6750 2.1); None for anything else."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip(" ") if scheme.lower() == "bearer" else None


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; repeated ones joined by a comma (RFC 9110 5.2), so that none of them is overlooked."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
