"""What is stored while ever more senders send at once: as many as suffice to keep the server busy, and two,
five and ten times as many.

None of them waits between two requests, and none heeds Retry-After: those that are refused come back after
50 ms. That is worse than any SDK. The bytes in flight are bounded so tightly that most are refused. What was
acknowledged must be found by a count in the end, or there is no result.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.ingest import COUNTS, send, wait_until_stored
from bench.requests import LOADS
from bench.server import Server

CONNECTIONS = 8
TIMES = (1, 2, 5, 10)
LOAD = next(load for load in LOADS if load.name == "spans_400")
SETTINGS = {
    "LOWTIDE_COLLECTOR__MAX_WIRE_BYTES": str(1 << 20),
    "LOWTIDE_COLLECTOR__MAX_BODY_BYTES": str(1 << 20),
    "LOWTIDE_COLLECTOR__MAX_INFLIGHT_BYTES": str(4 << 20),
}


def measure(seconds: float) -> dict[str, Any]:
    """One after the other, each against an empty store of its own."""
    loads: dict[str, dict[str, Any]] = {}
    for times in TIMES:
        found = _one(times * CONNECTIONS, seconds)
        first = next(iter(loads.values()), found)
        loads[f"{times}x"] = {"of_1x": round(found["durable_per_s"] / first["durable_per_s"], 2), **found}
    return {
        "what": f"{LOAD.name} a second while senders come back 50 ms after a refusal",
        "seconds": seconds,
        "settings": SETTINGS,
        "loads": loads,
    }


def _one(connections: int, seconds: float) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="lowtide-bench-") as folder,
        Server(Path(folder) / "data", SETTINGS) as server,
    ):
        sent = send(server, LOAD, seconds, connections)
        wait_until_stored(server, LOAD, sent["items"])
        kept = int(server.rows(COUNTS[LOAD.signal])[0][0])
        if kept != sent["items"]:
            raise RuntimeError(f"{sent['items']} {LOAD.name} were acknowledged and {kept} are stored")
        return {
            "connections": connections,
            "durable_per_s": round(sent["items"] / sent["send_s"]),
            "put_off_per_s": round(sent["put_off"] / sent["send_s"]),
            "ack_p50_ms": sent["ack_p50_ms"],
            "ack_p99_ms": sent["ack_p99_ms"],
            "server_cpu_s": round(server.cpu_s(), 1),
            "server_peak_mib": round(server.peak_memory_bytes() / 2**20),
        }
