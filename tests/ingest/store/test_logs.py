"""Log records in the store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from ingest.signals import Signal
from ingest.store.engine import Session

NOW_NS = time.time_ns()
READ = """
SELECT toUnixTimestamp64Nano(Timestamp) AS at_ns, toUnixTimestamp64Nano(ObservedTimestamp) AS observed_ns,
    Body, SeverityNumber, SeverityText, LogAttributes, TraceId, SpanId, TraceFlags, EventName, ServiceName
FROM otel_logs WHERE tenant = {tenant:String} ORDER BY Timestamp
"""


def request(*records: dict[str, Any]) -> bytes:
    made = ExportLogsServiceRequest()
    entry = made.resource_logs.add()
    entry.resource.attributes.add(key="service.name").value.string_value = "till"
    scope = entry.scope_logs.add()
    for record in records:
        scope.log_records.add(**record)
    return made.SerializeToString()


def test_a_record_as_it_was_sent(session: Session, insert: Callable[..., None], tenant: str) -> None:
    body = request({
        "time_unix_nano": NOW_NS, "observed_time_unix_nano": NOW_NS + 7, "severity_number": 17,
        "severity_text": "ERROR", "body": AnyValue(string_value="card\ndeclined \U0001f4b3"), "flags": 1,
        "attributes": [KeyValue(key="try", value=AnyValue(int_value=-3))], "event_name": "payment.declined",
        "trace_id": b"\xab" * 16, "span_id": b"\xcd" * 8,
    })  # fmt: skip

    insert(Signal.LOGS, body, tenant=tenant)

    assert session.rows(READ, {"tenant": tenant}) == [(
        NOW_NS, NOW_NS + 7, "card\ndeclined \U0001f4b3", 17, "ERROR", {"try": "-3"}, "ab" * 16, "cd" * 8, 1,
        "payment.declined", "till",
    )]  # fmt: skip


def test_a_record_without_a_time_has_the_best_that_is_known(
    session: Session, insert: Callable[..., None], tenant: str
) -> None:
    insert(Signal.LOGS, request({"observed_time_unix_nano": NOW_NS - 5}), tenant=tenant)
    insert(Signal.LOGS, request({}), tenant=tenant, received_ns=NOW_NS)

    assert [row[0] for row in session.rows(READ, {"tenant": tenant})] == [NOW_NS - 5, NOW_NS]


def test_a_body_may_be_anything(session: Session, insert: Callable[..., None], tenant: str) -> None:
    values = [
        AnyValue(bool_value=True),
        AnyValue(int_value=2**63 - 1),
        AnyValue(double_value=0.1),
        AnyValue(bytes_value=b"\x00\xff"),
        AnyValue(array_value=ArrayValue(values=[AnyValue(string_value='a"b'), AnyValue(int_value=1)])),
        AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(bool_value=False))])),
        AnyValue(array_value=ArrayValue(values=[AnyValue(double_value=float(x)) for x in ("nan", "-inf")])),
        AnyValue(),
    ]
    insert(
        Signal.LOGS,
        request(*({"time_unix_nano": NOW_NS + n, "body": value} for n, value in enumerate(values))),
        tenant=tenant,
    )

    bodies = [row[2] for row in session.rows(READ, {"tenant": tenant})]
    assert bodies[:4] == ["true", str(2**63 - 1), "0.1", "AP8="]
    assert json.loads(bodies[4]) == ['a"b', 1]
    assert json.loads(bodies[5]) == {"k": False}
    assert json.loads(bodies[6]) == ["NaN", "-Infinity"]
    assert bodies[7] == ""


@pytest.mark.parametrize("merged", ["none", "some", "all"])
def test_words_and_attributes_can_be_searched(
    session: Session, insert: Callable[..., None], tenant: str, merged: str
) -> None:
    """Only merged parts have the text indexes; a search meets both kinds."""
    if merged == "some":
        insert(Signal.LOGS, request({"time_unix_nano": NOW_NS}), tenant=f"{tenant}-other")
        session.execute("OPTIMIZE TABLE otel_logs FINAL")
    attributes = [KeyValue(key="order", value=AnyValue(string_value="A-7"))]
    insert(
        Signal.LOGS,
        request(
            {
                "time_unix_nano": NOW_NS,
                "body": AnyValue(string_value="Card DECLINED by bank"),
                "attributes": attributes,
            },
            {"time_unix_nano": NOW_NS + 1, "body": AnyValue(string_value="paid")},
        ),
        tenant=tenant,
    )
    if merged == "all":
        session.execute("OPTIMIZE TABLE otel_logs FINAL")
    count = "SELECT count() FROM otel_logs WHERE tenant = {tenant:String} AND "

    assert session.value(count + "hasToken(lower(Body), 'declined')", {"tenant": tenant}) == 1
    assert session.value(count + "has(LogAttributeItems, 'order=A-7')", {"tenant": tenant}) == 1
    assert session.value(count + "ResourceAttributes['service.name'] = 'till'", {"tenant": tenant}) == 2


def test_they_count_as_volume_and_name_a_workload(
    session: Session, insert: Callable[..., None], tenant: str
) -> None:
    body = request({"time_unix_nano": NOW_NS}, {"time_unix_nano": NOW_NS})
    insert(Signal.LOGS, body, tenant=tenant)

    volume = (
        "SELECT signal, sum(rows), sum(bytes) FROM telemetry_volume_1h WHERE tenant = {tenant:String}"
        " GROUP BY signal"
    )
    sent = ExportLogsServiceRequest.FromString(body).resource_logs[0].scope_logs[0].log_records
    assert session.rows(volume, {"tenant": tenant}) == [("logs", 2, sum(one.ByteSize() for one in sent))]
    known = "SELECT DISTINCT service_name FROM workloads WHERE tenant = {tenant:String}"
    assert session.rows(known, {"tenant": tenant}) == [("till",)]
