"""Messages of other protocols that are read as protobuf, declared by the few fields that are needed; others
are skipped. The translators of `collector.foreign` declare theirs at the top.

Declared here, and not generated, because the generated ones bring along whole trees of annotations and
validators that nobody reads. Names are in a pool of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from collector.errors import BadRequestError
from collector.refusals import TooLargeError

Fields: TypeAlias = Mapping[str, tuple[int, str]]
"""By name: number and type. A type is one of protobuf's, or the name of another message; `[]` in front of it
repeats it, and `map` is one from text to text."""

_F: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "string": _F.TYPE_STRING, "bytes": _F.TYPE_BYTES, "bool": _F.TYPE_BOOL, "double": _F.TYPE_DOUBLE,
    "int32": _F.TYPE_INT32, "int64": _F.TYPE_INT64, "uint32": _F.TYPE_UINT32, "uint64": _F.TYPE_UINT64,
    "fixed64": _F.TYPE_FIXED64,
}  # fmt: skip
_MEMORY_FOR_BYTE: Final = 60
"""What protobuf takes at most for a byte: two make a message."""


def declare(package: str, messages: Mapping[str, Fields]) -> dict[str, type[Any]]:
    """Classes of these messages, by name. An enumeration is read as int32, which is the same on the wire."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add(message, package, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


def _add(message: Any, package: str, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=_F.LABEL_OPTIONAL)
    if kind.startswith("[]") or kind == "map":
        field.label = _F.LABEL_REPEATED
        kind = kind.removeprefix("[]")
    if kind == "map":
        entry_name = f"{name.title().replace('_', '')}Entry"
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        for key, place in (("key", 1), ("value", 2)):
            entry.field.add(name=key, number=place, label=_F.LABEL_OPTIONAL, type=_F.TYPE_STRING)
        field.type, field.type_name = _F.TYPE_MESSAGE, f".{package}.{message.name}.{entry_name}"
    elif kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _F.TYPE_MESSAGE, f".{package}.{kind}"


def parsed(message: type[Any], body: bytes, memory_bytes: int) -> Any:
    """A message of this class. Raises BadRequestError if the body is none, TooLargeError if reading it may
    take more than `memory_bytes`."""
    if len(body) * _MEMORY_FOR_BYTE > memory_bytes:
        most_bytes = memory_bytes // _MEMORY_FOR_BYTE
        raise TooLargeError(f"the request is larger than the {most_bytes} bytes that are read of its kind")
    found = message()
    try:
        found.ParseFromString(body)
    except DecodeError as error:
        name = found.DESCRIPTOR.name
        raise BadRequestError(f"not a valid {name}: truncated, damaged, or another message") from error
    return found
