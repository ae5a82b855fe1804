"""`lowtide serve`, and the commands without it, with the store on a server: the stand-in of
`support.store_server`.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.migrate import migrations
from ingest.store.settings import StoreSettings
from support.launcher import ANY_PORTS, Launcher, Running
from support.store_server_process import PASSWORD, StoreProcess

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

TABLES = {"traces": "otel_traces", "metrics": "metric_samples", "logs": "otel_logs"}
IDENTITIES = {"traces": "SpanId", "metrics": "Value", "logs": "Body"}
RESOURCE = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="quote-api"))])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    """A server for this test alone."""
    pytest.importorskip("chdb", reason="the stand-in is made of the embedded engine")
    server = StoreProcess(tmp_path / "server").start()
    yield server
    server.stop()


@pytest.fixture
def launcher(store: StoreProcess, launch: Launcher) -> Launcher:
    """Starts commands that find the store's address and password in the environment."""
    launch.environment |= {"LOWTIDE_STORE__URL": store.address(), "LOWTIDE_STORE__PASSWORD": PASSWORD}
    return launch


def bodies(number: int) -> dict[str, bytes]:
    """One record of each signal."""
    now = time.time_ns() - 1_000_000_000
    spans, points, lines = (
        ExportTraceServiceRequest(), ExportMetricsServiceRequest(), ExportLogsServiceRequest(),
    )  # fmt: skip
    spans.resource_spans.add(resource=RESOURCE).scope_spans.add().spans.add(
        trace_id=struct.pack(">QQ", 7, number), span_id=struct.pack(">Q", number), kind=2, name="GET /",
        start_time_unix_nano=now, end_time_unix_nano=now + 1_000_000,
    )  # fmt: skip
    metric = points.resource_metrics.add(resource=RESOURCE).scope_metrics.add().metrics.add(name="level")
    metric.gauge.data_points.add(time_unix_nano=now, as_int=number)
    lines.resource_logs.add(resource=RESOURCE).scope_logs.add().log_records.add(
        time_unix_nano=now, body=AnyValue(string_value=f"line {number}")
    )
    made = {"traces": spans, "metrics": points, "logs": lines}
    return {signal: request.SerializeToString() for signal, request in made.items()}


def send(running: Running, *numbers: int) -> None:
    """Send these records; each must be accepted."""
    for number in numbers:
        for signal, body in bodies(number).items():
            response = running.http.post(
                f"{running.wait_ready()['otlp_http']}/v1/{signal}", content=body,
                headers={"Content-Type": "application/x-protobuf"},
            )  # fmt: skip
            assert response.status_code == 200, response.text


def stored(running: Running) -> dict[str, int]:
    """Rows of each signal, how many of them differ, and requests in the rollup."""
    counts = {
        signal: f"(SELECT count() FROM {table}) AS {signal}"  # noqa: S608 - a table of ours
        for signal, table in TABLES.items()
    }
    for signal, identity in IDENTITIES.items():
        name = f"{signal}_that_differ"
        counts[name] = f"(SELECT uniqExact({identity}) FROM {TABLES[signal]}) AS {name}"  # noqa: S608
    counts["requests"] = "(SELECT sum(requests) FROM activity_1s) AS requests"
    row = running.rows(f"SELECT {', '.join(counts.values())}")[0]
    return {name: int(count) for name, count in row.items()}


def each(records: int) -> dict[str, int]:
    return dict.fromkeys((*TABLES, *(f"{signal}_that_differ" for signal in TABLES), "requests"), records)


def unready(running: Running) -> tuple[int, dict[str, str]]:
    """The status of /readyz, and what it says of the parts that are not ready."""
    answer = running.http.get(running.url("/readyz"))
    return answer.status_code, {
        name: part["detail"] for name, part in answer.json()["components"].items() if not part["ready"]
    }


def test_what_is_acknowledged_arrives_once_whatever_stops(launcher: Launcher, store: StoreProcess) -> None:
    first = launcher.serve()
    send(first, 1, 2, 3)
    assert first.stop() == 0
    assert "Everything accepted is stored" in first.told()

    second = launcher.serve()
    assert stored(second) == each(3)
    assert unready(second) == (200, {})

    store.stop()
    send(second, 4, 5)
    status, parts = unready(second)
    assert (status, parts.keys()) == (503, {"store"})
    assert "the store does not answer: " in parts["store"]
    assert second.http.get(second.url("/healthz")).status_code == 200
    answer = second.http.post(second.url("/sql"), content=b"SELECT 1")
    assert answer.status_code == 503, answer.text

    second.kill()  # with what it accepted in its spool alone
    store.start()
    third = launcher.serve()
    third.wait_stored()
    store.kill()
    send(third, 6)
    store.start()
    third.wait_stored()
    assert stored(third) == each(6)
    assert unready(third) == (200, {})
    assert third.stop() == 0

    for running in launcher.started:
        said = running.out.read_text() + running.told()
        assert PASSWORD not in said
        assert "Traceback" not in said
    assert store.address() in first.told(), "where the store is, without the password"


