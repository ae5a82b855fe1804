"""Builds trace and metric requests and writes them into the store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.signals import Signal
from ingest.store.engine import Engine
from ingest.store.otlp import OtlpWriter, Request

Insert = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Made:
    """A span in the few terms that tests need."""

    start_ns: int
    end_ns: int
    kind: int = Span.SPAN_KIND_SERVER
    name: str = "GET /"
    error: bool = False
    trace_state: str = ""
    trace_id: bytes = b"\1" * 16
    span_id: bytes = b"\2" * 8
    parent: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[tuple[bytes, bytes]] = ()


def key_values(values: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items()]


def trace_request(spans: Sequence[Made], resource: Mapping[str, str] | None = None) -> bytes:
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add()
    entry.resource.attributes.extend(key_values(resource or {"service.name": "quote-api"}))
    scope = entry.scope_spans.add()
    for made in spans:
        span = scope.spans.add(
            trace_id=made.trace_id,
            span_id=made.span_id,
            parent_span_id=made.parent,
            name=made.name,
            kind=made.kind,
            start_time_unix_nano=made.start_ns,
            end_time_unix_nano=made.end_ns,
            trace_state=made.trace_state,
        )
        span.attributes.extend(key_values(made.attributes))
        span.status.code = 2 if made.error else 0
        for trace_id, span_id in made.links:
            span.links.add(trace_id=trace_id, span_id=span_id)
    return request.SerializeToString()


def metric_request(
    points: Sequence[tuple[str, float, int, Mapping[str, str]]], resource: Mapping[str, str]
) -> bytes:
    """Gauges; each point is (name, value, time in ns, attributes)."""
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    entry.resource.attributes.extend(key_values(resource))
    scope = entry.scope_metrics.add()
    for name, value, time_ns, attributes in points:
        point = scope.metrics.add(name=name).gauge.data_points.add(time_unix_nano=time_ns, as_double=value)
        point.attributes.extend(key_values(attributes))
    return request.SerializeToString()


@pytest.fixture(scope="session")
def insert(migrated: Engine) -> Iterator[Insert]:
    """`insert(signal, body, ...)`: one batch of these requests, with the next batch id."""
    writer = OtlpWriter(migrated)
    numbers = itertools.count(1)

    def run(signal: Signal, *bodies: bytes, tenant: str = "default", received_ns: int = 1) -> None:
        number = next(numbers)
        writer.insert(
            signal, number, f"token-{number}", [Request(tenant, received_ns, body) for body in bodies]
        )

    yield run
    writer.close()


@pytest.fixture(scope="session")
def made() -> type[Made]:
    return Made


@pytest.fixture(scope="session")
def traces() -> Callable[..., bytes]:
    return trace_request


@pytest.fixture(scope="session")
def metrics() -> Callable[..., bytes]:
    return metric_request
