"""One pass over a metrics request, compiled: a number for the series of each of its points, in the order of
the points. `collector.check.series` counts by it what a tenant has, with a seed of the process, so that
nobody can choose series that look alike; `ingest.store.known_series` makes it the store's fingerprint, with a
seed that stays.

Two points have the same number if resource, scope, name, description, unit, kind of metric, temporality and
attributes are the same bytes.

The trap: it is for requests that the walk calls clean (`collector.check.walk`), whose lengths are right; it
checks nothing again but that it never reads beyond the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.compiled import address_of, compiled, part, routine
from ingest.wire import eight_at, number_at

Memory: TypeAlias = Any
Numbers: TypeAlias = NDArray[np.uint64]
Days: TypeAlias = NDArray[np.int64]
Points: TypeAlias = Callable[[bytes, int, Numbers, Days, Numbers, bool], int]
_SIGNATURE: Final = "int64(Bytes(uint8, 1, 'C'), uint64, uint64[::1], int64[::1], uint64[::1], boolean)"

# Fields of OTLP's messages (metrics.proto).
_RESOURCE: Final = 1  # of ResourceMetrics; of ScopeMetrics it is the scope
_CHILDREN: Final = 2  # scope_metrics of ResourceMetrics, metrics of ScopeMetrics
_SCHEMA_URL: Final = 3  # of ResourceMetrics and ScopeMetrics
_NAME: Final = 1
_DESCRIPTION: Final = 2
_UNIT: Final = 3
_DATA_POINTS: Final = 1
_TIME: Final = 3
_GAUGE: Final = 5
_SUM: Final = 7
_HISTOGRAM: Final = 9
_EXPONENTIAL: Final = 10
_SUMMARY: Final = 11

_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_OTHER_PRIME: Final = np.uint64(0xD6E8FEB86659FD93)
_SHIFT: Final = np.uint64(32)
_FIELD_SHIFT: Final = np.uint64(56)
_ONE: Final = np.uint64(1)
_NS_PER_DAY: Final = np.uint64(86_400_000_000_000)
_NAME_SEED: Final = np.uint64(1)

NEVER: Final = -1
"""Instead of a day: every point of the series is to be stored with its attributes."""
MARK: Final = b"lowtide.demo"
"""In a resource: that of the demo, whose rows are taken out again part by part."""


@part
def _number(memory: Memory, at: int, end: int) -> tuple[int, int]:
    """As `number_at`; of what is none, the end."""
    value, at = number_at(memory, at, end)
    return value, at if at >= 0 else end


@part
def _next(memory: Memory, at: int, end: int) -> tuple[int, int, int, int]:
    """The number of the next field, where its content begins and ends if it has a length (else both are where
    it ended), and where the one after it begins."""
    tag, at = _number(memory, at, end)
    wire = tag & 7
    if wire == 2:
        size, at = _number(memory, at, end)
        stop = at + size if size <= end - at else end
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


@routine
def _hashed(state: Any, memory: Memory, at: int, end: int, field: int) -> Any:
    """The state after the bytes of a field, their number and the field's."""
    state = _mixed(state, np.uint64(end - at) | np.uint64(field) << _FIELD_SHIFT)
    while end - at >= 8:
        state = _mixed(state, eight_at(memory, at))
        at += 8
    word = np.uint64(0)
    shift = 0
    while at < end:
        word |= np.uint64(memory[at]) << np.uint64(shift)
        shift += 8
        at += 1
    return _mixed(state, word)


@routine
def _fields_hashed(state: Any, memory: Memory, at: int, end: int, wanted: int) -> Any:
    """The state after some fields of a message, of which `wanted` has the bits, wherever they lie in it."""
    while at < end:
        number, start, stop, at = _next(memory, at, end)
        if number < 32 and wanted >> number & 1:
            state = _hashed(state, memory, start, stop, number)
    return state


@routine
def _properties(memory: Memory, at: int, end: int) -> Any:
    """What a metric's data says of all its points: temporality, and whether a sum only grows. They may lie
    behind the points."""
    found = np.uint64(0)
    while at < end:
        before = at
        number, _, _, at = _next(memory, at, end)
        if number in (2, 3) and memory[before] & 7 == 0:
            value, _ = _number(memory, before + 1, end)
            found |= np.uint64(value & 0xFF) << np.uint64(8 * number)
    return found


@routine
def _is_marked(memory: Memory, at: int, end: int) -> bool:
    """Whether `MARK` stands in these bytes."""
    for place in range(at, end - len(MARK) + 1):
        if memory[place] == MARK[0]:
            same = True
            for offset in range(1, len(MARK)):
                same &= memory[place + offset] == MARK[offset]
            if same:
                return True
    return False


@routine
def _is_listed(number: Any, listed: Memory, slots: int) -> bool:
    """Whether a table of open addressing has a number."""
    slot = np.int64(number >> _SHIFT) & (slots - 1)
    while listed[slot] != 0:
        if listed[slot] == number:
            return True
        slot = (slot + 1) & (slots - 1)
    return False


@routine
def _name_hash(memory: Memory, at: int, end: int) -> Any:
    """Of a metric."""
    state = _NAME_SEED
    while at < end:
        number, start, stop, at = _next(memory, at, end)
        if number == _NAME:
            state = _hashed(state, memory, start, stop, number)
    return state | _ONE


