"""What a backup holds, and when there is none."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from lowtide.backup import copying, cut
from lowtide.backup.making import backup_lock
from lowtide.backup.manifest import read_manifest
from lowtide.instance_lock import InstanceLock
from lowtide.server_client import connect

Command = Callable[..., Any]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_holds_everything_but_what_belongs_to_a_process(backup: Path) -> None:
    assert files(backup / "data") == {
        "spool/batches.log",
        "spool/spool.meta",
        "spool/logs/00000000000000000001.seg",
        "spool/quarantine/logs-1.held",
        "tokens.json",
    }


def test_the_manifest_says_what_is_in_it(backup: Path) -> None:
    manifest = read_manifest(backup)
    assert manifest.requests_waiting == {"traces": 0, "metrics": 0, "logs": 3}
    assert manifest.files == 5
    assert manifest.size_bytes == sum(path.stat().st_size for path in (backup / "data").rglob("*.*"))
    assert (manifest.format, manifest.store.kind) == (1, "embedded")


def test_its_checksums_are_those_of_sha256sum(backup: Path) -> None:
    ran = subprocess.run(
        ["sha256sum", "--check", "--strict", "checksums.sha256"],
        cwd=backup, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 5


def test_it_is_for_its_owner_only(backup: Path) -> None:
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (backup, *backup.glob("*")))


def test_files_keep_their_time(data: Path, tmp_path: Path, lowtide: Command) -> None:
    os.utime(data / "tokens.json", ns=(10**18, 10**18))
    assert lowtide("backup", tmp_path / "backup", "--data", data).code == 0
    assert (tmp_path / "backup" / "data" / "tokens.json").stat().st_mtime_ns == 10**18


def test_the_data_directory_is_as_it_was(data: Path, tmp_path: Path, lowtide: Command) -> None:
    before = {path: (path.read_bytes(), path.stat().st_nlink) for path in data.rglob("*") if path.is_file()}
    assert lowtide("backup", tmp_path / "backup", "--data", data).code == 0
    after = {path: (path.read_bytes(), path.stat().st_nlink) for path in data.rglob("*") if path.is_file()}
    after.pop(data / "backup.lock")
    assert after == before


@pytest.mark.parametrize("where", ["data", "data/backup", "data/spool/x/y", "link/backup"])
def test_a_place_inside_is_refused(data: Path, tmp_path: Path, lowtide: Command, where: str) -> None:
    (tmp_path / "link").symlink_to(data)
    ran = lowtide("backup", tmp_path / where, "--data", data)
    assert ran.code == 2
    assert "lies in the data directory" in ran.err
    assert not (data / "backup").exists()


def test_a_place_that_is_not_empty_is_refused(data: Path, tmp_path: Path, lowtide: Command) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert lowtide("backup", tmp_path / "full", "--data", data).code == 2
    assert lowtide("backup", tmp_path / "full" / "file", "--data", data).code == 2
    (tmp_path / "empty").mkdir()
    assert lowtide("backup", tmp_path / "empty", "--data", data).code == 0
    assert lowtide("backup", tmp_path / "empty", "--data", data).code == 2


def test_without_data(tmp_path: Path, lowtide: Command) -> None:
    ran = lowtide("backup", tmp_path / "backup", "--data", tmp_path / "none")
    assert (ran.code, "There is no data directory" in ran.err) == (1, True)
    assert not (tmp_path / "none").exists()


def test_beside_another(data: Path, tmp_path: Path, lowtide: Command) -> None:
    with backup_lock(data):
        ran = lowtide("backup", tmp_path / "backup", "--data", data)
    assert (ran.code, "Another backup" in ran.err) == (1, True)


def test_a_server_that_is_just_starting_is_waited_for(
    data: Path, tmp_path: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "__kwdefaults__", (connect.__kwdefaults__ or {}) | {"wait_s": 0.0})
    with InstanceLock.acquire(data):
        ran = lowtide("backup", tmp_path / "backup", "--data", data)
    assert (ran.code, "is starting" in ran.err) == (1, True)
    assert not (tmp_path / "backup").exists()


def test_too_little_room(
    data: Path, tmp_path: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    small = os.statvfs_result((4096, 4096, real.f_blocks, 10, 10, *tuple(real)[5:]))
    monkeypatch.setattr(copying.os, "statvfs", lambda _: small)
    ran = lowtide("backup", tmp_path / "backup", "--data", data)
    assert (ran.code, "40.0 KiB free, and 64.0 MiB are needed" in ran.err) == (1, True), ran.err
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("empty", [False, True], ids=["a new folder", "an empty folder"])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_disk_that_fills_up(
    data: Path, tmp_path: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch, at: int, empty: bool
) -> None:
    calls = iter(range(100))
    real = copying._write

    def write(handle: int, chunk: bytes) -> None:
        if next(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle, chunk)

    monkeypatch.setattr(copying, "_write", write)
    if empty:
        (tmp_path / "backup").mkdir()
    ran = lowtide("backup", tmp_path / "backup", "--data", data)
    assert (ran.code, "No space left" in ran.err) == (1, True)
    assert (tmp_path / "backup").exists() == empty
    assert list(tmp_path.glob("backup/*")) == []
    assert not (data / "snapshot").exists()


def test_what_is_appended_after_the_cut_is_not_in_it(data: Path, tmp_path: Path, lowtide: Command) -> None:
    """The links grow with the files."""
    segment = data / "spool" / "logs" / "00000000000000000001.seg"
    size = segment.stat().st_size
    real = cut.read_cut

    def read_later(data: Path) -> cut.Cut:
        with segment.open("ab") as file:
            file.write(b"the next record")
        return real(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowtide.backup.making.read_cut", read_later)
        assert lowtide("backup", tmp_path / "backup", "--data", data).code == 0
    copied = tmp_path / "backup" / "data" / "spool" / "logs" / segment.name
    assert copied.stat().st_size == size
    assert segment.stat().st_size > size


def test_without_links_files_are_copied(
    data: Path, tmp_path: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(cut.os, "link", link)
    assert lowtide("backup", tmp_path / "backup", "--data", data).code == 0
    assert (tmp_path / "backup" / "data" / "spool" / "quarantine" / "logs-1.held").read_bytes() == b"held"


def test_a_file_that_gets_another_name_meanwhile_is_in_it_once(
    data: Path, tmp_path: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = data / "spool" / "quarantine" / "logs-1.held"
    real = cut._counts

    def counts(path: Path) -> bool:
        if path == held and held.exists():
            held.rename(held.with_suffix(".requeue"))
        return real(path)

    monkeypatch.setattr(cut, "_counts", counts)
    assert lowtide("backup", tmp_path / "backup", "--data", data).code == 0
    quarantine = tmp_path / "backup" / "data" / "spool" / "quarantine"
    assert [path.name for path in quarantine.iterdir()] == ["logs-1.requeue"]


def test_links_are_followed_or_left_out(data: Path, tmp_path: Path, lowtide: Command) -> None:
    (tmp_path / "elsewhere").write_text("kept elsewhere")
    (data / "linked").symlink_to(tmp_path / "elsewhere")
    (data / "nowhere").symlink_to(tmp_path / "none")
    assert lowtide("backup", tmp_path / "backup", "--data", data).code == 0
    assert (tmp_path / "backup" / "data" / "linked").read_text() == "kept elsewhere"
    assert not os.path.lexists(tmp_path / "backup" / "data" / "nowhere")


def test_a_store_on_a_server_is_said_not_to_be_in_it(data: Path, tmp_path: Path, lowtide: Command) -> None:
    ran = lowtide(
        "backup", tmp_path / "backup", "--data", data, "--set", "store.url=clickhouse://me:secret@host/tide"
    )
    assert ran.code == 0, ran.err
    assert "BACKUP DATABASE tide TO Disk('backups', 'lowtide-" in ran.err
    manifest = (tmp_path / "backup" / "manifest.json").read_text()
    assert json.loads(manifest)["store"]["address"] == "clickhouse://me@host:8123/tide"
    assert "secret" not in manifest + ran.err


def test_the_engine_leaves_no_files_of_another_user(
    data: Path, tmp_path: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowtide.backup.here.os.geteuid", lambda: data.stat().st_uid + 1)
    ran = lowtide("backup", tmp_path / "backup", "--data", data)
    assert (ran.code, "Run it as that user" in ran.err) == (2, True)
    assert not (tmp_path / "backup").exists()


def test_a_spool_that_is_open_is_refused(data: Path, tmp_path: Path, lowtide: Command) -> None:
    with Spool.open(data / "spool", SpoolSettings()):
        ran = lowtide("backup", tmp_path / "backup", "--data", data)
    assert (ran.code, "is open in another process" in ran.err) == (1, True)
