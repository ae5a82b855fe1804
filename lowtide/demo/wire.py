"""OTLP bytes without a Python loop per record: serialise a message once, then patch columns of fixed width.

Used by the span, log and metric writers. A `Template` is one length-delimited field (tag, length, message)
whose places - ids, times, digits - were marked with sentinels when it was built; `fill` makes n copies and
overwrites the places from arrays. The trap: a place keeps its width, so numbers inside text are zero-
padded digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

if TYPE_CHECKING:
    from google.protobuf.message import Message

Octets: TypeAlias = npt.NDArray[np.uint8]
"""Shape (n, width): one row of bytes per record."""
Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Plain: TypeAlias = "str | bool | int | float | Sequence[Plain] | Mapping[str, Plain]"


def varint(number: int) -> bytes:
    """A protobuf varint of a number >= 0."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field: tag, length, payload."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def any_value(value: Plain) -> AnyValue:
    """A plain Python value as OTLP AnyValue; sequences and mappings nest."""
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(value)))
    return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))


def attributes(values: Mapping[str, Plain]) -> list[KeyValue]:
    """Attributes in the order given."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def octets_of(name: str, width: int) -> bytes:
    """The sentinel bytes of a place, from its name."""
    return hashlib.shake_128(name.encode()).digest(width)


def text_of(name: str, width: int) -> str:
    """The sentinel text of a place: control characters, which no other text of the demo contains."""
    return "".join(chr(1 + octet % 8) for octet in octets_of(name, width))


def number_of(name: str) -> int:
    """The sentinel of a fixed64 place, as the integer to put into the message."""
    return int.from_bytes(octets_of(name, 8), "little")


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One serialised field and where its places lie (a place may occur several times)."""

    data: Octets
    places: dict[str, tuple[int, tuple[int, ...]]]
    """Name -> (width, offsets)."""

    @classmethod
    def compiled(cls, number: int, message: Message, places: Mapping[str, bytes]) -> Template:
        """`message` as field `number`, with the sentinels given by name. A sentinel that is absent is an
        error."""
        raw = field(number, message.SerializeToString())
        found: dict[str, tuple[int, tuple[int, ...]]] = {}
        for name, sentinel in places.items():
            offsets = _occurrences(raw, sentinel)
            if not offsets:
                raise ValueError(f"place {name!r} does not occur in the template")
            found[name] = (len(sentinel), offsets)
        return cls(np.frombuffer(raw, dtype=np.uint8), found)

    def fill(self, count: int, values: Mapping[str, Octets]) -> Octets:
        """`count` copies, shape (count, length), each place overwritten by its (count, width) array."""
        rows = np.empty((count, len(self.data)), dtype=np.uint8)
        rows[:] = self.data
        for name, (width, offsets) in self.places.items():
            for offset in offsets:
                rows[:, offset : offset + width] = values[name]
        return rows


def _occurrences(raw: bytes, sentinel: bytes) -> tuple[int, ...]:
    offsets = []
    at = raw.find(sentinel)
    while at >= 0:
        offsets.append(at)
        at = raw.find(sentinel, at + len(sentinel))
    return tuple(offsets)


def fixed64(values: npt.NDArray[np.int64] | npt.NDArray[np.float64] | npt.NDArray[np.uint64]) -> Octets:
    """Eight little-endian bytes a value, shape (n, 8); a double keeps its bits."""
    return (
        np.ascontiguousarray(values)
        .astype(values.dtype.newbyteorder("<"), copy=False)
        .view(np.uint8)
        .reshape(-1, 8)
    )


def digits(values: npt.NDArray[np.int64] | npt.NDArray[np.uint64], width: int) -> Octets:
    """The last `width` decimal digits of each value >= 0, zero-padded ASCII, shape (n, width)."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.uint64)
    return ((values.astype(np.uint64)[:, None] // powers) % np.uint64(10) + np.uint64(48)).astype(np.uint8)


def hexes(values: Octets) -> Octets:
    """Lower-case hexadecimal of each row, shape (n, 2 * width)."""
    alphabet = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    out = np.empty((len(values), values.shape[1] * 2), dtype=np.uint8)
    out[:, 0::2] = alphabet[values >> 4]
    out[:, 1::2] = alphabet[values & 15]
    return out


def texts(values: Sequence[str]) -> Octets:
    """ASCII strings of one length as rows."""
    return np.frombuffer("".join(values).encode("ascii"), dtype=np.uint8).reshape(len(values), -1)
