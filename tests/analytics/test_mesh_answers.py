"""Who calls whom and what proxies add, over HTTP and as a command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from starlette.testclient import TestClient

from analytics.answers import Basis
from analytics.mesh import mesh_edges_answer
from analytics.mesh_documents import MeshEdgesAnswer, MeshOverheadAnswer
from analytics.mesh_overhead import quantile_ms
from analytics.settings import AnalyticsSettings
from api.app import Routers, create_app
from api.desk import Desk
from api.mesh import mesh_router
from api.settings import ApiSettings
from ingest.signals import Signal
from ingest.store.engine import Engine, Session
from support.callers import Keeper
from support.exposition import samples, scraped

DATA = Path(__file__).parent / "data" / "mesh"
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
WINDOW = f"{START.isoformat()}/{(START + timedelta(hours=1)).isoformat()}"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def estate(telemetry: Any) -> None:
    """Two scrapes of a caller, of a node's ztunnel and of a gateway."""
    for minute in range(3):
        at_ms = round((START + timedelta(minutes=minute)).timestamp() * 1000)
        for number, name in enumerate(("istio.prom", "ztunnel.prom")):
            found = [(metric, labels, value * (1 + minute)) for metric, labels, value in samples(DATA / name)]
            labels = {"app": "ztunnel"} if number else {}
            telemetry.body(Signal.METRICS, scraped(found, at_ms, instance=f"10.0.0.{number}:15020", **labels))
        record = samples(DATA / f"envoy_{min(minute, 1) + 1}.prom")
        telemetry.body(Signal.METRICS, scraped(record, at_ms, job="shop/gateway", instance="10.0.0.9:9901"))
    telemetry.store()


@pytest.fixture
def client(migrated: Engine, tenant: str) -> Iterator[TestClient]:
    routers = Routers(strict=[mesh_router(migrated, Basis.load(AnalyticsSettings(), "USD", UTC), Desk())])
    app = create_app(ApiSettings(), routers, loopback_only=True, keeper=Keeper(tenant))
    with TestClient(app, base_url="http://127.0.0.1") as opened:
        yield opened


@pytest.fixture
def command(started: Callable[..., tuple[int, str, str]]) -> Command:
    return lambda *arguments: started(*arguments, "--window", WINDOW)


@pytest.mark.usefixtures("estate")
def test_edges_over_http(client: TestClient) -> None:
    response = client.get("/api/v1/mesh/edges", params={"window": WINDOW})

    assert response.status_code == 200
    answer = MeshEdgesAnswer.model_validate(response.json())
    busiest = answer.rows[0]
    assert (busiest.source_workload, busiest.requests, busiest.mutual_tls_share) == ("productpage-v1", 72, 1)
    assert [row.connections for row in answer.rows if row.proxies == ("ztunnel",)] == [540, 104]
    assert answer.notes == ("Edges that only ztunnels tell (2) have connections and bytes, and no requests.",)


def test_others_may_not_name_a_tenant(client: TestClient, tenant: str) -> None:
    response = client.get("/api/v1/mesh/edges", params={"window": WINDOW, "tenant": tenant})

    assert response.status_code == 403


def test_a_wrong_window_is_a_problem_in_words(client: TestClient) -> None:
    response = client.get("/api/v1/mesh/edges", params={"window": "yesterday"})

    assert response.status_code == 400
    assert "window" in response.text


@pytest.mark.usefixtures("estate")
def test_edges_for_people(command: Command) -> None:
    code, out, err = command("mesh", "edges")

    header, *lines = out.splitlines()

    assert code == 0
    assert header.split()[:3] == ["Source", "Destination", "Mesh"]
    assert lines[0].split()[:3] == ["default/productpage-v1", "default/details-v1", "istio"]
    assert any(line.startswith("(outside)") and "gateway" in line for line in lines)
    assert "have connections and bytes, and no requests" in err


