"""Whether the server may listen where it was told to, asked before anything is opened.
`lowtide.serve.parts` calls it.

What the settings alone decide (plain text to others) is refused when they are read
(`lowtide.settings.conflicts`); here is what depends on the tokens of the data directory. The trap: `lowtide
token create` reads the same settings and must not be refused by this.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lowtide.errors import ExitCode, LowtideError
from lowtide.settings import is_loopback
from lowtide.tokens.file import read_tokens
from lowtide.tokens.live import LiveTokens
from lowtide.tokens.token import WRITING

if TYPE_CHECKING:
    from lowtide.settings import Settings


class NobodyMaySendError(LowtideError):
    """The server would listen to others, and nobody could prove who they are."""

    exit_code = ExitCode.USAGE


def live_tokens(settings: Settings) -> LiveTokens:
    """The tokens of a server that starts. Raises TokenFileError, and NobodyMaySendError if others than this
    machine could reach it and no token lets anybody send.
    """
    outside = sorted({a for a in (settings.listen, settings.collector.listen) if not is_loopback(a)})
    by_certificate = any(rule.rights & WRITING for rule in settings.tls.clients)
    if (
        outside
        and not by_certificate
        and not any(t.is_live(datetime.now(UTC)) and t.scopes & WRITING for t in read_tokens(settings.data))
    ):
        raise NobodyMaySendError(
            f"Lowtide would listen on {', '.join(outside)}, which others than this machine may reach, "
            "and there is no token with which anybody could send, nor a client certificate.",
            hint="Make one: `lowtide token create NAME --scope write`. Or listen on 127.0.0.1, where "
            "none is needed.",
        )
    # Who asks for client certificates wants to know who is there.
    return LiveTokens(settings.data, may_be_open=not outside and settings.tls.client_ca is None)
