"""Access logs of proxies, as recorded: what is read of each line, and that no text breaks an insert."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ingest.signals import Signal
from ingest.store.engine import Session
from support import faults

DATA = Path(__file__).parents[2] / "analytics" / "data" / "mesh"
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
"""What was recorded is put into this day: what is too old is not kept."""
RECORDED_NS = int((DAY + timedelta(hours=6, minutes=16, seconds=9)).timestamp()) * 10**9
HTTPBIN_NS = int((DAY + timedelta(hours=21, minutes=26, seconds=19)).timestamp()) * 10**9
POD = {
    "k8s.namespace.name": "shop", "k8s.deployment.name": "reviews", "k8s.container.name": "istio-proxy",
    "service.name": "reviews",
}  # fmt: skip
TEXTS = ("envoy_default.log", "envoy_istio.log")
Store = Callable[..., None]


def lines(name: str) -> list[str]:
    text = (DATA / name).read_text("utf-8")
    return re.sub(r"20(26-11-23|20-11-25)(?=T)", f"{DAY:%Y-%m-%d}", text).splitlines()


@pytest.fixture
def store(insert: Callable[..., None], tenant: str) -> Store:
    """`store(bodies, time_ns, attributes=...)`: log records, as a Collector that reads files sends them."""

    def run(
        bodies: Sequence[str], time_ns: int = RECORDED_NS, resource: dict[str, str] = POD,
        attributes: Sequence[dict[str, str]] = (), event_name: str = "",
    ) -> None:  # fmt: skip
        request = ExportLogsServiceRequest()
        entry = request.resource_logs.add()
        for key, text in resource.items():
            entry.resource.attributes.add(key=key).value.string_value = text
        records = entry.scope_logs.add().log_records
        for number, body in enumerate(bodies):
            record = records.add(time_unix_nano=time_ns, event_name=event_name)
            record.body.string_value = body
            for key, text in attributes[number].items() if attributes else ():
                record.attributes.add(key=key).value.string_value = text
        insert(Signal.LOGS, request.SerializeToString(), tenant=tenant)

    return run


@pytest.fixture
def rows(session: Session, tenant: str) -> Callable[[str], list[dict[str, Any]]]:
    """The rows of a question about the tenant."""
    return lambda sql: session.frame(sql, {"tenant": tenant}).to_dicts()


FORMS = """\
SELECT form, sum(lines) AS lines FROM access_log_1h WHERE tenant = {tenant:String} GROUP BY form ORDER BY form
"""
ACTIVITY = """\
SELECT source, sum(starts) AS starts, sum(ends) AS ends, sum(errors) AS errors,
    toUInt64(sum(busy_ns)) AS busy_ns, sum(carried) AS carried, toString(min(second)) AS first,
    arraySum(mapValues(sumMap(durations))) AS durations
FROM activity_1s WHERE tenant = {tenant:String} GROUP BY source
"""
OVERHEAD = """\
SELECT direction, sum(requests) AS requests, sum(duration_ms) AS duration_ms, sum(upstream_ms) AS upstream_ms,
    sum(overhead_ms) AS overhead_ms, max(overhead_ms_max) AS longest_ms
FROM proxy_overhead_1m WHERE tenant = {tenant:String} GROUP BY direction ORDER BY direction
"""
EDGES = """\
SELECT reporter, destination_service, destination_namespace, security, response_class, response_flags,
    sum(requests_delta) AS requests
