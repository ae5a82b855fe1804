"""What platforms report of runs of functions, as recorded: every run once, and no text breaks an insert."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.signals import Signal
from ingest.store.engine import Session
from support import faults

DATA = Path(__file__).parents[2] / "analytics" / "data" / "functions"
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
NOON_NS = int(NOON.timestamp()) * 10**9
SECOND_NS = 10**9
FUNCTION = {"faas.name": "resize", "service.name": "resize", "cloud.provider": "aws", "faas.version": "8"}
RUN = "d661f7cf-9208-46b9-85b0-213b04a91065"
Store = Callable[..., None]
Rows = Callable[[str], list[dict[str, Any]]]
INVOCATIONS = """\
SELECT invocation_id, attempt, source, duration_ms, billed_ms, memory_mib, memory_used_mib, init_ms,
    restore_ms, is_cold_start, status, version
FROM function_invocations WHERE tenant = {tenant:String} ORDER BY invocation_id, attempt
"""
ACTIVITY = """\
SELECT source, sum(starts) AS starts, sum(ends) AS ends, sum(errors) AS errors,
    sum(cold_starts) AS cold_starts, toUInt64(sum(busy_ns)) AS busy_ns, sum(carried) AS carried
FROM activity_1s WHERE tenant = {tenant:String} GROUP BY source ORDER BY source
"""

INITIALIZATIONS = """\
SELECT source, initialization, phase, duration_ms, status, version, toUnixTimestamp(ended_at) AS ended_s
FROM function_initializations FINAL WHERE tenant = {tenant:String} ORDER BY duration_ms
"""
REQUESTS = """\
SELECT source, sum(starts) AS starts, toUInt64(sum(requests)) AS requests
FROM activity_1s WHERE tenant = {tenant:String} GROUP BY source ORDER BY source
"""


def events() -> list[str]:
    return (DATA / "lambda_telemetry.jsonl").read_text("utf-8").splitlines()


def reports() -> list[str]:
    return (DATA / "lambda_report.log").read_text("utf-8").splitlines()


def initializations() -> list[str]:
    return (DATA / "lambda_init.log").read_text("utf-8").splitlines()


@pytest.fixture
def store(insert: Callable[..., None], tenant: str) -> Store:
    """`store(bodies, time_ns, event_name=..., **attributes)`: log records of a function, or of `resource`."""

    def run(
        bodies: Sequence[str],
        time_ns: int = NOON_NS,
        event_name: str = "",
        resource: Mapping[str, str] = FUNCTION,
        **attributes: str,
    ) -> None:
        request = ExportLogsServiceRequest()
        entry = request.resource_logs.add()
        for key, text in resource.items():
            entry.resource.attributes.add(key=key).value.string_value = text
        records = entry.scope_logs.add().log_records
        for body in bodies:
            record = records.add(time_unix_nano=time_ns, event_name=event_name)
            record.body.string_value = body
            for key, text in attributes.items():
                record.attributes.add(key=key).value.string_value = text
        insert(Signal.LOGS, request.SerializeToString(), tenant=tenant)

    return run


@pytest.fixture
def spans(insert: Callable[..., None], tenant: str) -> Store:
    """`spans(invocation_id)`: the span of a run that ends at noon, after 1.2 ms."""

    def run(invocation_id: str, called: str = "faas.invocation_id", **more: str) -> None:
        request = ExportTraceServiceRequest()
        entry = request.resource_spans.add()
        for key, text in FUNCTION.items():
            entry.resource.attributes.add(key=key).value.string_value = text
        span = entry.scope_spans.add().spans.add(
            trace_id=b"\1" * 16, span_id=b"\2" * 8, name="resize", kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=NOON_NS - 1_200_000, end_time_unix_nano=NOON_NS,
        )  # fmt: skip
        span.attributes.add(key=called).value.string_value = invocation_id
        for key, text in more.items():
            span.attributes.add(key=key).value.string_value = text
        span.attributes.add(key="faas.coldstart").value.bool_value = True
        insert(Signal.TRACES, request.SerializeToString(), tenant=tenant)

    return run


@pytest.fixture
def rows(session: Session, tenant: str) -> Rows:
    """The rows of a question about the tenant."""
    return lambda sql: session.frame(sql, {"tenant": tenant}).to_dicts()


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.values())[1:-1]


def test_report_lines(store: Store, rows: Rows) -> None:
    store(reports())

    found = {row["invocation_id"][:2]: told(row) for row in rows(INVOCATIONS)}

    log = (1, "function_log")
    assert found == {
        "c7": (*log, 128.83, 200.0, 128.0, 74.0, 166.62, None, 1, ""),
        "8c": (*log, 2338.66, 2521.0, 3009.0, 173.0, None, 398.97, 1, ""),
        "33": (*log, 3000.0, 3000.0, 128.0, 60.0, None, None, 0, "timeout"),
        "5b": (*log, 1248.31, 1542.0, 128.0, 94.0, 293.05, None, 1, "error"),
        "a5": (*log, 675.96, 676.0, 3008.0, 3008.0, 3.02, None, 1, ""),
    }
    assert rows(ACTIVITY) == [
        {
            "source": "function_log", "starts": 5, "ends": 5, "errors": 2, "cold_starts": 4,
            "busy_ns": 7_391_760_000, "carried": 0,
        }
    ]  # fmt: skip


def test_events_of_the_telemetry_api(store: Store, rows: Rows) -> None:
    store(events()[1:3])
    store([json.dumps(json.loads(events()[3])["record"])], event_name="platform.report")

    found = {row["invocation_id"][:2]: told(row) for row in rows(INVOCATIONS)}

    telemetry, log = (1, "function_telemetry"), (1, "function_log")
    assert found == {
        "d6": (*log, 1.317, 2.0, 1024.0, 68.0, 10.0, None, 1, "success"),
        "55": (*log, 147.156, 201.0, 512.0, 91.0, None, 500.795, 1, "success"),
        "6d": (*telemetry, 693.92, 694.0, 128.0, 84.0, 397.68, None, 1, ""),
    }
    assert [(row["source"], row["starts"], row["errors"]) for row in rows(ACTIVITY)] == [
        ("function_log", 2, 0),
        ("function_telemetry", 1, 0),
    ]


def test_initializations_and_restores(store: Store, rows: Rows) -> None:
    """All that is told of them, whether or not a run tells the same; none of them is a run."""
    store(initializations())
    store(initializations())  # as when a batch is read twice

    assert [tuple(row.values())[:-1] for row in rows(INITIALIZATIONS)] == [
        ("function_log", "snap-start", "restore", 70.87, "timeout", "8"),
        ("function_log", "on-demand", "init", 173.778, "success", "8"),
        ("function_log", "", "init", 229.04, "error", "8"),
        ("function_log", "provisioned-concurrency", "init", 500.8, "success", "8"),
        ("function_log", "", "invoke", 8431.38, "error", "8"),
        ("function_log", "on-demand", "init", 10000.487, "timeout", "8"),
        ("function_log", "", "init", 10009.13, "timeout", "8"),
        ("function_log", "", "", 13316.04, "", "8"),
    ]
    assert rows(INVOCATIONS) == rows(ACTIVITY) == []


@pytest.mark.parametrize("whole", [True, False])
def test_an_initialization_by_the_telemetry_api(store: Store, rows: Rows, whole: bool) -> None:
    """By the event's own time, where it says one that can be."""
    event = json.loads(initializations()[6])
    event["time"] = (NOON - timedelta(seconds=9)).isoformat().replace("+00:00", "Z")
    body = event if whole else event["record"]
    store([json.dumps(body, separators=(",", ":"))], event_name="platform.initReport")

    (row,) = rows(INITIALIZATIONS)
    assert (row["source"], row["initialization"]) == ("function_telemetry", "provisioned-concurrency")
    assert row["ended_s"] == NOON_NS // SECOND_NS - (9 if whole else 0)


