"""`lowtide doctor`: where no server runs, where one does, and when something cannot be looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.errors import StoreUnavailableError
from lowtide.doctor import examination
from lowtide.doctor.findings import Level

Command = Callable[..., Any]
FREE = ("--set", "api.port=0", "--set", "collector.http_port=0", "--set", "collector.grpc_port=0")


def state(data: Path) -> dict[Path, tuple[int, ...]]:
    """What a change would change."""
    found = {path: path.stat() for path in (data, *data.rglob("*"))}
    return {path: (each.st_mtime_ns, each.st_ctime_ns, each.st_size) for path, each in found.items()}


def levels(out: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in json.loads(out):
        found.setdefault(each["check"], set()).add(each["level"])
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    Spool.open(data / "spool", SpoolSettings()).close()
    data.chmod(0o700)
    return data


def test_everything_is_looked_at_and_nothing_is_changed(data: Path, lowtide: Command) -> None:
    before = state(data)
    ran = lowtide("doctor", "--json", "--data", data, *FREE)
    assert state(data) == before
    found = levels(ran.out)
    assert sorted(found.keys() ^ {
        "settings", "versions", "limits", "clock", "ports", "disk", "fsync", "permissions", "use", "server",
        "loading", "quarantine", "deduplication",
    }) == []  # fmt: skip
    assert found["server"] == found["loading"] == found["permissions"] == found["ports"] == {"ok"}


def test_a_problem_is_exit_code_1_and_comes_first(data: Path, lowtide: Command) -> None:
    (data / "tokens.json").touch()
    (data / "tokens.json").chmod(0o644)
    ran = lowtide("doctor", "--data", data, *FREE)
    assert ran.code == 1
    assert ran.out.splitlines()[1].startswith("problem")
    assert "Problems: 1" in ran.err


def test_without_a_data_directory(tmp_path: Path, lowtide: Command) -> None:
    ran = lowtide("doctor", "-o", "json", "--data", tmp_path / "none" / "data", *FREE)
    assert levels(ran.out)["data"] == {"ok"}
    assert not (tmp_path / "none").exists()


def test_wrong_settings_are_a_finding(lowtide: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWTIDE_NONSENSE", "1")
    ran = lowtide("doctor", "--json", "--set", "spool.limit_bytes=x")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert {each["check"] for each in found} == {"settings"}
    assert any("LOWTIDE_NONSENSE" in each["what"] for each in found)


def test_wrong_usage(lowtide: Command) -> None:
    assert lowtide("doctor", "--nonsense").code == 2


def test_what_cannot_be_looked_at() -> None:
    def check() -> Any:
        raise PermissionError(13, "Permission denied", "/data")

    def away() -> Any:
        raise StoreUnavailableError("no answer")

    (found,) = examination.guarded("disk", check)
    assert (found.level, "Permission denied" in found.what) == (Level.WARNING, True)
    (found,) = examination.guarded("deduplication", away)
    assert (found.level, "no answer" in found.what) == (Level.PROBLEM, True)


def test_a_store_on_a_server_that_is_away(data: Path, lowtide: Command) -> None:
    ran = lowtide("doctor", "--json", "--data", data, "--set", "store.url=clickhouse://127.0.0.1:1/db", *FREE)
    assert (ran.code, levels(ran.out)["deduplication"]) == (1, {"problem"})
