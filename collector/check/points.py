"""One pass over a metrics request, compiled: a number for the series of each of its points, in the order of
the points. `collector.check.series` calls `load()` once and the result for every request it is asked about.

Two points have the same number if resource, scope, name, unit, kind of metric and attributes are the same
bytes. The number is not the store's fingerprint, and begins with a seed of the process, so that nobody can
choose series that look alike.

The trap: it is for requests that the walk calls clean (`collector.check.walk`), whose lengths are right; it
checks nothing again but that it never reads beyond the end. Constants and parts must stay in this file,
because the machine code on disk is renewed when this file changes and not when another one does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.compiled import address_of, compiled, part

Memory: TypeAlias = Any
Points: TypeAlias = Callable[[bytes, int, NDArray[np.uint64]], int]
SIGNATURE: Final = "int64(Bytes(uint8, 1, 'C'), uint64, uint64[::1])"

# Fields of OTLP's messages (metrics.proto).
_RESOURCE: Final = 1  # of ResourceMetrics; of ScopeMetrics it is the scope
_CHILDREN: Final = 2  # scope_metrics of ResourceMetrics, metrics of ScopeMetrics
_NAME: Final = 1
_UNIT: Final = 3
_DATA_POINTS: Final = 1
_HISTOGRAM: Final = 9
_EXPONENTIAL: Final = 10

_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_OTHER_PRIME: Final = np.uint64(0xD6E8FEB86659FD93)
_SHIFT: Final = np.uint64(32)
_ONE: Final = np.uint64(1)


@part
def _number(memory: Memory, at: int, end: int) -> tuple[int, int]:
    """A varint, cut to 63 bits, and where it ended."""
    value = 0
    shift = 0
    while at < end and shift < 63:
        byte = int(memory[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, at


@part
def _next(memory: Memory, at: int, end: int) -> tuple[int, int, int, int]:
    """The number of the next field, where its content begins and ends if it has a length (else both are where
    it ended), and where the one after it begins."""
    tag, at = _number(memory, at, end)
    wire = tag & 7
    if wire == 2:
        size, at = _number(memory, at, end)
        stop = min(at + size, end)
        return tag >> 3, at, stop, stop
    if wire == 1:
        at = min(at + 8, end)
    elif wire == 5:
        at = min(at + 4, end)
    else:
        while at < end and memory[at] >= 0x80:
            at += 1
        at = min(at + 1, end)
    return tag >> 3, at, at, at


@part
def _mixed(state: Any, word: Any) -> Any:
    state = (state ^ word) * _PRIME
    return (state ^ (state >> _SHIFT)) * _OTHER_PRIME


@part
def _hashed(state: Any, memory: Memory, at: int, end: int) -> Any:
    """The state after some bytes and their number."""
    state = _mixed(state, np.uint64(end - at) + _ONE)
    while end - at >= 8:
        word = (
            np.uint64(memory[at])
            | np.uint64(memory[at + 1]) << np.uint64(8)
            | np.uint64(memory[at + 2]) << np.uint64(16)
            | np.uint64(memory[at + 3]) << np.uint64(24)
            | np.uint64(memory[at + 4]) << np.uint64(32)
            | np.uint64(memory[at + 5]) << np.uint64(40)
            | np.uint64(memory[at + 6]) << np.uint64(48)
            | np.uint64(memory[at + 7]) << np.uint64(56)
        )
        state = _mixed(state, word)
        at += 8
    word = np.uint64(0)
    shift = 0
    while at < end:
        word |= np.uint64(memory[at]) << np.uint64(shift)
        shift += 8
        at += 1
    return _mixed(state, word)


@part
def _field_hashed(state: Any, memory: Memory, at: int, end: int, wanted: int) -> Any:
    """The state after one field of a message, wherever it lies in it."""
    while at < end:
        number, start, stop, at = _next(memory, at, end)
        if number == wanted:
            state = _hashed(state, memory, start, stop)
    return state


@part
def _attributes_field(kind: int) -> int:
    """Where the points of a kind of metric have their attributes."""
    if kind == _HISTOGRAM:
        return 9
    return 1 if kind == _EXPONENTIAL else 7


@part
def _points(
    memory: Memory, at: int, end: int, kind: int, state: Any, found: Memory, count: int, room: int
) -> int:
    """The points of a metric's data; how many there are by now."""
    wanted = _attributes_field(kind)
    while at < end:
        number, start, stop, at = _next(memory, at, end)
        if number != _DATA_POINTS:
            continue
        if count < room:
            found[count] = _field_hashed(state, memory, start, stop, wanted) | _ONE
        count += 1
    return count


def points(body: bytes, seed: Any, numbers: NDArray[np.uint64]) -> int:
    """How many points there are. The numbers of those for which there is room are put into `numbers`; none of
    them is 0.
    """
    memory = address_of(body)
    found = address_of(numbers)
    room = len(numbers)
    end = len(body)
    at = count = 0
    while at < end:
        _, at_resource, resource_end, at = _next(memory, at, end)
        of_resource = _field_hashed(seed, memory, at_resource, resource_end, _RESOURCE)
        while at_resource < resource_end:
            number, at_scope, scope_end, at_resource = _next(memory, at_resource, resource_end)
            if number != _CHILDREN:
                continue
            of_scope = _field_hashed(of_resource, memory, at_scope, scope_end, _RESOURCE)
            while at_scope < scope_end:
                number, at_metric, metric_end, at_scope = _next(memory, at_scope, scope_end)
                if number != _CHILDREN:
                    continue
                of_metric = _field_hashed(of_scope, memory, at_metric, metric_end, _NAME)
                of_metric = _field_hashed(of_metric, memory, at_metric, metric_end, _UNIT)
                while at_metric < metric_end:
                    kind, start, stop, at_metric = _next(memory, at_metric, metric_end)
                    if 5 <= kind <= 11:
                        state = _mixed(of_metric, np.uint64(kind))
                        count = _points(memory, start, stop, kind, state, found, count, room)
    return count


@cache
def load() -> Points:
    """The compiled function: read from the cache on disk, or compiled, which takes some seconds."""
    return compiled(SIGNATURE, points)
