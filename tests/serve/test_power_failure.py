"""A real server on a machine whose power fails. Everything else about that is in
tests/ingest/loader/test_power.py; here it is shown that a server takes checkpoints and goes back to them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ingest.store.checkpoint_format import decode, is_part

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(300),
    pytest.mark.embedded("Lowtide takes checkpoints of its own engine only"),
]

ON_A_MACHINE = """
import sys
from pathlib import Path
import ingest.spool.boot
ingest.spool.boot._KERNEL = Path(sys.argv.pop(1))
from lowtide.__main__ import main
main()
"""
LOGS = "SELECT Body AS body FROM otel_logs ORDER BY body"
VOLUME = "SELECT toUInt32(sum(rows)) AS rows FROM telemetry_volume_1h"


def test_a_server_goes_back_and_stores_again(launch: Any, tmp_path: Path) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text(f"{uuid4()}\n")
    launch.command = [sys.executable, "-c", ON_A_MACHINE, str(boot)]
    server = launch.serve("--set", "loader.trim_interval_s=3600")
    for number in range(3):
        server.send_log(f"early {number}")
    server.wait_stored()
    assert server.stop() == 0, server.told()
    server = launch.serve("--set", "loader.trim_interval_s=3600")
    for number in range(3):
        server.send_log(f"late {number}")
    server.wait_stored()
    server.kill()
    store = server.data / "store"
    checkpoint = decode((store / "checkpoint/lowtide/checkpoint.json").read_bytes())
    gone = 0
    for table in checkpoint.tables:
        for part in (store / table.folder).iterdir():
            if is_part(part.name) and part.name not in table.parts:
                shutil.rmtree(part)
                gone += 1
    assert gone > 2
    boot.write_text(f"{uuid4()}\n")

    server = launch.serve()
    server.wait_stored()

    assert [row["body"] for row in server.rows(LOGS)] == [
        f"{when} {number}" for when in ("early", "late") for number in range(3)
    ]
    assert server.rows(VOLUME) == [{"rows": 6}]
    assert "put back to its last checkpoint" in server.told()
    metrics = server.http.get(server.url("/metrics")).text
    assert "lowtide_store_put_back_problems 0.0" in metrics
    assert server.stop() == 0, server.told()