def test_the_last_lines_of_runs_in_google_functions(store: Store, rows: Rows) -> None:
    """As the Collector's googlecloudlogentry encoding has them, and with the label as it is."""
    ended, fine, late = (DATA / "google_execution.log").read_text("utf-8").splitlines()
    store([ended], **{"gcp.label.execution_id": "grcug3cacqj4"})
    store([fine], execution_id="z8gu6up9lfet")
    store([late, ended.replace("200", "503")], **{"faas.invocation.id": "late"})
    store([ended])

    found = {row["invocation_id"]: told(row) for row in rows(INVOCATIONS) if row["invocation_id"] != "late"}

    unknown = (None, None, None, None, None, 0, "success")
    assert found == {
        "grcug3cacqj4": (1, "function_log", 426.0, *unknown),
        "z8gu6up9lfet": (1, "function_log", 872.0, *unknown),
    }
    assert [(row["starts"], row["errors"], row["busy_ns"]) for row in rows(ACTIVITY)] == [
        (4, 2, 61_724_000_000)
    ]


def test_metrics_of_requests_in_alibaba_functions(store: Store, rows: Rows) -> None:
    """Values as texts, as its log service has them, and as numbers."""
    warm, cold = (DATA / "alibaba_request.jsonl").read_text("utf-8").splitlines()
    began_ms = NOON_NS // 1_000_000 - 5000
    store([warm.replace("1705476027407", str(began_ms)), cold])
    store([warm.replace("InvokeFunction", "PutFunction").replace("1-65a7", "2-65a7")])
    unmeasured = json.loads(cold) | {"requestId": "unmeasured", "errorType": "FunctionTimeoutError"}
    del unmeasured["coldStartLatencyMs"]
    store([json.dumps(unmeasured)])

    found = {row["invocation_id"][:2]: told(row) for row in rows(INVOCATIONS)}

    log = (1, "function_log")
    assert found == {
        "1-": (*log, 1.56, None, 512.0, 8.99, None, None, 0, "success"),
        "db": (*log, 20.2, None, 512.0, 410.0, 350.5, None, 1, "error"),
        "un": (*log, 20.2, None, 512.0, 410.0, None, None, 1, "timeout"),
    }
    ended = rows(
        "SELECT toUnixTimestamp64Milli(ended_at) AS ended_ms FROM function_invocations"
        " WHERE tenant = {tenant:String} AND invocation_id LIKE '1-%'"
    )
    assert ended == [{"ended_ms": began_ms + 1}]
    assert [(row["starts"], row["errors"], row["cold_starts"]) for row in rows(ACTIVITY)] == [(3, 2, 2)]


