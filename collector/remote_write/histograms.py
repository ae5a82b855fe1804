"""Reading a native histogram, in compiled code: its buckets one after the other, with the empty ones between.
The survey asks whether it can be stored, the writing for its numbers. The traps are those of
`collector.remote_write.wire`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from collector.remote_write.layout import EXPLICIT, EXPLICIT_GAUGE, EXPONENTIAL, EXPONENTIAL_GAUGE
from collector.remote_write.wire import (
    BAD_BUCKETS,
    MALFORMED,
    MAX_BUCKETS,
    NOT_WHOLE,
    NOTHING,
    TOO_WIDE,
    Int,
    Memory,
    read_field,
    read_signed,
    read_zigzag,
)
from ingest.compiled import part, routine
from ingest.wire import eight_at

# A native histogram, unfolded.
COUNT, TOTAL, SCALE, ZERO_WIDTH, ZEROS, TIME, START, _HINT, CUSTOM_AT, CUSTOM_COUNT = range(10)
OFFSETS: Final = 10  # of the two sides, the positive one first
SIZES: Final = 12
_RAW: Final = 14  # numbers of values as they came
_SPANS: Final = 16  # numbers of spans
DENSE: Final = 18
_VALUES: Final = DENSE + 2 * MAX_BUCKETS
_SPAN_LIST: Final = _VALUES + 2 * MAX_BUCKETS
HISTOGRAM: Final = _SPAN_LIST + 4 * MAX_BUCKETS  # how many these are

_CUSTOM_SCHEMA: Final = -53
_LAST_BUCKET: Final = 1 << 31
"""An index of OTLP has 32 bits with the sign, and is lower by one."""
_GAUGE_HINT: Final = 3


@part
def _whole(bits: Any) -> Int:
    """The number that a double is, if it is a whole one from 0 to 2**53; else -1."""
    if bits == NOTHING:
        return 0
    exponent = np.int64(bits >> np.uint64(52)) - 1023  # with the sign: then it is far too large
    if exponent < 0 or exponent > 52:
        return -1
    mantissa = np.int64(bits & np.uint64((1 << 52) - 1)) | (1 << 52)
    shift = 52 - exponent
    return -1 if mantissa & ((1 << shift) - 1) else mantissa >> shift


@routine
def _span(memory: Memory, at: Int, end: Int, found: Memory, side: Int) -> Int:
    """A bucket span, put behind those of its side; 0, or the fault, negative."""
    offset = length = 0
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if at < 0 or (number in (1, 2) and wire != 0):
            return -MALFORMED
        if number == 1:
            offset = read_zigzag(memory, start, stop)[0]
        elif number == 2:
            length = read_signed(memory, start, stop)
    count = found[_SPANS + side]
    if count == MAX_BUCKETS or length < 0 or length > MAX_BUCKETS:
        return -TOO_WIDE
    if offset <= -_LAST_BUCKET or offset > _LAST_BUCKET:
        return -BAD_BUCKETS
    place = _SPAN_LIST + 2 * (side * MAX_BUCKETS + count)
    found[place], found[place + 1] = offset, length
    found[_SPANS + side] = count + 1
    return 0


@routine
def _values(memory: Memory, at: Int, end: Int, found: Memory, side: Int, is_float: bool) -> Int:
    """Counts, or how each differs from the one before; packed or one. 0, or the fault, negative."""
    while at < end:
        count = found[_RAW + side]
        if count == MAX_BUCKETS:
            return -TOO_WIDE
        if is_float:
            if end - at < 8:
                return -MALFORMED
            value = _whole(eight_at(memory, at))
            if value < 0:
                return -NOT_WHOLE
            at += 8
        else:
            difference, at = read_zigzag(memory, at, end)
            if at < 0:
                return -MALFORMED
            value = difference
            if count > 0:
                value += found[_VALUES + side * MAX_BUCKETS + count - 1]
            if value < 0:
                return -BAD_BUCKETS
        found[_VALUES + side * MAX_BUCKETS + count] = value
        found[_RAW + side] = count + 1
    return 0


@routine
def _unfold(found: Memory, side: Int) -> Int:
    """Buckets one after the other, with the empty ones between spans; 0, or the fault, negative."""
    used = size = 0
    for number in range(found[_SPANS + side]):
        place = _SPAN_LIST + 2 * (side * MAX_BUCKETS + number)
        gap, length = found[place], found[place + 1]
        if number == 0:
            found[OFFSETS + side] = gap
            gap = 0
        if gap < 0 or used + length > found[_RAW + side]:
            return -BAD_BUCKETS
        if size + gap + length > MAX_BUCKETS:
            return -TOO_WIDE
        for _ in range(gap):
            found[DENSE + side * MAX_BUCKETS + size] = 0
            size += 1
        for _ in range(length):
            found[DENSE + side * MAX_BUCKETS + size] = found[_VALUES + side * MAX_BUCKETS + used]
            size += 1
            used += 1
    found[SIZES + side] = size
    if used != found[_RAW + side] or found[OFFSETS + side] + size > _LAST_BUCKET + 1:
        return -BAD_BUCKETS
    return 0


@routine
def _increase(memory: Memory, at: Int, count: Int) -> bool:
    """Whether bounds are in order, without NaN and infinity at the end, as Prometheus wants them."""
    for place in range(count):
        bound = np.uint64(eight_at(memory, at + 8 * place)).view(np.float64)
        if not bound < np.inf:
            return False
        if place > 0 and not np.uint64(eight_at(memory, at + 8 * place - 8)).view(np.float64) < bound:
            return False
    return True


@routine
def read_histogram(memory: Memory, at: Int, end: Int, found: Memory) -> Int:  # noqa: C901 - one line for each field
    """Read one; its kind, or the fault, negative."""
    for place in range(DENSE):
        found[place] = 0
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if at < 0:
            return -MALFORMED
        fault = 0
        if number in (1, 6):  # counts
            if wire != 0:
                return -MALFORMED
            found[COUNT if number == 1 else ZEROS] = whole = read_signed(memory, start, stop)
            fault = 0 if whole >= 0 else -BAD_BUCKETS
        elif number in (2, 7) and wire == 1:
            found[COUNT if number == 2 else ZEROS] = whole = _whole(eight_at(memory, start))
            fault = 0 if whole >= 0 else -NOT_WHOLE
        elif number == 3 and wire == 1:
            found[TOTAL] = np.int64(eight_at(memory, start))
        elif number == 4 and wire == 0:
            found[SCALE] = read_zigzag(memory, start, stop)[0]
        elif number == 5 and wire == 1:
            found[ZERO_WIDTH] = np.int64(eight_at(memory, start))
        elif number in (8, 11) and wire == 2:
            fault = _span(memory, start, stop, found, 1 if number == 8 else 0)
        elif number in (9, 12) and wire in (0, 2):
            fault = _values(memory, start, stop, found, 1 if number == 9 else 0, False)
        elif number in (10, 13) and wire in (1, 2):
            fault = _values(memory, start, stop, found, 1 if number == 10 else 0, True)
        elif number == 14 and wire == 0:
            found[_HINT] = read_signed(memory, start, stop)
        elif number == 15 and wire == 0:
            found[TIME] = read_signed(memory, start, stop)
        elif number == 16 and wire in (1, 2):
            if (stop - start) % 8 or found[CUSTOM_COUNT]:
                return -MALFORMED  # no sender writes them in several pieces
            found[CUSTOM_AT], found[CUSTOM_COUNT] = start, (stop - start) // 8
        elif number == 17 and wire == 0:
            found[START] = read_signed(memory, start, stop)
        if fault < 0:
            return fault
    for side in range(2):
        fault = _unfold(found, side)
        if fault < 0:
            return fault
    is_gauge = found[_HINT] == _GAUGE_HINT
    if found[SCALE] != _CUSTOM_SCHEMA:
        if found[SCALE] < -10 or found[SCALE] > 20:
            return -BAD_BUCKETS
        return EXPONENTIAL_GAUGE if is_gauge else EXPONENTIAL
    if found[CUSTOM_COUNT] >= MAX_BUCKETS:
        return -TOO_WIDE
    fits = 0 <= found[OFFSETS] <= found[CUSTOM_COUNT] + 1 - found[SIZES]
    if not fits or found[SIZES + 1] or not _increase(memory, found[CUSTOM_AT], found[CUSTOM_COUNT]):
        return -BAD_BUCKETS
    return EXPLICIT_GAUGE if is_gauge else EXPLICIT
