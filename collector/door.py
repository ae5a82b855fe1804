"""Who is sending, and may they: decided here and nowhere else, from the headers alone, before a body is read.

Both receivers describe a request as an `Arrival`; the intake asks its `Door` once for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ingest.signals import Signal

DEFAULT_TENANT = "default"


class Transport(StrEnum):
    """How a request came in; a metric label."""

    HTTP = "http"
    GRPC = "grpc"


class Form(StrEnum):
    """How a request and therefore its reply is written; the value is the media type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a request before its body. Header names are lower case."""

    signal: Signal
    transport: Transport
    form: Form
    headers: Mapping[str, str]
    peer: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request belongs to."""

    tenant: str


class Door(Protocol):
    """Lets a request in, or raises UnauthenticatedError or ForbiddenError."""

    def admit(self, arrival: Arrival) -> Caller:
        """Return the caller; must be quick, it runs on the event loop."""


class OpenDoor:
    """Everyone may send, as the default tenant.

    Right for loopback only, which is where the listeners bind by default.
    """

    def admit(self, arrival: Arrival) -> Caller:  # noqa: ARG002 - the interface's name
        """Let it in."""
        return Caller(tenant=DEFAULT_TENANT)
