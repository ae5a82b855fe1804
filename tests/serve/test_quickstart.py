"""`lowtide quickstart` from nothing to the tables, and the way back: `lowtide demo --remove`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

ANY_PORTS = ("--api-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0")
WAIT_S = 120.0
LEFT = " UNION ALL ".join(
    f"SELECT '{table}' AS kept, count() AS n FROM {table} HAVING n > 0"  # noqa: S608 - names of ours
    for table in (
        "otel_traces", "otel_logs", "metric_samples", "metric_series", "otel_traces_trace_id_ts",
        "half_edges", "activity_1s", "red_1m", "usage_1m", "nodes_1m", "telemetry_volume_1h", "workloads",
    )
)  # fmt: skip
"""The tables that still hold anything, with how much."""


def command(server: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command beside the server, on its data."""
    return subprocess.run(
        [sys.executable, "-m", "lowtide", *arguments, "--data", str(server.data)],
        capture_output=True, text=True, timeout=120, check=False, cwd=server.data.parent,
        env=server.environment,
    )  # fmt: skip


def send_own(server: Any) -> None:
    server.send_log("mine")
    server.wait_stored()


def rows(server: Any) -> int:
    tables = ("otel_traces", "otel_logs", "metric_samples", "activity_1s", "usage_1m", "workloads")
    return sum(int(server.rows(f"SELECT count() AS n FROM {table}")[0]["n"]) for table in tables)  # noqa: S608 - names of ours


def test_from_nothing_to_the_tables_and_back(launch: Any) -> None:
    first = launch("quickstart", "--days", "0.01", *ANY_PORTS)
    told = wait_for_tables(first)
    shown = first.out.read_text()
    assert "Playing the demo: Papercrane" in told
    assert "rejected" not in told
    for title in (
        "Cost by team  (lowtide cost --by team)", "Cost by application", "Idle and long-tail services",
        "First recommendations",
    ):  # fmt: skip
        assert title in told
    assert "checkout" in shown
    assert "commerce" in shown
    assert shown.count("100.0 %") >= 2, "the total of each table of costs"
    address = told.partition("Open ")[2].partition(" ")[0]
    assert httpx2.get(address, timeout=60, trust_env=False).status_code == 200
    stop_with_its_demo(first)

    again = launch("quickstart", "--once", *ANY_PORTS)
    assert again.process.wait(WAIT_S) == 0, again.told()
    assert "is in the store already and is not played again" in again.told()
    assert "checkout" in again.out.read_text()

    server = launch.serve()
    twice = command(server, "demo", "--days", "0.01")
    assert twice.returncode == 1
    assert "stored already" in twice.stderr
    send_own(server)
    assert rows(server) > 500
    removed = command(server, "demo", "--remove")

    assert removed.returncode == 0, removed.stderr
    assert server.rows("SELECT Body FROM otel_logs") == [{"Body": "mine"}]
    assert rows(server) == 2, "the log record and its sender"
    cost = command(server, "cost", "--output", "json")
    assert [row["name"] for row in json.loads(cost.stdout)] == ["total"]


def test_removal_ends_the_demo_that_plays(launch: Any) -> None:
    running = launch("quickstart", "--days", "0.01", *ANY_PORTS)
    told = wait_for_tables(running)
    address = told.partition("Open ")[2].partition(" ")[0]

    removed = command(running, "demo", "--remove")

    assert removed.returncode == 0, removed.stderr
    assert "rows removed in" in removed.stderr
    assert "otel_traces" in removed.stderr
    assert "The demo is no longer played; Lowtide goes on." in running.told()
    assert Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text() == ""
    with httpx2.Client(base_url=address, timeout=60, trust_env=False) as asking:
        left = asking.post("/sql", params={"default_format": "JSONEachRow"}, content=LEFT.encode())
        assert left.status_code == 200, left.text
        assert left.text == ""
        assert asking.get("/api/v1/demo").json() == {"stored": False, "removal": None}
    again = command(running, "demo", "--remove")
    assert again.returncode == 0
    assert "nothing of it is stored" in again.stderr
    assert running.stop() == 0, running.told()


def test_removal_where_nothing_is(launch: Any) -> None:
    removed = launch("demo", "--remove")
    code = removed.process.wait(60)
    told = "nothing of it is stored" if launch.on_server else "There is no data in"
    assert (code, told in removed.told()) == (0 if launch.on_server else 1, True), removed.told()


def test_removal_without_a_server_takes_what_waits_too(launch: Any) -> None:
    first = launch.serve()
    assert command(first, "demo", "--days", "0.01").returncode == 0
    send_own(first)
    assert first.stop() == 0
    server = launch.serve("--set", "loader.interval_ms=60000")
    assert command(server, "demo", "--days", "0.01", "--again").returncode == 0
    assert server.get("/api/v1/pipeline")["requests_waiting"] > 0
    server.kill()

    removed = command(server, "demo", "--remove")

    assert removed.returncode == 0, removed.stderr
    assert removed.stdout == ""
    assert "rows removed in" in removed.stderr
    left = launch.serve()
    left.wait_stored()
    assert left.rows("SELECT Body FROM otel_logs") == [{"Body": "mine"}]
    assert rows(left) == 2, "the log record and its sender"


def wait_for_tables(running: Any) -> str:
    """What it has said once everything is printed and it only stays."""
    until = time.monotonic() + WAIT_S
    while "Stop with Ctrl-C." not in (told := running.told()).partition("First recommendations")[2]:
        assert running.process.poll() is None, told
        assert time.monotonic() < until, told
        time.sleep(0.1)
    return str(told)


def stop_with_its_demo(running: Any) -> None:
    """A terminal's Ctrl-C, which reaches the demo's process too."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGINT)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(60) == 0, running.told()
    assert running.told().endswith("Stopped.\n")
    assert not Path(f"/proc/{children[0]}").exists()
