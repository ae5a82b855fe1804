"""Who the holder of a client certificate is, by the table `tls.clients`.

The traps: names of one kind are never compared with names of the other. And a certificate whose names lead
to different rights is nobody's: which of them count would depend on what its CA put in first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from collector.tls.certificate import Certificate
from lowtide.tls.settings import UNDER, ClientRule
from lowtide.tokens.live import Holder

_SEGMENTS: Final = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")
_DOTS: Final = frozenset({".", ".."})


class Clients:
    """The table, ready to be asked."""

    def __init__(self, rules: Iterable[ClientRule]) -> None:
        self._uris: dict[str, Holder] = {}
        self._under: dict[str, Holder] = {}
        self._dns_names: dict[str, Holder] = {}
        for rule in rules:
            holder = Holder(id=rule.san, tenant=rule.tenant, scopes=rule.rights)
            if rule.san.endswith(UNDER):
                self._under[rule.san.removesuffix("*")] = holder
            elif ":" in rule.san:
                self._uris[rule.san] = holder
            else:
                self._dns_names[rule.san.lower()] = holder

    def holder(self, certificate: Certificate) -> Holder | None:
        """Who it is; None if no name is in the table, or names with different rights are."""
        named = [self._of_uri(uri) for uri in sorted(certificate.uris)]
        named += [self._dns_names.get(name) for name in sorted(certificate.dns_names)]
        found = {(one.tenant, one.scopes): one for one in named if one is not None}
        return next(iter(found.values())) if len(found) == 1 else None

    def _of_uri(self, uri: str) -> Holder | None:
        """The entry with this very URI, else the one with the longest beginning."""
        exact = self._uris.get(uri)
        if exact is not None:
            return exact
        longest = max((begin for begin in self._under if _is_under(uri, begin)), key=len, default=None)
        return None if longest is None else self._under[longest]


def _is_under(uri: str, begin: str) -> bool:
    """Whether the URI is below; nothing in it may climb up again, in whatever notation."""
    if not uri.startswith(begin):
        return False
    rest = uri.removeprefix(begin)
    return _SEGMENTS.fullmatch(rest) is not None and _DOTS.isdisjoint(rest.split("/"))
