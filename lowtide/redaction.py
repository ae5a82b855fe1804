"""Tells secrets from other values, and hides them. Used wherever a value reaches a log or a screen.

The trap: hiding is by name and by shape, so a secret under an innocent name still shows. Settings that hold
one must be `SecretStr`.
"""

from __future__ import annotations

import re

MASK = "********"

_SECRET_NAME = re.compile(
    r"authori[sz]ation|token|passw(or)?d|passphrase|secret|cookie|api[-_]?key|access[-_]?key|private[-_]?key|credential",
    re.IGNORECASE,
)
# The database's word for "this batch was inserted already", and counts: names that only sound secret.
_HARMLESS_NAME = re.compile(r"dedup\w*_token|token_count|tokens_\w*total", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_END_OF_USER = re.compile(r"[:/]")
_TOKEN = re.compile(r"\b(lt_[a-z2-7]{16}_)[a-z2-7]{52}(?![a-z2-7])")
"""A token of Lowtide's own (`lowtide.tokens.token`); its first part is its public id."""
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a key of this name usually holds a secret."""
    return _SECRET_NAME.search(name) is not None and _HARMLESS_NAME.search(name) is None


def hide_in_text(text: str) -> str:
    """The text without passwords inside URLs, credentials of an Authorization header, and the secret part of
    tokens."""
    # A text that is an address may have its password anywhere; others are looked at line by line.
    lines = [text] if _ADDRESS.match(text) else text.split("\n")
    text = _TOKEN.sub(rf"\1{MASK}", "\n".join(map(_without_password, lines)))
    return _AUTHORIZATION.sub(rf"\1 {MASK}", text)


def _without_password(line: str) -> str:
    """The line without what lies between the first address's user and the last `@`.

    People write passwords with `@`, `/` and spaces in them, so where one ends is not known: rather too much
    is hidden than too little.
    """
    last = line.rfind("@")
    scheme = line.find("://")
    while 0 <= scheme < last:
        user = _END_OF_USER.search(line, scheme + len("://"), last)
        if user is not None and user[0] == ":" and user.end() < last:
            return f"{line[: user.end()]}{MASK}{line[last:]}"
        scheme = line.find("://", scheme + 1)
    return line
