"""Disk, fsync, clock, limits: every judgement, and the facts as this machine gives them."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lowtide.doctor import machine
from lowtide.doctor.findings import Level, ok, problem, warning, worst
from lowtide.doctor.machine import (
    GIB,
    ClockFacts,
    DiskFacts,
    FsyncFacts,
    LimitFacts,
    check_clock,
    check_disk,
    check_fsync,
    check_limits,
)

NOW_NS = 1_800_000_000 * 10**9
DISK = DiskFacts(Path("/data"), "ext4", 100 * GIB, 50 * GIB, 10**6, 8 * GIB)
CLOCK = ClockFacts(NOW_NS, NOW_NS - 10**9, is_synchronised=True)
LIMITS = LimitFacts(65_536, 8 * GIB, is_server=True)


def test_the_worst_counts() -> None:
    assert worst([]) is Level.OK
    assert worst([ok("a", ""), problem("b", "", ""), warning("c", "", "")]) is Level.PROBLEM
    assert worst([ok("a", ""), warning("c", "", "")]) is Level.WARNING


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (DISK, Level.OK, "50.0 GiB of 100.0 GiB free"),
        (replace(DISK, free_bytes=4 * GIB), Level.PROBLEM, "4.0 %"),
        (replace(DISK, total_bytes=2 * GIB, free_bytes=GIB // 2), Level.PROBLEM, "Only 512.0 MiB"),
        (replace(DISK, free_bytes=6 * GIB), Level.WARNING, "less than the 8.0 GiB"),
        (replace(DISK, files_free=9), Level.PROBLEM, "only 9 files"),
        (replace(DISK, files_free=None), Level.OK, "free"),
        (replace(DISK, kind="tmpfs"), Level.PROBLEM, "lies in memory"),
        (replace(DISK, kind="nfs4"), Level.WARNING, "network file system (nfs4)"),
        (replace(DISK, kind="overlay"), Level.WARNING, "goes with the container"),
        (replace(DISK, kind=""), Level.OK, "unknown kind"),
    ],
)
def test_disk(facts: DiskFacts, level: Level, words: str) -> None:
    found = check_disk(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


def test_the_disk_of_a_folder(tmp_path: Path) -> None:
    facts = machine.disk_facts(tmp_path, 7)
    assert 0 < facts.free_bytes <= facts.total_bytes
    assert (facts.may_grow_bytes, facts.kind != "") == (7, True)


def test_the_nearest_mount_counts(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / /da rw shared:1 - tmpfs none rw\n"
        "3 1 0:10 / /data/a\\040b rw - xfs /dev/sdb rw\n4 1 0:11 / /data rw - overlay none rw\nbroken\n"
    )
    kinds = [machine._kind_of(Path(path), mounts) for path in ("/x", "/data", "/data/a b/c", "/da/ta")]
    assert kinds == ["ext4", "overlay", "xfs", "tmpfs"]
    assert machine._kind_of(Path("/x"), tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (FsyncFacts(Path("/data"), 0.001), Level.OK, "takes 1 ms."),
        (FsyncFacts(Path("/data"), 0.2), Level.WARNING, "takes 200 ms; every acknowledgement"),
        (FsyncFacts(Path("/data"), None, "Input/output error"), Level.PROBLEM, "Input/output error"),
    ],
)
def test_fsync(facts: FsyncFacts, level: Level, words: str) -> None:
    (found,) = check_fsync(facts)
    assert (found.level, words in found.what) == (level, True), found


def test_an_fsync_leaves_nothing(tmp_path: Path) -> None:
    facts = machine.fsync_facts(tmp_path)
    assert facts.median_s is not None
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(machine.os, "fsync", fsync)
    assert machine.fsync_facts(tmp_path) == FsyncFacts(tmp_path, None, "Input/output error")
    assert machine.fsync_facts(tmp_path / "none").error == "No such file or directory"


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (CLOCK, Level.OK, "did not jump back"),
        (replace(CLOCK, newest_ns=NOW_NS + 10**9), Level.OK, "did not jump back"),
        (replace(CLOCK, newest_ns=NOW_NS + 3600 * 10**9), Level.PROBLEM, "1 h before what the spool"),
        (replace(CLOCK, now_ns=10**18, newest_ns=0), Level.PROBLEM, "The clock says 2001-09-09"),
        (replace(CLOCK, is_synchronised=False), Level.WARNING, "does not know of anything"),
        (replace(CLOCK, is_synchronised=None), Level.OK, "did not jump back"),
    ],
)
def test_clock(facts: ClockFacts, level: Level, words: str) -> None:
    found = check_clock(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


def test_this_machines_clock() -> None:
    assert machine.clock_facts(0).now_ns > machine._BUILT_NS


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (LIMITS, Level.OK, "may open 65,536 files and take 8.0 GiB"),
        (replace(LIMITS, open_files=2**63 - 1), Level.OK, "any number of files"),
        (replace(LIMITS, open_files=4096), Level.WARNING, "The server may open 4096 files"),
        (replace(LIMITS, open_files=256, is_server=False), Level.PROBLEM, "started from here may open 256"),
        (replace(LIMITS, memory_bytes=GIB * 3 // 2), Level.WARNING, "may take 1.5 GiB"),
        (replace(LIMITS, memory_bytes=GIB // 2), Level.PROBLEM, "may take 512.0 MiB"),
    ],
)
def test_limits(facts: LimitFacts, level: Level, words: str) -> None:
    found = check_limits(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


def test_the_limits_of_a_process() -> None:
    mine = machine.limit_facts(None)
    assert mine.memory_bytes > 0
    assert machine.limit_facts(os.getpid()) == replace(mine, is_server=True)


def test_the_least_limit_of_all_groups_counts(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("1000\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    (tmp_path / "memory" / "c").mkdir(parents=True)
    (tmp_path / "memory" / "c" / "memory.limit_in_bytes").write_text("500\n")
    assert machine._group_limit("0::/a/b\n", tmp_path) == 1000
    assert machine._group_limit("0::/\n", tmp_path) is None
    assert machine._group_limit("4:cpu:/c\n3:memory,x:/c\n0::/a\n", tmp_path) == 500
