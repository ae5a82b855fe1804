"""Whatever the collector lets in, the views can store: no value of any field may make an insert fail.

Arbitrary messages, field by field from OTLP's own descriptors, with values at the edges of their types and
names that the views ask for. A few of them with every test run; `make faults` looks for new ones, thousands.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from functools import cache
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.check.check import check
from collector.check.gate import TimeGate
from collector.check.tables import REQUESTS
from collector.errors import CollectorError
from collector.refusals import TooLargeError
from ingest.signals import Signal
from ingest.store import plain
from ingest.store.engine import Engine, Session
from ingest.store.otlp import RAW_TABLES, OtlpWriter, Request
from support import faults

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
NOW_NS = time.time_ns()
GATE = TimeGate(30 * DAY_NS)
EXAMPLES = faults.times(10, 1000)
_F = FieldDescriptor
EDGES = {
    _F.TYPE_FIXED64: [0, 1, NOW_NS, 2**63 - 1, 2**63, 2**64 - 1],
    _F.TYPE_UINT64: [0, 1, 2**63, 2**64 - 1],
    _F.TYPE_INT64: [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63)],
    _F.TYPE_SFIXED64: [0, 1, -1, 2**63 - 1, -(2**63)],
    _F.TYPE_INT32: [0, 1, -1, 2**31 - 1, -(2**31)],
    _F.TYPE_SINT32: [0, 1, -1, 2**31 - 1, -(2**31)],
    _F.TYPE_UINT32: [0, 1, 2**31, 2**32 - 1],
    _F.TYPE_FIXED32: [0, 1, 255, 256, 2**32 - 1],
    _F.TYPE_DOUBLE: [0.0, -0.0, 1.5, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308],
    _F.TYPE_ENUM: [0, 1, 2, 3, 4, 5, 6, -1, 255, 2**31 - 1],
    _F.TYPE_BOOL: [False, True],
    _F.TYPE_BYTES: [b"", b"\0", b"\xff" * 8, b"\x01" * 16, bytes(16), b"long" * 40],
}
TIMES = [NOW_NS, NOW_NS - 29 * DAY_NS, NOW_NS + 590 * SECOND_NS, NOW_NS // DAY_NS * DAY_NS]
KEYS = [
    "service.name", "service.namespace", "service.version", "k8s.deployment.name", "k8s.pod.name",
    "host.name", "k8s.node.name", "k8s.container.name", "telemetry.sdk.name", "faas.trigger",
    "faas.coldstart", "faas.invocation_id", "k8s.event.reason", "k8s.object.kind", "k8s.object.name",
    "db.system", "messaging.system", "user_agent.original", "network.io.direction", "state", "cpu.mode",
    "process.pid", "interface", "cloud.region", "lowtide.demo", "",
    "reporter", "direction", "envoy_cluster_name", "callee_service", "response_code", "pod",
]  # fmt: skip
STATES = [
    "ot=th:0", "ot=th:8", "ot=th:ffffffffffffff", "ot=th:fffffffffffffff", "a=b,ot=rv:1;th:c", "ot=th:",
    "ot=th:g", " ot=th:00000000000001", ",ot=th:4,ot=th:8", "ot=p:8;th:", "th:8",
]  # fmt: skip
METRICS = [
    "container.cpu.usage", "container.memory.working_set", "k8s.node.cpu.usage", "system.cpu.utilization",
    "system.network.io", "k8s.pod.network.io", "process.cpu.time", "process.memory.usage",
    "k8s.deployment.desired", "k8s.node.memory.working_set", "system.memory.usage",
    "istio_requests_total", "response_total", "tcp_open_total", "envoy_cluster_upstream_rq_xx",
    "istio_request_bytes", "upstream_rq_total",
]  # fmt: skip
REPORTS = [
    "REPORT RequestId: x\tDuration: 604800000 ms\tBilled Duration: 1 ms", "platform.report", "Pod", "Pulled",
    "INIT_REPORT Init Duration: 604800000 ms", "platform.initReport",
    'Successfully pulled image "a" in 9999m999999.9s',
]  # fmt: skip
TEXT = st.one_of(
    st.sampled_from([*KEYS, *STATES, *METRICS, "true", "istio-proxy", "kube-probe/1.3", *REPORTS]),
    st.sampled_from(["\0", "\x1f", "\U0010ffff"]),
    st.text(max_size=12),
)
RECORD_TIMES = {"time_unix_nano", "start_time_unix_nano", "end_time_unix_nano", "observed_time_unix_nano"}
WAY = {
    "resource_spans", "scope_spans", "spans", "resource_logs", "scope_logs", "log_records",
    "resource_metrics", "scope_metrics", "metrics", "data_points",
}  # fmt: skip
MOST = 2
"""Of anything that a message repeats. Messages that grow too large for hypothesis are thrown away, and with 4
nearly all were; so there are several messages instead."""


@cache
def messages(descriptor: Descriptor, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Messages as dictionaries: the way to the records, and any other fields."""
    found = {
        field.name: values(descriptor, field, depth)
        for field in descriptor.fields
        if depth > 0 or field.message_type is None
    }
    way = {name: found.pop(name) for name in WAY & found.keys()}
    return st.fixed_dictionaries(way, optional=found)


