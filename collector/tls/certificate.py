"""What a client's certificate says about who it is. Read once per connection, looked at for each request.

Only names in the subjectAltName count, URIs (SPIFFE ids are such) and DNS names. The trap: a common name
says nothing; CAs put into it whatever they are asked for.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

CERTIFICATE = "lowtide.certificate"
"""Under this name a transport (`get_extra_info`) and an ASGI scope (in `state`) carry it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that led to one of our client CAs when its connection was made. DNS names are lower
    case.
    """

    uris: frozenset[str]
    dns_names: frozenset[str]
    not_after: datetime

    def is_valid(self, now: datetime) -> bool:
        """Whether it is still good: connections live longer than certificates."""
        return now <= self.not_after


def certificate_of(connection: ssl.SSLObject) -> Certificate | None:
    """What the other side showed, None if nothing. Raises ValueError for names that are no text."""
    shown: Mapping[str, Any] | None = connection.getpeercert()
    if not shown:
        return None
    names = shown.get("subjectAltName", ())
    return Certificate(
        uris=frozenset(value for kind, value in names if kind == "URI"),
        dns_names=frozenset(value.lower() for kind, value in names if kind == "DNS"),
        not_after=datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC),
    )
