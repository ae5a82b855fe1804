"""Admission by bytes in flight: a request holds a lease on its bytes until it is stored.

Compressed and decompressed bytes both count. Called by the intake (event loop) and by codecs (worker
threads), so the sum is guarded by a lock. Nothing waits here: above the budget a request is refused at once
and its sender comes back later. Waiting while holding part of the budget could let several half-read
requests block one another for ever.

One tenant's flood must not keep the others out. Whoever holds less than an equal share may take up to the
whole budget; whoever holds more only as long as the last part of it, which is nobody's in particular, stays
free. Alone, a tenant may have everything. Shares are counted among the tenants that sent lately, let in or
not: one that was refused finds room when it comes back.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from collector.refusals import OverloadedError, OverShareError

LATELY_S: Final = 300.0
"""For how long a tenant counts after its last request: longer than senders wait between two attempts."""
_TOO_MUCH: Final = "the collector is receiving too much at a time; send this request again later"


class Admission:
    """The budget. `used_bytes` never exceeds `budget_bytes`."""

    def __init__(
        self,
        budget_bytes: int,
        *,
        common_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Above `common_bytes` only those with less than an equal share are let in; not given: nobody is kept
        out for that."""
        self._budget_bytes = budget_bytes
        self._common_bytes = budget_bytes if common_bytes is None else common_bytes
        self._clock = clock
        self._used_bytes = 0
        self._held: Counter[str] = Counter()
        self._seen: dict[str, float] = {}
        """When each tenant sent last, the one that has been silent for longest first."""
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """Bytes held by all open leases."""
        return self._used_bytes

    def lease(self, size_bytes: int, tenant: str = "") -> Lease:
        """Open a lease on `size_bytes` for a tenant. Raises OverloadedError when they do not fit."""
        with self._lock:
            self._note(tenant)
            self._take(size_bytes, tenant)
        return Lease(self, size_bytes, tenant)

    def check(self, size_bytes: int, tenant: str) -> None:
        """Raises OverloadedError, or OverShareError, if so many more would not fit now."""
        with self._lock:
            self._check(size_bytes, tenant)

    def take(self, size_bytes: int, tenant: str) -> None:
        """Add to the sum or raise as `check` does; for leases only."""
        with self._lock:
            self._take(size_bytes, tenant)

    def give(self, size_bytes: int, tenant: str) -> None:
        """Take off the sum; for leases only."""
        with self._lock:
            self._used_bytes -= size_bytes
            self._held[tenant] -= size_bytes
            if not self._held[tenant]:
                del self._held[tenant]

    def _take(self, size_bytes: int, tenant: str) -> None:
        self._check(size_bytes, tenant)
        self._used_bytes += size_bytes
        self._held[tenant] += size_bytes

    def _check(self, size_bytes: int, tenant: str) -> None:
        total = self._used_bytes + size_bytes
        if total > self._budget_bytes:
            raise OverloadedError(_TOO_MUCH)
        if total > self._common_bytes and (self._held[tenant] + size_bytes) * len(self._seen) > (
            self._budget_bytes
        ):
            raise OverShareError(
                "this tenant has more than its share of what the collector is receiving, and others are "
                "waiting; send this request again later"
            )

    def _note(self, tenant: str) -> None:
        now = self._clock()
        self._seen.pop(tenant, None)
        self._seen[tenant] = now
        while now - next(iter(self._seen.values())) > LATELY_S:
            self._seen.pop(next(iter(self._seen)))


class Lease:
    """The bytes one request holds. Used by one thread at a time; closing twice is harmless."""

    __slots__ = ("_admission", "_held_bytes", "_tenant")

    def __init__(self, admission: Admission, held_bytes: int, tenant: str) -> None:
        self._admission = admission
        self._held_bytes = held_bytes
        self._tenant = tenant

    def expect(self, size_bytes: int) -> None:
        """Raise OverloadedError if this many more would not fit now. Holds nothing: who only says how much is
        to come has sent none of it."""
        self._admission.check(size_bytes, self._tenant)

    def grow(self, size_bytes: int) -> None:
        """Hold this many more. Raises OverloadedError when they do not fit."""
        self._admission.take(size_bytes, self._tenant)
        self._held_bytes += size_bytes

    def settle(self, size_bytes: int) -> None:
        """Hold exactly this many, now that the size is known. Raises OverloadedError when they do not fit."""
        more = size_bytes - self._held_bytes
        if more > 0:
            self.grow(more)
        else:
            self._admission.give(-more, self._tenant)
            self._held_bytes = size_bytes

    def close(self) -> None:
        """Give everything back."""
        self._admission.give(self._held_bytes, self._tenant)
        self._held_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
