"""A server whose disk is nearly full, and one whose store is away until the spool is full."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from support.launcher import Launcher, Running
from support.store_server_process import PASSWORD, StoreProcess

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    """A server for this test alone."""
    pytest.importorskip("chdb", reason="the stand-in is made of the embedded engine")
    server = StoreProcess(tmp_path / "server").start()
    yield server
    server.stop()


def send(running: Running, number: int) -> int:
    """A log record of some 20 KB; the status of the answer."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    record.body.string_value = f"{number:06d}" + "x" * 20_000
    response = running.http.post(
        running.wait_ready()["otlp_http"] + "/v1/logs", content=request.SerializeToString(),
        headers={"Content-Type": "application/x-protobuf"},
    )  # fmt: skip
    if response.status_code == 503:
        assert 5 <= int(response.headers["retry-after"]) <= 10
    return response.status_code


def status(launch: Launcher, running: Running) -> tuple[dict[str, object], str]:
    """What `lowtide spool status` says of logs, and beside the table."""
    command = launch("spool", "status", "-o", "json", data=running.data)
    assert command.process.wait(60) == 0, command.told()
    rows = json.loads(command.out.read_text())
    return next(row for row in rows if row["signal"] == "logs"), command.told()


def test_a_disk_that_is_nearly_full(launch: Launcher) -> None:
    launch.environment |= {
        "LOWTIDE_SPOOL__MIN_FREE_SHARE": "0.999999",
        "LOWTIDE_SPOOL__MIN_FREE_MOST_BYTES": str(1 << 60),
    }
    running = launch.serve()
    assert [send(running, number) for number in range(3)] == [503, 503, 503]
    answer = running.http.get(running.url("/readyz"))
    assert answer.status_code == 503
    (reason,) = answer.json()["reasons"]
    assert reason.startswith("spool: senders are told to come back: ")
    assert "spool.min_free_share" in reason
    _, told = status(launch, running)
    assert "Senders are told to come back: " in told
    assert running.told().count("The disk is nearly full") == 1
    shown = running.http.get(running.url("/metrics")).text
    assert 'lowtide_collector_refusals_total{reason="disk_low",signal="logs",transport="http"} 3.0' in shown
    assert running.stop() == 0


def test_a_store_that_is_away_until_the_spool_is_full(launch: Launcher, store: StoreProcess) -> None:
    launch.environment |= {
        "LOWTIDE_STORE__URL": store.address(),
        "LOWTIDE_STORE__PASSWORD": PASSWORD,
        "LOWTIDE_SPOOL__SEGMENT_BYTES": str(64 * 1024),
        "LOWTIDE_SPOOL__LIMIT_BYTES": str(1024 * 1024),
        "LOWTIDE_LOADER__TRIM_INTERVAL_S": "0.2",
        "LOWTIDE_LOADER__INTERVAL_MS": "0",
        "LOWTIDE_LOADER__RETRY_MAX_S": "0.5",
    }
    running = launch.serve()
    store.stop()
    taken = 0
    while send(running, taken) == 200:
        taken += 1
        assert taken < 100, "the spool is never full"
    assert taken > 10
    row, _ = status(launch, running)
    assert (row["requests_waiting"], row["drain_s"]) == (taken, None)

    store.start()
    until = time.monotonic() + 60
    for _ in range(30):
        while send(running, taken) != 200:
            assert time.monotonic() < until, running.told()
            time.sleep(0.05)
        taken += 1
    running.wait_stored()
    found = running.rows("SELECT substring(Body, 1, 6) AS number FROM otel_logs ORDER BY number")
    assert [int(row["number"]) for row in found] == list(range(taken))
    row, _ = status(launch, running)
    assert (row["requests_waiting"], row["drain_s"]) == (0, 0.0)
    assert running.stop() == 0
