"""Reads a struct of Thrift's binary protocol (TBinaryProtocol), by a table of its fields.
`collector.foreign.jaeger_thrift` has one for Jaeger.

Apache's library is left out on purpose: its Python reader takes lengths as they are stated, and all that is
needed is this. The traps are lengths and counts, which cost a sender nothing: none is believed that is larger
than what is left of the body, and what a struct takes in memory is added up while it is read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from collector.errors import BadRequestError
from collector.refusals import TooLargeError

MAX_LEVELS: Final = 16
"""How deep structs and lists may lie in each other, those included that are skipped."""
_STRUCT_BYTES: Final = 500
"""Of memory, for a struct in the interpreter and what it becomes."""
_I16: Final = struct.Struct(">h")
_I32: Final = struct.Struct(">i")
_I64: Final = struct.Struct(">q")
_DOUBLE: Final = struct.Struct(">d")


class Kind(IntEnum):
    """Types of the protocol."""

    STOP = 0
    BOOL = 2
    BYTE = 3
    DOUBLE = 4
    I16 = 6
    I32 = 8
    I64 = 10
    STRING = 11
    STRUCT = 12
    MAP = 13
    SET = 14
    LIST = 15


_SIZES: Final = {Kind.BOOL: 1, Kind.BYTE: 1, Kind.DOUBLE: 8, Kind.I16: 2, Kind.I32: 4, Kind.I64: 8}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct. With `of` it is a struct, or a list of them."""

    name: str
    kind: Kind
    of: Struct | None = None
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct by the numbers of its fields; others are skipped."""

    name: str
    fields: Mapping[int, Field]


class Reader:
    """Of one body. Raises BadRequestError for what is no such struct, TooLargeError above `memory_bytes`."""

    def __init__(self, body: bytes, what: str, *, memory_bytes: int) -> None:
        self._body = body
        self._what = what
        self._at = 0
        self._free_bytes = memory_bytes - 3 * len(body)

    def whole(self, of: Struct) -> dict[str, Any]:
        """The struct that the body is, and nothing behind it."""
        found = self._struct(of, 0)
        if self._at != len(self._body):
            raise self._wrong("there is something behind its end")
        return found

    def _struct(self, of: Struct, levels: int) -> dict[str, Any]:
        self._enter(levels)
        self._hold()
        found: dict[str, Any] = {}
        while (kind := self._take(1)[0]) != Kind.STOP:
            number: int = _I16.unpack(self._take(2))[0]
            field = of.fields.get(number)
            if field is None:
                self._skip(kind, levels + 1)
            elif kind != field.kind:
                raise self._wrong(f"{of.name}.{field.name} is of type {kind} and not {field.kind}")
            else:
                found[field.name] = self._value(field, levels + 1)
        for field in of.fields.values():
            if field.is_needed and field.name not in found:
                raise self._wrong(f"{of.name}.{field.name} is missing")
        return found

    def _value(self, field: Field, levels: int) -> Any:
        match field.kind:
            case Kind.BOOL:
                return self._take(1) != b"\0"
            case Kind.DOUBLE:
                return _DOUBLE.unpack(self._take(8))[0]
            case Kind.I32:
                return _I32.unpack(self._take(4))[0]
            case Kind.I64:
                return _I64.unpack(self._take(8))[0]
            case Kind.STRUCT if field.of is not None:
                return self._struct(field.of, levels)
            case Kind.LIST if field.of is not None:
                return self._list(field, field.of, levels)
            case _:
                return self._take(self._length())

    def _list(self, field: Field, of: Struct, levels: int) -> list[dict[str, Any]]:
        self._enter(levels)
        kind, count = self._take(1)[0], self._length()
        if count and kind != Kind.STRUCT:
            raise self._wrong(f"{field.name} is a list of type {kind} and not of {of.name}")
        return [self._struct(of, levels + 1) for _ in range(count)]

    def _skip(self, kind: int, levels: int) -> None:
        """Read what nobody asked for. It counts as if it were kept: reading it takes as long."""
        self._enter(levels)
        self._hold()
        if kind in _SIZES:
            self._take(_SIZES[Kind(kind)])
        elif kind == Kind.STRING:
            self._take(self._length())
        elif kind == Kind.STRUCT:
            while (inner := self._take(1)[0]) != Kind.STOP:
                self._take(2)
                self._skip(inner, levels + 1)
        elif kind in (Kind.LIST, Kind.SET):
            inner, count = self._take(1)[0], self._length()
            if inner in _SIZES:
                self._take(count * _SIZES[Kind(inner)])
                return
            for _ in range(count):
                self._skip(inner, levels + 1)
        elif kind == Kind.MAP:
            (key, value), count = self._take(2), self._length()
            for _ in range(count):
                self._skip(key, levels + 1)
                self._skip(value, levels + 1)
        else:
            raise self._wrong(f"{kind} is no type")

    def _length(self) -> int:
        """A length or count. Nothing is smaller than a byte."""
        length: int = _I32.unpack(self._take(4))[0]
        if not 0 <= length <= len(self._body) - self._at:
            raise self._wrong(f"a length of {length} is more than there is")
        return length

    def _take(self, size_bytes: int) -> bytes:
        piece = self._body[self._at : self._at + size_bytes]
        if len(piece) < size_bytes:
            raise self._wrong("it ends too early")
        self._at += size_bytes
        return piece

    def _enter(self, levels: int) -> None:
        if levels > MAX_LEVELS:
            raise self._wrong(f"it is nested more than {MAX_LEVELS} levels deep")

    def _hold(self) -> None:
        self._free_bytes -= _STRUCT_BYTES
        if self._free_bytes < 0:
            raise TooLargeError("the request has too many parts to be translated; send smaller batches")

    def _wrong(self, why: str) -> BadRequestError:
        return BadRequestError(f"the body is not {self._what}: {why}, at byte {self._at}")
