"""How much memory the store takes for a request while it is inserted, estimated from its bytes. The collector
asks before it accepts one, the loader before it puts many into a batch.

Length alone says nothing: a request of a megabyte may be ten records or half a million, each of them a row.
What the records of a resource share lies in memory once, with one exception: by its names the rollups count,
and each of their rows has them written out.

The trap: every size here was measured on the engine (`bench/memory.py`), and they are only as true as the
tables are what they were. An estimate that is too low costs memory, one that is too high smaller batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.compiled import address_of, compiled, part
from ingest.signals import Signal
from ingest.wire import extent_at, number_at

SPAN_BYTES: Final = 900
"""A span with nothing in it: its row, and its part in what is counted. One that shares no second and no name
with any other, and so has rows of its own in the rollups, takes three times as much."""
RECORD_BYTES: Final = 600
"""A data point or log record with nothing in it."""
LINE_BYTES: Final = 1200
"""More for a log record that is a line of a proxy's access log: its fields are taken out of it."""
RESOURCE_BYTES: Final = 1500
SCOPE_BYTES: Final = 500
METRIC_BYTES: Final = 250
KNOWN_POINT_BYTES: Final = 300
"""A point of a series that the store knows, and so leaves its attributes behind."""
EVENT_BYTES: Final = 80
"""An event or link of a span."""
EXEMPLAR_BYTES: Final = 200
QUANTILE_BYTES: Final = 60
PACKED_BYTES: Final = 30
"""Each byte of counts by bucket that are written as varints."""
ATTRIBUTE_BYTES: Final = 100
"""An attribute of a record, beside its letters."""
LEAF_BYTES: Final = 160
"""An attribute of an event, link or exemplar, which are read in OTLP's own form."""
ODD_BYTES: Final = 80
"""More if it is a double or bytes, which are read in OTLP's own form."""
NESTED_BYTES: Final = 80
"""Each byte of a list or map in an attribute: an item of it may be two bytes long."""
NAME_BYTES: Final = 40
"""What a record's part of the rollups takes for a value of its resource, whatever it is."""
LONG_NAME_COPIES: Final = 10
"""Of each byte that a value of a resource is longer, for each record: it may be a name, and each record may
have rows of its own in the rollups."""
ESCAPED_BYTES: Final = 6
"""What a byte in a list or map may become as JSON; enough for bytes, which are written as base64."""
COPIES: Final = 4
"""Of each byte of a request."""

_MOST_BYTES: Final = COPIES + max(RESOURCE_BYTES, LEAF_BYTES, NESTED_BYTES * 2) // 2
"""For a byte: nothing that counts is shorter than two."""
_MOST_SHARED: Final = LONG_NAME_COPIES * ESCAPED_BYTES
_FIELDS: Final = 32  # numbers of fields that the table has room for
_DEPTH: Final = 8
_KEY, _VALUE = 0x0A, 0x12  # tags in an attribute
_DOUBLE, _LIST, _MAP, _BYTES = 0x21, 0x2A, 0x32, 0x3A  # tags of its value
_PLAIN, _RESOURCE, _NAMES, _RECORD, _PACKED, _BODY, _POINT = range(7)  # what a message is to the estimate
_TOTAL, _LONG_NAMES, _RECORDS, _POINTS, _COUNTS = range(5)
"""What is counted: memory; bytes of long names in the resource that is open, and its records; points of
gauges and sums."""
_DELIMITED: Final = 2
_TEXT: Final = 0x0A
"""The tag of a value that is a text."""
_BRACKET, _BRACE, _ZERO, _NINE = b"[{09"
_FLAGS: Final = np.frombuffer(b'"response_flags"', np.uint8)
"""What the keys of an access log in JSON are known by, as in `is_access_log_line.sql`."""
_FIRST_MESSAGE: Final = 0x0A
"""The tag of a request's resource entries, and in each of its resource."""

Memory: TypeAlias = Any
Marks: TypeAlias = NDArray[np.uint8]
Estimate: TypeAlias = Callable[[bytes, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Marks], int]
_LONGEST_SIGNATURE: Final = "int64(Bytes(uint8, 1, 'C'))"
_SIGNATURE: Final = "int64(Bytes(uint8, 1, 'C'), int64[::1], int64[::1], int64[::1], uint8[::1])"
_NONE_KNOWN: Final = np.zeros(0, np.uint8)


@dataclass(frozen=True, slots=True)
class _Message:
    """What it takes itself, what each occurrence of a field does, and the messages that are looked into."""

    role: int = _PLAIN
    takes: int = 0
    each: Mapping[int, int] = field(default_factory=dict)
    below: Mapping[int, _Message] = field(default_factory=dict)


