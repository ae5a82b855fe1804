"""Who somebody is, for the running server: asked for every request of every port, before its body is read.

The tokens are held in memory. At most `_LOOK_S` after a command has replaced the file it is read anew, so a
revoked token stops working within a second, on open connections too. Nothing is cached by connection.

The traps: this runs on event loops, so it must stay quick: a clock and a dictionary, and four times a
second a `stat`. And what cannot be read lets nobody in: an answer from memory might be that of a revoked
token.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from lowtide.tokens.errors import TokenFileError, UnknownTokenError
from lowtide.tokens.file import Stamp, read_tokens, read_use, stamp_of, write_use
from lowtide.tokens.token import DEFAULT_TENANT, Scope, Token, digest_of, id_of, mint

log = structlog.get_logger(__name__)

_LOOK_S: Final = 0.25
_NOBODY: Final = digest_of("")
"""Compared where there is nothing to compare, so that an unknown id takes the same time."""
_UNKNOWN: Final = "no token was shown that is known here"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever showed a token, or may do without. `is_owner`: of the data directory, to whom all tenants
    belong.
    """

    id: str
    tenant: str
    scopes: frozenset[Scope]
    is_owner: bool = False


_EVERYBODY: Final = Holder("", DEFAULT_TENANT, frozenset(Scope), is_owner=True)


def _clock() -> datetime:
    return datetime.now(UTC)


class LiveTokens:
    """The tokens of a running server, and one more, `own_secret`, by which commands on this machine reach
    it: new at each start, and kept in the record of the instance lock.

    While no token was ever made and `may_be_open`, everybody may do everything, as the default tenant. The
    first token ends that for good: deleting the file does not open the doors of a server that runs.
    """

    def __init__(
        self,
        data: Path,
        *,
        may_be_open: bool,
        now: Callable[[], datetime] = _clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises TokenFileError."""
        self._data = data
        self._may_be_open = may_be_open
        self._now = now
        self._monotonic = monotonic
        own_id, self.own_secret = mint()
        self._own = Token(
            own_id, "this machine", DEFAULT_TENANT, frozenset(Scope), digest_of(self.own_secret), now()
        )
        self._used = read_use(data)
        self._noted = dict(self._used)
        self._fault: TokenFileError | None = None
        self._stamp: Stamp = stamp_of(data)
        self._take(read_tokens(data))
        self._next_look = monotonic() + _LOOK_S

    def holder(self, text: str | None) -> Holder:
        """Who shows this text. Raises UnknownTokenError, and TokenFileError while nobody can be known."""
        self._look()
        if self._fault is not None:
            raise TokenFileError(str(self._fault), hint=self._fault.hint)
        if self._may_be_open:
            return _EVERYBODY
        shown = text or ""
        found = self._by_id.get(id_of(shown) or "")
        is_it = hmac.compare_digest(digest_of(shown), _NOBODY if found is None else found.digest)
        now = self._now()
        if found is None or not is_it or not found.is_live(now):
            raise UnknownTokenError(_UNKNOWN)
        if found is self._own:
            return Holder(found.id, found.tenant, found.scopes, is_owner=True)
        self._used[found.id] = now.replace(second=0, microsecond=0)
        return Holder(found.id, found.tenant, found.scopes)

    @property
    def are_asked_for(self) -> bool:
        """Whether somebody without any proof is refused."""
        return not self._may_be_open

    def note_use(self) -> None:
        """Write down when tokens were last used, if that has changed. From any thread; never raises."""
        used = dict(self._used)
        if used == self._noted:
            return
        try:
            write_use(self._data, used)
        except OSError as error:
            log.warning("The last use of tokens cannot be noted", reason=error.strerror or str(error))
        else:
            self._noted = used

    def _look(self) -> None:
        """Read the file anew if it was replaced."""
        now = self._monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_S
        try:
            stamp = stamp_of(self._data)
            if stamp == self._stamp and self._fault is None:
                return
            self._take(read_tokens(self._data))
            self._stamp = stamp
        except TokenFileError as error:
            if self._fault is None:
                log.error("Tokens cannot be read, so nobody is let in", reason=str(error))  # noqa: TRY400 - it says all
            self._fault = error
            return
        if self._fault is not None:
            log.info("Tokens can be read again")
            self._fault = None

    def _take(self, tokens: tuple[Token, ...]) -> None:
        if tokens:
            self._may_be_open = False
        self._by_id = {token.id: token for token in (*tokens, self._own)}
