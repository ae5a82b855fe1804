"""Writes the plain attributes of a request - text, integers, booleans - as two strings, one of all keys and
one of all values, which the engine splits. `ingest.store.otlp` calls it for every request it inserts.

The engine can do the same from OTLP's own form, and does so for whatever is left in it: doubles, bytes, lists
and maps. But an attribute there is a row of seven nullable columns and two nested ones, and each field costs
it a tenth of a microsecond to read: with ten attributes a span that was half of the work of storing it
(ADR 13).

A point of a series that the store knows leaves its attributes behind altogether, and says its fingerprint
instead (`ingest.store.known_series`).

The request keeps its shape; a message's plain attributes move into its fields `KEYS` and `VALUES`, behind its
others, in their order and with a separator between them (`ingest.store.plain_pairs`). A record gets its
length as it was sent as field `SIZE`, for the volumes by sender. Lengths on the way to them are written with
four bytes each, since they are known only afterwards. The trap: nothing may get lost. What is not understood
is copied, and a request that cannot be walked is returned as it came.
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
from ingest.store.known_series import NOTHING, Looked
from ingest.store.plain_pairs import FAILED, copy, list_pair, put_varint, size_at
from ingest.wire import varint_at

KEYS: Final = 1000
"""A field `string` that no message of OTLP has, nor is to have."""
VALUES: Final = 1002
"""Likewise."""
SIZE: Final = 1001
"""A field `uint32`, likewise."""
FINGERPRINT: Final = 1003
"""A field `fixed64`, likewise, of the points of gauges and sums."""
KNOWN_FINGERPRINT: Final = 1004
"""Instead of it, of a point whose attributes were left behind."""
MAX_BYTES: Final = 1 << 26
"""Longer requests are left alone: what is written may be four times as long, and its lengths must fit."""

_FIELDS: Final = 32  # numbers of fields that the table has room for
_IS_RECORD: Final = (
    _FIELDS  # beside them, whether the message is one: `_RECORD`, or `_POINT` of a gauge or sum
)
_RECORD, _POINT = 1, 2
_ROW: Final = _FIELDS + 1
_LENGTH_BYTES: Final = 4
_DEPTH: Final = 8
_GROWTH: Final = 4
"""No field is written more than so many times as long: a record of two bytes becomes eight, all others grow
less. Nothing guards a write, so this must hold."""
_FINGERPRINT_BYTES: Final = 10
"""And each of these is written beside it."""
_KEYS_GROWTH, _VALUES_GROWTH = 1, 2
"""Likewise the keys and values of a message, beside its own length: a number has twenty digits at most, and
takes ten bytes or more then."""
_ATTRIBUTES: Final = -1

Memory: TypeAlias = Any
Bytes: TypeAlias = NDArray[np.uint8]
Rewrite: TypeAlias = Callable[[bytes, NDArray[np.int64], NDArray[np.uint64], Bytes, Bytes, Bytes, Bytes], int]
_SIGNATURE: Final = (
    "int64(Bytes(uint8, 1, 'C'), int64[::1], uint64[::1], uint8[::1], uint8[::1], uint8[::1], uint8[::1])"
)


@dataclass(frozen=True, slots=True)
class _Message:
    """The fields that lead to attributes, or the one that holds some (0: none); never both."""

    attributes: int = 0
    below: Mapping[int, _Message] = field(default_factory=dict)
    is_record: int = 0


def _request(scope_of: _Message) -> _Message:
    return _Message(below={1: _Message(below={1: _Message(1), 2: scope_of})})


def _scope(record: _Message) -> _Message:
    return _Message(below={1: _Message(3), 2: record})


def _record(attributes: int) -> _Message:
    return _Message(attributes, is_record=_RECORD)


def _points(attributes: int) -> _Message:
    return _Message(below={1: _record(attributes)})


_NUMBERS: Final = _Message(below={1: _Message(7, is_record=_POINT)})
_METRIC: Final = _Message(below={5: _NUMBERS, 7: _NUMBERS, 9: _points(9), 10: _points(1), 11: _points(7)})
_SHAPES: Final = {
    Signal.TRACES: _request(_scope(_record(9))),
    Signal.METRICS: _request(_scope(_METRIC)),
    Signal.LOGS: _request(_scope(_record(6))),
}
"""Numbers of opentelemetry/proto 1.x. Attributes of events, links and exemplars stay as they are."""


def plain(signal: Signal, body: bytes, points: Looked = NOTHING) -> bytes:
    """A request that says the same, its plain attributes in `KEYS` and `VALUES`, but for those of points
    whose series are known; the same request if it cannot be walked, or is longer than `MAX_BYTES`."""
    if len(body) > MAX_BYTES:
        return body
    room = _GROWTH * len(body) + _FINGERPRINT_BYTES * len(points.fingerprints)
    written, keys, values = (
        np.empty(size, np.uint8) for size in (room, _KEYS_GROWTH * len(body), _VALUES_GROWTH * len(body))
    )
    size = _load()(body, _table(signal), points.fingerprints, points.known, written, keys, values)
    return body if size == FAILED else written[:size].tobytes()


def warm_up() -> None:
    """Load the compiled code, or compile it (some seconds), so that no batch has to wait for it."""
    plain(Signal.TRACES, b"")


@cache
def _table(signal: Signal) -> NDArray[np.int64]:
    """By message and field: the message below, or `_ATTRIBUTES`, or 0 for what is copied; and whether the
    message is a record, and which."""
    messages = [_SHAPES[signal]]
    table: list[list[int]] = []
    for message in messages:
        row = [0] * _ROW
        row[_IS_RECORD] = message.is_record
        if message.attributes:
            row[message.attributes] = _ATTRIBUTES
        for number, below in message.below.items():
            row[number] = len(messages)
            messages.append(below)
        table.append(row)
    return np.array(table, np.int64).ravel()


@cache
def _load() -> Rewrite:
    return compiled(_SIGNATURE, _rewrite)


# The parts below read from `at` up to `end`. Where they return a position, a negative one means failure.


@part
def _put_lists(keys: Memory, keys_to: int, values: Memory, values_to: int, out: Memory, to: int) -> int:
    """Write what `list_pair` has found of a message, if there is any."""
    if keys_to == 0:
        return to
    to = copy(keys, 0, keys_to, out, put_varint(out, put_varint(out, to, KEYS << 3 | 2), keys_to))
    return copy(values, 0, values_to, out, put_varint(out, put_varint(out, to, VALUES << 3 | 2), values_to))


@part
def _skip(memory: Memory, wire: Any, at: int, end: int) -> int:
    """Where a field without a length ends."""
    if wire == 0:
        return varint_at(memory, at, end)[1]
    at += 8 if wire == 1 else 4
    return at if wire in (1, 5) and at <= end else FAILED


@part
def _put_length(out: Memory, at: int, to: int) -> None:
    """Fill in the length of the message that was written up to `to`."""
    size = to - at - _LENGTH_BYTES
    for place in range(_LENGTH_BYTES):
        out[at + place] = size >> (7 * place) & 0x7F | (0x80 if place < _LENGTH_BYTES - 1 else 0)


@part
def _put_size(out: Memory, to: int, record: int, size: int) -> int:
    """The length of a record as it was sent."""
    return put_varint(out, put_varint(out, to, SIZE << 3), size) if record else to


@part
def _put_fingerprint(
    out: Memory, to: int, record: int, fingerprints: Memory, point: int, count: int, is_known: bool
) -> int:
    """That of the series of a point, which is the `point`th."""
    if record != _POINT or point > count:
        return to
    fingerprint = fingerprints[point - 1]
    to = put_varint(out, to, (KNOWN_FINGERPRINT if is_known else FINGERPRINT) << 3 | 1)
    for place in range(8):
        out[to + place] = fingerprint >> np.uint64(8 * place) & np.uint64(0xFF)
    return to + 8


def _rewrite(
    body: bytes,
    table: NDArray[np.int64],
    fingerprints: NDArray[np.uint64],
    known: Bytes,
    written: Bytes,
    keys_of_message: Bytes,
    values_of_message: Bytes,
) -> int:
    """How many bytes were written; `FAILED` if the body cannot be walked. There is room for `_GROWTH` times
    its length and all fingerprints, and for the keys and values of one message."""
    memory = address_of(body)
    meaning = address_of(table)
    prints = address_of(fingerprints)
    is_known = address_of(known)
    print_count = min(len(fingerprints), len(known))
    point = 0  # how many points of gauges and sums were begun
    leaves = False  # the attributes of the message that is open behind
    out = address_of(written)
    keys = address_of(keys_of_message)
    values = address_of(values_of_message)
    ends = np.empty(_DEPTH, np.int64)
    messages = np.empty(_DEPTH, np.int64)
    begins = np.empty(_DEPTH, np.int64)
    lengths = np.empty(_DEPTH, np.int64)
    top = 0
    ends[0], messages[0] = len(body), 0
    at = to = keys_to = values_to = 0
    while True:
        end = ends[top]
        if at == end:
            if top == 0:
                return to
            to = _put_lists(keys, keys_to, values, values_to, out, to)
            keys_to = values_to = 0
            record = meaning[messages[top] * _ROW + _IS_RECORD]
            to = _put_size(out, to, record, end - begins[top])
            to = _put_fingerprint(out, to, record, prints, point, print_count, leaves)
            leaves = False
            _put_length(out, lengths[top], to)
            top -= 1
            continue
        start = at
        tag, at = varint_at(memory, at, end)
        if at < 0:
            return FAILED
        wire = np.int64(tag & np.uint64(7))
        if wire != 2:
            at = _skip(memory, wire, at, end)
            if at < 0:
                return FAILED
            to = copy(memory, start, at, out, to)
            continue
        size, content = size_at(memory, at, end)
        if content < 0:
            return FAILED
        number = tag >> np.uint64(3)
        what = meaning[messages[top] * _ROW + np.int64(number)] if number < np.uint64(_FIELDS) else 0
        if what > 0:
            to = copy(memory, start, at, out, to)
            top += 1
            begins[top], ends[top], messages[top], lengths[top] = content, content + size, what, to
            to += _LENGTH_BYTES
            at = content
            point += meaning[what * _ROW + _IS_RECORD] == _POINT
            leaves = (
                meaning[what * _ROW + _IS_RECORD] == _POINT and point <= print_count and is_known[point - 1]
            )
            continue
        at = content + size
        if what == _ATTRIBUTES:
            if leaves:
                continue
            keys_after, values_after = list_pair(memory, content, at, keys, keys_to, values, values_to)
            if keys_after >= 0:
                keys_to, values_to = keys_after, values_after
                continue
        to = copy(memory, start, at, out, to)
