"""How fast telemetry becomes durable and queryable: a real server, real OTLP/HTTP, sender on its
machine, and somebody who reads meanwhile.

Durable is acknowledged: in the spool and fsynced. Queryable is in the store with every rollup. What was
acknowledged must be found by a count in the end, or there is no result. A machine that others share differs
from minute to minute: each load is sent several times, and the result is the run in the middle.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.at_hand import AtHand
from bench.reading import Reader
from bench.requests import LOADS, WRITES, Load
from bench.server import Server
from ingest.signals import Signal

CONNECTIONS = 8
RUNS = 3
_ASK_S = 0.25
SETTINGS: dict[str, str] = {}
COUNTS = {
    Signal.TRACES: "SELECT count() FROM otel_traces",
    Signal.METRICS: "SELECT count() FROM metric_samples",
    Signal.LOGS: "SELECT count() FROM otel_logs",
}


def measure(seconds: float) -> dict[str, Any]:
    """Every load, each time against an empty store."""
    return {
        "what": "items a second over OTLP/HTTP, gzip, on loopback; the sender runs on the same cores",
        "seconds": seconds,
        "connections": CONNECTIONS,
        "settings": SETTINGS or "defaults",
        "loads": {load.name: _in_the_middle(load, seconds) for load in (*LOADS, *WRITES)},
    }


def _in_the_middle(load: Load, seconds: float) -> dict[str, Any]:
    runs = sorted((_one(load, seconds) for _ in range(RUNS)), key=lambda run: int(run["queryable_per_s"]))
    return runs[RUNS // 2] | {
        "queryable_per_s_of_runs": [run["queryable_per_s"] for run in runs],
        "server_peak_mib": max(run["server_peak_mib"] for run in runs),
    }


def _one(load: Load, seconds: float) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="lowtide-bench-") as folder,
        Server(Path(folder) / "data", SETTINGS) as server,
        AtHand() as memory,
    ):
        with Reader(server) as reader:
            sent = send(server, load, seconds, CONNECTIONS)
            done_at = wait_until_stored(server, load, sent["items"])
        took_s = done_at - sent.pop("started_at")
        kept = int(server.rows(COUNTS[load.signal])[0][0])
        if kept != sent["items"]:
            raise RuntimeError(f"{sent['items']} {load.name} were acknowledged and {kept} are stored")
        return {
            "about": load.about,
            "items_per_request": load.items,
            "durable_per_s": round(sent["items"] / sent["send_s"]),
            "queryable_per_s": round(sent["items"] / took_s),
            "requests_per_s": round(sent["requests"] / sent["send_s"]),
            **sent,
            "drain_s": round(took_s - sent["send_s"], 2),
            "send_s": round(sent["send_s"], 2),
            **reader.found(),
            "server_cpu_s": round(server.cpu_s(), 1),
            "server_cpu_us": round(1e6 * server.cpu_s() / sent["items"], 1),
            "server_peak_mib": round(server.peak_memory_bytes() / 2**20),
            "ready_after_s": round(server.ready_after_s, 2),
            "touch_us_per_page": memory.touch_us_per_page,
        }


def send(server: Server, load: Load, seconds: float, connections: int) -> dict[str, Any]:
    """What a process of its own sent over so many connections."""
    command = [sys.executable, "-m", "bench.sender", server.ready["otlp_http"], load.name]
    done = subprocess.run(
        [*command, str(seconds), str(connections)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the sender failed: {done.stderr}")
    sent: dict[str, Any] = json.loads(done.stdout)
    return sent


def wait_until_stored(server: Server, load: Load, items: int) -> float:
    """When the last one was stored, seconds since 1970, as the server says: it need not be asked often, which
    would take from the time that is measured.
    """
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        state = server.pipeline(load.signal)
        if state["inserted"] >= items:
            return datetime.fromisoformat(state["last_insert_at"]).timestamp()
        time.sleep(_ASK_S)
    raise RuntimeError("what was acknowledged is not stored after ten minutes")