@pytest.mark.usefixtures("estate")
@pytest.mark.parametrize("output", ["json", "csv"])
def test_edges_for_programs(command: Command, output: str) -> None:
    code, out, _ = command("mesh", "edges", "--output", output)

    rows = json.loads(out) if output == "json" else list(csv.DictReader(io.StringIO(out)))
    (down,) = [row for row in rows if row["destination_service"] == "down"]

    assert code == 0
    assert (float(down["requests"]), float(down["errors"])) == (1, 1)
    classes = down["response_classes"]
    assert (classes if output == "json" else json.loads(classes)) == {"5xx": 1.0}


def test_without_a_mesh_it_says_so(command: Command) -> None:
    code, out, err = command("mesh", "edges")

    assert (code, len(out.splitlines())) == (0, 1)
    assert "No mesh was heard in this time" in err


@pytest.fixture
def logged(telemetry: Any) -> None:
    """The access log of a recorded Envoy, as of the window, and a line nobody understands."""
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    for key, text in {"k8s.deployment.name": "reviews", "k8s.container.name": "istio-proxy"}.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    records = entry.scope_logs.add().log_records
    now_ns = round((START + timedelta(minutes=20)).timestamp()) * 10**9
    for line in (DATA / "envoy_istio.log").read_text("utf-8").splitlines():
        moment = f"[{START:%Y-%m-%dT%H}:16:08"
        records.add(time_unix_nano=now_ns).body.string_value = moment + line[len(moment) :]
    records.add(time_unix_nano=now_ns).body.string_value = f'[{START:%Y-%m-%dT%H}:16:08.1Z] "GET'
    telemetry.body(Signal.LOGS, request.SerializeToString())
    telemetry.store()


@pytest.mark.usefixtures("logged")
def test_overhead_over_http(client: TestClient) -> None:
    answer = MeshOverheadAnswer.model_validate(
        client.get("/api/v1/mesh/overhead", params={"window": WINDOW}).json()
    )

    (row,) = answer.rows
    assert answer.lines == {"text": 13, "unknown": 1}
    assert (row.name, row.direction, row.requests) == ("reviews", "inbound", 11)
    assert (row.mean_ms, row.longest_ms, row.mean_duration_ms) == (178 / 11, 45, 335 / 11)
    assert row.share == pytest.approx(178 / 335)
    assert row.p50_ms == pytest.approx(1.0, rel=0.045)
    assert row.p99_ms == 45  # and not the end of a bucket beyond the longest
    assert "Not understood: 1 line of access logs." in answer.notes


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_overhead_as_a_command(command: Command, output: str) -> None:
    code, out, err = command("mesh", "overhead", "--output", output)

    assert code == 0
    assert "reviews" in out
    assert "In whole milliseconds" in err


def test_without_an_access_log_it_says_so(command: Command) -> None:
    assert "No access log of a proxy was heard" in command("mesh", "overhead")[2]


@pytest.mark.parametrize(
    ("buckets", "counts", "share", "expected"),
    [([], [], 0.5, None), ([0], [4], 0.99, 0.0), ([0, 318], [1, 1], 0.5, 0.0), ([318, 0], [1, 1], 0.6, 1.0)],
)
def test_a_quantile_is_the_bound_of_its_bucket(
    buckets: list[int], counts: list[int], share: float, expected: float | None
) -> None:
    found = quantile_ms(buckets, counts, share)

    assert found == (None if expected is None else pytest.approx(expected, rel=0.045))


def test_midnight_takes_nothing_and_adds_nothing(session: Session, telemetry: Any, tenant: str) -> None:
    """Days are read one by one."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    record = samples(DATA / "istio.prom")
    for minute in range(-5, 6):
        found = [(name, labels, value * (minute + 6)) for name, labels, value in record]
        appeared = [(name, {**labels, "response_code": "503"}, 7.0) for name, labels, _ in record]
        at_ms = round((midnight + timedelta(minutes=minute)).timestamp() * 1000)
        body = scraped([*found, *(appeared if minute >= -1 else ())], at_ms, instance="a:1")
        telemetry.body(Signal.METRICS, body)
    telemetry.store()
    window = f"{(midnight - timedelta(hours=1)).isoformat()}/{(midnight + timedelta(hours=1)).isoformat()}"

    (edge,) = mesh_edges_answer(session, UTC, window=window, now=datetime.now(UTC), tenant=tenant).rows

    assert edge.response_classes == {"2xx": 360, "5xx": 7}
