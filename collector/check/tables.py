"""What a clean OTLP request looks like, as numbers that a compiled loop can read. Built once at import from
the descriptors of opentelemetry-proto. `collector.check.walk` follows the tables, `collector.check.check`
hands them over.

The trap: a field that is not in the tables is not an error, only unusual. The walk reports it, and the
request takes the slow way, where protobuf itself decides; what protobuf does not know either is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from numpy.typing import NDArray
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.check import walk
from ingest.signals import Signal

REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

_ROLES: Final = {
    "opentelemetry.proto.trace.v1.Span": walk.SPAN,
    "opentelemetry.proto.logs.v1.LogRecord": walk.LOG,
    "opentelemetry.proto.metrics.v1.NumberDataPoint": walk.POINT,
    "opentelemetry.proto.metrics.v1.HistogramDataPoint": walk.POINT,
    "opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint": walk.POINT,
    "opentelemetry.proto.metrics.v1.SummaryDataPoint": walk.POINT,
    "opentelemetry.proto.common.v1.KeyValue": walk.PAIR,
    "opentelemetry.proto.common.v1.AnyValue": walk.VALUE,
    "opentelemetry.proto.common.v1.ArrayValue": walk.LIST,
    "opentelemetry.proto.common.v1.KeyValueList": walk.LIST,
}

RECORDS: Final = frozenset(name for name, role in _ROLES.items() if role in (walk.SPAN, walk.POINT, walk.LOG))
"""Full names of the messages that are counted as items."""

# What a field means where its type does not say it: by the role of its message, then by its name.
_MEANINGS: Final[dict[int, dict[str, int]]] = {
    walk.SPAN: {
        "start_time_unix_nano": walk.FIRST_TIME,
        "end_time_unix_nano": walk.SECOND_TIME,
        "trace_id": walk.TRACE_ID,
        "span_id": walk.SPAN_ID,
        "parent_span_id": walk.OTHER_SPAN_ID,
    },
    walk.POINT: {"time_unix_nano": walk.FIRST_TIME},
    walk.LOG: {
        "time_unix_nano": walk.FIRST_TIME,
        "observed_time_unix_nano": walk.SECOND_TIME,
        "trace_id": walk.OTHER_TRACE_ID,
        "span_id": walk.OTHER_SPAN_ID,
    },
    walk.VALUE: {"string_value_strindex": walk.INDEX},
    walk.PAIR: {"key": walk.KEY, "key_strindex": walk.INDEX},
    # Links and exemplars name other spans.
    walk.ORDINARY: {"trace_id": walk.OTHER_TRACE_ID, "span_id": walk.OTHER_SPAN_ID},
}

_F: Final = FieldDescriptor
_TYPES: Final = {  # protobuf type: wire type, kind
    _F.TYPE_MESSAGE: (walk.DELIMITED, walk.MESSAGE),
    _F.TYPE_STRING: (walk.DELIMITED, walk.STRING),
    _F.TYPE_BYTES: (walk.DELIMITED, walk.PLAIN),
    _F.TYPE_BOOL: (walk.VARINT, walk.BOOL),
    _F.TYPE_INT32: (walk.VARINT, walk.INT32),
    _F.TYPE_ENUM: (walk.VARINT, walk.INT32),
    _F.TYPE_UINT32: (walk.VARINT, walk.UINT32),
    _F.TYPE_SINT32: (walk.VARINT, walk.UINT32),  # zigzag: as wide as an unsigned one
    _F.TYPE_INT64: (walk.VARINT, walk.PLAIN),
    _F.TYPE_UINT64: (walk.VARINT, walk.PLAIN),
    _F.TYPE_SINT64: (walk.VARINT, walk.PLAIN),
    _F.TYPE_FIXED64: (walk.FIXED64, walk.PLAIN),
    _F.TYPE_SFIXED64: (walk.FIXED64, walk.PLAIN),
    _F.TYPE_DOUBLE: (walk.FIXED64, walk.PLAIN),
    _F.TYPE_FIXED32: (walk.FIXED32, walk.PLAIN),
    _F.TYPE_SFIXED32: (walk.FIXED32, walk.PLAIN),
    _F.TYPE_FLOAT: (walk.FIXED32, walk.PLAIN),
}


_MESSAGE_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class Tables:
    """`fields[message * walk.FIELDS + field number]` and `roles[message]`; `roots` are message numbers.

    `sizes[message]` is about how many bytes of memory protobuf takes for an empty one.
    """

    fields: NDArray[np.int64]
    roles: NDArray[np.int64]
    sizes: NDArray[np.int64]
    roots: dict[Signal, int]


def _descriptor(signal: Signal) -> Descriptor:
    return cast("Descriptor", REQUESTS[signal].DESCRIPTOR)


def _reachable(roots: list[Descriptor]) -> list[Descriptor]:
    """The messages of all requests, each once, in the order in which they are met."""
    found = {root.full_name: root for root in roots}
    queue = list(roots)
    while queue:
        for field in queue.pop(0).fields:
            child = field.message_type
            if child is not None and child.full_name not in found:
                found[child.full_name] = child
                queue.append(child)
    return list(found.values())


def _form(field: FieldDescriptor, role: int) -> tuple[int, int]:
    """Wire type and kind of a field in a message of this role."""
    wire, kind = _TYPES[field.type]
    if field.is_packed:
        return walk.DELIMITED, walk.PACKED_FIXED64 if wire == walk.FIXED64 else walk.PACKED_VARINT
    return wire, _MEANINGS.get(role, {}).get(field.name, kind)


def _size(message: Descriptor) -> int:
    """How much memory protobuf takes for an empty message and its place in a list, in bytes, about.

    Every field has its place whether it is set or not; those of a oneof share one.
    """
    members = [field for field in message.fields if field.containing_oneof is None]
    texts = sum(
        1 for field in members if not field.is_repeated and field.type in (_F.TYPE_STRING, _F.TYPE_BYTES)
    )
    return _MESSAGE_BYTES + 8 * len(members) + 8 * texts + 16 * len(message.oneofs)


def _conflicts(field: FieldDescriptor) -> int:
    """The field numbers that exclude this one, as bits: itself unless repeated, and all of its oneof."""
    if field.is_repeated:
        return 0
    if field.containing_oneof is None:
        return 1 << field.number
    return sum(1 << member.number for member in field.containing_oneof.fields)


def build() -> Tables:
    """Tables for the three requests."""
    messages = _reachable([_descriptor(signal) for signal in REQUESTS])
    numbers = {message.full_name: number for number, message in enumerate(messages)}
    fields = np.full(len(messages) * walk.FIELDS, walk.UNKNOWN, np.int64)
    roles = np.zeros(len(messages), np.int64)
    for message in messages:
        number = numbers[message.full_name]
        role = roles[number] = _ROLES.get(message.full_name, walk.ORDINARY)
        for field in message.fields:
            if field.number >= walk.FIELDS:
                continue  # stays unknown to the walk: the slow way knows it
            wire, kind = _form(field, role)
            child = numbers[field.message_type.full_name] if field.message_type else 0
            fields[number * walk.FIELDS + field.number] = (
                wire
                | kind << walk.KIND_SHIFT
                | child << walk.CHILD_SHIFT
                | _conflicts(field) << walk.CONFLICT_SHIFT
            )
    sizes = np.array([_size(message) for message in messages], np.int64)
    return Tables(
        fields, roles, sizes, {signal: numbers[_descriptor(signal).full_name] for signal in REQUESTS}
    )


TABLES: Final = build()
