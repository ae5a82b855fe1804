"""OTLP/JSON into OTLP protobuf, once, at the edge. The receivers call `request_from_json` before the check,
so that everything behind it knows one format.

The mapping is that of proto3 JSON with the exceptions of OTLP (specification, "JSON Protobuf Encoding"): ids
are hexadecimal, enums are numbers only, keys are lowerCamelCase only, unknown keys are ignored. Where the
two leave it open: a number with a fraction or an exponent is taken for an integer when it is one (`1.0`,
`1e3`) and below 2^63, the last of equal keys counts, null is the default but not inside a list, and two
members of a oneof are an error.

The trap: the parsed form is many times the size of the text, so what it may hold is counted before parsing.
protobuf's own JSON reader is not used: it takes names for enums and base64 for ids, and has no depth limit.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, TypeAlias

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.check.tables import REQUESTS
from collector.check.walk import MAX_VALUE_LEVELS
from collector.check.wording import quoted
from collector.errors import BadRequestError
from collector.refusals import TooLargeError
from ingest.signals import Signal

# What reading takes, in bytes of memory, measured with the most wasteful bodies. A value is an object in the
# interpreter and its place in a list or map; an object becomes a message besides, a span being the largest.
_VALUE_BYTES: Final = 96
_OBJECT_BYTES: Final = 256
_TEXT_BYTES: Final = (
    4  # for each byte of a body that is not ASCII throughout: how wide its characters are stored
)

_HEX_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_SPECIAL_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_INTEGERS: Final = 2.0**63

Convert: TypeAlias = Callable[[Any], Any]


class _Fault(Exception):  # noqa: N818 - never leaves this module
    """What is wrong with a value; the way to it is put in front while the calls return."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.way: list[str] = []

    def __str__(self) -> str:
        return f"{''.join(reversed(self.way)).removeprefix('.') or 'the body'}: {self.args[0]}"


@dataclass(frozen=True, slots=True)
class _Field:
    """How one key of an object is read."""

    name: str
    oneof: str  # empty when the field belongs to none
    is_repeated: bool
    convert: Convert | None  # None for a message


def request_from_json(signal: Signal, body: bytes, *, memory_bytes: int) -> bytes:
    """The serialised export request that `body` says in JSON (UTF-8).

    Raises TooLargeError when reading it would take more than `memory_bytes`, and BadRequestError when it is
    not JSON, nested too deeply, or a value is not what its key asks for; the message then starts with the
    path of that value.
    """
    if memory_needed(body) > memory_bytes:
        raise TooLargeError(
            "the request has too many values for one in JSON; send smaller batches, or protobuf"
        )
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not valid JSON: {error}") from error
    request = REQUESTS[signal]()
    try:
        _fill(request, parsed, 0)
    except _Fault as fault:
        raise BadRequestError(f"the body is not OTLP/JSON: {fault}") from fault
    return request.SerializeToString()


def memory_needed(body: bytes) -> int:
    """How much memory reading this JSON takes at most, in bytes, from its punctuation."""
    objects = body.count(b"{")
    values = objects + body.count(b"[") + body.count(b",")
    text_bytes = len(body) * (1 if body.isascii() else _TEXT_BYTES)
    return values * _VALUE_BYTES + objects * _OBJECT_BYTES + text_bytes


def _fill(message: Message, value: Any, levels: int) -> None:
    """Set the fields of a message from a JSON object; `levels` counts the attribute values around it."""
    if not isinstance(value, dict):
        raise _Fault(f"expected an object, got {_shown(value)}")
    if isinstance(message, AnyValue):
        levels += 1
        if levels > MAX_VALUE_LEVELS:
            raise _Fault(f"attribute values may be nested {MAX_VALUE_LEVELS} levels deep, not more")
    fields = _fields(message.DESCRIPTOR)
    for key, member in value.items():
        field = fields.get(key)
        if field is None or member is None:
            continue
        try:
            _set(message, field, member, levels)
        except _Fault as fault:
            fault.way.append(f".{key}")
            raise


def _set(message: Message, field: _Field, value: Any, levels: int) -> None:
    if field.is_repeated:
        _extend(getattr(message, field.name), field, value, levels)
        return
    if field.oneof and message.WhichOneof(field.oneof) is not None:
        raise _Fault(f"only one of the {field.oneof} fields may be given, and another one is")
    if field.convert is not None:
        setattr(message, field.name, field.convert(value))
        return
    child = getattr(message, field.name)
    child.SetInParent()
    _fill(child, value, levels)


