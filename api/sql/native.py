"""Native answers as clients of newer protocol revisions read them. Used by the router.

A ClickHouse server writes Native in the revision that a client states as `client_protocol_version`; the
embedded engine always writes the oldest one. From revision 54454 each block begins with its info, and each
column has a byte after its type that says whether it is serialised in a custom way. Both are put in here;
clients in Go, the Grafana data source among them, read nothing else.

The trap: nothing in a block says how long a column is, so its data has to be walked through by its type.
Layouts are from ClickHouse's documentation of the Native format and its data types' binary encodings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from api.sql.errors import SqlRequestError

REVISION: Final = 54454
"""From this one on a column says whether its serialisation is custom."""

_INFO: Final = bytes((1, 0, 2, 255, 255, 255, 255, 0))
"""Field 1, no overflow row; field 2, bucket -1; end."""
_NOT_CUSTOM: Final = b"\x00"

_WIDTHS: Final = {
    "Bool": 1, "Enum8": 1, "Enum16": 2, "Nothing": 1, "BFloat16": 2, "Float32": 4, "Float64": 8,
    "Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "Time": 4, "Time64": 8,
    "UUID": 16, "IPv4": 4, "IPv6": 16,
    **{f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    **{f"Interval{unit}": 8 for unit in (
        "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "Day", "Week", "Month",
        "Quarter", "Year",
    )},
}  # fmt: skip
_DECIMAL_WIDTHS: Final = ((9, 4), (18, 8), (38, 16), (76, 32))
_ADDITIONAL_KEYS: Final = 1 << 9
_NAMED: Final = re.compile(r"(?:\w+|`(?:[^`\\]|\\.)*`) (?=\S)")


def in_revision(body: bytes, revision: int) -> bytes:
    """A Native answer for a client of this revision; older ones get it as it is.

    Raises SqlRequestError for a column of a type that cannot be walked through.
    """
    if revision < REVISION:
        return body
    try:
        return b"".join(_framed(body))
    except (IndexError, ValueError) as error:
        raise _unknown("This answer") from error


def _framed(body: bytes) -> Iterator[bytes | memoryview]:
    walk = _Walk(body)
    view = memoryview(body)
    while walk.at < len(body):
        yield _INFO
        start = walk.at
        columns, rows = walk.number(), walk.number()
        for _ in range(columns):
            walk.text()
            kind = walk.text().decode()
            yield view[start : walk.at]
            yield _NOT_CUSTOM
            start = walk.at
            if rows:
                walk.prefix(kind)
                walk.data(kind, rows)
        yield view[start : walk.at]
    if walk.at != len(body):
        raise ValueError("the columns are longer than the answer")


class _Walk:
    """A place in the bytes, moved over what stands there."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.at = 0

    def number(self) -> int:
        """A LEB128 number."""
        value, shift = 0, 0
        while True:
            byte = self._body[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> bytes:
        """A string with its length before it."""
        size = self.number()
        self.at += size
        return self._body[self.at - size : self.at]

    def prefix(self, kind: str) -> None:
        """What stands once before a column's data: the version of every dictionary in it."""
        name, arguments = _parsed(kind)
        if name == "LowCardinality":
            self.at += 8
            return
        for inner in _inner(name, arguments):
            self.prefix(inner)

    def data(self, kind: str, rows: int) -> None:
        """The values of `rows` rows."""
        name, arguments = _parsed(kind)
        match name:
            case "String":
                self._strings(rows)
            case "Nullable":
                self.at += rows
                self.data(arguments[0], rows)
            case (
                "Array"
                | "Map"
                | "Nested"
                | "Ring"
                | "Polygon"
                | "MultiPolygon"
                | "LineString"
                | "MultiLineString"
            ):
                self._lists(_inner(name, arguments), rows)
            case "Tuple" | "Point" | "SimpleAggregateFunction" if _inner(name, arguments):
                for inner in _inner(name, arguments):
                    self.data(inner, rows)
            case "LowCardinality":
                self._dictionary(arguments[0], rows)
            case _:
                self.at += rows * _width(name, arguments)

    def _strings(self, rows: int) -> None:
        body, at = self._body, self.at
        for _ in range(rows):
            size = body[at]
            at += 1
            if size >= 0x80:
                self.at = at - 1
                size = self.number()
                at = self.at
            at += size
        self.at = at

    def _lists(self, inner: list[str], rows: int) -> None:
        """Lists are their ends, and then all elements as a column, or as several for tuples."""
        self.at += 8 * rows
        if rows:
            length = self._fixed(self.at - 8)
            for kind in inner:
                self.data(kind, length)

    def _dictionary(self, kind: str, rows: int) -> None:
        """Flags, the new keys if there are any, and a key's number for each row; in one piece or several."""
        name, arguments = _parsed(kind)
        keys = arguments[0] if name == "Nullable" else kind
        while rows > 0:
            flags = self._fixed(self.at)
            self.at += 8
            if flags & _ADDITIONAL_KEYS:
                count = self._fixed(self.at)
                self.at += 8
                self.data(keys, count)
            piece = self._fixed(self.at)
            self.at += 8 + piece * (1 << (flags & 0xFF))
            rows -= piece

    def _fixed(self, at: int) -> int:
        return int.from_bytes(self._body[at : at + 8], "little")


def _width(name: str, arguments: list[str]) -> int:
    if name in _WIDTHS:
        return _WIDTHS[name]
    if name == "FixedString":
        return int(arguments[0])
    if name == "Decimal":
        return next(width for digits, width in _DECIMAL_WIDTHS if int(arguments[0]) <= digits)
    raise _unknown(f"A column of type {name[:64]}")


def _unknown(what: str) -> SqlRequestError:
    return SqlRequestError(
        f"{what} cannot be sent to this client in Native; ask for toString(column) or for another format",
        48,
        "NOT_IMPLEMENTED",
    )


def _inner(name: str, arguments: list[str]) -> list[str]:
    """The types of which a type's data consist, one after the other; none for a simple one."""
    match name:
        case "Array" | "Nullable" | "Map":
            return arguments
        case "Tuple" | "Nested":
            return [
                _NAMED.sub("", argument, count=1) if _NAMED.match(argument) else argument
                for argument in arguments
            ]
        case "SimpleAggregateFunction":
            return arguments[1:]
        case "Point":
            return ["Float64", "Float64"]
        case "Ring" | "LineString":
            return ["Point"]
        case "Polygon":
            return ["Ring"]
        case "MultiLineString":
            return ["LineString"]
        case "MultiPolygon":
            return ["Polygon"]
        case _:
            return []


def _parsed(kind: str) -> tuple[str, list[str]]:
    """`Map(String, Array(UInt8))` is ("Map", ["String", "Array(UInt8)"])."""
    name, bracket, rest = kind.partition("(")
    return (name, list(_arguments(rest[:-1]))) if bracket else (name, [])


def _arguments(text: str) -> Iterator[str]:
    """The parts between the commas of the outermost level; brackets and commas in quotes are text."""
    depth, start, quote, at = 0, 0, "", 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "'`":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and not depth:
            yield text[start:at].strip()
            start = at + 1
        at += 1
    if text.strip():
        yield text[start:].strip()