FROM mesh_edges_1m WHERE tenant = {tenant:String} GROUP BY ALL ORDER BY ALL
"""


@pytest.mark.parametrize(
    ("name", "form"), [("envoy_default.log", "text"), ("envoy_istio.log", "text"), ("envoy_json.log", "json")]
)
def test_the_same_requests_in_every_format(store: Store, rows: Any, name: str, form: str) -> None:
    store(lines(name))

    (activity,) = rows(ACTIVITY)
    (overhead,) = rows(OVERHEAD)
    durations = [json.loads(line)["duration"] for line in lines("envoy_json.log")]

    assert rows(FORMS) == [{"form": form, "lines": 13}]
    assert (activity["source"], activity["starts"], activity["ends"]) == ("access_log", 13, 13)
    assert (activity["errors"], activity["durations"]) == (3, 13)
    assert activity["busy_ns"] == sum(durations) * 10**6
    assert activity["first"] == f"{DAY:%Y-%m-%d} 06:16:08"
    assert (overhead["direction"], overhead["requests"]) == ("inbound", 11)
    assert (overhead["duration_ms"], overhead["upstream_ms"]) == (335, 157)
    assert (overhead["overhead_ms"], overhead["longest_ms"]) == (178, 45)


def test_attributes_that_were_parsed_before(store: Store, rows: Any) -> None:
    entries = [
        {key: "" if value is None else str(value) for key, value in json.loads(line).items()}
        for line in lines("envoy_json.log")
    ]
    entries[0]["upstream_service_time"] = "1.000"
    store(["GET"] * 13, attributes=entries)

    assert rows(FORMS) == [{"form": "attributes", "lines": 13}]
    assert rows(OVERHEAD)[0]["overhead_ms"] == 178


def test_both_sidecars_of_one_request(store: Store, rows: Any) -> None:
    caller, callee = lines("istio_httpbin.log")
    store([caller], HTTPBIN_NS, {**POD, "k8s.deployment.name": "sleep"})
    store([callee], HTTPBIN_NS, {**POD, "k8s.deployment.name": "httpbin"})

    assert [(row["starts"], row["busy_ns"]) for row in rows(ACTIVITY)] == [(1, 3 * 10**6)]
    assert [(row["direction"], row["overhead_ms"]) for row in rows(OVERHEAD)] == [
        ("inbound", 2),
        ("outbound", 0),
    ]
    service = "httpbin.foo.svc.cluster.local"
    assert [tuple(row.values())[:5] for row in rows(EDGES)] == [
        ("destination", service, "shop", "mutual_tls", "4xx"), ("source", service, "foo", "", "4xx"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "status", "method", "is_error"),
    [
        ("grpc_status", "Unavailable", "POST", True),
        ("grpc_status", "DEADLINE_EXCEEDED", "POST", True),
        ("grpc_status_number", "14", "POST", True),
        ("grpc_status_number", 13, "POST", True),
        ("grpc_status", "OK", "POST", False),
        ("grpc_status", "NotFound", "POST", False),
        ("grpc_status", "-", "POST", False),
        ("grpc_status", "Unknown", "GET", False),  # an old Envoy, of what is not gRPC
    ],
)
def test_errors_of_grpc(
    store: Store, rows: Any, key: str, status: str | int, method: str, is_error: bool
) -> None:
    """Formats with the status as one key or, in text, one field more, as users add it."""
    entry = {**json.loads(lines("envoy_json.log")[0]), key: status, "method": method}
    texts = [line.replace('"GET', f'"{method}') for line in (lines(name)[0] for name in TEXTS)]
    store([json.dumps(entry), *(f"{line} {status}" for line in texts)])

    assert rows(FORMS) == [{"form": form, "lines": n} for form, n in (("json", 1), ("text", 2))]
    assert rows(ACTIVITY)[0]["errors"] == (3 if is_error else 0)
    assert [row["response_class"] for row in rows(EDGES)] == ["grpc_error" if is_error else "2xx"]


def test_flags_and_connections(store: Store, rows: Any) -> None:
    store([*lines("envoy_istio.log"), *lines("envoy_tcp.log")])

    flags = {row["response_flags"]: row["requests"] for row in rows(EDGES) if row["response_flags"]}
    connections = "SELECT sum(connections_delta) AS n FROM mesh_edges_1m WHERE tenant = {tenant:String}"

    assert flags == {"UF": 1, "UT": 1}
    assert rows(connections) == [{"n": 1}]
    assert rows(ACTIVITY)[0]["starts"] == 13, "a connection is no request"


def test_what_is_not_understood_is_counted(store: Store, rows: Any) -> None:
    whole = lines("envoy_istio.log")[0]
    store([
        whole, whole.replace("HTTP/1.1", ""), whole.replace(" 200 ", " OK "), whole[:60],
        whole.replace(f"[{DAY:%Y}", "[2001"), whole.replace(f"[{DAY:%Y}", "[2149"), '{"response_flags": 1}',
        '{"response_flags"', "2026-11-23T06:00:00Z\tinfo\tEnvoy proxy is ready", "GET / 200 custom", "",
    ])  # fmt: skip

    forms = {row["form"]: row["lines"] for row in rows(FORMS)}

    assert forms == {"text": 1, "unknown": 7, "other": 3}
    assert rows(ACTIVITY)[0]["starts"] == 1


def test_lines_of_other_containers_are_nobodys(store: Store, rows: Any) -> None:
    store(["GET / 200", '{"level": "info"}', "[main] ready"], resource={**POD, "k8s.container.name": "app"})

    assert rows(FORMS) == []


def test_probes_and_whole_nights(store: Store, rows: Any) -> None:
    line = lines("envoy_istio.log")[0]
    before = f"{DAY - timedelta(days=1):%Y-%m-%d}T23:59:59.000"
    late = line.replace(f"{DAY:%Y-%m-%d}T06:16:08.043", before).replace(" 5 2 1 ", " 5 2000 1 ")
    store([line.replace("curl/7.88.1", "kube-probe/1.30"), late])

    found = {row["source"]: row for row in rows(ACTIVITY)}

    assert (found["probe"]["starts"], found["access_log"]["starts"]) == (1, 1)
    assert (found["access_log"]["carried"], found["access_log"]["busy_ns"]) == (1, 2 * 10**9)
    assert rows(OVERHEAD)[0]["requests"] == 1


def test_a_cluster_by_its_name_for_statistics_is_the_same(store: Store, rows: Any) -> None:
    """Istio ends those with a semicolon since 1.23. Envoy's gRPC service says them, and JSON did until 1.24.2
    (istio/istio#54219)."""
    caller, callee = (
        line.replace("||httpbin.foo.svc.cluster.local ", "||httpbin.foo.svc.cluster.local; ").replace(
            "inbound|8000|| ", "inbound|8000||; "
        )
        for line in lines("istio_httpbin.log")
    )
    assert ";" in caller
    assert ";" in callee
    store([caller], HTTPBIN_NS)
    store([callee], HTTPBIN_NS)

    assert [tuple(row.values())[:3] for row in rows(EDGES)] == [
        ("destination", "httpbin.foo.svc.cluster.local", "shop"),
        ("source", "httpbin.foo.svc.cluster.local", "foo"),
    ]


def test_a_waypoint_is_asked_for_another(store: Store, rows: Any) -> None:
    line = lines("istio_httpbin.log")[0].replace("outbound|8000||", "inbound-vip|8000|http|")
    store([line], HTTPBIN_NS)

    assert rows(ACTIVITY) == []
    assert [(row["reporter"], row["destination_service"]) for row in rows(EDGES)] == [
        ("waypoint", "httpbin.foo.svc.cluster.local")
    ]  # fmt: skip


PIECES = st.one_of(
    st.sampled_from([*lines("envoy_istio.log"), *lines("envoy_json.log"), *lines("envoy_tcp.log")]),
    st.sampled_from(['"', " ", '[2026-11-23T06:16:08.043Z] "', "-", "9" * 30, "outbound|", "{", "}", "\0"]),
    st.sampled_from(['{"response_flags":', '"duration":1e308', '"response_code":"200"', "null", "NaN", ","]),
    st.text(max_size=8),
)  # fmt: skip


@pytest.mark.timeout(faults.times(120, 3000))
@settings(max_examples=faults.times(10, 500), suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.lists(PIECES, max_size=12).map("".join), min_size=20, max_size=40))
def test_no_text_breaks_an_insert(store: Store, rows: Any, texts: list[str]) -> None:
    before = sum(row["lines"] for row in rows(FORMS))

    store(texts)

    assert sum(row["lines"] for row in rows(FORMS)) - before == len(texts)