def test_requests_of_cloud_run(store: Store, rows: Rows) -> None:
    """Whole entries of Cloud Logging, and as the Collector's googlecloudlogentry encoding takes them apart:
    without a body, with the time at which the request began."""
    slow, quick = (DATA / "cloud_run_request.jsonl").read_text("utf-8").splitlines()
    began = f"{NOON:%Y-%m-%d}T12:00:01.018142Z"
    store([slow.replace("2025-12-29T00:58:51.018142Z", began)], NOON_NS + 62 * SECOND_NS)
    store([quick])
    apart = {"http.request.server.duration": "0.0255", "http.response.status_code": "404"}
    store([""], **apart, **{"log.record.uid": "apart"})
    store([""], **(apart | {"http.request.server.duration": "2.5e-05"}), **{"log.record.uid": "tiny"})
    store([""], **apart)
    store(["hello"], **apart, **{"log.record.uid": "of the application"})

    found = {row["invocation_id"]: told(row) for row in rows(INVOCATIONS)}

    log, unknown = (1, "function_log"), (None, None, None, None, None, 0)
    assert found == {
        "6951d2870005ef93ee656b6e": (*log, 60369.159, *unknown, "error"),
        "67da1935000dea14e3a00230": (*log, 783.137, *unknown, "error"),
        "apart": (*log, 25.5, *unknown, "success"),
        "tiny": (*log, 0.025, *unknown, "success"),
    }
    ended = rows(
        "SELECT invocation_id AS id, toUnixTimestamp64Milli(ended_at) AS ended_ms FROM function_invocations"
        " WHERE tenant = {tenant:String} AND (id = 'apart' OR id LIKE '6951%') ORDER BY id"
    )
    noon_ms = NOON_NS // 10**6
    assert ended == [
        {"id": "6951d2870005ef93ee656b6e", "ended_ms": noon_ms + 1018 + 60369},
        {"id": "apart", "ended_ms": noon_ms + 25},
    ]


def test_reports_of_tencent_functions(store: Store, rows: Rows) -> None:
    """Values as texts, as its log service has them, and as numbers; a line of a beginning tells of no run."""
    fine, late, begun = (DATA / "tencent_report.jsonl").read_text("utf-8").splitlines()
    began_ms = NOON_NS // 10**6 - 5000
    store([begun, fine.replace("1640577239192", str(began_ms)), late])
    store([late.replace("433", "430").replace("09c346d3", "failed")])
    store([late.replace('"Report ', '"ERROR ').replace("09c346d3", "spoken")])

    found = {row["invocation_id"][:2]: told(row) for row in rows(INVOCATIONS)}

    log = (1, "function_log")
    assert found == {
        "a7": (*log, 23.0, None, None, 21.0, None, None, 0, "success"),
        "09": (*log, 3000.0, None, None, 30.0, None, None, 0, "timeout"),
        "fa": (*log, 3000.0, None, None, 30.0, None, None, 0, "error"),
    }
    ended = rows(
        "SELECT toUnixTimestamp64Milli(ended_at) AS ended_ms FROM function_invocations"
        " WHERE tenant = {tenant:String} AND invocation_id LIKE 'a7%'"
    )
    assert ended == [{"ended_ms": began_ms + 23}]
    assert [(row["starts"], row["errors"]) for row in rows(ACTIVITY)] == [(3, 2)]


