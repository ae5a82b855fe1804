"""Reading a remote write request, in compiled code: fields, texts and the labels of a series. The survey and
the writing are made of it.

Field numbers are those of prompb/remote.proto, prompb/types.proto (version 1) and
prompb/io/prometheus/write/v2/types.proto. The traps: every read follows a comparison with an end, since
nothing else checks it; and in version 2 a few bytes name labels of megabytes, as often as they like, so that
whoever reads labels has a budget (`ROOM`).
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.compiled import part, routine
from ingest.wire import eight_at, varint_at

MAX_LABELS: Final = 128
"""Of a series or an exemplar."""
MAX_BUCKETS: Final = 16384
"""Of each side of a native histogram, with the empty ones between others."""

# Why a series is refused; `MALFORMED` is the whole request's.
MALFORMED: Final = 1
NO_NAME: Final = 2
EMPTY_LABEL_NAME: Final = 3
REPEATED_LABEL: Final = 4
TOO_MANY_LABELS: Final = 5
NOT_UTF8: Final = 6
BAD_REFERENCE: Final = 7
MIXED: Final = 8
NOT_WHOLE: Final = 9
BAD_BUCKETS: Final = 10
TOO_WIDE: Final = 11
EMPTY: Final = 12
TOO_LARGE: Final = 13  # as `MALFORMED`
FAULTS: Final = 14  # how many of these numbers there are

ROOM: Final = 4 * MAX_LABELS
"""In an array of labels, behind them: how many bytes of labels may be read yet, over the whole request."""
LABELS: Final = ROOM + 1
"""How many numbers such an array has."""

NOTHING: Final = np.uint64(0)
_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_ONE: Final = np.uint64(1)
_SHIFT: Final = np.uint64(32)
_HIGH_BITS: Final = np.uint64(0x8080808080808080)
_NAME: Final = np.uint64(int.from_bytes(b"__name__", "little"))
_GAPS: Final = (57, 23, 10, 4, 1)
_INSTANCE: Final = np.uint64(int.from_bytes(b"instance", "little"))

Memory: TypeAlias = Any
Int: TypeAlias = Any
"""An int64 of compiled code."""
Numbers: TypeAlias = NDArray[np.int64]
Body: TypeAlias = NDArray[np.uint8]
"""Bytes that may only be read."""


@part
def read_number(memory: Memory, at: Int, end: Int) -> tuple[Any, Int]:
    """A varint and where it ended; negative if it does not."""
    if at < end and memory[at] < 0x80:
        return np.uint64(memory[at]), at + 1
    return varint_at(memory, at, end)


@part
def read_field(memory: Memory, at: Int, end: Int) -> tuple[Int, Int, Int, Int, Int]:
    """The next field: number, wire type, where its content begins and ends, and where the one after it
    begins; negative if it is none."""
    if end - at >= 2:  # short bytes, as nearly all are: a tag, a length
        tag, size = np.int64(memory[at]), np.int64(memory[at + 1])
        if tag & 0x87 == 2 and size < 0x80 and size <= end - at - 2:
            return tag >> 3, 2, at + 2, at + 2 + size, at + 2 + size
    return _read_any_field(memory, at, end)


@routine
def _read_any_field(memory: Memory, at: Int, end: Int) -> tuple[Int, Int, Int, Int, Int]:
    tag, at = read_number(memory, at, end)
    if at < 0 or tag > np.uint64(0xFFFFFFFF):
        return 0, 0, 0, 0, -1
    number, wire = np.int64(tag >> np.uint64(3)), np.int64(tag & np.uint64(7))
    stop = -1
    if wire == 2:
        size, at = read_number(memory, at, end)
        if at >= 0 and size <= np.uint64(end - at):
            stop = at + np.int64(size)
    elif wire == 0:
        stop = read_number(memory, at, end)[1]
    elif wire == 1 and end - at >= 8:
        stop = at + 8
    elif wire == 5 and end - at >= 4:
        stop = at + 4
    return number, wire, at, stop, stop


@part
def read_signed(memory: Memory, at: Int, end: Int) -> Int:
    return np.int64(read_number(memory, at, end)[0])


@part
def read_zigzag(memory: Memory, at: Int, end: Int) -> tuple[Int, Int]:
    value, at = read_number(memory, at, end)
    return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1)), at


@routine
def _is_utf8(memory: Memory, at: Int, end: Int) -> bool:
    """Unicode standard, table 3-7."""
    while at < end:
        lead = np.int64(memory[at])
        if lead < 0x80:
            at += 1
            continue
        if lead < 0xC2 or lead > 0xF4:
            return False
        more = 1 + (lead >= 0xE0) + (lead >= 0xF0)
        if end - at <= more:
            return False
        low = 0xA0 if lead == 0xE0 else (0x90 if lead == 0xF0 else 0x80)
        high = 0x9F if lead == 0xED else (0x8F if lead == 0xF4 else 0xBF)
        if np.int64(memory[at + 1]) < low or np.int64(memory[at + 1]) > high:
            return False
        for place in range(at + 2, at + more + 1):
            if np.int64(memory[place]) & 0xC0 != 0x80:
                return False
        at += more + 1
    return True


@part
def is_text(memory: Memory, at: Int, end: Int) -> bool:
    """Whether the bytes are UTF-8. ASCII is settled eight at a time, and for a short rest with one read that
    begins before it: those bytes are the request's own, and are shifted out."""
    while end - at >= 8:
        if eight_at(memory, at) & _HIGH_BITS != NOTHING:
            return _is_utf8(memory, at, end)
        at += 8
    if at == end:
        return True
    if end >= 8 and (eight_at(memory, end - 8) >> np.uint64(64 - 8 * (end - at))) & _HIGH_BITS == NOTHING:
        return True
    return _is_utf8(memory, at, end)


