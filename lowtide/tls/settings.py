"""Settings of TLS, section `tls`: for all listeners alike. Composed in `lowtide.settings`."""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lowtide.tokens.token import DEFAULT_TENANT, TENANT_FORM, Scope, scopes_of

UNDER: Final = "/*"
"""Ends a URI that stands for all below it."""
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s*]+")
_URI_UNDER: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s*/]+(/[^\s*/]+)*/\*")
_DNS_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")

LocalPath = Annotated[Path, AfterValidator(Path.expanduser)]


class Demand(StrEnum):
    """Whether a client certificate must be shown."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class ClientRule(BaseModel):
    """What a client certificate with one name may do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    san: str = Field(max_length=1024, description="URI or DNS name in the certificate's subjectAltName.")
    tenant: str = Field(default=DEFAULT_TENANT, description="Whose rows it writes and sees.")
    scopes: tuple[Scope | Literal["write"], ...] = Field(
        min_length=1, description="What it may do; `write` is all three signals."
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        if not (_URI.fullmatch(self.san) or _URI_UNDER.fullmatch(self.san) or _DNS_NAME.fullmatch(self.san)):
            raise ValueError(
                f"{self.san!r} is neither a URI nor a DNS name; a `*` may stand at the end of a URI only, as "
                "in spiffe://cluster/ns/shop/*"
            )
        if not TENANT_FORM.fullmatch(self.tenant):
            raise ValueError(f"{self.tenant!r} is no tenant: letters, digits, . _ and -, 63 at most")
        return self

    @property
    def rights(self) -> frozenset[Scope]:
        """The scopes, written out."""
        return scopes_of(self.scopes)


class TlsSettings(BaseModel):
    """TLS on every listener: OTLP/HTTP, OTLP/gRPC, and the API with its page and SQL. On as soon as there is
    a certificate. The files are looked at again and again, so a renewed certificate needs no restart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: LocalPath | None = Field(
        default=None,
        description="PEM file with the server's certificate and the intermediate ones below it. Without "
        "one, plain text is spoken.",
    )
    key: LocalPath | None = Field(
        default=None,
        description="PEM file with the certificate's private key, without a password. Nobody but the "
        "server's user should be able to read it.",
    )
    client_ca: LocalPath | None = Field(
        default=None,
        description="PEM file with the CAs that client certificates must lead to. With it, clients are asked "
        "for a certificate, and nobody sends or asks any more without proving who they are.",
    )
    clients: tuple[ClientRule, ...] = Field(
        default=(),
        max_length=1000,
        description="What client certificates may do, by a name in them: tables with `san` (a URI such as a "
        "SPIFFE id, or a DNS name; exactly, or a URI that ends in `/*` for all below it), `tenant` (default: "
        f"{DEFAULT_TENANT}) and `scopes` (those of tokens, or `write`). A certificate that is not named here "
        "proves nothing; a token may.",
    )
    client_certificates: Demand = Field(
        default=Demand.OPTIONAL,
        description="Whether senders of OTLP must show a certificate of client_ca. Optional, so that tokens "
        "go on working beside; this user's own commands on this machine need none in any case.",
    )
    api_client_certificates: Demand = Field(
        default=Demand.OPTIONAL,
        description="The same for the API, the page and SQL. Optional, because browsers and probes seldom "
        "have one.",
    )
    handshake_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="Seconds from connecting until the TLS handshake is over. A handshake is three messages; "
        "10 s are enough around the world.",
    )
    look_s: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Seconds between two looks at the files. New connections get a renewed certificate that "
        "soon; a broken one is not taken, and the old one goes on.",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together; set both or none")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs a certificate of the server: set certificate and key")
        if self.client_ca is None and (self.clients or Demand.REQUIRED in self._demands):
            raise ValueError("client certificates are asked for only if client_ca says which CAs count")
        twice = [san for san, times in Counter(rule.san for rule in self.clients).items() if times > 1]
        if twice:
            raise ValueError(f"clients has {twice[0]} twice; which one should count?")
        return self

    @property
    def is_on(self) -> bool:
        """Whether TLS is spoken."""
        return self.certificate is not None

    @property
    def _demands(self) -> tuple[Demand, Demand]:
        return self.client_certificates, self.api_client_certificates
