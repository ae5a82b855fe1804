"""Steps over protobuf's wire format, for code that is compiled: `ingest.unfolded` and
`collector.check.weight` walk with them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from ingest.compiled import part

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
