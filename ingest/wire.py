"""Steps over protobuf's wire format, for code that is compiled: `ingest.series`, `ingest.store.plain`,
`ingest.unfolded` and the collector's walks are made of them. What is stricter or more lenient is where it is
needed.

The trap: nothing guards a read. The caller of `eight_at` has made sure that they are there.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from ingest.compiled import part

_NOTHING: Final = np.uint64(0)

Memory: TypeAlias = Any


@part
def number_at(memory: Memory, at: int, end: int) -> tuple[int, int]:
    """A varint, cut to 63 bits, and where it ended; negative if it does not."""
    value = 0
    for shift in range(0, 70, 7):
        if at == end:
            return 0, -1
        byte = int(memory[at])
        at += 1
        if shift < 63:
            value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    return 0, -1


@part
def extent_at(memory: Memory, at: int, end: int, wire: int) -> tuple[int, int]:
    """How long a field's content is and where it begins, a varint being passed; negative if it is cut off."""
    size = 0
    if wire == 0:
        _, at = number_at(memory, at, end)
    elif wire == 2:
        size, at = number_at(memory, at, end)
    elif wire in (1, 5):
        size = 8 if wire == 1 else 4
    else:
        at = -1
    return size, at if size <= end - at else -1


@part
def varint_at(memory: Memory, at: int, end: int) -> tuple[Any, int]:
    """As `number_at`, with all its 64 bits."""
    value = _NOTHING
    shift = 0
    while at < end and shift < 70:
        byte = int(memory[at])
        at += 1
        value |= np.uint64(byte & 0x7F) << np.uint64(shift)
        if byte < 0x80:
            return value, at
        shift += 7
    return _NOTHING, -1


@part
def eight_at(memory: Memory, at: int) -> Any:
    """Eight bytes as one number (one load)."""
    return (
        np.uint64(memory[at])
        | np.uint64(memory[at + 1]) << np.uint64(8)
        | np.uint64(memory[at + 2]) << np.uint64(16)
        | np.uint64(memory[at + 3]) << np.uint64(24)
        | np.uint64(memory[at + 4]) << np.uint64(32)
        | np.uint64(memory[at + 5]) << np.uint64(40)
        | np.uint64(memory[at + 6]) << np.uint64(48)
        | np.uint64(memory[at + 7]) << np.uint64(56)
    )