def _request(records: _Message) -> _Message:
    names = _Message(_NAMES, each={1: ATTRIBUTE_BYTES})
    scope = _Message(takes=SCOPE_BYTES, below={1: _Message(each={3: ATTRIBUTE_BYTES}), 2: records})
    return _Message(below={1: _Message(_RESOURCE, RESOURCE_BYTES, below={1: names, 2: scope})})


def _points(
    attributes: int, each: Mapping[int, int] | None = None, below: Mapping[int, _Message] | None = None,
    role: int = _RECORD,
) -> _Message:  # fmt: skip
    point = _Message(role, RECORD_BYTES, {attributes: ATTRIBUTE_BYTES} | dict(each or {}), below or {})
    return _Message(below={1: point})


_EVENT: Final = _Message(takes=EVENT_BYTES, each={3: LEAF_BYTES})
_LINK: Final = _Message(takes=EVENT_BYTES, each={4: LEAF_BYTES})
_SPAN: Final = _Message(_RECORD, SPAN_BYTES, {9: ATTRIBUTE_BYTES}, {11: _EVENT, 13: _LINK})
_EXEMPLAR: Final = _Message(takes=EXEMPLAR_BYTES, each={7: LEAF_BYTES})
_NUMBER: Final = _points(7, below={5: _EXEMPLAR}, role=_POINT)
_METRIC: Final = _Message(
    takes=METRIC_BYTES,
    below={
        5: _NUMBER,
        7: _NUMBER,
        9: _points(9, below={8: _EXEMPLAR}),
        10: _points(1, below={8: _Message(_PACKED), 9: _Message(_PACKED), 11: _EXEMPLAR}),
        11: _points(7, each={6: QUANTILE_BYTES}),
    },
)
_SHAPES: Final = {
    Signal.TRACES: _request(_SPAN),
    Signal.METRICS: _request(_METRIC),
    Signal.LOGS: _request(_Message(_RECORD, RECORD_BYTES, {6: ATTRIBUTE_BYTES}, {5: _Message(_BODY)})),
}
"""Numbers of opentelemetry/proto 1.x."""


def unfolded_bytes(signal: Signal, body: bytes, known: Marks = _NONE_KNOWN) -> int:
    """Bytes of memory that storing this request (protobuf, decompressed) takes, about and rather too many.
    `known` says of the points of gauges and sums, in their order, whether they leave their attributes behind
    (`ingest.store.known_series`); those for which it says nothing do not.

    What lies behind damage does not count.
    """
    table, roles = _tables(signal)
    return COPIES * len(body) + _load()(body, table, roles, np.zeros(_COUNTS, np.int64), known)


def most_unfolded_bytes(body: bytes, records: int) -> int:
    """What a request of so many records cannot exceed, with a look at nothing but how long its resources are:
    for most requests all there is to know, at a hundredth of what `unfolded_bytes` takes."""
    return _MOST_BYTES * len(body) + records * (SPAN_BYTES + _MOST_SHARED * _load_longest()(body))


def warm_up() -> None:
    """Load the compiled code, or compile it (some seconds), so that no request has to wait for it."""
    unfolded_bytes(Signal.TRACES, b"")
    most_unfolded_bytes(b"", 0)


@cache
def _tables(signal: Signal) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By message and field: the message below, what an occurrence takes (negative), or 0. By message: its
    role and what it takes."""
    messages = [_SHAPES[signal]]
    table: list[list[int]] = []
    for message in messages:
        row = [0] * _FIELDS
        for number, takes in message.each.items():
            row[number] = -takes
        for number, below in message.below.items():
            row[number] = len(messages)
            messages.append(below)
        table.append(row)
    roles = [(message.role, message.takes) for message in messages]
    return np.array(table, np.int64).ravel(), np.array(roles, np.int64).ravel()


@cache
def _load() -> Estimate:
    return compiled(_SIGNATURE, _estimate)


@cache
def _load_longest() -> Callable[[bytes], int]:
    return compiled(_LONGEST_SIGNATURE, _longest_resource)


def _longest_resource(body: bytes) -> int:
    """Bytes of the longest resource; of the whole body if that is damaged. An entry that has several has all
    of them (protobuf merges them)."""
    memory = address_of(body)
    longest = at = 0
    while at < len(body):
        tag, at = number_at(memory, at, len(body))
        size = 0
        if at >= 0:
            size, at = extent_at(memory, at, len(body), tag & 7)
        if at < 0:
            return len(body)
        end = at + size
        if tag != _FIRST_MESSAGE:
            at = end
        shared = 0
        while at < end:
            tag, at = number_at(memory, at, end)
            if at >= 0:
                size, at = extent_at(memory, at, end, tag & 7)
            if at < 0:
                return len(body)
            if tag == _FIRST_MESSAGE:
                shared += size
            at += size
        longest = max(longest, shared)
    return longest


@part
def _value_at(memory: Memory, at: int, end: int) -> tuple[int, int]:
    """The tag of an attribute's value, and how long it is; 0 if there is none."""
    if at < end and memory[at] == _KEY:
        size, at = extent_at(memory, at + 1, end, 2)
        if at < 0:
            return 0, 0
        at += size
    if at < end and memory[at] == _VALUE:
        size, at = extent_at(memory, at + 1, end, 2)
        if at >= 0 and size > 1:
            return memory[at], size
    return 0, 0


