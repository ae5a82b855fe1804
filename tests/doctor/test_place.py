"""Permissions, locks, what was set aside, windows: every judgement, and the facts of real directories."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.target import Embedded
from lowtide.backup.making import backup_lock
from lowtide.doctor import place
from lowtide.doctor.findings import Level, worst
from lowtide.doctor.place import PermissionFacts, SpoolFacts, UseFacts, WindowFacts
from lowtide.instance_lock import InstanceLock

PERMISSIONS = PermissionFacts(Path("/data"), 7, 7, {"": 0o700, "tokens.json": 0o600}, ())
USE = UseFacts(Path("/data"), (5,), (5,), has_snapshot=False, backup_runs=False)
SPOOL = SpoolFacts(Path("/data/spool"), 0, 0, 0, 0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """With a spool in it that was used and closed."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with Spool.open(data / "spool", SpoolSettings()) as spool:
        for _ in range(3):
            spool.append(Signal.LOGS, "default", b"x", items=1, received_ns=1).result(30)
            records = spool.read(Signal.LOGS, spool.cursor(Signal.LOGS), max_bytes=9, max_records=9)
            spool.finish_batch(spool.begin_batch(Signal.LOGS, records))
    return data


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (PERMISSIONS, Level.OK, "Only its owner"),
        (replace(PERMISSIONS, modes={"": 0o755}), Level.WARNING, "Others can read /data"),
        (replace(PERMISSIONS, modes={"": 0o722}), Level.PROBLEM, "Others can write to /data"),
        (replace(PERMISSIONS, modes={"": 0o700, "tokens.json": 0o640}), Level.PROBLEM, "/data/tokens.json"),
        (replace(PERMISSIONS, modes={"": 0o700, "spool": 0o755}), Level.OK, "Only its owner"),
        (replace(PERMISSIONS, mine=8), Level.WARNING, "belongs to user 7, this is user 8"),
        (replace(PERMISSIONS, not_writable=("spool",)), Level.PROBLEM, "cannot write /data/spool"),
    ],
)
def test_permissions(facts: PermissionFacts, level: Level, words: str) -> None:
    found = place.check_permissions(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


def test_the_permissions_of_a_directory(data: Path) -> None:
    (data / "tokens.json").touch(mode=0o600)
    (data / "tokens.json").chmod(0o604)
    facts = place.permission_facts(data)
    assert (facts.modes[""], facts.modes["tokens.json"], facts.owner) == (0o700, 0o604, os.geteuid())
    assert "store" not in facts.modes


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (USE, Level.OK, "Process 5 uses /data"),
        (replace(USE, owners=(), spool_owners=()), Level.OK, "No process uses"),
        (replace(USE, spool_owners=(9,)), Level.PROBLEM, "Process 9 has the spool"),
        (replace(USE, owners=(), spool_owners=(0,)), Level.PROBLEM, "A process of another container"),
        (replace(USE, has_snapshot=True), Level.WARNING, "left by a backup that was killed"),
        (replace(USE, has_snapshot=True, backup_runs=True), Level.OK, "Process 5"),
    ],
)
def test_use(facts: UseFacts, level: Level, words: str) -> None:
    found = place.check_use(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


def test_who_holds_the_locks(data: Path) -> None:
    spool, me = data / "spool", (os.getpid(),)
    assert place.use_facts(data, spool) == UseFacts(data, (), (), has_snapshot=False, backup_runs=False)
    with InstanceLock.acquire(data), backup_lock(data), Spool.open(spool, SpoolSettings()):
        (data / "snapshot").mkdir()
        assert place.use_facts(data, spool) == UseFacts(data, me, me, has_snapshot=True, backup_runs=True)
    with Spool.open(spool, SpoolSettings()):
        assert worst(place.check_use(place.use_facts(data, spool))) is Level.PROBLEM


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (SPOOL, Level.OK, "Nothing was set aside"),
        (replace(SPOOL, quarantined=2), Level.WARNING, "2 requests are in quarantine"),
        (replace(SPOOL, damaged=1), Level.WARNING, "1 damaged pieces"),
    ],
)
def test_quarantine(facts: SpoolFacts, level: Level, words: str) -> None:
    found = place.check_quarantine(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


def test_what_the_spool_says_without_being_opened(data: Path) -> None:
    spool = data / "spool"
    (spool / "quarantine").mkdir()
    (spool / "quarantine" / "logs-1.held").touch()
    (spool / "damaged").mkdir()
    (spool / "damaged" / "logs-1.bin").touch()
    before = {path: path.stat() for path in spool.rglob("*")}
    facts = place.spool_facts(spool)
    assert (facts.repeatable, facts.quarantined, facts.damaged) == (3, 1, 1)
    segment = next(spool.glob("logs/*.seg"))
    os.utime(segment, ns=(2 * 10**18, 2 * 10**18))
    assert place.spool_facts(spool).newest_ns == 2 * 10**18 > facts.newest_ns > 10**18
    assert before.keys() == set(spool.rglob("*"))
    assert place.spool_facts(data / "none") == SpoolFacts(data / "none", 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("windows", "repeatable", "level", "words"),
    [
        ({}, 0, Level.OK, "no store yet"),
        ({"a": 100_000, "b": 100_000}, 3, Level.OK, "remember 100,000 inserts or more; 3 batches"),
        ({"a": 100_000, "b": 99_999, "c": 0}, 0, Level.PROBLEM, "repeated ones: b, c."),
        ({"a": 100_000}, 251, Level.WARNING, "251 batches may be repeated"),
    ],
)
def test_windows(windows: dict[str, int], repeatable: int, level: Level, words: str) -> None:
    (found,) = place.check_windows(WindowFacts(windows, repeatable))
    assert (found.level, words in found.what) == (level, True), found


def test_no_store_has_no_windows(tmp_path: Path) -> None:
    from ingest.store.freezing import deduplication_windows

    assert deduplication_windows(Embedded(tmp_path)) == {}