def values(descriptor: Descriptor, field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Values of one field."""
    if field.message_type is not None:
        one = st.deferred(lambda: messages(field.message_type, depth - 1))
    elif field.type == _F.TYPE_STRING:
        one = TEXT
    elif field.name in RECORD_TIMES and descriptor.name not in ("Event", "Exemplar"):
        one = st.sampled_from([*TIMES, *TIMES, *EDGES[_F.TYPE_FIXED64]])
    else:
        one = st.sampled_from(EDGES[field.type])
    return st.lists(one, min_size=1, max_size=MOST) if field.is_repeated else one


def fill(message: Any, content: dict[str, Any]) -> None:
    """Set the fields of a message; the last member of a oneof wins."""
    for name, value in content.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.message_type is None:
            if field.is_repeated:
                getattr(message, name).extend(value)
            else:
                setattr(message, name, value)
        elif field.is_repeated:
            for each in value:
                fill(getattr(message, name).add(), each)
        else:
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)


def with_ids(signal: Signal, message: Any) -> None:
    """Spans without ids are refused: give most of them some."""
    if signal is Signal.TRACES:
        number = 0
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    number += 1
                    span.trace_id = span.trace_id if len(span.trace_id) == 16 else b"\x01" * 16
                    span.span_id = number.to_bytes(8, "big")
                    if len(span.parent_span_id) not in (0, 8):
                        span.parent_span_id = b"\x02" * 8
                    span.start_time_unix_nano = min(span.start_time_unix_nano or NOW_NS, NOW_NS)
                    span.end_time_unix_nano = max(
                        span.start_time_unix_nano, min(span.end_time_unix_nano, NOW_NS)
                    )


@pytest.mark.timeout(100_000 if EXAMPLES > 100 else 300)
@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_that_is_let_in_makes_an_insert_fail(
    migrated: Engine, session: Session, signal: Signal, data: st.DataObject
) -> None:
    root = REQUESTS[signal].DESCRIPTOR
    contents = data.draw(st.lists(messages(root, 9), min_size=1, max_size=6))
    requests, items = [], 0
    tenant = f"fuzz-{uuid4().hex}"
    for content in contents:
        message = REQUESTS[signal]()
        faults.done["requests for the views"] += 1
        fill(message, content)
        with_ids(signal, message)
        try:
            checked = check(signal, message.SerializeToString(), gate=GATE, now_ns=NOW_NS)
        except (TooLargeError, CollectorError) as refused:
            hypothesis.event(f"refused: {type(refused).__name__}")
            continue
        if checked.items:
            items += checked.items
            requests.append(Request(tenant, NOW_NS, checked.body))
    if not requests:
        return
    writer = OtlpWriter(migrated)
    try:
        writer.insert(signal, time.time_ns() // 1000, uuid4().hex, requests)
    finally:
        writer.close()

    count = "SELECT count() FROM {table:Identifier} WHERE tenant = {tenant:String}"
    stored = sum(session.value(count, {"table": table, "tenant": tenant}) for table in RAW_TABLES[signal])
    volume = session.value(
        "SELECT sum(rows) FROM telemetry_volume_1h WHERE tenant = {tenant:String}", {"tenant": tenant}
    )
    assert stored == items
    assert volume == items


SHOWN = {
    Signal.TRACES: ("otel_traces",),
    Signal.LOGS: ("otel_logs",),
    Signal.METRICS: tuple(
        f"otel_metrics_{kind}" for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary")
    ),
}


def rows_of(session: Session, signal: Signal, tenant: str) -> list[list[str]]:
    """What is stored of a tenant: the attributes of a map in any order, the rows too."""
    found = []
    for table in SHOWN[signal]:
        columns = session.rows(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase()"
            " AND table = {table:String} AND name NOT IN ('tenant', '_batch')"
            # Of what is JSON, the maps that it is shown as; of maps, not the indexes over them.
            " AND name NOT LIKE '%Json' AND (default_kind = '' OR type LIKE 'Map%') ORDER BY position",
            {"table": table},
        )
        shown = ", ".join(_sorted(f"`{name}`", kind) for name, kind in columns)
        found.append(
            sorted(
                str(row)
                for row in session.rows(
                    f"SELECT {shown} FROM {table} WHERE tenant = {{tenant:String}}",  # noqa: S608 - names of ours
                    {"tenant": tenant},
                )
            )
        )
    return found


def _sorted(name: str, kind: str) -> str:
    pairs = "'Array(Tuple(String, String))'"
    if kind.startswith("Map("):
        return f"arraySort(CAST({name}, {pairs}))"
    if kind.startswith("Array(Map("):
        return f"arrayMap(one -> arraySort(CAST(one, {pairs})), {name})"
    return f"toString({name})"


@pytest.mark.timeout(100_000 if EXAMPLES > 100 else 300)
@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=EXAMPLES // 2, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_plain_attributes_are_stored_as_the_engine_would(
    migrated: Engine, session: Session, signal: Signal, data: st.DataObject
) -> None:
    """The same rows, whether the loader writes plain attributes as text or the engine does."""
    bodies = []
    for content in data.draw(st.lists(messages(REQUESTS[signal].DESCRIPTOR, 9), min_size=1, max_size=6)):
        message = REQUESTS[signal]()
        fill(message, content)
        with_ids(signal, message)
        with suppress(TooLargeError, CollectorError):
            bodies.append(check(signal, message.SerializeToString(), gate=GATE, now_ns=NOW_NS).body)
    if not bodies:
        return
    by_loader, by_engine = f"fuzz-{uuid4().hex}", f"fuzz-{uuid4().hex}"
    writer = OtlpWriter(migrated)
    try:
        for tenant, longest in ((by_loader, plain.MAX_BYTES), (by_engine, 0)):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(plain, "MAX_BYTES", longest)
                batch = time.time_ns() // 1000
                requests = [Request(tenant, NOW_NS, body) for body in bodies]
                writer.insert(signal, batch, uuid4().hex, requests)
    finally:
        writer.close()

    assert rows_of(session, signal, by_loader) == rows_of(session, signal, by_engine)
