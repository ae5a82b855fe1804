"""How much one client address has open: connections over HTTP, calls over gRPC. The receivers ask.

An address is a host, or everybody behind one proxy; the limit is there so that one broken or hostile client
cannot take all the places there are.
"""

from __future__ import annotations

from collections import Counter


class Peers:
    """What is open, by address. Used in one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count one more; False if that is more than an address may have. Leave it all the same."""
        self._open[address] += 1
        return self._open[address] <= self._limit

    def leave(self, address: str) -> None:
        """One less."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def __len__(self) -> int:
        return len(self._open)


def host_of(peer: str) -> str:
    """The address in what gRPC says of a peer: `ipv4:127.0.0.1:5555`, `ipv6:%5B::1%5D:5555`."""
    kind, _, rest = peer.partition(":")
    return rest.rpartition(":")[0] if kind in ("ipv4", "ipv6") else peer
