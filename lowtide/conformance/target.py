"""The receiver to be judged, as the command is told of it. Made by the command, read by `session`.

Headers may be secrets: they are sent, and never shown.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from lowtide.conformance.errors import TargetError

HTTP_PORTS = {"http": 4318, "https": 443}
GRPC_PORT = 4317


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send, and with what. `grpc` is host and port; `grpc_tls` whether TLS is spoken there."""

    http: str
    grpc: tuple[str, int] | None = None
    grpc_tls: bool = False
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    ca: Path | None = None
    timeout_s: float = 10.0

    @property
    def grpc_address(self) -> str | None:
        """Host and port of gRPC for people."""
        if self.grpc is None:
            return None
        host, port = self.grpc
        return f"{'https' if self.grpc_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    def tls(self, *protocols: str) -> ssl.SSLContext:
        """How the receiver's certificate is checked. Raises TargetError if the file is not one."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        except OSError as error:  # ssl.SSLError is one
            raise TargetError(f"{self.ca} is no file of certificates in PEM: {error}") from error
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def target(
    url: str,
    *,
    grpc: str | None = None,
    headers: Sequence[str] = (),
    ca: Path | None = None,
    timeout_s: float = 10.0,
) -> Target:
    """The target from what a person typed. Raises TargetError."""
    base = _parts(url, "http://127.0.0.1:4318")
    if base.query or base.fragment:
        raise TargetError(f"{url}: give the base address only; the suite adds /v1/traces and the others.")
    place: tuple[str, int] | None = None
    is_tls = False
    if grpc is not None:
        parts = _parts(grpc if "://" in grpc else f"http://{grpc}", "127.0.0.1:4317")
        if parts.path.strip("/"):
            raise TargetError(f"{grpc}: gRPC has a host and a port, no path.")
        place = (parts.hostname or "", parts.port or GRPC_PORT)
        is_tls = parts.scheme == "https"
    made = Target(url.rstrip("/"), place, is_tls, _headers(headers), ca, timeout_s)
    made.tls()
    return made


def _parts(text: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in HTTP_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise TargetError(f"{text} is no address.", hint=f"Give one such as {example}.")
    if parts.username or parts.password:
        raise TargetError("The address has a user name in it.", hint="Send credentials with --header.")
    return parts


def _headers(given: Sequence[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        is_token = bool(name) and all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name)
        if not equals or not is_token or not all(c == "\t" or c.isprintable() for c in value):
            # Neither is repeated here: the whole may be a secret.
            raise TargetError("A --header is not NAME=VALUE.", hint="For example --header 'X-Tenant=shop'.")
        if name.lower() in _OURS:
            raise TargetError(f"The header {name.lower()} is what the rules are about; it cannot be given.")
        found[name] = value.strip()
    return MappingProxyType(found)


_OURS = frozenset({
    "content-type", "content-encoding", "content-length", "transfer-encoding", "accept-encoding",
    "connection", "grpc-encoding", "te", "host",
})  # fmt: skip
