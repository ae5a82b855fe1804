"""Cold starts of functions and starts of pods: as frames, over HTTP and as a command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from starlette.testclient import TestClient

from analytics.answers import Basis
from analytics.cold_starts import SEEN_FOR, cold_starts_answer, waited_for, with_others
from analytics.queries import TIME, read_range
from analytics.settings import AnalyticsSettings
from analytics.waking import WHO, wakes
from analytics.window import Window
from api.app import Routers, create_app
from api.cold_starts import cold_starts_router
from api.desk import Desk
from api.settings import ApiSettings
from ingest.signals import Signal
from ingest.store.engine import Engine, Session
from support.callers import Keeper
from support.kubernetes import sample, written

REPORTS = Path(__file__).parent / "data" / "functions" / "lambda_report.log"
INITIALIZATIONS = REPORTS.with_name("lambda_init.log")
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
WINDOW = f"{START.isoformat()}/{(START + timedelta(hours=2)).isoformat()}"
START_S = round(START.timestamp())
POD_SCHEMA = {
    "cluster": pl.String, "namespace": pl.String, "workload_kind": pl.String, "workload_name": pl.String,
    "created_at": TIME, "ready_at": TIME, "seen_at": TIME,
}  # fmt: skip


ISTIO = (
    '[{begun:%Y-%m-%dT%H:%M:%S}.000Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 512 {duration_ms} 11 "-" '
    '"curl/8" "0000" "web:80" "10.0.0.7:8080" inbound|8080|| 127.0.0.6:41 10.0.0.7:8080 10.0.0.9:55 '
    "outbound_.80_._.web.shop.svc.cluster.local default"
)
"""A line of Istio's access log, inbound."""


def events_of(pod: str, *steps: tuple[float, str, str, str]) -> bytes:
    request = ExportLogsServiceRequest()
    for at_s, container, reason, message in steps:
        entry = request.resource_logs.add()
        field = f"spec.containers{{{container}}}" if container else ""
        for key, text in {"kind": "Pod", "name": pod, "uid": pod, "fieldpath": field}.items():
            entry.resource.attributes.add(key=f"k8s.object.{key}").value.string_value = text
        record = entry.scope_logs.add().log_records.add(time_unix_nano=round((START_S + at_s) * 10**9))
        record.body.string_value = message
        for key, text in {"k8s.event.reason": reason, "k8s.namespace.name": "shop"}.items():
            record.attributes.add(key=key).value.string_value = text
    return request.SerializeToString()


def pod(name: str, kind: str, created_s: int, ready_s: int, seen_s: int, owner: str = "web") -> bytes:
    """What scrapes say of a pod, each minute until `seen_s`; all from the start of the window."""
    who = {"namespace": "shop", "pod": name, "uid": name}
    return written(
        one
        for at_s in sorted({*range(ready_s, seen_s, 60), seen_s})
        for one in (
            sample("kube_pod_info", (START_S + at_s) * 1000, 1, node="n1", **who),
            sample("kube_pod_owner", (START_S + at_s) * 1000, 1, owner_kind=kind, owner_name=owner, **who),
            sample("kube_pod_created", (START_S + at_s) * 1000, START_S + created_s, **who),
            sample("kube_pod_status_ready_time", (START_S + at_s) * 1000, START_S + ready_s, **who),
        )
    )


