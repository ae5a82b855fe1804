"""Resource and scope attributes, which are kept as JSON: nothing of them changes on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from ingest.signals import Signal
from ingest.store.engine import Session

NOW_NS = time.time_ns()
ODD = [
    "",
    '"',
    "\\",
    "\\u0000",
    "\0",
    "/",
    "\n\t\x1f\x7f",
    "\u2028",
    "é",
    "日本",
    "😀",
    "'",
    "{}",
    "a=b",
    "%",
]
TEXTS = st.one_of(st.sampled_from(ODD), st.text(max_size=20))
ATTRIBUTES = st.dictionaries(TEXTS, TEXTS, max_size=6)
IDENTITY = (
    "k8s.cluster.name", "k8s.namespace.name", "k8s.deployment.name", "service.name", "service.namespace",
)  # fmt: skip
NAMED = """
    cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, operation
"""


def key_values(attributes: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in attributes.items()]


def requests(
    resources: list[dict[str, str]], scope: dict[str, str]
) -> dict[Signal, ExportTraceServiceRequest | ExportLogsServiceRequest | ExportMetricsServiceRequest]:
    """A record of each signal from every resource, named by the number of the resource."""
    traces, logs, metrics = (
        ExportTraceServiceRequest(), ExportLogsServiceRequest(), ExportMetricsServiceRequest(),
    )  # fmt: skip
    for number, attributes in enumerate(resources):
        name = str(number)
        spans = traces.resource_spans.add()
        records = logs.resource_logs.add()
        points = metrics.resource_metrics.add()
        for entry in (spans, records, points):
            entry.resource.attributes.extend(key_values(attributes))
        inner = spans.scope_spans.add()
        inner.scope.attributes.extend(key_values(scope))
        inner.spans.add(
            trace_id=b"\1" * 16, span_id=b"\2" * 8, parent_span_id=b"\3" * 8, name=name, kind=2,
            start_time_unix_nano=NOW_NS, end_time_unix_nano=NOW_NS + 1,
        )  # fmt: skip
        lines = records.scope_logs.add()
        lines.scope.attributes.extend(key_values(scope))
        lines.log_records.add(time_unix_nano=NOW_NS, body=AnyValue(string_value=name))
        kept = points.scope_metrics.add()
        kept.scope.attributes.extend(key_values(scope))
        kept.metrics.add(name=name).gauge.data_points.add(time_unix_nano=NOW_NS, as_double=1)
    return {Signal.TRACES: traces, Signal.LOGS: logs, Signal.METRICS: metrics}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=10)
@given(st.lists(ATTRIBUTES, min_size=1, max_size=20), ATTRIBUTES)
def test_attributes_come_back_as_they_were(
    session: Session,
    insert: Callable[..., None],
    resources: list[dict[str, str]],
    scope: dict[str, str],
) -> None:
    tenant = f"resources-{uuid4().hex}"
    for signal, request in requests(resources, scope).items():
        insert(signal, request.SerializeToString(), tenant=tenant)

    for table, number in (
        ("otel_traces", "SpanName"), ("otel_logs", "Body"), ("otel_metrics_gauge", "MetricName"),
    ):  # fmt: skip
        kept = session.rows(
            f"SELECT toUInt32({number}) AS n, ResourceAttributes, ScopeAttributes FROM {table}"  # noqa: S608 - names of ours
            " WHERE tenant = {tenant:String} ORDER BY n",
            {"tenant": tenant},
        )
        assert kept == [(n, attributes, scope) for n, attributes in enumerate(resources)], table


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=10)
@given(st.lists(st.lists(TEXTS, min_size=len(IDENTITY), max_size=len(IDENTITY)), min_size=1, max_size=20))
def test_a_call_names_the_workload_that_every_rollup_names(
    session: Session,
    insert: Callable[..., None],
    values: list[list[str]],
) -> None:
    """Half-edges find out who somebody is from the JSON of spans, rollups from the attributes as sent."""
    tenant = f"resources-{uuid4().hex}"
    resources: list[dict[str, Any]] = [dict(zip(IDENTITY, each, strict=True)) for each in values]
    insert(Signal.TRACES, requests(resources, {})[Signal.TRACES].SerializeToString(), tenant=tenant)

    query = "SELECT {} FROM {} WHERE tenant = {{tenant:String}} ORDER BY ALL"
    edges = session.rows(query.format(NAMED, "half_edges"), {"tenant": tenant})
    assert len(edges) == len(resources)
    assert edges == session.rows(query.format(NAMED, "red_1m"), {"tenant": tenant})
