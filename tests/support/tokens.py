"""Tokens in a data directory, as `lowtide token create` makes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lowtide.tokens.file import change_tokens
from lowtide.tokens.token import Scope, Token, digest_of, id_of, mint

ALL = tuple(Scope)
WRITE = (Scope.WRITE_TRACES, Scope.WRITE_METRICS, Scope.WRITE_LOGS)


def make(data: Path, *scopes: Scope, tenant: str = "default", expires_at: datetime | None = None) -> str:
    """A new token with these scopes; its text."""
    name, text = mint()
    token = Token(
        name, "a test", tenant, frozenset(scopes), digest_of(text), datetime.now(UTC), expires_at=expires_at
    )
    change_tokens(data, lambda tokens: [*tokens, token])
    return text


def revoke(data: Path, text: str) -> None:
    """End the token."""
    change_tokens(
        data,
        lambda tokens: [
            replace(each, revoked_at=datetime.now(UTC)) if each.id == id_of(text) else each for each in tokens
        ],
    )