@pytest.fixture
def estate(telemetry: Any) -> None:
    """A function of which Lambda tells five runs, four of them cold; and a StatefulSet that slept: web-1
    comes alone, web-2 beside it, web-3 long after both have gone."""
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    for key, text in {"faas.name": "resize", "service.name": "resize"}.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    records = entry.scope_logs.add().log_records
    for line in REPORTS.read_text("utf-8").splitlines():
        records.add(time_unix_nano=(START_S + 600) * 10**9).body.string_value = line
    telemetry.body(Signal.LOGS, request.SerializeToString())
    for name, created_s, ready_s, seen_s in (
        ("web-1", 60, 70, 900), ("web-2", 300, 304, 600), ("web-3", 3000, 3030, 3600),
    ):  # fmt: skip
        telemetry.body(Signal.METRICS, pod(name, "StatefulSet", created_s, ready_s, seen_s))
    telemetry.body(Signal.METRICS, pod("night", "Job", 100, 103, 160, owner="nightly"))
    telemetry.body(
        Signal.LOGS,
        events_of(
            "web-3",
            (3001, "", "Scheduled", "Successfully assigned shop/web-3 to n1"),
            (3014, "web", "Pulled", 'Successfully pulled image "web:1" in 12.5s'),
            (3016, "web", "Started", "Started container web"),
        ),
    )
    asked = {"k8s.namespace.name": "shop", "k8s.statefulset.name": "web", "service.name": "web"}
    for name, at_s, seconds in (
        ("web-1", 30, 5.0),
        ("web-1", 80, 0.1),
        ("web-3", 3050, 0.02),
        ("web-3", 3040, 0.9),
    ):
        resource = {**asked, "k8s.pod.name": name}
        telemetry.requests(resource, [(START + timedelta(seconds=at_s), seconds)])
    log = ExportLogsServiceRequest()
    entry = log.resource_logs.add()
    for key, text in {**asked, "k8s.pod.name": "web-2", "k8s.container.name": "istio-proxy"}.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    for at_s, duration_ms in ((420, 20), (400, 75)):
        begun = START + timedelta(seconds=at_s)
        record = entry.scope_logs.add().log_records.add(time_unix_nano=round(begun.timestamp()) * 10**9)
        record.body.string_value = ISTIO.format(begun=begun, duration_ms=duration_ms)
    telemetry.body(Signal.LOGS, log.SerializeToString())
    telemetry.store()


@pytest.fixture
def client(migrated: Engine, tenant: str) -> Iterator[TestClient]:
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)
    routers = Routers(strict=[cold_starts_router(migrated, basis, Desk())])
    app = create_app(ApiSettings(), routers, loopback_only=True, keeper=Keeper(tenant))
    with TestClient(app, base_url="http://127.0.0.1") as opened:
        yield opened


@pytest.mark.usefixtures("estate")
def test_over_http(client: TestClient) -> None:
    response = client.get("/api/v1/cold-starts", params={"window": WINDOW})

    assert response.status_code == 200
    function, pods = response.json()["rows"]
    assert (function["kind"], function["service"], function["told_by"]) == (
        "function", "resize", ["function_log"]
    )  # fmt: skip
    assert (function["starts"], function["runs"], function["share"]) == (4, 5, 0.8)
    assert function["total"] == {"count": 4, "p50_ms": 293.05, "p95_ms": 398.97, "longest_ms": 398.97}
    assert (function["init"]["count"], function["init"]["longest_ms"]) == (3, 293.05)
    assert function["restore"]["longest_ms"] == 398.97
    assert (function["first_run"]["longest_ms"], function["warm_run"]["p50_ms"]) == (2338.66, 3000.0)
    assert (pods["kind"], pods["workload_kind"], pods["name"]) == ("pod", "StatefulSet", "web")
    assert (pods["starts"], pods["from_zero"], pods["runs"]) == (3, 2, None)
    assert pods["total"] == {"count": 3, "p50_ms": 10_000, "p95_ms": 30_000, "longest_ms": 30_000}
    assert pods["schedule"] == {"count": 1, "p50_ms": 1000, "p95_ms": 1000, "longest_ms": 1000}
    assert (pods["image_pull"]["p50_ms"], pods["init"]["p50_ms"]) == (12_500, 14_000)
    assert pods["first_run"] == {"count": 2, "p50_ms": 900, "p95_ms": 900, "longest_ms": 900}
    assert pods["sidecar"] is pods["restore"] is pods["warm_run"] is None


@pytest.mark.usefixtures("estate")
def test_the_first_request_of_a_pod_is_that_after_it_was_made(session: Session, tenant: str) -> None:
    """By its own spans, else its proxy's log. Of web-1 the first is of the pod that had its name before."""
    found = read_range(session, "starts_of_pods", tenant, START, START + timedelta(hours=2))

    first = dict(found.filter(pl.col("workload_kind") != "Job").select("pod", "first_run_ms").rows())

    assert first == {"web-1": None, "web-2": 75.0, "web-3": 900.0}


