"""What can go wrong with tokens.

LowtideError
+-- TokenError              base
    +-- TokenFileError      the file cannot be read, written or understood
    +-- UnknownTokenError   nobody is known by what was shown: absent, malformed, revoked, expired, never made
    +-- NoSuchTokenError    a command names a token that does not exist
"""

from __future__ import annotations

from lowtide.errors import LowtideError


class TokenError(LowtideError):
    """Base of the errors about tokens. No message ever repeats a token."""


class TokenFileError(TokenError):
    """The tokens cannot be read or written; who may do what is unknown until they can."""


class UnknownTokenError(TokenError):
    """What was shown proves nothing. One error for all causes on purpose: which it was helps a thief only."""


class NoSuchTokenError(TokenError):
    """No token has this id."""
