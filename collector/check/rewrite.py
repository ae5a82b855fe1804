"""Attribute values the database cannot hold become JSON text. `collector.check.check` calls it for requests
in which the walk found such a value.

The typed columns hold scalars, and lists and maps of scalars. What is nested further, and an empty list or
map (which arrives there as nothing at all), is replaced by a string with its JSON, written as the views of
the store write the lists and maps they do hold: no spaces, keys in the order they came (repeated ones
included), integers in full, numbers as ClickHouse prints them, NaN and the infinities as strings, bytes in
base64.

The trap: the depth of values is bounded by the walk that comes before, and only by it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.check.tables import RECORDS

_HOLDERS: Final = (KeyValue.DESCRIPTOR, AnyValue.DESCRIPTOR)
_LISTS: Final = ("array_value", "kvlist_value")
_PLAIN_NUMBERS: Final = (1e-6, 1e21)  # smaller and larger ones get an exponent


def make_holdable(request: Message, *, in_records: bool) -> None:
    """Rewrite in place every value the database cannot hold.

    Without `in_records` only what lies above the records is looked at (resources, scopes, metadata), which
    is a small part of a request.
    """
    for holder in _holders(request, in_records=in_records):
        value = holder.value if isinstance(holder, KeyValue) else holder
        if value.WhichOneof("value") in _LISTS:
            _settle(value)


def clear_indexes(request: Message) -> int:
    """Clear every key and value that refers to a string table; returns how many there were.

    Only profiles have such a table. OTLP asks other receivers to take the key or value as absent.
    """
    return sum(
        _clear_in_pair(holder) if isinstance(holder, KeyValue) else _clear_in_value(holder)
        for holder in _holders(request, in_records=True)
    )


def _settle(value: AnyValue) -> None:
    members = _members(value)
    if not members or any(member.WhichOneof("value") in _LISTS for member in members):
        value.string_value = json_of(value)


def _members(value: AnyValue) -> list[AnyValue]:
    """The values in a list or map."""
    if value.WhichOneof("value") == "array_value":
        return list(value.array_value.values)
    return [pair.value for pair in value.kvlist_value.values]


def _clear_in_pair(pair: KeyValue) -> int:
    cleared = 1 if pair.key_strindex else 0
    pair.ClearField("key_strindex")
    return cleared + (_clear_in_value(pair.value) if pair.HasField("value") else 0)


def _clear_in_value(value: AnyValue) -> int:
    match value.WhichOneof("value"):
        case "string_value_strindex":
            value.ClearField("string_value_strindex")
            return 1
        case "array_value":
            return sum(_clear_in_value(member) for member in value.array_value.values)
        case "kvlist_value":
            return sum(_clear_in_pair(pair) for pair in value.kvlist_value.values)
        case _:
            return 0


def json_of(value: AnyValue) -> str:
    """The JSON of a value."""
    match value.WhichOneof("value"):
        case "string_value":
            return orjson.dumps(value.string_value).decode()
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return _number(value.double_value)
        case "bytes_value":
            return f'"{base64.b64encode(value.bytes_value).decode()}"'
        case "array_value":
            return f"[{','.join(json_of(member) for member in value.array_value.values)}]"
        case "kvlist_value":
            pairs = value.kvlist_value.values
            return f"{{{','.join(f'{orjson.dumps(p.key).decode()}:{json_of(p.value)}' for p in pairs)}}}"
        case _:
            return "null"


def _number(number: float) -> str:
    if math.isnan(number):
        return '"NaN"'
    if math.isinf(number):
        return '"Infinity"' if number > 0 else '"-Infinity"'
    least, most = _PLAIN_NUMBERS
    if number == 0 or least <= abs(number) < most:
        written = format(Decimal(repr(number)), "f")
        return written.removesuffix(".0")
    mantissa, exponent = repr(number).split("e")
    return f"{mantissa}e{int(exponent)}"


@dataclass(frozen=True, slots=True)
class _Way:
    """A field through which attribute values are reached."""

    name: str
    is_repeated: bool
    is_holder: bool  # its messages are values or attributes themselves
    is_record: bool


@cache
def _ways(message: Descriptor) -> tuple[_Way, ...]:
    return tuple(
        _Way(field.name, field.is_repeated, child in _HOLDERS, child.full_name in RECORDS)
        for field in message.fields
        if (child := field.message_type) is not None and (child in _HOLDERS or _ways(child))
    )


def _holders(message: Message, *, in_records: bool) -> Iterator[KeyValue | AnyValue]:
    """Every attribute and every bare value of a request; not those inside other values."""
    for way in _ways(message.DESCRIPTOR):
        if way.is_record and not in_records:
            continue
        if way.is_repeated:
            children = getattr(message, way.name)
        elif message.HasField(way.name):
            children = [getattr(message, way.name)]
        else:
            continue
        if way.is_holder:
            yield from children
        else:
            for child in children:
                yield from _holders(child, in_records=in_records)
