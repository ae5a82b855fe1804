"""How many series a tenant may have: points of new ones are taken out of a request once it has that many. The
intake asks for each metrics request that was found clean.

What a series is for this, `ingest.series` says. A series counts for an hour after its last point;
known ones go on as before, so that one service with an attribute that takes endless values does not silence
the others. The memory is bounded: 32 to 64 bytes for each series, and nothing for tenants that are silent.

The trap: it is counted here, from what comes, and not in the store. After a restart everybody begins at
nothing, and so may have up to twice as many in the store.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from collector.check.rules import groups_of
from collector.check.tables import REQUESTS
from collector.check.weight import memory_needed
from collector.errors import CollectorError
from collector.refusals import TooLargeError
from ingest import series
from ingest.compiled import compiled
from ingest.signals import Signal

ACTIVE_MINUTES: Final = 60
"""For how long a series counts after its last point."""
_SWEEP_MINUTES: Final = 10
_LEAST_SLOTS: Final = 1024
_MINUTE_S: Final = 60.0
_NO_NAMES: Final = np.zeros(0, np.uint64)

_Numbers: TypeAlias = NDArray[np.uint64]
_Minutes: TypeAlias = NDArray[np.int64]
_Marks: TypeAlias = NDArray[np.bool_]


def note(
    slots: _Numbers, minutes: _Minutes, numbers: _Numbers, minute: int, room: int, refused: _Marks
) -> int:
    """Find or put in each number; mark those that are new and beyond `room`. Returns how many were put in.

    The table is one of open addressing, whose length is a power of two, at most half full.
    """
    mask = len(slots) - 1
    added = 0
    for place in range(len(numbers)):
        number = numbers[place]
        slot = np.int64(number >> np.uint64(1)) & mask
        while slots[slot] != 0 and slots[slot] != number:
            slot = (slot + 1) & mask
        if slots[slot] == 0:
            if added >= room:
                refused[place] = True
                continue
            slots[slot] = number
            added += 1
        minutes[slot] = minute
    return added


@cache
def _noting() -> Callable[..., int]:
    return compiled("int64(uint64[::1], int64[::1], uint64[::1], int64, int64, boolean[::1])", note)


class _Table:
    """The series of one tenant."""

    def __init__(self, minute: int) -> None:
        self._slots: _Numbers = np.zeros(_LEAST_SLOTS, np.uint64)
        self._minutes: _Minutes = np.zeros(_LEAST_SLOTS, np.int64)
        self._swept = minute
        self.count = 0

    def note(self, numbers: _Numbers, minute: int, limit: int) -> _Marks:
        """Which of these are new and beyond the limit."""
        if minute - self._swept >= _SWEEP_MINUTES:
            self.sweep(minute)
        room = max(0, limit - self.count)
        self._grow(self.count + min(room, len(numbers)))
        refused: _Marks = np.zeros(len(numbers), np.bool_)
        self.count += _noting()(self._slots, self._minutes, numbers, minute, room, refused)
        return refused

    def sweep(self, minute: int) -> None:
        """Forget those that have been silent for too long."""
        self._swept = minute
        active = (self._slots != 0) & (self._minutes > minute - ACTIVE_MINUTES)
        self._rebuild(self._slots[active], self._minutes[active])

    def _grow(self, count: int) -> None:
        if 2 * count > len(self._slots):
            used = self._slots != 0
            self._rebuild(self._slots[used], self._minutes[used], count)

    def _rebuild(self, numbers: _Numbers, minutes: _Minutes, count: int = 0) -> None:
        wanted = max(_LEAST_SLOTS, 2 * max(count, len(numbers)))
        length = 1 << (wanted - 1).bit_length()
        self._slots, self._minutes = np.zeros(length, np.uint64), np.zeros(length, np.int64)
        ignored: _Marks = np.zeros(len(numbers), np.bool_)
        for minute in np.unique(minutes):
            part = np.ascontiguousarray(numbers[minutes == minute])
            _noting()(self._slots, self._minutes, part, int(minute), len(part), ignored[: len(part)])
        self.count = len(numbers)


def warm_up() -> None:
    """Load the compiled code, or compile it (some seconds), so that no request has to wait for it."""
    series.load()
    _noting()


class SeriesLimit:
    """The limit of all tenants. Safe to call from any thread."""

    def __init__(self, limit: int, *, memory_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit` is at least 1; `memory_bytes` is what taking points out of a request may need at most."""
        self._limit = limit
        self._memory_bytes = memory_bytes
        self._clock = clock
        self._seed = secrets.randbits(63)
        self._lock = threading.Lock()
        self._tables: dict[str, _Table] = {}
        self._swept = self._minute()

    def counts(self) -> Mapping[str, int]:
        """How many series each tenant has."""
        with self._lock:
            return {tenant: table.count for tenant, table in self._tables.items()}

    def refused(self, tenant: str, body: bytes, items: int) -> _Marks | None:
        """Which points of a clean metrics request belong to series beyond the limit; None if none does."""
        numbers: _Numbers = np.empty(items, np.uint64)
        days = np.empty(items, np.int64)
        if series.load()(body, self._seed, numbers, days, _NO_NAMES, False) != items:
            raise CollectorError("a clean metrics request has another number of points than was counted")
        with self._lock:
            minute = self._minute()
            if minute - self._swept >= _SWEEP_MINUTES:
                self._sweep(minute)
            table = self._tables.setdefault(tenant, _Table(minute))
            marks = table.note(numbers, minute, self._limit)
        return marks if marks.any() else None

    def without(self, body: bytes, marks: _Marks) -> bytes:
        """The request without the marked points; empty if none is left. Takes time and memory.

        Raises TooLargeError if it would take too much.
        """
        if marks.all():
            return b""
        if memory_needed(Signal.METRICS, body) > self._memory_bytes:
            raise TooLargeError(
                f"{self.reason(marks)}; the request has too many parts to take them out, send smaller batches"
            )
        request: Any = REQUESTS[Signal.METRICS]()
        request.ParseFromString(body)
        at = 0
        for group in groups_of(Signal.METRICS, request):
            size = len(group.records)
            kept = [point for point, out in zip(group.records, marks[at : at + size], strict=True) if not out]
            at += size
            if len(kept) < size:
                del group.records[:]
                group.records.extend(kept)
        written: bytes = request.SerializeToString()
        return written

    def reason(self, marks: _Marks) -> str:
        """For the sender: what was refused and what to do."""
        return (
            f"{int(marks.sum())} of {len(marks)} data points refused: they begin new series, and this tenant "
            f"has {self._limit} already, its limit (collector.tenant_series); take out attributes with "
            "endless values, or have the limit raised. Series that are known are stored as before"
        )

    def _sweep(self, minute: int) -> None:
        self._swept = minute
        for tenant, table in list(self._tables.items()):
            table.sweep(minute)
            if not table.count:
                del self._tables[tenant]

    def _minute(self) -> int:
        return int(self._clock() // _MINUTE_S)