def test_who_is_no_function_may_log_the_same(store: Store, rows: Rows) -> None:
    bodies = [
        line
        for name in (
            "google_execution.log", "alibaba_request.jsonl", "cloud_run_request.jsonl",
            "tencent_report.jsonl",
        )
        for line in (DATA / name).read_text("utf-8").splitlines()
    ]  # fmt: skip
    took = {"http.request.server.duration": "0.1"}
    store([*bodies, ""], resource={"service.name": "shop"}, execution_id="x", **took)

    assert rows(INVOCATIONS) == rows(ACTIVITY) == []


@pytest.mark.parametrize("called", ["faas.invocation_id", "faas.invocation.id"])
def test_a_span_says_which_run_it_is_by_either_name(spans: Store, rows: Rows, called: str) -> None:
    spans(RUN, called)
    spans("", called)
    spans("a probe", called, **{"user_agent.original": "kube-probe/1.29"})

    assert [(row["invocation_id"], row["source"]) for row in rows(INVOCATIONS)] == [(RUN, "application")]


def test_an_event_that_comes_by_two_ways_is_one(store: Store, rows: Rows) -> None:
    """From the Telemetry API, and from the function's log, whose records have times of their own."""
    event = {**json.loads(events()[1]), "time": f"{NOON:%Y-%m-%dT%H:%M:%S}.000Z"}
    store([json.dumps(event, separators=(",", ":"))], NOON_NS + 41 * 10**6)
    store([json.dumps(event["record"])], event_name="platform.report")

    assert [(row["attempt"], row["billed_ms"]) for row in rows(INVOCATIONS)] == [(1, 2.0)]
    assert [(row["source"], row["starts"], row["requests"]) for row in rows(REQUESTS)] == [
        ("function_log", 1, 1),
        ("function_telemetry", 1, 1),
    ], "of a workload's sources one is believed"


def test_one_run_told_by_everyone_is_one(store: Store, spans: Store, rows: Rows) -> None:
    line = f"REPORT RequestId: {RUN}\tDuration: 1.32 ms\tBilled Duration: 2 ms\tMemory Size: 1024 MB"
    spans(RUN)
    assert [(row["source"], row["is_cold_start"]) for row in rows(INVOCATIONS)] == [("application", 1)]
    store([events()[0]], NOON_NS - 10**6)
    assert [row["source"] for row in rows(INVOCATIONS)] == ["function_runtime"]
    store([line], NOON_NS + 7 * 10**6)
    assert [row["source"] for row in rows(INVOCATIONS)] == ["function_log"]
    for _ in range(2):
        store([json.dumps(json.loads(events()[1])["record"])], event_name="platform.report")

    (row,) = rows(INVOCATIONS)

    assert (row["source"], row["duration_ms"], row["version"]) == ("function_telemetry", 1.317, "8")


def test_a_retry_is_a_run_of_its_own(store: Store, rows: Rows) -> None:
    """Both attempts have the same id; one of the two events got lost, its line did not."""
    timed_out = reports()[2]
    event = events()[1].replace(RUN, "33333333-2222-1111-0000-999999999999")
    store([timed_out])
    store([timed_out], NOON_NS + 60 * SECOND_NS)
    store([event], NOON_NS + 60 * SECOND_NS)

    assert [(row["attempt"], row["source"], row["duration_ms"]) for row in rows(INVOCATIONS)] == [
        (1, "function_log", 3000.0),
        (2, "function_log", 3000.0),
    ]


