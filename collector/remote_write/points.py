"""Writing OTLP's points in compiled code, from the end to the beginning: each part returns where what it has
written begins. A length is known then before it is written, so that it takes no more bytes than it has to, as
the check wants it. `collector.remote_write.write` is made of it; the traps are those of
`collector.remote_write.wire`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from collector.remote_write.histograms import (
    COUNT,
    CUSTOM_AT,
    CUSTOM_COUNT,
    DENSE,
    OFFSETS,
    SCALE,
    SIZES,
    START,
    TIME,
    TOTAL,
    ZERO_WIDTH,
    ZEROS,
    read_histogram,
)
from collector.remote_write.layout import EXPLICIT, EXPLICIT_GAUGE, EXPONENTIAL, EXPONENTIAL_GAUGE, GAUGE, SUM
from collector.remote_write.wire import (
    MAX_BUCKETS,
    NOTHING,
    Int,
    Memory,
    own_label,
    read_field,
    read_labels,
    read_signed,
)
from ingest.compiled import part, routine
from ingest.wire import eight_at

STALE: Final = np.uint64(0x7FF0000000000002)
NO_VALUE: Final = 1  # OTLP's DataPointFlags
NO_SAMPLE: Final = 1 << 31
"""A flag of ours beside it: nothing was measured, nor has anything ended. Such a point carries exemplars that
came without a sample, or what a metric is."""
_NS_PER_MS: Final = 1_000_000
_LAST_MS: Final = 18_446_744_073_709
_TRACE_ID: Final = np.uint64(int.from_bytes(b"trace_id", "little"))
_SPAN_ID: Final = np.uint64(int.from_bytes(b"span_id", "little"))


@routine
def put_number(out: Memory, to: Int, number: Any) -> Int:
    value = np.uint64(number)
    if value < np.uint64(0x80):
        out[to - 1] = value
        return to - 1
    size = 1
    rest = value >> np.uint64(7)
    while rest:
        size += 1
        rest >>= np.uint64(7)
    to -= size
    for place in range(to, to + size - 1):
        out[place] = (value & np.uint64(0x7F)) | np.uint64(0x80)
        value >>= np.uint64(7)
    out[to + size - 1] = value
    return to


@part
def put_head(out: Memory, to: Int, number: Int, end: Int) -> Int:
    """The tag and length of the field that was written from `to` up to `end`."""
    return put_number(out, put_number(out, to, end - to), number << 3 | 2)


@part
def _set_eight(out: Memory, at: Int, word: Any) -> None:
    """Eight bytes at once (one store)."""
    for place in range(8):
        out[at + place] = (word >> np.uint64(8 * place)) & np.uint64(0xFF)


@part
def _copy(memory: Memory, at: Int, size: Int, out: Memory, to: Int) -> None:
    """Bytes, eight at a time; the last eight may have been written in part before."""
    if size < 8:
        for place in range(size):
            out[to + place] = memory[at + place]
        return
    for place in range(0, size - 8, 8):
        _set_eight(out, to + place, eight_at(memory, at + place))
    _set_eight(out, to + size - 8, eight_at(memory, at + size - 8))


@routine
def put_bytes(memory: Memory, at: Int, size: Int, out: Memory, to: Int, number: Int) -> Int:
    """A field of bytes."""
    to -= size
    _copy(memory, at, size, out, to)
    return put_head(out, to, number, to + size)


@part
def put_eight(out: Memory, to: Int, number: Int, word: Any) -> Int:
    """A fixed64 or double."""
    value = np.uint64(word)
    to -= 9
    _set_eight(out, to + 1, value)
    out[to] = number << 3 | 1
    return to


@part
def put_small(out: Memory, to: Int, number: Int, value: Any) -> Int:
    """A varint field."""
    return put_number(out, put_number(out, to, value), number << 3)


@part
def put_time(out: Memory, to: Int, number: Int, time_ms: Int) -> Int:
    """ms as ns. What does not fit is as good as none, which the check refuses."""
    fits = 0 <= time_ms <= _LAST_MS
    return put_eight(out, to, number, np.uint64(time_ms) * np.uint64(_NS_PER_MS) if fits else NOTHING)


@routine
def put_attribute(
    memory: Memory, name_at: Int, name_size: Int, value_at: Int, value_size: Int, out: Memory, to: Int,
    number: Int,
) -> Int:  # fmt: skip
    """A KeyValue."""
    size = name_size + value_size + 6
    if size < 0x80:  # as of nearly all: no length takes more than a byte
        to -= size + 2
        out[to], out[to + 1] = number << 3 | 2, size
        out[to + 2], out[to + 3] = 1 << 3 | 2, name_size
        _copy(memory, name_at, name_size, out, to + 4)
        value_to = to + 4 + name_size
        out[value_to], out[value_to + 1] = 2 << 3 | 2, value_size + 2
        out[value_to + 2], out[value_to + 3] = 1 << 3 | 2, value_size
        _copy(memory, value_at, value_size, out, value_to + 4)
        return to
    end = to
    to = put_bytes(memory, value_at, value_size, out, to, 1)
    to = put_head(out, to, 2, end)
    to = put_bytes(memory, name_at, name_size, out, to, 1)
    return put_head(out, to, number, end)


@routine
def put_attributes(memory: Memory, labels: Memory, count: Int, out: Memory, to: Int, number: Int) -> Int:
    """All labels that are attributes, in their order."""
    for label in range(count - 1, -1, -1):
        here = 4 * label
        if own_label(memory, labels[here], labels[here + 1]) == 0:
            to = put_attribute(
                memory, labels[here], labels[here + 1], labels[here + 2], labels[here + 3], out, to, number
            )
    return to


@part
def _digit(character: Int) -> Int:
    """What a hexadecimal digit stands for; -1 for anything else."""
    if 0x30 <= character <= 0x39:
        return character - 0x30
    lower = character | 0x20
    return lower - 0x57 if 0x61 <= lower <= 0x66 else -1


@part
def _is_hex(memory: Memory, at: Int, size: Int) -> bool:
    """Whether this is an id in hexadecimal digits that is not all zero."""
    is_zero = True
    for place in range(at, at + size):
        digit = _digit(np.int64(memory[place]))
        if digit < 0:
            return False
        is_zero &= digit == 0
    return not is_zero


@part
def _id_field(memory: Memory, at: Int, size: Int, value_at: Int, value_size: Int) -> Int:
    """Which field of an exemplar a label is: 5 its trace id, 4 its span id; 7 for others."""
    if size == 8 and value_size == 32 and eight_at(memory, at) == _TRACE_ID:
        return 5 if _is_hex(memory, value_at, 32) else 7
    if size == 7 and value_size == 16:
        same = True
        for place in range(7):
            same &= np.uint64(memory[at + place]) == (_SPAN_ID >> np.uint64(8 * place)) & np.uint64(0xFF)
        return 4 if same and _is_hex(memory, value_at, 16) else 7
    return 7


@routine
def _put_exemplar(
    memory: Memory, at: Int, end: Int, version: Int, symbols: Memory, symbol_count: Int, labels: Memory,
    out: Memory, to: Int, number: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """An exemplar, and its time in ms."""
    count = read_labels(memory, at, end, version, symbols, symbol_count, labels)
    value, time_ms = NOTHING, 0
    while at < end:
        inner, wire, start, stop, at = read_field(memory, at, end)
        if inner == 2 and wire == 1:
            value = eight_at(memory, start)
        elif inner == 3 and wire == 0:
            time_ms = read_signed(memory, start, stop)
    written = to
    for label in range(count - 1, -1, -1):
        here = 4 * label
        name_at, name_size, value_at, value_size = (
            labels[here],
            labels[here + 1],
            labels[here + 2],
            labels[here + 3],
        )
        field = _id_field(memory, name_at, name_size, value_at, value_size)
        if field == 7:
            to = put_attribute(memory, name_at, name_size, value_at, value_size, out, to, 7)
            continue
        before = to
        to -= value_size // 2
        for place in range(value_size // 2):
            high, low = memory[value_at + 2 * place], memory[value_at + 2 * place + 1]
            out[to + place] = _digit(np.int64(high)) << 4 | _digit(np.int64(low))
        to = put_head(out, to, field, before)
    to = put_eight(out, to, 3, value)
    to = put_time(out, to, 2, time_ms)
    return put_head(out, to, number, written), time_ms


@routine
def _put_exemplars(
    memory: Memory, at: Int, end: Int, version: Int, symbols: Memory, symbol_count: Int, labels: Memory,
    out: Memory, to: Int, number: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """The exemplars of a series, and the time of the latest."""
    wanted = 3 if version == 1 else 4
    latest_ms = 0
    while at < end:
        inner, wire, start, stop, at = read_field(memory, at, end)
        if inner == wanted and wire == 2:
            to, time_ms = _put_exemplar(
                memory, start, stop, version, symbols, symbol_count, labels, out, to, number
            )
            latest_ms = max(latest_ms, time_ms)
    return to, latest_ms


@routine
def _put_counts(found: Memory, side: Int, size: Int, out: Memory, to: Int) -> Int:
    """Buckets of an exponential histogram, without a field around them."""
    end = to
    for place in range(size - 1, -1, -1):
        to = put_number(out, to, found[DENSE + side * MAX_BUCKETS + place])
    to = put_head(out, to, 2, end)
    # A bucket of Prometheus is named by its upper bound, one of OTLP by its lower.
    offset = found[OFFSETS + side] - 1
    return put_small(out, to, 1, np.uint64(offset << 1 ^ offset >> 63))


@routine
def _put_exponential(found: Memory, out: Memory, to: Int) -> Int:
    """The fields 3 to 14 of an ExponentialHistogramDataPoint but for exemplars."""
    if found[ZERO_WIDTH]:
        to = put_eight(out, to, 14, found[ZERO_WIDTH])
    if np.uint64(found[TOTAL]) == STALE:
        to = put_small(out, to, 10, NO_VALUE)
    for side in (1, 0):
        if found[SIZES + side]:
            end = to
            to = _put_counts(found, side, found[SIZES + side], out, to)
            to = put_head(out, to, 9 if side else 8, end)
    to = put_eight(out, to, 7, found[ZEROS])
    scale = found[SCALE]
    to = put_small(out, to, 6, np.uint64(scale << 1 ^ scale >> 63))
    to = put_eight(out, to, 5, found[TOTAL])
    to = put_eight(out, to, 4, found[COUNT])
    return put_time(out, to, 3, found[TIME])


@routine
def _put_explicit(memory: Memory, found: Memory, out: Memory, to: Int) -> Int:
    """The fields 3 to 10 of a HistogramDataPoint but for exemplars and attributes."""
    if np.uint64(found[TOTAL]) == STALE:
        to = put_small(out, to, 10, NO_VALUE)
    bounds = found[CUSTOM_COUNT]
    if bounds:
        end = to
        to -= 8 * bounds
        for place in range(8 * bounds):
            out[to + place] = memory[found[CUSTOM_AT] + place]
        to = put_head(out, to, 7, end)
    end = to
    first, last = found[OFFSETS], found[OFFSETS] + found[SIZES]
    for bucket in range(bounds, -1, -1):
        value = np.uint64(found[DENSE + bucket - first] if first <= bucket < last else 0)
        to -= 8
        for place in range(8):
            out[to + place] = (value >> np.uint64(8 * place)) & np.uint64(0xFF)
    to = put_head(out, to, 6, end)
    to = put_eight(out, to, 5, found[TOTAL])
    to = put_eight(out, to, 4, found[COUNT])
    return put_time(out, to, 3, found[TIME])


@routine
def _put_sample(
    memory: Memory, at: Int, end: Int, labels: Memory, count: Int, out: Memory, to: Int
) -> tuple[Int, Int]:
    """The fields 3 to 8 of a NumberDataPoint but for exemplars, and when its series began, in ms."""
    value, time_ms, start_ms = NOTHING, 0, 0
    while at < end:
        inner, _, start, stop, at = read_field(memory, at, end)
        if inner == 1:
            value = eight_at(memory, start)
        elif inner == 2:
            time_ms = read_signed(memory, start, stop)
        elif inner == 3:
            start_ms = read_signed(memory, start, stop)
    if value == STALE:
        to = put_small(out, to, 8, NO_VALUE)
    to = put_attributes(memory, labels, count, out, to, 7)
    to = put_eight(out, to, 4, value)
    return put_time(out, to, 3, time_ms), start_ms


@routine
def put_series(
    memory: Memory, at: Int, end: Int, points: Int, kind: Int, version: Int, symbols: Memory,
    symbol_count: Int, labels: Memory, own_labels: Memory, found: Memory, out: Memory, to: Int,
) -> Int:  # fmt: skip
    """The points of a series. Exemplars go with the last of them."""
    count = read_labels(memory, at, end, version, symbols, symbol_count, own_labels)
    if points == 0:
        before = to
        to = put_small(out, to, 8, NO_SAMPLE | NO_VALUE)
        to = put_attributes(memory, own_labels, count, out, to, 7)
        to, time_ms = _put_exemplars(memory, at, end, version, symbols, symbol_count, labels, out, to, 5)
        return put_head(out, put_time(out, to, 3, time_ms), 1, before)
    wanted = 2 if kind in (GAUGE, SUM) else (4 if version == 1 else 3)
    exemplars_field = 5 if wanted == 2 else (8 if kind in (EXPLICIT, EXPLICIT_GAUGE) else 11)
    inside = at
    while inside < end:
        number, wire, start, stop, inside = read_field(memory, inside, end)
        if number != wanted or wire != 2:
            continue
        before = to
        points -= 1
        if points == 0:
            to, _ = _put_exemplars(
                memory, at, end, version, symbols, symbol_count, labels, out, to, exemplars_field
            )
        if kind in (GAUGE, SUM):
            to, start_ms = _put_sample(memory, start, stop, own_labels, count, out, to)
        else:
            read_histogram(memory, start, stop, found)
            start_ms = found[START]
            if kind in (EXPLICIT, EXPLICIT_GAUGE):
                to = put_attributes(memory, own_labels, count, out, to, 9)
                to = _put_explicit(memory, found, out, to)
            else:
                to = _put_exponential(found, out, to)
        if start_ms:
            to = put_time(out, to, 2, start_ms)
        if kind in (EXPONENTIAL, EXPONENTIAL_GAUGE):
            to = put_attributes(memory, own_labels, count, out, to, 1)
        to = put_head(out, to, 1, before)
    return to