@part
def mixed(state: Any, word: Any, seed: Any) -> Any:
    """The state with a word in it. Between the two multiplications the upper half goes into the lower; the
    second is by what a sender does not know, or it could make words of which the second takes back what the
    first did, and so names by the thousand that have one hash."""
    state = (state ^ word) * _PRIME
    state = (state ^ (state >> _SHIFT)) * (seed | _ONE)
    return state ^ (state >> _SHIFT)


@routine
def hashed(state: Any, memory: Memory, at: Int, size: Int, seed: Any) -> Any:
    """The state with these bytes in it, and how many they are."""
    state = mixed(state, np.uint64(size), seed)
    while size >= 8:
        state = mixed(state, eight_at(memory, at), seed)
        at += 8
        size -= 8
    word = NOTHING
    while size > 0:
        size -= 1
        word = word << np.uint64(8) | np.uint64(memory[at + size])
    return mixed(state, word, seed)


@routine
def order_of(memory: Memory, at: Int, size: Int, other_at: Int, other_size: Int) -> Int:
    """Below zero if these bytes come before the others, above if behind, zero if they are the same."""
    shorter = min(size, other_size)
    for place in range(shorter):
        difference = np.int64(memory[at + place]) - np.int64(memory[other_at + place])
        if difference != 0:
            return difference
    return size - other_size


# --- labels: where name and value begin and how long they are, one after the other


@part
def _add_label(
    labels: Memory, count: Int, name_at: Int, name_size: Int, value_at: Int, value_size: Int
) -> Int:
    """How many there are then, or the fault, negative. No value is as good as no label."""
    if name_size < 0 or value_size < 0:
        return -NOT_UTF8
    if name_size == 0:
        return -EMPTY_LABEL_NAME
    labels[ROOM] -= name_size + value_size
    if labels[ROOM] < 0:
        return -TOO_LARGE
    if value_size == 0:
        return count
    if count == MAX_LABELS:
        return -TOO_MANY_LABELS
    place = 4 * count
    labels[place], labels[place + 1], labels[place + 2], labels[place + 3] = (
        name_at,
        name_size,
        value_at,
        value_size,
    )
    return count + 1


@part
def _order_of_labels(memory: Memory, labels: Memory, one: Int, other: Int) -> Int:
    """As `order_of` of their names."""
    return order_of(memory, labels[4 * one], labels[4 * one + 1], labels[4 * other], labels[4 * other + 1])