@part
def _attributes_field(kind: int) -> int:
    """Where the points of a kind of metric have their attributes."""
    if kind == _HISTOGRAM:
        return 9
    return 1 if kind == _EXPONENTIAL else 7


@part
def _point(memory: Memory, at: int, end: int, attributes: int, state: Any) -> tuple[Any, int]:
    """The number of a point's series, and the day that its time says, if it is one of a gauge or sum."""
    day = 0
    while at < end:
        before = at
        number, start, stop, at = _next(memory, at, end)
        if number == attributes:
            state = _hashed(state, memory, start, stop, number)
        elif number == _TIME and at - before == 9:
            day = int(eight_at(memory, before + 1) // _NS_PER_DAY)
    return (state ^ (state >> _SHIFT)) | _ONE, day


@routine
def _metric(
    memory: Memory, at: int, end: int, state: Any, listed: Memory, slots: int, always: bool,
    only_numbers: bool, found: Memory, found_days: Memory, count: int, room: int,
) -> int:  # fmt: skip
    """As `points`, of one metric; how many points there are by now."""
    state = _fields_hashed(_mixed(state, _ONE), memory, at, end, 1 << _NAME | 1 << _DESCRIPTION | 1 << _UNIT)
    if slots:
        always = _is_listed(_name_hash(memory, at, end), listed, slots)
    while at < end:
        kind, start, stop, at = _next(memory, at, end)
        is_number = kind in (_GAUGE, _SUM)
        if kind < _GAUGE or kind > _SUMMARY or (only_numbers and not is_number):
            continue
        of_kind = _mixed(state, np.uint64(kind) | _properties(memory, start, stop))
        attributes = _attributes_field(kind)
        while start < stop:
            number, at_point, point_end, start = _next(memory, start, stop)
            if number != _DATA_POINTS:
                continue
            if count < room:
                found[count], day = _point(memory, at_point, point_end, attributes, of_kind)
                found_days[count] = NEVER if always or not is_number else day
            count += 1
    return count


def points(body: bytes, seed: Any, numbers: Numbers, days: Days, names: Numbers, only_numbers: bool) -> int:
    """How many points there are, of gauges and sums if `only_numbers`. For as many as there is room for, the
    number of the series is put into `numbers` (none is 0), and into `days` the day since 1970 on which it is
    a point of a gauge or sum, or `NEVER`: of a resource with the `MARK`, and of metrics whose names are in
    `names`, made by `table_of`.
    """
    memory = address_of(body)
    found = address_of(numbers)
    found_days = address_of(days)
    listed = address_of(names)
    slots = len(names)
    room = min(len(numbers), len(days))
    end = len(body)
    at = count = 0
    while at < end:
        _, at_resource, resource_end, at = _next(memory, at, end)
        of_resource = _fields_hashed(
            seed, memory, at_resource, resource_end, 1 << _RESOURCE | 1 << _SCHEMA_URL
        )
        is_marked = False
        inner = at_resource
        while inner < resource_end:
            number, start, stop, inner = _next(memory, inner, resource_end)
            if number == _RESOURCE and slots:
                is_marked |= _is_marked(memory, start, stop)
        while at_resource < resource_end:
            number, at_scope, scope_end, at_resource = _next(memory, at_resource, resource_end)
            if number != _CHILDREN:
                continue
            of_scope = _fields_hashed(
                _mixed(of_resource, _ONE), memory, at_scope, scope_end, 1 << _RESOURCE | 1 << _SCHEMA_URL
            )
            while at_scope < scope_end:
                number, at_metric, metric_end, at_scope = _next(memory, at_scope, scope_end)
                if number != _CHILDREN:
                    continue
                count = _metric(
                    memory, at_metric, metric_end, of_scope, listed, 0 if is_marked else slots, is_marked,
                    only_numbers, found, found_days, count, room,
                )  # fmt: skip
    return count


def hashes(names: bytes, ends: Days, found: Numbers) -> None:
    """The numbers of names, which lie one after the other, as a metric's name is looked for."""
    memory = address_of(names)
    at = 0
    for place in range(len(ends)):
        found[place] = _hashed(_NAME_SEED, memory, at, ends[place], _NAME) | _ONE
        at = ends[place]


@cache
def load() -> Points:
    """The compiled function: read from the cache on disk, or compiled, which takes some seconds."""
    return compiled(_SIGNATURE, points)


@cache
def _hashes() -> Callable[[bytes, Days, Numbers], None]:
    return compiled("void(Bytes(uint8, 1, 'C'), int64[::1], uint64[::1])", hashes)


def table_of(names: Iterable[str]) -> Numbers:
    """Names of metrics as `points` looks for them: a table of open addressing, at most half full."""
    texts = sorted({name.encode() for name in names})
    found: Numbers = np.zeros(len(texts), np.uint64)
    _hashes()(b"".join(texts), np.cumsum([len(text) for text in texts], dtype=np.int64), found)
    slots = 1 << max(4, (2 * len(texts)).bit_length())
    table: Numbers = np.zeros(slots, np.uint64)
    for number in found:
        slot = int(number >> _SHIFT) & (slots - 1)
        while table[slot]:
            slot = (slot + 1) & (slots - 1)
        table[slot] = number
    return table
