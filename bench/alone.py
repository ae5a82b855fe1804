"""The collector alone on one core: receive, check, write to the spool, fsync, acknowledge. Nothing is stored,
since the store cannot be reached; the sender has the other cores. The result is the run in the middle.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from bench.at_hand import AtHand
from bench.ingest import RUNS, send
from bench.requests import LOADS, WRITES, Load
from bench.server import Server

CONNECTIONS = 16
"""So many that the core is never idle while some wait for their fsync."""
SETTINGS = {"LOWTIDE_STORE__URL": "clickhouse://127.0.0.1:1/lowtide", "LOWTIDE_SERVE__FLUSH_S": "1"}
"""A server whose store is away waits for it when it stops, half a minute by default."""


def measure(seconds: float) -> dict[str, Any]:
    """Every load, each with an empty spool."""
    return {
        "what": "items a second that the collector acknowledges on one core, nothing being stored",
        "seconds": seconds,
        "connections": CONNECTIONS,
        "settings": SETTINGS,
        "loads": {load.name: _in_the_middle(load, seconds) for load in (*LOADS, *WRITES)},
    }


def _in_the_middle(load: Load, seconds: float) -> dict[str, Any]:
    runs = sorted((_one(load, seconds) for _ in range(RUNS)), key=lambda run: int(run["durable_per_s"]))
    return runs[RUNS // 2] | {"durable_per_s_of_runs": [run["durable_per_s"] for run in runs]}


def _one(load: Load, seconds: float) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="lowtide-bench-") as folder:
        os.sched_setaffinity(0, cores[:1])
        try:
            server = Server(Path(folder) / "data", SETTINGS)
            with server:
                os.sched_setaffinity(0, cores[1:] or cores)
                with AtHand() as memory:
                    used_s = server.cpu_s()
                    sent = send(server, load, seconds, CONNECTIONS)
                    used_s = server.cpu_s() - used_s
        finally:
            os.sched_setaffinity(0, cores)
    return {
        "about": load.about,
        "durable_per_s": round(sent["items"] / sent["send_s"]),
        "requests_per_s": round(sent["requests"] / sent["send_s"]),
        "server_cpu_us": round(1e6 * used_s / sent["items"], 2),
        "busy": round(used_s / sent["send_s"], 2),
        "ack_p50_ms": sent["ack_p50_ms"],
        "ack_p99_ms": sent["ack_p99_ms"],
        "ran_out": sent["ran_out"],
        "touch_us_per_page": memory.touch_us_per_page,
    }
