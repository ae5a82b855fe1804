"""The shape of the answer about how services take part, as the API gives it."""

from __future__ import annotations

from pydantic import Field

from analytics.documents import Document, Telling


class AccessMode(Document):
    """One way in which a service takes part."""

    mode: str = Field(description="java agent, framework, SDK, sidecar, DNS or HTTP.")
    evidence: tuple[str, ...]


class Runtime(Document):
    """What one of a service's resources says of itself; empty where it does not."""

    language: str
    sdk: str
    sdk_version: str
    distro: str
    distro_version: str
    runtime: str
    runtime_version: str


class Scope(Document):
    """An instrumentation scope of its spans."""

    name: str
    version: str


class ServiceAccess(Document):
    """One service, or a name that only its callers know."""

    service_namespace: str
    service: str
    modes: tuple[AccessMode, ...]
    languages: tuple[str, ...]
    described: tuple[Runtime, ...]
    scopes: tuple[Scope, ...]


class ServiceAccessAnswer(Telling):
    """How services take part."""

    rows: tuple[ServiceAccess, ...]