def test_what_the_store_cannot_read_is_held_and_the_rest_is_stored(
    launcher: Launcher, store: StoreProcess, tmp_path: Path
) -> None:
    """No sender gets such a request past the door, so it is put behind it. What was accepted is stored or
    held, by identity, also when both servers are killed before they are through."""
    bad = {"traces": b"\xff\xff\xff\xff", "metrics": b"\x0f\x01", "logs": bodies(9)["logs"][:-2]}
    with Spool.open(tmp_path / "data" / "spool", SpoolSettings()) as spool:
        for number in (1, 2, 3):
            for signal in Signal:
                body = bodies(number)[signal] if number != 2 else bad[signal]
                spool.append(signal, "default", body, items=1, received_ns=time.time_ns()).result()

    first = launcher.serve()
    first.wait_ready()
    first.kill()
    store.kill()
    store.start()
    second = launcher.serve()
    send(second, 4)
    second.wait_stored()

    assert stored(second) == each(3)
    assert second.stop() == 0
    held = {
        path.name.partition("-")[0]: path for path in (tmp_path / "data" / "spool" / "quarantine").iterdir()
    }
    assert {signal: path.read_bytes().partition(b"\n")[2] for signal, path in held.items()} == bad


def test_it_starts_and_accepts_while_the_store_is_away(launcher: Launcher, store: StoreProcess) -> None:
    store.stop()
    running = launcher.serve()
    send(running, 1, 2)
    status, parts = unready(running)
    assert status == 503
    assert "the store does not answer: " in parts["store"]
    assert "The store does not answer; what is accepted waits in the spool" in running.told()
    assert running.http.get(running.url("/api/v1/cost")).status_code == 503

    store.start()
    running.wait_stored()

    assert stored(running) == each(2)
    assert unready(running) == (200, {})
    assert running.http.get(running.url("/api/v1/cost")).status_code == 200
    assert running.stop() == 0
    assert PASSWORD not in running.told()
    assert "Traceback" not in running.told()


def test_a_wrong_password_ends_the_start(launcher: Launcher, store: StoreProcess) -> None:
    launcher.environment["LOWTIDE_STORE__PASSWORD"] = "n0t-the-one"  # noqa: S105 - a wrong one
    running = launcher("serve", *ANY_PORTS)
    assert running.process.wait(60) == 1
    assert "Authentication failed" in running.told()
    assert running.said() == []


def test_commands_open_it_themselves(launcher: Launcher, store: StoreProcess, tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> tuple[str, str]:
        running = launcher(*arguments)
        assert running.process.wait(60) == code, running.told()
        out, err = running.out.read_text(), running.told()
        assert PASSWORD not in out + err
        assert "Traceback" not in err
        return out, err

    shown, _ = run("migrate", "--dry-run")
    assert shown.count("-- 0001.") == len(migrations(StoreSettings())[0].statements)
    _, told = run("migrate")
    assert f"applied to {store.address()}" in told
    assert "is up to date" in run("migrate", "--store", store.address(with_password=True))[1]

    shown, _ = run("sql", "SELECT number, {v:String} AS v FROM numbers(2)", "-p", "v=a'b", "--output", "json")
    assert json.loads(shown) == [{"number": 0, "v": "a'b"}, {"number": 1, "v": "a'b"}]
    assert "no_such" in run("sql", "SELECT no_such", code=1)[1]
    shown, _ = run("cost", "--output", "json")
    assert [row["name"] for row in json.loads(shown)] == ["total"]
    assert not (tmp_path / "data" / "store").exists(), "nothing is kept here"

    launcher.environment["LOWTIDE_STORE__PASSWORD"] = "n0t-the-one"  # noqa: S105 - a wrong one
    assert "Authentication failed" in run("cost", code=1)[1]
    store.stop()
    assert "the store does not answer: " in run("cost", code=1)[1]
