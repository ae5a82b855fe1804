"""`jaeger.api_v2.PostSpansRequest` as an OTLP traces request (model.proto and collector.proto of
jaegertracing/jaeger-idl). Clients and agents send it over gRPC. `collector.foreign.protocols` calls
`translate`.
"""

from __future__ import annotations

from typing import Any, Final

from collector.foreign.building import Attributes, Builder, Value
from collector.foreign.jaeger import JaegerSpan, Log, Reference, add, resource_of
from collector.foreign.messages import declare, parsed
from collector.foreign.tags import Tags
from collector.foreign.translated import Translated
from collector.refusals import TooLargeError
from ingest.signals import Signal

_NS: Final = 1_000_000_000
_VALUES: Final = ("v_str", "v_bool", "v_int64", "v_float64", "v_binary")
"""In the order of the enumeration ValueType."""
_PART_BYTES: Final = 600
"""Of memory, for a span, tag, log or reference in the interpreter and as OTLP."""

MESSAGES: Final = declare(
    "lowtide.jaeger",
    {
        "Moment": {"seconds": (1, "int64"), "nanos": (2, "int32")},
        "KeyValue": {
            "key": (1, "string"), "v_type": (2, "int32"), "v_str": (3, "string"), "v_bool": (4, "bool"),
            "v_int64": (5, "int64"), "v_float64": (6, "double"), "v_binary": (7, "bytes"),
        },
        "Log": {"timestamp": (1, "Moment"), "fields": (2, "[]KeyValue")},
        "SpanRef": {"trace_id": (1, "bytes"), "span_id": (2, "bytes"), "ref_type": (3, "int32")},
        "Process": {"service_name": (1, "string"), "tags": (2, "[]KeyValue")},
        "Span": {
            "trace_id": (1, "bytes"), "span_id": (2, "bytes"), "operation_name": (3, "string"),
            "references": (4, "[]SpanRef"), "flags": (5, "uint32"), "start_time": (6, "Moment"),
            "duration": (7, "Moment"), "tags": (8, "[]KeyValue"), "logs": (9, "[]Log"),
            "process": (10, "Process"), "warnings": (12, "[]string"),
        },
        "Batch": {"spans": (1, "[]Span"), "process": (2, "Process")},
        "PostSpansRequest": {"batch": (1, "Batch")},
    },
)  # fmt: skip


def translate(body: bytes, *, limit_bytes: int, memory_bytes: int) -> Translated:
    """Translate an uncompressed request. Raises BadRequestError if it is none, TooLargeError if it would take
    too much as OTLP, or too much memory to read."""
    request = parsed(MESSAGES["PostSpansRequest"], body, memory_bytes)
    batch = request.batch
    if sum(map(_parts, batch.spans)) * _PART_BYTES > memory_bytes:
        raise TooLargeError("the request has too many parts to be translated; send smaller batches")
    built = Builder(Signal.TRACES)
    common = _resource(batch.process)
    for span in batch.spans:
        # Its own process goes before that of the batch.
        add(built, _resource(span.process) if span.HasField("process") else common, _span_of(span))
    return built.translated(limit_bytes)


def _parts(span: Any) -> int:
    own = 2 + int(span.HasField("process"))  # a resource of its own takes as much again
    return own + len(span.tags) + len(span.references) + sum(1 + len(log.fields) for log in span.logs)


def _resource(process: Any) -> Attributes:
    return resource_of(process.service_name, _tags_of(process.tags))


def _span_of(span: Any) -> JaegerSpan:
    return JaegerSpan(
        trace_id=_trace_id(span.trace_id),
        span_id=span.span_id,
        parent_id=b"",
        name=span.operation_name,
        flags=span.flags,
        start_ns=_ns(span.start_time),
        duration_ns=_ns(span.duration),
        tags=_tags_of(span.tags),
        references=[
            Reference(_trace_id(reference.trace_id), reference.span_id, is_child_of=reference.ref_type == 0)
            for reference in span.references
        ],
        logs=[Log(_ns(log.timestamp), _tags_of(log.fields)) for log in span.logs],
        warnings=list(span.warnings),
    )


def _trace_id(data: bytes) -> bytes:
    """Some clients write the 64 bits only that they have."""
    return data.rjust(16, b"\0") if len(data) == 8 else data


def _ns(moment: Any) -> int:
    return int(moment.seconds) * _NS + int(moment.nanos)


def _tags_of(tags: Any) -> Tags:
    return {tag.key: _value_of(tag) for tag in tags}


def _value_of(tag: Any) -> Value:
    """The value of the type that is stated."""
    kind = tag.v_type
    value: Value = getattr(tag, _VALUES[kind] if 0 <= kind < len(_VALUES) else "v_str")
    return value