@part
def _beside(tag: int, size: int) -> int:
    """What an attribute takes because its value is none of the simple ones."""
    if tag in (_LIST, _MAP):
        return size * NESTED_BYTES
    return ODD_BYTES if tag in (_DOUBLE, _BYTES) else 0


@part
def _long_name(tag: int, size: int) -> int:
    """How much longer a value becomes than names usually are."""
    written = size * ESCAPED_BYTES if tag in (_LIST, _MAP, _BYTES) else size
    return max(0, written - NAME_BYTES)


@part
def _line(memory: Memory, at: int, end: int) -> int:
    """What a body takes because it looks like a line of an access log, in text or JSON."""
    if at >= end or memory[at] != _TEXT:
        return 0
    size, at = extent_at(memory, at + 1, end, 2)
    if at < 0 or size < 2:
        return 0
    if memory[at] == _BRACKET:
        return LINE_BYTES if _ZERO <= memory[at + 1] <= _NINE else 0
    if memory[at] != _BRACE:
        return 0
    found = 0
    for place in range(at, at + size):
        letter = memory[place]
        found = found + 1 if letter == _FLAGS[found] else 1 if letter == _FLAGS[0] else 0
        if found == len(_FLAGS):
            return LINE_BYTES
    return 0


@part
def _hold(memory: Memory, at: int, size: int, takes: int, role: int, leaves: bool, counted: Memory) -> None:
    """A message of a role has an attribute; a point leaves it behind."""
    if leaves and role == _POINT:
        counted[_TOTAL] -= (COPIES - 1) * size
        return
    value_tag, value_size = _value_at(memory, at, at + size)
    counted[_TOTAL] += _beside(value_tag, value_size) + takes
    if role == _NAMES:
        counted[_LONG_NAMES] += _long_name(value_tag, value_size)


@part
def _open(memory: Memory, at: int, size: int, role: int, takes: int, counted: Memory) -> None:
    """A message begins."""
    counted[_TOTAL] += takes
    if role == _PACKED:
        counted[_TOTAL] += size * PACKED_BYTES
    elif role == _BODY:
        counted[_TOTAL] += _line(memory, at, at + size)


@part
def _close(role: int, counted: Memory) -> None:
    """A message has ended."""
    if role in (_RECORD, _POINT):
        counted[_RECORDS] += 1
    elif role == _RESOURCE:
        counted[_TOTAL] += counted[_RECORDS] * counted[_LONG_NAMES] * LONG_NAME_COPIES
        counted[_RECORDS] = counted[_LONG_NAMES] = 0


def _estimate(
    body: bytes,
    table: NDArray[np.int64],
    roles: NDArray[np.int64],
    counts: NDArray[np.int64],
    known: Marks,
) -> int:
    memory, meaning, role_of, counted, is_known = (
        address_of(body),
        address_of(table),
        address_of(roles),
        address_of(counts),
        address_of(known),
    )
    leaves = False  # the point that is open leaves its attributes behind
    ends = np.empty(_DEPTH, np.int64)
    messages = np.empty(_DEPTH, np.int64)
    depth = message = at = 0
    end = len(body)
    while True:
        if at == end:
            _close(role_of[2 * message], counted)
            if depth == 0:
                return int(counted[_TOTAL])
            depth -= 1
            message, end = messages[depth], ends[depth]
            continue
        tag, at = number_at(memory, at, end)
        size = 0
        if at >= 0:
            size, at = extent_at(memory, at, end, tag & 7)
        if at < 0:
            # Damage: all that is open ends here.
            _close(_RESOURCE, counted)
            return int(counted[_TOTAL])
        what = meaning[message * _FIELDS + (tag >> 3)] if tag >> 3 < _FIELDS and tag & 7 == _DELIMITED else 0
        if what <= 0:
            if what < 0:
                _hold(memory, at, size, -what, role_of[2 * message], leaves, counted)
            at += size
            continue
        role = role_of[2 * what]
        if role == _POINT:
            leaves = counted[_POINTS] < len(known) and is_known[counted[_POINTS]] != 0
            counted[_POINTS] += 1
        takes = KNOWN_POINT_BYTES if role == _POINT and leaves else role_of[2 * what + 1]
        _open(memory, at, size, role, takes, counted)
        messages[depth], ends[depth] = message, end
        depth += 1
        message, end = what, at + size
