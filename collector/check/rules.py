"""Takes out of a request the records that cannot be accepted, and clears ids that are none.
`collector.check.check` calls it for requests in which the walk found such a record.

The trap: these rules and `_item_flags` of `collector.check.walk` must agree. Every repaired request is walked
again, so a difference shows as an error and never reaches the spool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.check.gate import Window, written_time
from collector.check.wording import Findings, quoted
from ingest.signals import Signal

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Group:
    """The records of one scope, or the points of one metric, where they lie in the request."""

    records: Any  # the repeated field itself, so that records can be taken out
    resource: Resource
    metric: str = ""

    def owner(self) -> str:
        """Who sent these records, in words."""
        for attribute in self.resource.attributes:
            if attribute.key == "service.name":
                return f"service {quoted(attribute.value.string_value)}"
        return "an unnamed service"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a record: the rule, as it reads after a number, and the words for an example."""

    rule: str
    example: Callable[[], str]


def points_of(metric: Metric) -> Any:
    """The data points of a metric of any kind; an empty list when it has no data."""
    kind = metric.WhichOneof("data")
    return [] if kind is None else getattr(metric, kind).data_points


def groups_of(signal: Signal, request: Any) -> Iterator[Group]:
    """Every list of records of a request."""
    match signal:
        case Signal.TRACES:
            for of_resource in request.resource_spans:
                for of_scope in of_resource.scope_spans:
                    yield Group(of_scope.spans, of_resource.resource)
        case Signal.LOGS:
            for of_resource in request.resource_logs:
                for of_scope in of_resource.scope_logs:
                    yield Group(of_scope.log_records, of_resource.resource)
        case Signal.METRICS:
            for of_resource in request.resource_metrics:
                for of_scope in of_resource.scope_metrics:
                    for metric in of_scope.metrics:
                        yield Group(points_of(metric), of_resource.resource, metric.name)


def refuse(signal: Signal, request: Any, window: Window) -> Findings:
    """Take every record out of `request` that breaks a rule; says how many broke which."""
    fault_of = _FAULT_OF[signal]
    refused = Findings()
    for group in groups_of(signal, request):
        kept = []
        for record in group.records:
            fault = fault_of(record, group, window)
            if fault is None:
                kept.append(record)
            else:
                refused.add(fault.rule, fault.example)
        if len(kept) < len(group.records):
            # Taking them out one by one would move the rest each time.
            del group.records[:]
            group.records.extend(kept)
    return refused


def _outside(window: Window) -> str:
    return f"outside the accepted time window {window}"


def _span_example(span: Span, group: Group, what: str) -> str:
    return f"span {quoted(span.name)} of {group.owner()} {what}"


def _id_in_words(name: str, value: bytes) -> str:
    if not value:
        return f"has no {name}"
    return f"has a {name} that is all zero" if not any(value) else f"has a {name} of {len(value)} bytes"


def _span_id_fault(span: Span) -> tuple[str, str] | None:
    """The name of the first id of a span that is not valid, and what is wrong with it."""
    if len(span.trace_id) != _TRACE_ID_BYTES or not any(span.trace_id):
        return "trace id", _id_in_words("trace id", span.trace_id)
    if len(span.span_id) != _SPAN_ID_BYTES or not any(span.span_id):
        return "span id", _id_in_words("span id", span.span_id)
    if len(span.parent_span_id) not in (0, _SPAN_ID_BYTES):
        # Shortened or lengthened, it would point to another span or to none.
        return "parent span id", f"has a parent span id of {len(span.parent_span_id)} bytes"
    return None


def _span_fault(span: Span, group: Group, window: Window) -> Fault | None:
    bad_id = _span_id_fault(span)
    if bad_id is not None:
        return Fault(f"with an invalid {bad_id[0]}", partial(_span_example, span, group, bad_id[1]))
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if start not in window:
        return Fault(_outside(window), partial(_span_example, span, group, f"starts {written_time(start)}"))
    if end < start:
        what = f"starts {written_time(start)} and ends {written_time(end)}"
        return Fault("with an end before the start", partial(_span_example, span, group, what))
    if end not in window:
        return Fault(_outside(window), partial(_span_example, span, group, f"ends {written_time(end)}"))
    return None


def _log_fault(record: LogRecord, group: Group, window: Window) -> Fault | None:
    time = record.time_unix_nano or record.observed_time_unix_nano
    if time == 0 or time in window:  # without any time, that of arrival will do
        return None
    clock = "is of" if record.time_unix_nano else "was observed"
    return Fault(_outside(window), lambda: f"a log record of {group.owner()} {clock} {written_time(time)}")


def _point_fault(point: Any, group: Group, window: Window) -> Fault | None:
    if point.time_unix_nano in window:
        return None
    return Fault(
        _outside(window),
        lambda: (
            f"a point of metric {quoted(group.metric)} of {group.owner()}"
            f" is of {written_time(point.time_unix_nano)}"
        ),
    )


_FAULT_OF: Final[dict[Signal, Callable[[Any, Group, Window], Fault | None]]] = {
    Signal.TRACES: _span_fault,
    Signal.METRICS: _point_fault,
    Signal.LOGS: _log_fault,
}


def _cleared_example(size: int, noun: str, group: Group) -> str:
    return f"{size} bytes, in a {noun} of {group.owner()}"


def clear_ids(signal: Signal, request: Any) -> Findings:
    """Clear the optional ids that are none: of logs, exemplars and links, and a span's parent.

    One of the wrong length is reported. One that is all zero only says "none" the long way (OTLP, LogRecord
    and Span), and is cleared without a word.
    """
    found = Findings()
    for group in groups_of(signal, request):
        for record in group.records:
            match signal:
                case Signal.TRACES:
                    if not any(record.parent_span_id):
                        record.parent_span_id = b""
                    for link in record.links:
                        _clear(link, "link", group, found)
                case Signal.LOGS:
                    _clear(record, "log record", group, found)
                case Signal.METRICS:
                    for exemplar in getattr(record, "exemplars", ()):  # summaries have none
                        _clear(exemplar, "exemplar", group, found)
    return found


def _clear(holder: LogRecord | Exemplar | Span.Link, noun: str, group: Group, found: Findings) -> None:
    for field, wanted in (("trace_id", _TRACE_ID_BYTES), ("span_id", _SPAN_ID_BYTES)):
        value: bytes = getattr(holder, field)
        if not value or (len(value) == wanted and any(value)):
            continue
        if len(value) != wanted:
            example = partial(_cleared_example, len(value), noun, group)
            found.add(f"{field.replace('_', ' ')}s of the wrong length cleared", example)
        holder.ClearField(field)  # type: ignore[arg-type] # the stubs want a literal; both are fields of all