def _extend(target: Any, field: _Field, value: Any, levels: int) -> None:
    if not isinstance(value, list):
        raise _Fault(f"expected a list, got {_shown(value)}")
    for index, member in enumerate(value):
        try:
            if field.convert is not None:
                target.append(field.convert(member))
            else:
                _fill(target.add(), member, levels)
        except _Fault as fault:
            fault.way.append(f"[{index}]")
            raise


def _shown(value: Any) -> str:
    """A value in an error: cut, printable, and by its kind alone when it is not a scalar."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quoted(value)}"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return f"the number {value}"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Fault(f"expected a text, got {_shown(value)}")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Fault(f"expected true or false, got {_shown(value)}")
    return value


def _hex(value: Any) -> bytes:
    try:
        return binascii.unhexlify(_text(value))
    except ValueError as error:
        raise _Fault(f"expected an even number of hexadecimal digits, got {_shown(value)}") from error


def _base64(value: Any) -> bytes:
    """Standard or URL-safe alphabet, with or without padding, as proto3 JSON has it."""
    text = _text(value)
    digits = text.rstrip("=")
    if not _BASE64.fullmatch(text) or len(digits) % 4 == 1:
        raise _Fault(f"expected base64, got {_shown(value)}")
    return base64.urlsafe_b64decode(digits.replace("+", "-").replace("/", "_") + "=" * (-len(digits) % 4))


def _integer(value: Any, *, least: int, most: int) -> int:
    is_written = isinstance(value, str) and _INTEGER.fullmatch(value)
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _FLOAT_INTEGERS
    number = int(value) if is_written or is_whole else value
    if not isinstance(number, int) or isinstance(number, bool):
        raise _Fault(f"expected an integer, got {_shown(value)}")
    if not least <= number <= most:
        raise _Fault(f"expected an integer from {least} to {most}, got {_shown(value)}")
    return number


def _enum(value: Any) -> int:
    if isinstance(value, str):
        raise _Fault(f"expected the number of an enum value, got {_shown(value)}")
    return _integer(value, least=-(1 << 31), most=(1 << 31) - 1)


def _double(value: Any) -> float:
    number = value
    if isinstance(value, str):
        number = _SPECIAL_NUMBERS.get(value)
        if number is not None:
            return number
        if _DECIMAL.fullmatch(value):
            number = float(value)
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise _Fault(f"expected a number, got {_shown(value)}")
    if math.isinf(number):
        raise _Fault(f"expected a number that fits a double, got {_shown(value)}")
    return float(number)


def _signed(bits: int) -> Convert:
    return partial(_integer, least=-(1 << (bits - 1)), most=(1 << (bits - 1)) - 1)


def _unsigned(bits: int) -> Convert:
    return partial(_integer, least=0, most=(1 << bits) - 1)


_F: Final = FieldDescriptor
_CONVERT: Final[dict[int, Convert]] = {
    _F.TYPE_STRING: _text,
    _F.TYPE_BYTES: _base64,
    _F.TYPE_BOOL: _boolean,
    _F.TYPE_ENUM: _enum,
    _F.TYPE_DOUBLE: _double,
    _F.TYPE_INT32: _signed(32),
    _F.TYPE_SINT32: _signed(32),
    _F.TYPE_INT64: _signed(64),
    _F.TYPE_SFIXED64: _signed(64),
    _F.TYPE_UINT32: _unsigned(32),
    _F.TYPE_FIXED32: _unsigned(32),
    _F.TYPE_UINT64: _unsigned(64),
    _F.TYPE_FIXED64: _unsigned(64),
}


@cache
def _fields(message: Descriptor) -> dict[str, _Field]:
    """The fields of a message by their JSON keys."""
    return {field.json_name: _field(field) for field in message.fields}


def _field(field: FieldDescriptor) -> _Field:
    convert = None if field.message_type is not None else _CONVERT[field.type]
    if field.name in _HEX_FIELDS:
        convert = _hex
    group = field.containing_oneof
    return _Field(field.name, group.name if group is not None else "", field.is_repeated, convert)
