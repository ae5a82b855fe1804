"""Cuts an OTLP request into its resources, without decoding it. The pipe calls it for requests that the store
cannot take.

An Export*ServiceRequest has one field, its resources, so pieces of it put together again are a request. The
trap: what is cut here cannot be decoded as a whole, so nothing may be expected of it but the outermost level.
"""

from __future__ import annotations

from typing import Final

from ingest.signals import Signal

_LENGTH: Final = 2
_POINTS_OF: Final = frozenset({5, 7, 9, 10, 11})
"""Fields of a metric that hold points: gauge, sum, histogram, exponential histogram, summary."""


def pieces_of(body: bytes) -> list[bytes]:
    """The resources of a request, each as a request of its own; the whole request if it cannot be cut."""
    pieces: list[bytes] = []
    for number, start, end, _ in _fields(body, 0, len(body)):
        if number != 1:
            return [body]
        pieces.append(body[start:end])
    return pieces if pieces and sum(map(len, pieces)) == len(body) else [body]


def items_in(signal: Signal, piece: bytes) -> int:
    """Spans, data points or log records in a request, as far as it can be read."""
    count = 0
    for _, _, end, start in _named(piece, 0, len(piece), 1):
        for _, _, scope_end, scope_start in _named(piece, start, end, 2):
            for _, _, item_end, item_start in _named(piece, scope_start, scope_end, 2):
                count += _points(piece, item_start, item_end) if signal is Signal.METRICS else 1
    return count


def _points(body: bytes, start: int, end: int) -> int:
    return sum(
        len(_named(body, data_start, data_end, 1))
        for number, _, data_end, data_start in _fields(body, start, end)
        if number in _POINTS_OF
    )


_Field = tuple[int, int, int, int]
"""Number, where it begins, where it ends, and where its content begins. Only fields with a length."""


def _named(body: bytes, start: int, end: int, number: int) -> list[_Field]:
    return [field for field in _fields(body, start, end) if field[0] == number]


def _fields(body: bytes, start: int, end: int) -> list[_Field]:
    """The fields with a length between two offsets, up to the first thing that is not understood."""
    found: list[_Field] = []
    at = start
    while at < end:
        tag, after = _number(body, at, end)
        kind = tag & 7
        if kind == _LENGTH and after:
            size, content = _number(body, after, end)
            if not content or content + size > end:
                return found
            found.append((tag >> 3, at, content + size, content))
            at = content + size
            continue
        skipped = _skipped(body, after, end, kind)
        if not after or not skipped or skipped > end:
            return found
        at = skipped
    return found


def _skipped(body: bytes, at: int, end: int, kind: int) -> int:
    """Where a field without a length ends; 0 if that is not known."""
    match kind:
        case 0:
            return _number(body, at, end)[1]
        case 1:
            return at + 8
        case 5:
            return at + 4
        case _:
            return 0


def _number(body: bytes, at: int, end: int) -> tuple[int, int]:
    """A varint and where it ends; 0 as the end if it does not."""
    value = shift = 0
    while at < end and shift < 70:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, 0
