"""Spans of Jaeger's model as an OTLP traces request, however they came (`collector.foreign.jaeger_thrift`,
`collector.foreign.jaeger_proto`). OpenTelemetry specification, "Jaeger", the other way round; where that is
silent, as the Collector's Jaeger receiver has it.

The trap: a parent may be said in three ways: by its own field, by a reference "child of", or, where there is
none of them, by a reference "follows from" within the trace. All other references are links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from collector.foreign.building import Attributes, Builder, Value, put, time_ns
from collector.foreign.tags import Tags, take_scope, take_state, take_status

_KINDS: Final = {"server": 2, "client": 3, "producer": 4, "consumer": 5}
_INTERNAL: Final = 1
_SAMPLED: Final = 1
_DEBUG: Final = 2
_NO_SERVICE: Final = "OTLPResourceNoServiceName"
"""What OpenTelemetry's exporters write where a resource has no name."""
_RENAMED: Final = {"hostname": "host.name", "ip": "host.ip"}


@dataclass(frozen=True, slots=True)
class Reference:
    """To another span."""

    trace_id: bytes
    span_id: bytes
    is_child_of: bool


@dataclass(frozen=True, slots=True)
class Log:
    """Something that happened in a span."""

    at_ns: int
    fields: Tags


@dataclass(frozen=True, slots=True)
class JaegerSpan:
    """A span. Ids are 16 and 8 bytes, `parent_id` may be empty; `tags` belong to whoever reads it."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    flags: int
    start_ns: int
    duration_ns: int
    tags: Tags
    references: Sequence[Reference] = ()
    logs: Sequence[Log] = ()
    warnings: Sequence[str] = ()
    is_incomplete: bool = False


def resource_of(service: str, tags: Tags) -> Attributes:
    """What is known of the process that wrote spans."""
    pairs: dict[str, Value] = {_RENAMED.get(name, name): value for name, value in tags.items()}
    if service and service != _NO_SERVICE:
        pairs["service.name"] = service
    return tuple(sorted(pairs.items()))


def add(built: Builder, resource: Attributes, of: JaegerSpan) -> None:
    """Write a span."""
    tags = of.tags
    span = built.add(resource, take_scope(tags))
    span.trace_id, span.span_id = of.trace_id, of.span_id
    parent = _parent_of(of)
    if parent is not None:
        span.parent_span_id = parent.span_id
    for reference in of.references:
        if parent is None or (reference.trace_id, reference.span_id) != (parent.trace_id, parent.span_id):
            _put_link(span.links.add(), reference)
    span.name = of.name
    span.kind = _KINDS.get(str(tags.get("span.kind", "")).lower(), _INTERNAL)
    tags.pop("span.kind", None)
    span.flags = of.flags & _SAMPLED
    span.start_time_unix_nano = time_ns(of.start_ns)
    span.end_time_unix_nano = time_ns(of.start_ns + max(of.duration_ns, 0))
    take_status(tags, span)
    take_state(tags, span)
    put(span.attributes, (*tags.items(), *_said_elsewhere(of).items()))
    for log in of.logs:
        _put_event(span.events.add(time_unix_nano=time_ns(log.at_ns)), dict(log.fields))


def _parent_of(of: JaegerSpan) -> Reference | None:
    if of.parent_id:
        return Reference(of.trace_id, of.parent_id, is_child_of=True)
    within = [reference for reference in of.references if reference.trace_id == of.trace_id]
    return next((reference for reference in within if reference.is_child_of), next(iter(within), None))


def _put_link(link: Any, reference: Reference) -> None:
    link.trace_id, link.span_id = reference.trace_id, reference.span_id
    put(link.attributes, [("opentracing.ref_type", "child_of" if reference.is_child_of else "follows_from")])


def _put_event(event: Any, fields: Tags) -> None:
    """A log has a name among its fields, if any."""
    for key in ("event", "message"):
        if isinstance(fields.get(key), str) and fields[key]:
            event.name = str(fields.pop(key))
            break
    put(event.attributes, fields.items())


def _said_elsewhere(of: JaegerSpan) -> Tags:
    said: Tags = {}
    if of.flags & _DEBUG:
        said["jaeger.debug"] = True
    if of.is_incomplete:
        said["jaeger.incomplete"] = True
    if of.warnings:
        said["jaeger.warnings"] = "; ".join(of.warnings)
    return said
