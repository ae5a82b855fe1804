"""How fast a tenant may send: bytes a second, with a burst. The intake asks before a body is read.

How large a request is is only known once it was read. So a tenant with anything left is let in, and pays
afterwards: it may go into debt, and is refused until that is paid off. Over time nobody gets more than the
rate, and nobody is refused after its bytes have travelled. Used in one event loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from collector.refusals import TooFastError

_SWEEP_S: Final = 60.0


class Rates:
    """An account for each tenant that sent lately; one with a full account is forgotten."""

    def __init__(
        self, bytes_per_s: int, burst_bytes: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """A rate of 0 is none: nobody is ever refused."""
        self._bytes_per_s = bytes_per_s
        self._burst_bytes = burst_bytes
        self._clock = clock
        self._accounts: dict[str, tuple[float, float]] = {}
        """What each had left, and when."""
        self._swept = clock()

    def check(self, tenant: str) -> None:
        """Raises TooFastError while a tenant has nothing left."""
        if not self._bytes_per_s or tenant not in self._accounts:
            return
        left = self._left(tenant, self._clock())
        if left <= 0:
            raise TooFastError(
                f"this tenant sends more than {self._bytes_per_s} bytes a second, its limit "
                "(collector.tenant_bytes_per_s); send this request again later, or send less",
                retry_after_s=max(1, math.ceil(-left / self._bytes_per_s)),
            )

    def pay(self, tenant: str, size_bytes: int) -> None:
        """Take off what a tenant has sent."""
        if not self._bytes_per_s:
            return
        now = self._clock()
        self._accounts[tenant] = self._left(tenant, now) - size_bytes, now
        if now - self._swept >= _SWEEP_S:
            self._swept = now
            full = [each for each in self._accounts if self._left(each, now) >= self._burst_bytes]
            for each in full:
                del self._accounts[each]

    def _left(self, tenant: str, now: float) -> float:
        left, at = self._accounts.get(tenant, (self._burst_bytes, now))
        return min(self._burst_bytes, left + (now - at) * self._bytes_per_s)