@pytest.mark.usefixtures("estate")
def test_the_window_is_that_of_starts(session: Session, tenant: str) -> None:
    later = f"{(START + timedelta(hours=1)).isoformat()}/{(START + timedelta(hours=2)).isoformat()}"

    answer = cold_starts_answer(session, UTC, window=later, now=datetime.now(UTC), tenant=tenant)

    assert answer.rows == ()


def test_spans_do_not_say_how_long(session: Session, telemetry: Any, tenant: str) -> None:
    runs = [(START + timedelta(minutes=minute), 0.5) for minute in (1, 2, 3)]
    for number, one in enumerate(runs):
        telemetry.requests(
            {"faas.name": "resize", "service.name": "resize"}, [one],
            attributes={"faas.invocation_id": f"run-{number}", "faas.coldstart": str(number == 0).lower()},
        )  # fmt: skip
    telemetry.store()

    answer = cold_starts_answer(session, UTC, window=WINDOW, now=datetime.now(UTC), tenant=tenant)

    (row,) = answer.rows
    assert (row.starts, row.runs, row.total, row.told_by) == (1, 3, None, ("application",))
    assert row.first_run is not None
    (note,) = answer.notes
    assert note.startswith("Cold starts of functions of which nobody told how long they took: 1. ")


def replicas(wanted: dict[int, tuple[int, int]], name: str = "web") -> bytes:
    """What kube-state-metrics says of a Deployment in these minutes: wanted and available."""
    who = {"namespace": "shop", "deployment": name}
    return written(
        sample(f"kube_deployment_{fact}", (START_S + 60 * minute) * 1000, value, **who)
        for minute, values in wanted.items()
        for fact, value in zip(("spec_replicas", "status_replicas_available"), values, strict=True)
    )


def test_wakes_of_workloads_without_pods(session: Session, telemetry: Any, tenant: str) -> None:
    minutes = {
        0: (0, 0),
        1: (0, 0),
        2: (1, 0),
        3: (1, 0),
        4: (1, 1),
        5: (0, 0),
        6: (1, 1),
        7: (0, 1),
        8: (1, 1),
    }
    telemetry.body(Signal.METRICS, replicas(minutes))
    telemetry.body(Signal.METRICS, replicas({0: (1, 0), 1: (2, 2)}, "always"))
    revision = {"namespace_name": "shop", "service_name": "cart", "revision_name": "cart-00001"}
    for minute, values in {10: (0, 0), 11: (2, 0), 12: (2, 1)}.items():
        at_ms = (START_S + 60 * minute) * 1000
        telemetry.body(
            Signal.METRICS,
            written(
                sample(f"autoscaler_{fact}_pods", at_ms, value, **revision)
                for fact, value in zip(("desired", "actual"), values, strict=True)
            ),
        )
    telemetry.store()

    answer = cold_starts_answer(session, UTC, window=WINDOW, now=datetime.now(UTC), tenant=tenant)

    web, cart = answer.rows
    assert (web.kind, web.name, web.starts, web.from_zero) == ("replicas", "web", 3, 3)
    assert web.total is not None
    assert (web.total.count, web.total.p50_ms, web.total.longest_ms) == (2, 120_000, 120_000)
    assert (web.resolution_ms, web.told_by) == (120_000, ("replicas",))
    assert (cart.workload_kind, cart.name, cart.service) == ("Revision", "cart-00001", "cart")
    assert cart.total is not None
    assert (cart.total.p50_ms, cart.resolution_ms, cart.told_by) == (60_000, 120_000, ("knative",))
    (note,) = answer.notes
    assert note.startswith("Wakes of workloads of which it is not known how long they took: 1. ")


def test_wakes_by_what_the_collector_tells(session: Session, telemetry: Any, tenant: str) -> None:
    for minute, values in {0: (0, 0), 1: (1, 0), 2: (1, 1)}.items():
        for fact, value in zip(("desired", "available"), values, strict=True):
            telemetry.gauges(
                {"k8s.deployment.name": "web", "k8s.namespace.name": "shop"},
                [(f"k8s.deployment.{fact}", value, START + timedelta(minutes=minute), {})],
            )
    telemetry.store()

    answer = cold_starts_answer(session, UTC, window=WINDOW, now=datetime.now(UTC), tenant=tenant)

    (web,) = answer.rows
    assert (web.kind, web.workload_kind, web.namespace, web.starts) == ("replicas", "Deployment", "shop", 1)
    assert web.total is not None
    assert (web.total.p50_ms, web.resolution_ms) == (60_000, 120_000)