BROKEN = [
    "REPORT RequestId: ",
    "REPORT RequestId: x",
    "REPORT RequestId: x\tDuration: many ms",
    "REPORT RequestId: x\tDuration: -1 ms",
    "REPORT RequestId: x\tDuration: 604800001 ms",
    "REPORT RequestId: x\tDuration: 1e9 ms",
    '{"time":"","type":"platform.report"',
    '{"time":"","type":"platform.report","record":null}',
    '{"time":"","type":"platform.report","record":{"requestId":null,"metrics":{"durationMs":1}}}',
    '{"time":"","type":"platform.report","record":{"requestId":"x","metrics":{"durationMs":"1"}}}',
    '{"time":"","type":"platform.report","record":{"requestId":"x","metrics":[]}}',
    "INIT_REPORT Init Duration: ",
    "INIT_REPORT Init Duration: long ms",
    "INIT_REPORT Init Duration: 604800001 ms",
    "RESTORE_REPORT Restore Duration: -1 ms",
    '{"time":"","type":"platform.initReport","record":null}',
    '{"time":"","type":"platform.initReport","record":{"phase":1,"metrics":{"durationMs":"x"}}}',
    '{"time":"","type":"platform.restoreReport","record":{"metrics":[]}}',
    "Function execution took ",
    "Function execution took long",
    "Function execution took 1e3 ms, finished with status: 'ok'",
    '{"isColdStart":[],"resourceMode":{}',
    '{"isColdStart":true,"resourceMode":"","requestId":{},"operation":"InvokeFunction","durationMs":"x"}',
    '{"isColdStart":true,"resourceMode":"","requestId":"x","operation":"InvokeFunction","durationMs":-1}',
    '{"SCF_RequestId":',
    '{"SCF_RequestId":"x","SCF_Message":"Report ","SCF_StatusCode":"200"}',
    '{"SCF_RequestId":"x","SCF_Message":["Report "],"SCF_Duration":"1","SCF_StatusCode":{}}',
    '{"SCF_RequestId":"x","SCF_Message":"Report x","SCF_Duration":"1e9","SCF_MemUsage":"much"}',
    '{"logName":"/logs/run.googleapis.com%2Frequests"',
    '{"logName":"/logs/run.googleapis.com%2Frequests","insertId":"x","httpRequest":[],"timestamp":7}',
    '{"logName":"/logs/run.googleapis.com%2Frequests","insertId":"x","httpRequest":{"latency":"soon"}}',
]


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_not_understood_is_no_run(store: Store, rows: Rows, body: str) -> None:
    store([body], execution_id="x")

    assert rows(INVOCATIONS) == rows(ACTIVITY) == rows(INITIALIZATIONS) == []
    assert rows("SELECT Body FROM otel_logs WHERE tenant = {tenant:String}") == [{"Body": body}]


def test_a_run_longer_than_since_1970(store: Store, rows: Rows) -> None:
    """Busy from 1970 on, a nanosecond here. A merge may have dropped what is that old, or not yet."""
    store([reports()[2]], 1)

    assert [row["busy_ns"] for row in rows(ACTIVITY)] in ([], [1])


@given(
    text=st.one_of(
        st.text(max_size=60),
        st.from_regex(r"\AREPORT RequestId: \S{0,3}(\t[A-Z][a-z]{2} ?Duration: [0-9.eE+-]{0,12} ms){0,3}\Z"),
        st.recursive(
            st.none() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: st.dictionaries(
                st.sampled_from(["record", "metrics", "requestId", "durationMs", "status"]), inner
            ),
        ).map(lambda value: '{"time":"","type":"platform.report","record":' + repr(value) + "}"),
    ),
    event_name=st.sampled_from(["", "platform.report", "platform.runtimeDone", "platform.initReport"]),
)
@pytest.mark.timeout(faults.times(120, 3000))
@settings(
    max_examples=faults.times(20, 2000),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
def test_no_text_breaks_an_insert(store: Store, text: str, event_name: str) -> None:
    alibaba = '{"isColdStart":true,"resourceMode":"","operation":"InvokeFunction","requestId":"x",'
    bodies = [text, "REPORT RequestId: " + text, "Function execution took " + text]
    bodies += ["INIT_REPORT Init Duration: " + text, text.replace("platform.report", "platform.initReport")]
    times = [f'"{key}":{text}' for key in ("durationMs", "invocationStartTimestamp", "memoryMB")]
    tencent = '{"SCF_RequestId":"x","SCF_Message":"Report x","SCF_Duration":1,'
    told = [f'"{key}":{text}' for key in ("SCF_StartTime", "SCF_MemUsage", "SCF_StatusCode", "SCF_Duration")]
    entry = '{"logName":"/logs/run.googleapis.com%2Frequests","insertId":"x",'
    said = [
        f'"timestamp":{text}',
        f'"httpRequest":{text}',
        f'"httpRequest":{{"latency":{text},"status":{text}}}',
    ]
    bodies += [
        f"{begin}{each}}}"
        for begin, many in ((alibaba, times), (tencent, told), (entry, said))
        for each in many
    ]
    store(bodies, event_name=event_name, execution_id="x")
    store([""], **{"http.request.server.duration": text or "0", "http.response.status_code": text})
