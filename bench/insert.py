"""What inserting costs the processor, without a network and without a spool: batches as large as the loader
makes them, once with merges held back, once with all that follow. And what a request costs that is inserted
by itself, which is planning and little else.

    python -m bench.insert LOAD ITEMS [hold]    one of them, in this process; prints JSON

With fewer items than ten batches have there is nothing to merge yet; `rows_merged` says so. Each runs in a
process of its own: an engine is one to a process, and its threads are counted together.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.at_hand import AtHand
from bench.requests import LOADS, Load
from bench.variants import variants
from ingest.loader.settings import LoaderSettings
from ingest.store.engine import Engine, Session
from ingest.store.known_series import KnownSeries
from ingest.store.migrate import migrate
from ingest.store.otlp import OtlpWriter, Request
from ingest.store.settings import StoreSettings
from ingest.store.target import parse_target
from ingest.unfolded import unfolded_bytes

ITEMS_A_SECOND: Final = 100_000
_QUIET_S: Final = 1.0
"""Merges follow one another; after so long without one there is none to come."""
_TIMES_ALONE: Final = 21
_ALONE: Final = 1_000_000
"""Batches with these numbers are single requests."""


def measure(seconds: float) -> dict[str, Any]:
    """Every load, a hundred thousand items for each of `seconds`."""
    items = int(seconds * ITEMS_A_SECOND)
    loads = {}
    for load in LOADS:
        with AtHand():
            held, merged = _run(load.name, items, "hold"), _run(load.name, items)
        loads[load.name] = {
            "about": load.about,
            "batches": merged["batches"],
            "insert_cpu_us": held["cpu_us"],
            "insert_us": held["took_us"],
            "with_merges_cpu_us": merged["cpu_us"],
            "alone_cpu_ms": held["alone_cpu_ms"],
            "rows_merged": merged["rows_merged"],
        }
    return {
        "what": f"{items:,} items inserted, batch after batch; microseconds an item, of CPU and of time;"
        " alone: milliseconds of CPU for one request, inserted by itself",
        "items": items,
        "settings": "defaults",
        "loads": loads,
    }


def _run(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.insert", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _one(load: Load, items: int, *, holds_merges: bool) -> dict[str, Any]:
    batches = list(_batches(load, items))
    count = sum(map(len, batches)) * load.items
    with tempfile.TemporaryDirectory(prefix="lowtide-bench-") as folder:
        target = parse_target("embedded", Path(folder) / "store")
        with closing(Engine(target, lambda session: migrate(session, StoreSettings()))) as engine:
            engine.reach()
            session = engine.session()
            if holds_merges:
                session.execute("SYSTEM STOP MERGES")
            writer = OtlpWriter(engine, known=KnownSeries())
            # Planned, compiled and read once before.
            writer.insert(load.signal, 1, "first", [Request("default", time.time_ns(), batches[0][0])])
            started_s, used_s = time.monotonic(), time.process_time()
            for number, bodies in enumerate(batches, 2):
                requests = [Request("default", time.time_ns(), body) for body in bodies]
                writer.insert(load.signal, number, f"batch {number}", requests)
            took_s = time.monotonic() - started_s
            if not holds_merges:
                _wait_for_merges(session)
            used_s = time.process_time() - used_s
            alone_s = _alone(writer, load, batches[0][0])
            merged = session.rows("SELECT value FROM system.events WHERE event = 'MergedRows'")
            writer.close()
    return {
        "batches": len(batches),
        "cpu_us": round(1e6 * used_s / count, 2),
        "took_us": round(1e6 * took_s / count, 2),
        "alone_cpu_ms": round(1e3 * alone_s),
        "rows_merged": round(merged[0][0] / count, 2) if merged else 0,
    }


def _alone(writer: OtlpWriter, load: Load, body: bytes) -> float:
    """Seconds of CPU for a request by itself, the middle of some."""
    took_s = []
    for number in range(_TIMES_ALONE):
        request = Request("default", time.time_ns(), body)
        began_s = time.process_time()
        writer.insert(load.signal, _ALONE + number, f"alone {number}", [request])
        took_s.append(time.process_time() - began_s)
    return median(took_s)


def _batches(load: Load, items: int) -> Iterator[list[bytes]]:
    """As the loader cuts them."""
    limit = LoaderSettings().batch_memory_bytes
    bodies: list[bytes] = []
    expected = 0
    for body in variants(load, items // load.items, 10.0):
        expected += (takes := unfolded_bytes(load.signal, body))
        if expected > limit:
            yield bodies
            bodies, expected = [], takes
        bodies.append(body)
    yield bodies


def _wait_for_merges(session: Session) -> None:
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_S:
        if session.value("SELECT count() FROM system.merges"):
            quiet_since = time.monotonic()
        time.sleep(0.1)


if __name__ == "__main__":
    name, count, *hold = sys.argv[1:]
    chosen = next(load for load in LOADS if load.name == name)
    print(json.dumps(_one(chosen, int(count), holds_merges=bool(hold))))
