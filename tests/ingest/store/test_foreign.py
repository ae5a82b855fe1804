"""What came in other protocols is in the tables that are made of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.foreign import envoy, lambda_telemetry, zipkin
from collector.foreign.envoy_messages import STREAM_MESSAGE
from ingest.signals import Signal
from ingest.store.engine import Session

DATA = Path(__file__).parents[2] / "collector" / "foreign" / "data"
LIMITS = {"limit_bytes": 1 << 20, "memory_bytes": 1 << 26}
Insert = Callable[..., None]


def test_an_entry_of_envoy_is_one_of_an_access_log(insert: Insert, session: Session, tenant: str) -> None:
    message = STREAM_MESSAGE()
    message.identifier.node.id = "sidecar~10.1.2.3~reviews-1.shop~shop.svc.cluster.local"
    entry = message.http_logs.log_entry.add()
    entry.request.request_method = 1
    entry.response.response_code.value = 503
    common = entry.common_properties
    common.start_time.seconds = int(time.time()) - 60
    common.upstream_cluster = "inbound|8080||"
    common.response_flags.UF = common.response_flags.URX = True
    common.duration.nanos = 12_500_000
    common.time_to_last_rx_byte.nanos = 1_000_000
    common.time_to_first_upstream_rx_byte.nanos = 11_250_000
    insert(Signal.LOGS, envoy.translate(message.SerializeToString(), **LIMITS).body, tenant=tenant)
    found = session.frame(
        "SELECT form, lines FROM access_log_1h WHERE tenant = {tenant:String}", {"tenant": tenant}
    ).to_dicts()
    assert found == [{"form": "attributes", "lines": 1}]
    (overhead,) = session.frame(
        "SELECT direction, sum(requests) AS requests, sum(duration_ms) AS duration_ms,"
        " sum(upstream_ms) AS upstream_ms FROM proxy_overhead_1m WHERE tenant = {tenant:String}"
        " GROUP BY direction",
        {"tenant": tenant},
    ).to_dicts()
    assert overhead == {"direction": "inbound", "requests": 1, "duration_ms": 12.5, "upstream_ms": 10.25}


def test_the_status_of_grpc_is_in_the_trailers(insert: Insert, session: Session, tenant: str) -> None:
    message = STREAM_MESSAGE()
    for status, where in (("0", "trailers"), ("14", "trailers"), ("13", "headers"), ("5", "headers")):
        entry = message.http_logs.log_entry.add()
        entry.request.request_method = 3
        entry.response.response_code.value = 200
        getattr(entry.response, f"response_{where}").add(key="grpc-status", value=status)
        entry.common_properties.start_time.seconds = int(time.time()) - 60
        entry.common_properties.duration.nanos = 1
    insert(Signal.LOGS, envoy.translate(message.SerializeToString(), **LIMITS).body, tenant=tenant)
    found = session.frame(
        "SELECT response_class, sum(requests_delta) AS requests FROM mesh_edges_1m"
        " WHERE tenant = {tenant:String} GROUP BY response_class ORDER BY response_class",
        {"tenant": tenant},
    ).to_dicts()
    assert [tuple(row.values()) for row in found] == [("2xx", 2), ("grpc_error", 2)]


def test_a_report_of_lambda_is_a_run_of_a_function(insert: Insert, session: Session, tenant: str) -> None:
    events = json.loads((DATA / "lambda_telemetry.json").read_bytes())
    for event in events:
        event["time"] = datetime.now(UTC).isoformat()
    translated = lambda_telemetry.translate(json.dumps(events).encode(), {}, **LIMITS)
    insert(Signal.LOGS, translated.body, tenant=tenant)
    (run,) = session.frame(
        "SELECT * FROM function_invocations WHERE tenant = {tenant:String}", {"tenant": tenant}
    ).to_dicts()
    expected = {
        "workload_kind": "Function", "workload_name": "myFunction", "source": "function_telemetry",
        "invocation_id": "d661f7cf-9208-46b9-85b0-213b04a91065", "duration_ms": 1.317, "billed_ms": 2,
        "memory_mib": 1024, "memory_used_mib": 68, "init_ms": 10, "is_cold_start": 1, "status": "success",
        "version": "$LATEST",
    }  # fmt: skip
    assert {name: run[name] for name in expected} == expected


def test_shared_spans_of_zipkin_are_two_sides_of_a_call(
    insert: Insert, session: Session, tenant: str
) -> None:
    spans = json.loads((DATA / "zipkin_ascend.json").read_bytes())
    late_us = (int(time.time()) - 3600) * 10**6 - spans[0]["timestamp"]
    for span in spans:
        span["timestamp"] += late_us
    insert(Signal.TRACES, zipkin.translate(json.dumps(spans).encode(), **LIMITS).body, tenant=tenant)
    found: list[dict[str, Any]] = session.frame(
        "SELECT edge_id, groupUniqArray(toString(side)) AS sides FROM half_edges WHERE"
        " tenant = {tenant:String} GROUP BY edge_id HAVING length(sides) = 2 ORDER BY edge_id",
        {"tenant": tenant},
    ).to_dicts()
    assert [sorted(edge["sides"]) for edge in found] == [["callee", "caller"], ["callee", "caller"]]
