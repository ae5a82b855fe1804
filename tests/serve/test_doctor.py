"""`lowtide doctor` beside a running server, and on what a killed one left."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.process


def findings(data: Any, environment: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    ran = subprocess.run(
        [sys.executable, "-m", "lowtide", "doctor", "--json", "--data", str(data)],
        capture_output=True, text=True, check=False, timeout=60, env=environment, cwd=data.parent,
    )  # fmt: skip
    found: dict[str, list[tuple[str, str]]] = {}
    for each in json.loads(ran.stdout):
        found.setdefault(each["check"], []).append((each["level"], each["what"]))
    return found


def test_a_healthy_server_and_a_killed_one(launch: Any) -> None:
    server = launch.serve("--set", "serve.store_answer_s=8")  # a busy machine is no sick one
    server.send_log("1")
    server.wait_stored()
    healthy = findings(server.data, launch.environment)
    assert healthy["server"] == [("ok", "The server and all its parts work.")]
    assert healthy["use"] == [("ok", f"Process {server.pid} uses {server.data}.")]
    assert "Tables remember 100,000 inserts" in healthy["deduplication"][0][1]
    assert [level for level, _ in healthy["ports"] + healthy["loading"]] == ["ok", "ok"]
    assert healthy["limits"][0][1].startswith("The server may")

    assert server.http.post(server.url("/api/v1/snapshot")).status_code == 201
    server.kill()
    killed = findings(server.data, launch.environment)
    assert killed["server"] == [("ok", "No server runs.")]
    assert killed["use"][0][0] == "warning"
    assert "left by a backup that was killed" in killed["use"][0][1]
