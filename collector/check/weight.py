"""How much memory protobuf would take for a request, estimated from its bytes before it is parsed. The check
asks, when a request needs repair.

Messages are counted by kind, because two bytes of an empty one become up to some two hundred. Compiled: a
request of 64 MiB may have thirty million.

The trap: the estimate must not be lower than what protobuf really takes. Both read the same structure and
stop at the same damage, except for groups, which no SDK writes: behind the first, the rest counts as the
worst there is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from collector.check import walk
from collector.check.tables import TABLES
from ingest.compiled import address_of, compiled
from ingest.signals import Signal
from ingest.wire import extent_at, number_at

# Each byte of a body is held as it came, in the parsed strings, and in what is written in the end.
_COPIES: Final = 3
# A packed number of one byte becomes eight, in an array that doubles as it grows.
_PACKED_BYTES: Final = 16

_FIELDS: Final = walk.FIELDS
_DEPTH: Final = walk.MAX_MESSAGE_LEVELS + 1
_GROUP: Final = (3, 4, 6, 7)  # its start and end, and what is no wire type
_NOTHING: Final = -1
_PACKED: Final = -2

Weigh: TypeAlias = Callable[[bytes, int, NDArray[np.int64], NDArray[np.int64]], int]
_SIGNATURE: Final = "int64(Bytes(uint8, 1, 'C'), int64, int64[::1], int64[::1])"


def memory_needed(signal: Signal, body: bytes) -> int:
    """Bytes of memory that parsing and rewriting this request takes, about and rather too many."""
    return len(body) * _COPIES + _load()(body, TABLES.roots[signal], _children(), TABLES.sizes)


@cache
def _children() -> NDArray[np.int64]:
    """For each field of each message: the message in it, or _PACKED, or _NOTHING."""
    entries = TABLES.fields
    kinds = entries >> walk.KIND_SHIFT & 31
    known = entries != walk.UNKNOWN
    children = np.full(len(entries), _NOTHING, np.int64)
    is_message = known & (kinds == walk.MESSAGE) & (entries & 7 == walk.DELIMITED)
    children[is_message] = (entries >> walk.CHILD_SHIFT & 255)[is_message]
    children[known & np.isin(kinds, (walk.PACKED_FIXED64, walk.PACKED_VARINT))] = _PACKED
    return children


def _weigh(body: bytes, root: int, children: NDArray[np.int64], sizes: NDArray[np.int64]) -> int:
    memory = address_of(body)
    child_of = address_of(children)
    size_of = address_of(sizes)
    ends = np.empty(_DEPTH, np.int64)
    messages = np.empty(_DEPTH, np.int64)
    at = total = depth = 0
    message = root
    end = len(body)
    while True:
        if at == end:
            if depth == 0:
                return int(total)
            depth -= 1
            message, end = messages[depth], ends[depth]
            continue
        tag, at = number_at(memory, at, end)
        wire = tag & 7
        if at >= 0 and wire in _GROUP:
            return int(total + (len(body) - at) // 2 * sizes.max())
        size = 0
        if at >= 0:
            size, at = extent_at(memory, at, end, wire)
        if at < 0 or depth == _DEPTH:
            return int(total)  # protobuf comes no further either
        number = tag >> 3
        child = child_of[message * _FIELDS + number] if number < _FIELDS else _NOTHING
        if child >= 0 and wire == walk.DELIMITED:
            total += size_of[child]
            messages[depth], ends[depth] = message, end
            depth += 1
            message = child
            end = at + size
        else:
            if child == _PACKED:
                total += max(size, 1) * _PACKED_BYTES
            at += size


@cache
def _load() -> Weigh:
    return compiled(_SIGNATURE, _weigh)