def test_the_pods_of_a_workload_tell_its_wakes_better(session: Session, telemetry: Any, tenant: str) -> None:
    telemetry.body(Signal.METRICS, replicas({0: (0, 0), 1: (1, 1)}))
    telemetry.body(Signal.METRICS, pod("web-1", "Deployment", 61, 64, 180))
    telemetry.store()

    answer = cold_starts_answer(session, UTC, window=WINDOW, now=datetime.now(UTC), tenant=tenant)

    assert [(row.kind, row.name) for row in answer.rows] == [("pod", "web")]


def told(*minutes: tuple[int, int, int]) -> pl.DataFrame:
    """Minutes of one workload as the query gives them: which, wanted, available."""
    rows = [
        (
            "replicas",
            "",
            "shop",
            "Deployment",
            "web",
            "",
            START + timedelta(minutes=minute),
            desired,
            available,
        )
        for minute, desired, available in minutes
    ]
    schema = {**dict.fromkeys(WHO, pl.String), "minute": TIME, "desired": pl.Float64, "available": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ([(0, 0, 0), (1, 1, 1)], [(0, 120_000)]),
        ([(0, 0, 0), (3, 1, 0), (5, 1, 1)], [(120_000, 240_000)]),
        ([(0, 0, 0), (30, 1, 1)], [(None, None)]),
        ([(0, 0, 0), (1, 1, 0), (2, 0, 0), (3, 0, 1)], [(None, None)]),
        ([(0, 0, 1), (1, 1, 1)], [(None, None)]),
        ([(0, 1, 0), (1, 1, 1)], []),
        ([(-2, 0, 0), (-1, 1, 0), (0, 1, 1)], []),
        ([(119, 0, 0), (120, 1, 1)], []),
        ([], []),
    ],
    ids=[
        "within a minute", "with minutes missing", "after a pause", "never there", "not quite gone",
        "not from none", "before the window", "after the window", "nothing told",
    ],
)  # fmt: skip
def test_a_wake(
    minutes: list[tuple[int, int, int]], expected: list[tuple[float | None, float | None]]
) -> None:
    found = wakes(told(*minutes), Window(START, START + timedelta(hours=2)))

    assert found.select("total_ms", "resolution_ms").rows() == expected


def initializations(*bodies: str, event_name: str = "") -> bytes:
    """Of a function, in the window."""
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    for key in ("faas.name", "service.name"):
        entry.resource.attributes.add(key=key).value.string_value = "resize"
    records = entry.scope_logs.add().log_records
    for number, body in enumerate(bodies):
        record = records.add(time_unix_nano=(START_S + 60 + number) * 10**9, event_name=event_name)
        record.body.string_value = body
    return request.SerializeToString()


def test_initializations_of_which_no_run_tells(
    session: Session, telemetry: Any, tenant: str, started: Callable[..., tuple[int, str, str]]
) -> None:
    """What went well on demand is told by its run; the same by the log in text and by events counts once."""
    telemetry.body(Signal.LOGS, initializations(*INITIALIZATIONS.read_text("utf-8").splitlines()))
    telemetry.store()
    end = START + timedelta(hours=2)

    def found() -> dict[str | None, tuple[int, int | None, float]]:
        answer = cold_starts_answer(session, UTC, window=WINDOW, now=end, tenant=tenant)
        assert {row.kind for row in answer.rows} == {"initialization"}
        assert all(row.total and row.total.count == row.starts for row in answer.rows)
        return {
            row.initialization: (row.starts, row.failed, row.total.longest_ms)
            for row in answer.rows
            if row.total
        }

    assert found() == {
        "": (4, 3, 13316.04),
        "on-demand": (1, 1, 10000.487),
        "provisioned-concurrency": (1, 0, 500.8),
        "snap-start": (1, 1, 70.87),
    }
    _, out, _ = started("cold-starts", "--window", WINDOW)
    assert "init: ahead of runs" in out
    assert "init: provisioned-concurrency" in out
    event = '{"initializationType":"provisioned-concurrency","phase":"init","metrics":{"durationMs":7}}'
    telemetry.body(Signal.LOGS, initializations(event, event_name="platform.initReport"))
    telemetry.store()
    assert found() == {"provisioned-concurrency": (1, 0, 7)}