@routine
def _sort(memory: Memory, labels: Memory, count: Int) -> Int:
    """Put them in order by name, which they have as a rule; the fault, negative, if one comes twice.

    Shell's way: inserting one after the other would let a request of labels in the wrong order take a hundred
    times as long as others.
    """
    is_sorted = True
    for label in range(1, count):
        is_sorted &= _order_of_labels(memory, labels, label - 1, label) < 0
    if is_sorted:
        return count
    for gap in _GAPS:
        for number in range(gap, count):
            label = number
            while label >= gap and _order_of_labels(memory, labels, label - gap, label) > 0:
                for place in range(4):
                    here, before = 4 * label + place, 4 * (label - gap) + place
                    labels[here], labels[before] = labels[before], labels[here]
                label -= gap
    for label in range(1, count):
        if _order_of_labels(memory, labels, label - 1, label) == 0:
            return -REPEATED_LABEL
    return count


@part
def _label(memory: Memory, at: Int, end: Int) -> tuple[Int, Int, Int, Int, Int]:
    """A label of version 1: 0, or the fault, negative; then where its name and value begin and how long they
    are."""
    name_at = name_size = value_at = value_size = fault = 0
    if end - at > 4 and memory[at] == 0x0A and memory[at + 1] < 0x80:
        # As nearly all are: a short name, then a short value.
        middle = at + 2 + np.int64(memory[at + 1])
        size = end - middle - 2
        if size >= 0 and memory[middle] == 0x12 and np.int64(memory[middle + 1]) == size:
            is_good = is_text(memory, at + 2, middle) and is_text(memory, middle + 2, end)
            return 0 if is_good else -NOT_UTF8, at + 2, middle - at - 2, middle + 2, size
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if at < 0 or (number <= 2 and wire != 2):
            return -MALFORMED, 0, 0, 0, 0
        if number > 2:
            continue
        if not is_text(memory, start, stop):
            fault = -NOT_UTF8
        if number == 1:
            name_at, name_size = start, stop - start
        else:
            value_at, value_size = start, stop - start
    return fault, name_at, name_size, value_at, value_size


@routine
def _labels_of_references(
    memory: Memory, at: Int, end: Int, symbols: Memory, symbol_count: Int, labels: Memory, count: Int,
    pending: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """The labels that references to symbols mean: how many there are then, or the fault, negative; and the
    last reference, if it had no other to go with, or -1."""
    while at < end:
        reference, at = read_number(memory, at, end)
        if at < 0:
            return -MALFORMED, -1
        if reference >= np.uint64(symbol_count):
            return -BAD_REFERENCE, -1
        symbol = np.int64(reference)
        if pending < 0:
            pending = symbol
            continue
        count = _add_label(
            labels, count, symbols[2 * pending], symbols[2 * pending + 1], symbols[2 * symbol],
            symbols[2 * symbol + 1],
        )  # fmt: skip
        if count < 0:
            return count, -1
        pending = -1
    return count, pending


@routine
def read_labels(
    memory: Memory, at: Int, end: Int, version: Int, symbols: Memory, symbol_count: Int, labels: Memory
) -> Int:
    """The labels of a series or exemplar (field 1 of both, in both versions); how many, or the fault,
    negative."""
    count = 0
    pending = -1
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if at < 0:
            return -MALFORMED
        if number != 1:
            continue
        if wire != 2 and (version == 1 or wire != 0):
            return -MALFORMED
        if version == 1:
            fault, name_at, name_size, value_at, value_size = _label(memory, start, stop)
            if fault < 0:
                return fault
            count = _add_label(labels, count, name_at, name_size, value_at, value_size)
        else:
            count, pending = _labels_of_references(
                memory, start, stop, symbols, symbol_count, labels, count, pending
            )
        if count < 0:
            return count
    if pending >= 0:
        return -BAD_REFERENCE
    return _sort(memory, labels, count)


@part
def own_label(memory: Memory, at: Int, size: Int) -> Int:
    """Which of the labels this is that are no attributes: 1 the name, 2 the job, 3 the instance; 0 for
    others."""
    if size == 8:
        word = eight_at(memory, at)
        return 1 if word == _NAME else (3 if word == _INSTANCE else 0)
    is_job = size == 3 and memory[at] == 0x6A and memory[at + 1] == 0x6F and memory[at + 2] == 0x62
    return 2 if is_job else 0
