"""Which series of metrics the store knows for which days, so that their points need not say it again.
`ingest.store.otlp` asks for each request it inserts, and tells what was stored.

A point that lies in the store is a number for its series, a time and a value; what the series is stands in
`metric_series`, once a day. To read, compare and look up the attributes of each point was two thirds of the
work of storing it (ADR 29). A series counts as known for a day once a batch with it, attributes and all, is
in every table. Points of metrics in `known_points`, from which rollups are made by attributes, and those of
the demo, whose series are removed while it goes on, always say all.

The traps. What is known here must be in the store: it is forgotten with the process, to whose end an embedded
store may go back, and whenever an insert fails, since a server may have gone back. And a fingerprint must be
the same in every process, so that its seed is no secret: a tenant can make series of its own look alike, and
those of nobody else: a series is known by tenant and fingerprint, and what the table here makes of a tenant
is a secret of the process, or somebody who knows both could choose fingerprints that make up for it.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest import series
from ingest.compiled import compiled
from ingest.series import NEVER, Days, Numbers
from ingest.store.sql import load_view

SEED: Final = 0x6C6F7774696465
"""Of fingerprints."""
SLOTS: Final = 1 << 20
"""Of each of two tables, 16 MiB together: half a million series on a day are found at once, a million sooner
or later."""
_POINT_BYTES: Final = 24
"""A guess; with more points in a request the walk is repeated."""

Marks = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Looked:
    """Of the points of gauges and sums in a request, in their order."""

    fingerprints: Numbers
    known: Marks
    """Their series are in the store already, for the point's day."""
    fresh: Numbers
    """For `KnownSeries.add`, once the others are."""
    forgotten: int = 0
    """How often everything had been forgotten by then."""


NOTHING: Final = Looked(np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros(0, np.uint64))


def look_up(
    fingerprints: Numbers, days: Days, seed: int, newer: Numbers, older: Numbers, keys: Numbers, known: Marks
) -> None:
    """Fill in the key of each point, 0 if it is to say all, and whether a table has it."""
    mask = len(newer) - 1
    for place in range(len(fingerprints)):
        known[place] = 0
        keys[place] = 0
        if days[place] == NEVER:
            continue
        key = (fingerprints[place] ^ np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        key = ((key ^ (key >> np.uint64(32))) + np.uint64(days[place])) * np.uint64(0xD6E8FEB86659FD93)
        key = (key ^ (key >> np.uint64(32))) | np.uint64(1)
        keys[place] = key
        for table in (newer, older):
            slot = np.int64(key >> np.uint64(1)) & mask
            while table[slot] != 0 and table[slot] != key:
                slot = (slot + 1) & mask
            if table[slot] == key:
                known[place] = 1
                break


def put_in(table: Numbers, keys: Numbers, room: int) -> int:
    """Put the keys in that are not there, as long as there is room; how many were, or -1 if there was not."""
    mask = len(table) - 1
    added = 0
    for key in keys:
        slot = np.int64(key >> np.uint64(1)) & mask
        while table[slot] != 0 and table[slot] != key:
            slot = (slot + 1) & mask
        if table[slot] == 0:
            if added == room:
                return -1
            table[slot] = key
            added += 1
    return added


_NUMBERS: Final = "uint64[::1]"


@cache
def _look_up() -> Callable[..., None]:
    signature = f"void({_NUMBERS}, int64[::1], uint64, {_NUMBERS}, {_NUMBERS}, {_NUMBERS}, uint8[::1])"
    return compiled(signature, look_up)


@cache
def _put_in() -> Callable[..., int]:
    return compiled(f"int64({_NUMBERS}, {_NUMBERS}, int64)", put_in)


@cache
def _names() -> Numbers:
    """Metrics of which every point is to say all: the strings of the view that filters `known_points`."""
    return series.table_of(re.findall(r"'([^']+)'", load_view("known_points_mv")))


class KnownSeries:
    """Of one store. Safe to call from any thread."""

    def __init__(self, slots: int = SLOTS) -> None:
        """`slots` is a power of two."""
        self._slots = slots
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._newer, self._older = self._empty(), self._empty()
        self._count = 0
        self._forgotten = 0

    def look(self, tenant: str, body: bytes) -> Looked:
        """What is known of the points of a clean metrics request."""
        fingerprints, days = _points_of(body)
        count = len(fingerprints)
        keys, known = np.empty(count, np.uint64), np.empty(count, np.uint8)
        whose = int.from_bytes(blake2b(tenant.encode(), digest_size=8, key=self._key).digest(), "little")
        with self._lock:
            _look_up()(fingerprints, days, whose, self._newer, self._older, keys, known)
            forgotten = self._forgotten
        return Looked(fingerprints, known, keys[(known == 0) & (keys != 0)], forgotten)

    def holds_still(self, looked: Looked) -> bool:
        """Whether nothing was forgotten since a look."""
        return looked.forgotten == self._forgotten

    def add(self, fresh: Numbers) -> None:
        """These are in the store now. When there are too many, those that came first are forgotten."""
        with self._lock:
            added = _put_in()(self._newer, fresh, self._slots // 2 - self._count)
            if added >= 0:
                self._count += added
                return
            self._older, self._newer = self._newer, self._empty()
            self._count = _put_in()(self._newer, fresh[: self._slots // 2], self._slots // 2)

    def forget(self) -> None:
        """Nothing is known any more."""
        with self._lock:
            self._newer, self._older = self._empty(), self._empty()
            self._count = 0
            self._forgotten += 1

    def _empty(self) -> Numbers:
        return np.zeros(self._slots, np.uint64)


def _points_of(body: bytes) -> tuple[Numbers, Days]:
    """Fingerprint and day of each point of a gauge or sum."""
    room = len(body) // _POINT_BYTES + 16
    while True:
        fingerprints, days = np.empty(room, np.uint64), np.empty(room, np.int64)
        count = series.load()(body, SEED, fingerprints, days, _names(), True)
        if count <= room:
            return fingerprints[:count], days[:count]
        room = count


def warm_up() -> None:
    """Load the compiled code, or compile it (some seconds), so that no batch has to wait for it."""
    known = KnownSeries(slots=16)
    known.add(known.look("", b"").fresh)
