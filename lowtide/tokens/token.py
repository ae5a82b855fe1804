"""What a token is, how one is made, and how its text is taken apart.

    lt_4k3vd7qx2mhsn5ub_<52 characters>
       public id        secret, 256 random bits

The id finds the record, the digest of the whole text proves it. A plain SHA-256 is right for the digest: a
slow hash protects what people think up, and 256 random bits cannot be guessed however fast each guess is
(ADR 6). The trap: `lowtide.redaction` knows the form too, so that no token shows in a log.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

_ID_BYTES: Final = 10
_SECRET_BYTES: Final = 32
_FORM: Final = re.compile(r"lt_([a-z2-7]{16})_[a-z2-7]{52}")
_LENGTH: Final = 72
TENANT_FORM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
DEFAULT_TENANT: Final = "default"


class Scope(StrEnum):
    """What a token lets its holder do. None implies another."""

    WRITE_TRACES = "write-traces"
    WRITE_METRICS = "write-metrics"
    WRITE_LOGS = "write-logs"
    QUERY = "query"
    READ = "read"
    ADMIN = "admin"


WRITING: Final = frozenset({Scope.WRITE_TRACES, Scope.WRITE_METRICS, Scope.WRITE_LOGS})
ALL_WRITING: Final = "write"
"""Stands for these three wherever scopes are written down."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is kept: everything but its secret. `digest` is SHA-256 of the text, in hex."""

    id: str
    name: str
    tenant: str
    scopes: frozenset[Scope]
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def scopes_of(words: Iterable[str]) -> frozenset[Scope]:
    """Scopes from how people write them. Raises ValueError for a word that is none."""
    found: set[Scope] = set()
    for word in words:
        found |= WRITING if word == ALL_WRITING else {Scope(word)}
    return frozenset(found)


def mint() -> tuple[str, str]:
    """A new id, and the text of the token with it. The text is nowhere kept."""
    name = _written(secrets.token_bytes(_ID_BYTES))
    return name, f"lt_{name}_{_written(secrets.token_bytes(_SECRET_BYTES))}"


def digest_of(text: str) -> str:
    """What is kept of a token's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def id_of(text: str) -> str | None:
    """The public id in a token's text, or None if it is not written as one."""
    if len(text) != _LENGTH:
        return None
    found = _FORM.fullmatch(text)
    return None if found is None else found[1]


def _written(value: bytes) -> str:
    return base64.b32encode(value).decode().rstrip("=").lower()