def test_a_wrong_window_is_a_problem_in_words(client: TestClient, tenant: str) -> None:
    assert client.get("/api/v1/cold-starts", params={"window": "yesterday"}).status_code == 400
    foreign = client.get("/api/v1/cold-starts", params={"window": WINDOW, "tenant": tenant})
    assert foreign.status_code == 403


@pytest.mark.usefixtures("estate")
def test_for_people(started: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = started("cold-starts", "--window", WINDOW)

    header, *lines = out.splitlines()
    assert code == 0
    assert header.split()[:5] == ["Name", "Namespace", "Kind", "Starts", "From"]
    assert lines[0].split()[:4] == ["resize", "function", "4", "-"]
    assert lines[1].split()[:5] == ["web", "shop", "pod", "3", "2"]


@pytest.mark.usefixtures("estate")
@pytest.mark.parametrize("output", ["json", "csv"])
def test_for_programs(started: Callable[..., tuple[int, str, str]], output: str) -> None:
    code, out, _ = started("cold-starts", "--window", WINDOW, "--output", output)

    rows = json.loads(out) if output == "json" else list(csv.DictReader(io.StringIO(out)))
    function, pods = rows
    assert code == 0
    assert float(function["total_p50_ms"]) == 293.05
    assert (float(pods["total_longest_ms"]), float(pods["from_zero"])) == (30_000, 2)
    assert pods["restore_p50_ms"] in (None, "")


def test_a_pod_is_its_containers_workloads() -> None:
    names = dict.fromkeys(("cluster", "namespace", "pod", "workload_kind", "workload_name"), pl.String)
    later = START + timedelta(hours=1)
    told = pl.DataFrame(
        [
            ("c", "shop", "web-7d4-x", "Pod", "web-7d4-x", START),
            ("c", "shop", "db-0", "StatefulSet", "db", START),
            ("c", "shop", "night-1", "Pod", "night-1", START),
            ("d", "shop", "web-7d4-x", "Pod", "web-7d4-x", START),
        ],
        schema=names | {"seen_at": TIME}, orient="row",
    )  # fmt: skip
    containers = pl.DataFrame(
        [
            ("c", "shop", "web-7d4-x", "Deployment", "web", START),
            ("c", "shop", "web-7d4-x", "Deployment", "web", later),
            ("c", "shop", "night-1", "CronJob", "night", START),
        ],
        schema=names | {"last_minute": TIME}, orient="row",
    )  # fmt: skip

    found = waited_for(told, containers)

    assert found.select("cluster", "workload_kind", "workload_name", "seen_at").rows() == [
        ("c", "Deployment", "web", later),
        ("c", "StatefulSet", "db", START),
        ("d", "Pod", "web-7d4-x", START),
    ]


times = st.integers(0, 40).map(lambda tens: START + timedelta(seconds=10 * tens))


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), times, st.none() | st.integers(0, 9), st.integers(0, 40)),
        max_size=12,
    )
)
def test_others_are_those_that_were_there(drawn: list[tuple[str, datetime, int | None, int]]) -> None:
    rows = [
        (
            "", "", "Deployment", name, created,
            None if ready is None else created + timedelta(seconds=10 * ready),
            created + timedelta(seconds=10 * max(ready or 0, seen)),
        )
        for name, created, ready, seen in drawn
    ]  # fmt: skip
    found = with_others(pl.DataFrame(rows, schema=POD_SCHEMA, orient="row"))

    expected = []
    for one, (*_, name, created, _, _) in enumerate(rows):
        others = (row for number, row in enumerate(rows) if number != one and row[3] == name)
        expected.append(
            sum((ready or made) <= created <= seen + SEEN_FOR for *_, made, ready, seen in others)
        )
    assert found["others"].to_list() == expected
