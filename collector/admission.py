"""Admission by bytes in flight: a request holds a lease on its bytes until it is stored.

Compressed and decompressed bytes both count. Called by the intake (event loop) and by codecs (worker
threads), so the sum is guarded by a lock. Nothing waits here: above the budget a request is refused at once
and its sender comes back later. Waiting while holding part of the budget could let several half-read
requests block one another for ever.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from collector.refusals import OverloadedError


class Admission:
    """The budget. `used_bytes` never exceeds `budget_bytes`."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._used_bytes = 0
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """Bytes held by all open leases."""
        return self._used_bytes

    def lease(self, size_bytes: int) -> Lease:
        """Open a lease on `size_bytes`. Raises OverloadedError when they do not fit."""
        self.take(size_bytes)
        return Lease(self, size_bytes)

    def take(self, size_bytes: int) -> None:
        """Add to the sum or raise OverloadedError; for leases only."""
        with self._lock:
            if self._used_bytes + size_bytes > self._budget_bytes:
                raise OverloadedError(
                    "the collector is receiving too much at a time; send this request again later"
                )
            self._used_bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """Take off the sum; for leases only."""
        with self._lock:
            self._used_bytes -= size_bytes


class Lease:
    """The bytes one request holds. Used by one thread at a time; closing twice is harmless."""

    __slots__ = ("_admission", "_held_bytes")

    def __init__(self, admission: Admission, held_bytes: int) -> None:
        self._admission = admission
        self._held_bytes = held_bytes

    def grow(self, size_bytes: int) -> None:
        """Hold this many more. Raises OverloadedError when they do not fit."""
        self._admission.take(size_bytes)
        self._held_bytes += size_bytes

    def settle(self, size_bytes: int) -> None:
        """Hold exactly this many, now that the size is known. Raises OverloadedError when they do not fit."""
        more = size_bytes - self._held_bytes
        if more > 0:
            self.grow(more)
        else:
            self._admission.give(-more)
            self._held_bytes = size_bytes

    def close(self) -> None:
        """Give everything back."""
        self._admission.give(self._held_bytes)
        self._held_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
