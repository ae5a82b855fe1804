"""Commands on a data directory that no server owns: they open the store themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.store.migrate import migrations
from ingest.store.settings import StoreSettings

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


def run(launch: Any, *arguments: str, code: int = 0) -> tuple[str, str]:
    """A command to its end: stdout and stderr."""
    running = launch(*arguments)
    assert running.process.wait(60) == code, running.told()
    return running.out.read_text(), running.told()


def test_the_tables_are_made_once(launch: Any, tmp_path: Path) -> None:
    shown, told = run(launch, "migrate", "--dry-run")
    assert shown.count("-- 0001.") == len(migrations(StoreSettings())[0].statements)
    assert "CREATE TABLE IF NOT EXISTS otel_traces" in shown
    assert "Nothing was changed" in told
    assert not (tmp_path / "data").exists()

    shown, told = run(launch, "migrate")
    assert shown.startswith("0001 telemetry: ")
    place = launch.environment.get("LOWTIDE_STORE__URL", f"embedded at {tmp_path / 'data' / 'store'}")
    assert f"applied to {place}" in told

    for arguments in (("migrate",), ("migrate", "--dry-run")):
        shown, told = run(launch, *arguments)
        assert shown == ""
        assert "is up to date" in told

    shown, told = run(launch, "cost", "--output", "json")
    assert [row["name"] for row in json.loads(shown)] == ["total"]
    assert "Cost by application" in told


def test_no_data_is_said_plainly(launch: Any, tmp_path: Path) -> None:
    for command in ("cost", "idle", "recommend"):
        shown, told = run(launch, command, code=1)
        assert shown == ""
        place = launch.environment.get("LOWTIDE_STORE__URL", tmp_path / "data")
        assert told.startswith(f"Error: There is no data in {place} yet.")
        assert "lowtide serve" in told
        assert "Traceback" not in told
    assert not (tmp_path / "data").exists()


@pytest.mark.embedded("a server has as many clients as come")
def test_who_opens_the_store_keeps_others_out(served: Any, launch: Any) -> None:
    running = launch("migrate", data=served.data)

    assert running.process.wait(60) == 1
    assert f"already runs on this data directory (pid {served.pid}" in running.told()
