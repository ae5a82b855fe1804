"""Jaeger's `Batch` in Thrift as an OTLP traces request (jaeger.thrift of jaegertracing/jaeger-idl). Clients
and agents send it over HTTP. `collector.foreign.protocols` calls `translate`.
"""

from __future__ import annotations

from typing import Any, Final

from collector.foreign.building import Builder, Value
from collector.foreign.jaeger import JaegerSpan, Log, Reference, add, resource_of
from collector.foreign.tags import Tags
from collector.foreign.thrift import Field, Kind, Reader, Struct
from collector.foreign.translated import Translated
from ingest.signals import Signal

_NS_PER_US: Final = 1000
_64_BITS: Final = (1 << 64) - 1
_VALUES: Final = ("text", "double", "bool", "long", "binary")
"""Names below, in the order of the enumeration TagType."""

_TAG: Final = Struct(
    "Tag",
    {
        1: Field("key", Kind.STRING, is_needed=True),
        2: Field("type", Kind.I32, is_needed=True),
        3: Field("text", Kind.STRING),
        4: Field("double", Kind.DOUBLE),
        5: Field("bool", Kind.BOOL),
        6: Field("long", Kind.I64),
        7: Field("binary", Kind.STRING),
    },
)
_LOG: Final = Struct(
    "Log",
    {1: Field("timestamp", Kind.I64, is_needed=True), 2: Field("fields", Kind.LIST, _TAG, is_needed=True)},
)
_REFERENCE: Final = Struct(
    "SpanRef",
    {
        1: Field("refType", Kind.I32, is_needed=True),
        2: Field("traceIdLow", Kind.I64, is_needed=True),
        3: Field("traceIdHigh", Kind.I64, is_needed=True),
        4: Field("spanId", Kind.I64, is_needed=True),
    },
)
_SPAN: Final = Struct(
    "Span",
    {
        1: Field("traceIdLow", Kind.I64, is_needed=True),
        2: Field("traceIdHigh", Kind.I64, is_needed=True),
        3: Field("spanId", Kind.I64, is_needed=True),
        4: Field("parentSpanId", Kind.I64, is_needed=True),
        5: Field("operationName", Kind.STRING, is_needed=True),
        6: Field("references", Kind.LIST, _REFERENCE),
        7: Field("flags", Kind.I32, is_needed=True),
        8: Field("startTime", Kind.I64, is_needed=True),
        9: Field("duration", Kind.I64, is_needed=True),
        10: Field("tags", Kind.LIST, _TAG),
        11: Field("logs", Kind.LIST, _LOG),
        12: Field("incomplete", Kind.BOOL),
    },
)
_PROCESS: Final = Struct(
    "Process",
    {1: Field("serviceName", Kind.STRING, is_needed=True), 2: Field("tags", Kind.LIST, _TAG)},
)
_BATCH: Final = Struct(
    "Batch",
    {
        1: Field("process", Kind.STRUCT, _PROCESS, is_needed=True),
        2: Field("spans", Kind.LIST, _SPAN, is_needed=True),
    },
)


def translate(body: bytes, *, limit_bytes: int, memory_bytes: int) -> Translated:
    """Translate an uncompressed batch. Raises BadRequestError naming what is wrong and where, TooLargeError
    if it would take too much as OTLP, or too much memory to read."""
    batch = Reader(body, "a Thrift Batch of Jaeger", memory_bytes=memory_bytes).whole(_BATCH)
    process = batch["process"]
    resource = resource_of(_text(process["serviceName"]), _tags_of(process.get("tags", [])))
    built = Builder(Signal.TRACES)
    for span in batch["spans"]:
        add(built, resource, _span_of(span))
    return built.translated(limit_bytes)


def _span_of(span: dict[str, Any]) -> JaegerSpan:
    return JaegerSpan(
        trace_id=_trace_id(span),
        span_id=_id(span["spanId"]),
        parent_id=_id(span["parentSpanId"]) if span["parentSpanId"] else b"",
        name=_text(span["operationName"]),
        flags=span["flags"],
        start_ns=_NS_PER_US * span["startTime"],
        duration_ns=_NS_PER_US * span["duration"],
        tags=_tags_of(span.get("tags", [])),
        references=[
            Reference(_trace_id(reference), _id(reference["spanId"]), is_child_of=reference["refType"] == 0)
            for reference in span.get("references", [])
        ],
        logs=[Log(_NS_PER_US * log["timestamp"], _tags_of(log["fields"])) for log in span.get("logs", [])],
        is_incomplete=span.get("incomplete", False),
    )


def _trace_id(of: dict[str, Any]) -> bytes:
    return _id(of["traceIdHigh"]) + _id(of["traceIdLow"])


def _id(number: int) -> bytes:
    return (number & _64_BITS).to_bytes(8)


def _tags_of(tags: list[dict[str, Any]]) -> Tags:
    return {_text(tag["key"]): _value_of(tag) for tag in tags}


def _value_of(tag: dict[str, Any]) -> Value:
    """The value of the type that is stated; an empty text where there is none."""
    kind = tag["type"]
    name = _VALUES[kind] if 0 <= kind < len(_VALUES) else "text"
    value: Value = tag.get(name, b"")
    return _text(value) if name == "text" and isinstance(value, bytes) else value


def _text(data: bytes) -> str:
    """Clients do not look whether it is UTF-8."""
    return data.decode("utf-8", "replace")
