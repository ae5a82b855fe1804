"""A backup of a server under load, restored elsewhere after the server was killed: whatever was acknowledged
before the backup began is stored there exactly once, and goes on from there."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ingest.store.checkpoint_format import decode, is_part
from support.load import Load, Told, logs
from support.oracle import check_identities, check_rollups

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

NEVER_TRIMMED = ("--set", "loader.interval_ms=20", "--set", "loader.trim_interval_s=3600")
"""So that every batch is still in the spool."""
SELDOM = ("--set", "loader.interval_ms=1500", "--set", "loader.trim_interval_s=0.2")
"""So that some is stored, and some waits."""


def lowtide(launch: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lowtide", *arguments], env=launch.environment, cwd=launch.folder,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def done(launch: Any, *arguments: str) -> str:
    """The same, which must succeed; what it said on stdout."""
    ran = lowtide(launch, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.embedded("a server's store is not in the backup, and not of one moment with it")
def test_under_load(launch: Any) -> None:
    told = Told()
    server = launch.serve(*SELDOM)
    data, backup, other = server.data, launch.folder / "backup", launch.folder / "restored"
    with Load(told, server.wait_ready(), 1):
        told.wait(least=400)
        owed = told.owed()
        done(launch, "backup", str(backup), "--data", str(data))
        time.sleep(0.2)
        server.kill()

    done(launch, "restore", str(backup), "--data", str(other))
    restored = launch.serve(data=other)
    restored.wait_stored()

    # What was acknowledged while the backup was made, or later, may be in it.
    possible = {signal: told.acknowledged[signal] | told.unknown[signal] for signal in told.acknowledged}
    check_identities(restored, owed, possible)
    check_rollups(restored)

    # It goes on: new telemetry is stored once as well, the original too is as it was.
    with Load(told, restored.wait_ready(), 2):
        told.wait(least=max(map(len, told.owed().values())) + 20)
    restored.wait_stored()
    check_rollups(restored)
    assert restored.stop() == 0, restored.told()
    assert not (data / "snapshot").exists()


@pytest.mark.embedded("a server's store is not in the backup, and not of one moment with it")
def test_a_killed_one(launch: Any, tmp_path: Path) -> None:
    """The engine was killed between a token and its part. So the backup has no more than the last checkpoint
    and what the spool gives back from there."""
    server = launch.serve(*NEVER_TRIMMED)
    for number in (1, 2, 3):
        send(server, logs(range(number, number + 1), random.Random(number)))
        server.wait_stored()
    server.kill()
    newest = max(_young_parts(server.data, "otel_logs"), key=lambda part: int(part.name.split("_")[2]))
    newest.rename(newest.with_name(f"tmp_insert_{newest.name}"))
    backup, other = tmp_path / "backup", tmp_path / "restored"

    done(launch, "backup", str(backup), "--data", str(server.data))
    done(launch, "restore", str(backup), "--data", str(other))
    restored = launch.serve(data=other)
    restored.wait_stored()

    found = sorted(int(row["Body"]) for row in restored.rows("SELECT Body FROM otel_logs"))
    assert found == [1, 2, 3]


def send(server: Any, body: bytes) -> None:
    """Send a request of logs; it must be accepted."""
    answer = server.http.post(
        server.wait_ready()["otlp_http"] + "/v1/logs", content=body,
        headers={"Content-Type": "application/x-protobuf"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text


def test_a_stopped_one_twice(launch: Any, tmp_path: Path) -> None:
    request = logs(range(7, 8), random.Random(1))
    server = launch.serve()
    send(server, request)
    server.wait_stored()
    assert server.stop() == 0
    (server.data / "other.json").write_text("{}")

    first, second, again = tmp_path / "first", tmp_path / "second", tmp_path / "again"
    rows = json.loads(done(launch, "backup", str(first), "--data", str(server.data), "-o", "json"))
    counted = {row["what"]: row["rows"] for row in rows if row["what"] == "otel_logs"}
    assert counted == ({} if launch.on_server else {"otel_logs": 1})
    done(launch, "restore", str(first), "--data", str(again))
    assert (again / "other.json").read_text() == "{}"
    done(launch, "backup", str(second), "--data", str(again))

    restored = launch.serve(data=again)
    send(restored, request)  # its sender never heard of the first
    send(restored, logs(range(8, 9), random.Random(1)))
    restored.wait_stored()
    assert sorted(row["Body"] for row in restored.rows("SELECT Body FROM otel_logs")) == ["7", "8"]


def test_what_a_killed_backup_held_is_let_go_by_the_next_start(launch: Any) -> None:
    server = launch.serve()
    server.send_log("1")
    server.wait_stored()
    taken = server.http.post(server.url("/api/v1/snapshot"))
    assert taken.status_code == 201, taken.text
    assert server.http.post(server.url("/api/v1/snapshot")).status_code == 409
    held = [server.data / "snapshot"]
    if not launch.on_server:
        held.append(server.data / "store" / "shadow" / "lowtide_backup")
    assert all(each.exists() for each in held)
    server.kill()

    launch.serve(data=server.data)

    assert not any(each.exists() for each in held)


def _young_parts(data: Path, table: str) -> list[Path]:
    """Parts of a table that are younger than the last checkpoint."""
    store = data / "store"
    checkpoint = decode((store / "checkpoint" / "lowtide" / "checkpoint.json").read_bytes())
    (kept,) = (each for each in checkpoint.tables if each.name == table)
    return [
        path for path in (store / kept.folder).iterdir() if is_part(path.name) and path.name not in kept.parts
    ]
