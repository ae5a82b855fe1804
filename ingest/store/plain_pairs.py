"""An attribute of OTLP as two texts, its key and its value, in compiled code: a part of the walk of
`ingest.store.plain`.

The traps: nothing guards a write, so that there must be room for what a message has of keys and values; and
what is not understood must fail, since it is copied then.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from ingest.compiled import part
from ingest.wire import varint_at

SEPARATOR: Final = 0x1F
"""Between keys and between values. An attribute that has it is left as it is, and so is one without a key: a
message without keys has no plain attributes."""
FAILED: Final = -1
"""Instead of a position or a kind."""

# Values of an attribute, by the tag before them.
_STRING: Final = 0x0A
_BOOL: Final = 0x10
_INT: Final = 0x18
_NEGATIVE: Final = 0x19  # an _INT below zero
_TRUE: Final = int.from_bytes(b"true", "little")
_FALSE: Final = int.from_bytes(b"false", "little")
_MINUS: Final = ord("-")

Memory: TypeAlias = Any

# The parts below read from `at` up to `end`. Where they return a position, a negative one means failure.


@part
def size_at(memory: Memory, at: int, end: int) -> tuple[Any, int]:
    """A length that fits before `end`, and where what it is of begins."""
    if at < end and memory[at] < 0x80:
        size, at = np.int64(memory[at]), at + 1
    else:
        number, at = varint_at(memory, at, end)
        if at < 0 or number > np.uint64(end):
            return np.int64(0), FAILED
        size = np.int64(number)
    return (size, at) if size <= end - at else (np.int64(0), FAILED)


@part
def copy(memory: Memory, at: int, end: int, out: Memory, to: int) -> int:
    for place in range(end - at):
        out[to + place] = memory[at + place]
    return to + end - at


@part
def put_varint(out: Memory, to: int, number: int) -> int:
    """Write a varint."""
    while number > 0x7F:
        out[to] = number & 0x7F | 0x80
        number >>= 7
        to += 1
    out[to] = number
    return to + 1


@part
def _decimal_bytes(magnitude: Any) -> int:
    size = 1
    while magnitude > np.uint64(9):
        magnitude //= np.uint64(10)
        size += 1
    return size


@part
def _put_decimal(out: Memory, to: int, magnitude: Any, size: int) -> int:
    for place in range(to + size - 1, to - 1, -1):
        rest = magnitude // np.uint64(10)
        out[place] = 48 + np.int64(magnitude - rest * np.uint64(10))
        magnitude = rest
    return to + size


@part
def _put_word(out: Memory, to: int, word: int, size: int) -> int:
    """Write up to eight characters, given as one number."""
    for place in range(size):
        out[to + place] = word >> (8 * place) & 0xFF
    return to + size


@part
def _read_value(memory: Memory, at: int, end: int) -> tuple[int, int, int, Any]:
    """What an AnyValue holds: its kind (`FAILED`: not a plain one), where text begins, how many characters
    it takes as text, and the magnitude of a number."""
    if at == end:
        return _STRING, at, 0, np.uint64(0)
    kind = int(memory[at])
    if kind == _STRING:
        size, at = size_at(memory, at + 1, end)
        return (kind if at + size == end else FAILED), at, size, np.uint64(0)
    if kind not in (_INT, _BOOL):
        return FAILED, at, 0, np.uint64(0)
    number, at = varint_at(memory, at + 1, end)
    if at != end:
        return FAILED, at, 0, number
    if kind == _BOOL:
        return kind, at, 4 if number else 5, number
    if number >> np.uint64(63):
        number = ~number + np.uint64(1)
        return _NEGATIVE, at, 1 + _decimal_bytes(number), number
    return kind, at, _decimal_bytes(number), number


@part
def _put_value(memory: Memory, kind: int, at: int, size: int, number: Any, out: Memory, to: int) -> int:
    """Write as text what `_read_value` has found; fails if the separator is in it."""
    if kind == _STRING:
        return _put_item(memory, at, at + size, out, to)
    if kind == _BOOL:
        return _put_word(out, to, _TRUE if number else _FALSE, size)
    if kind == _NEGATIVE:
        out[to] = _MINUS
        return _put_decimal(out, to + 1, number, size - 1)
    return _put_decimal(out, to, number, size)


@part
def _put_item(memory: Memory, at: int, end: int, out: Memory, to: int) -> int:
    """Copy; fails if the separator is in it."""
    has_separator = False
    for place in range(end - at):
        byte = memory[at + place]
        has_separator |= byte == SEPARATOR
        out[to + place] = byte
    return FAILED if has_separator else to + end - at


@part
def list_pair(
    memory: Memory, at: int, end: int, keys: Memory, keys_to: int, values: Memory, values_to: int
) -> tuple[int, int]:
    """Write the attribute that lies there behind the keys and the values there are; where these end then,
    the first `FAILED` if it is not a plain one."""
    if at == end or memory[at] != 0x0A:
        return FAILED, values_to
    key_size, key_at = size_at(memory, at + 1, end)
    if key_at < 0 or key_size == 0:
        return FAILED, values_to
    at = key_at + key_size
    if at < end:
        if memory[at] != 0x12:
            return FAILED, values_to
        whole, at = size_at(memory, at + 1, end)
        if at < 0 or at + whole != end:
            return FAILED, values_to
    kind, at, size, number = _read_value(memory, at, end)
    if kind == FAILED:
        return FAILED, values_to
    if keys_to:
        keys[keys_to] = values[values_to] = SEPARATOR
        keys_to += 1
        values_to += 1
    keys_to = _put_item(memory, key_at, key_at + key_size, keys, keys_to)
    values_to = _put_value(memory, kind, at, size, number, values, values_to)
    return (keys_to if values_to >= 0 else FAILED), values_to
