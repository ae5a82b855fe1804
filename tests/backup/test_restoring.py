"""What is restored, and every backup that is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from lowtide.backup import copying, restoring
from lowtide.backup.errors import BackupDamagedError
from lowtide.backup.manifest import FileSum, decode_sums, encode_sums

Command = Callable[..., Any]
PLACE = "spool/logs/00000000000000000001.seg"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """Where to restore. Nothing but that may be left in its parent."""
    parent = tmp_path / "disk"
    parent.mkdir()
    yield parent / "other"
    assert set(parent.iterdir()) <= {parent / "other"}


def test_what_waited_waits_again(backup: Path, other: Path, lowtide: Command) -> None:
    ran = lowtide("restore", backup, "--data", other)
    assert ran.code == 0, ran.err
    with Spool.open(other / "spool", SpoolSettings()) as spool:
        records = spool.read(Signal.LOGS, 0, max_bytes=1000, max_records=10)
    assert [record.body for record in records] == [b"body 0", b"body 1", b"body 2"]
    assert (other / "tokens.json").read_text() == '{"tokens": []}'
    assert other.stat().st_mode & 0o077 == 0


def test_the_machines_boot_is_not_known_any_more(backup: Path, other: Path, lowtide: Command) -> None:
    assert lowtide("restore", backup, "--data", other).code == 0
    with Spool.open(other / "spool", SpoolSettings()) as spool:
        assert spool.rebooted
        assert spool.previous_boot_id is None


def test_into_an_empty_folder(backup: Path, other: Path, lowtide: Command) -> None:
    other.mkdir()
    assert lowtide("restore", backup, "--data", other).code == 0
    assert (other / PLACE).exists()


def test_never_over_anything(backup: Path, data: Path, tmp_path: Path, lowtide: Command) -> None:
    before = sorted(data.rglob("*"))
    ran = lowtide("restore", backup, "--data", data)
    assert (ran.code, "is not empty" in ran.err) == (2, True)
    assert sorted(data.rglob("*")) == before
    (tmp_path / "file").touch()
    assert lowtide("restore", backup, "--data", tmp_path / "file").code == 2


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(backup: Path) -> None:
        path = backup / "manifest.json"
        document = json.loads(path.read_text())
        part = document[name] if name else document
        part.update(changes)
        path.write_text(json.dumps(document))

    return change


def lead_out(backup: Path) -> None:
    sums = backup / "checksums.sha256"
    sums.write_text(sums.read_text().replace("data/tokens.json", "data/../../secret"))
    digest = hashlib.sha256(sums.read_bytes()).hexdigest()
    edit("", checksums_sha256=digest)(backup)


def link_out(backup: Path) -> None:
    (backup / "outside").write_bytes((backup / "data" / "tokens.json").read_bytes())
    (backup / "data" / "tokens.json").unlink()
    (backup / "data" / "tokens.json").symlink_to(backup / "outside")


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "unfinished": (lambda backup: (backup / "manifest.json").unlink(), "not finished"),
    "bit flipped": (lambda backup: flip(backup / "data" / PLACE), f"{PLACE}: other bytes"),
    "bit flipped in the checksums": (lambda backup: flip(backup / "checksums.sha256"), "is not what it was"),
    "file missing": (lambda backup: (backup / "data" / PLACE).unlink(), f"{PLACE}: No such file"),
    "checksums missing": (lambda backup: (backup / "checksums.sha256").unlink(), "is missing"),
    "file cut": (lambda backup: os.truncate(backup / "data" / PLACE, 20), f"{PLACE}: other bytes"),
    "manifest cut": (
        lambda backup: os.truncate(backup / "manifest.json", 100),
        "cannot be read as a manifest",
    ),
    "manifest of other things": (
        lambda backup: (backup / "manifest.json").write_text("[1]"),
        "cannot be read as a manifest",
    ),
    "later format": (edit("", format=2, lowtide_version="9.1"), "a later version of Lowtide (9.1, format 2"),
    "later schema": (edit("store", schema_version=9_999), "migration 9999, this version knows"),
    "fewer files than it says": (edit("", files=6), "5 files instead of 6"),
    "a path that leads out": (lead_out, "names no file of the backup"),
    "a link that leads out": (link_out, "tokens.json: Too many levels of symbolic links"),
}


@pytest.mark.parametrize(("damage", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_backup_is_refused(
    backup: Path, other: Path, lowtide: Command, damage: Callable[[Path], None], words: str
) -> None:
    assert lowtide("restore", "--check", backup).code == 0
    damage(backup)

    checked = lowtide("restore", "--check", backup, "--data", other)
    restored = lowtide("restore", backup, "--data", other)

    assert (checked.code, restored.code) == (1, 1)
    assert words in checked.err, checked.err
    assert words in restored.err
    assert not other.exists()


def test_a_later_engine_is_refused(
    backup: Path, other: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "_engine_version", lambda: "26.9.2.1")
    edit("store", engine_version="26.9.7.5")(backup)
    assert lowtide("restore", "--check", backup).code == 0
    edit("store", engine_version="26.10.1.1")(backup)
    ran = lowtide("restore", backup, "--data", other)
    assert (ran.code, "a later engine (26.10.1.1; this one is 26.9.2.1)" in ran.err) == (1, True)


def test_a_file_that_changes_after_it_was_checked(
    backup: Path, other: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "check_sums", lambda *_: flip(backup / "data" / PLACE))
    ran = lowtide("restore", backup, "--data", other)
    assert (ran.code, "other bytes than a moment ago" in ran.err) == (1, True)
    assert not other.exists()


@pytest.mark.parametrize("at", [0, 3])
def test_a_disk_that_fills_up(
    backup: Path, other: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    calls = iter(range(100))
    real = copying._write

    def write(handle: int, chunk: bytes) -> None:
        if next(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle, chunk)

    monkeypatch.setattr(copying, "_write", write)
    ran = lowtide("restore", backup, "--data", other)
    assert (ran.code, "No space left" in ran.err) == (1, True)
    assert not other.exists()


def test_a_place_that_is_filled_meanwhile(
    backup: Path, other: Path, lowtide: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(_: Path) -> None:
        other.mkdir()
        (other / "mine").touch()

    monkeypatch.setattr(restoring, "sync_filesystem", sync)
    ran = lowtide("restore", backup, "--data", other)
    assert (ran.code, "filled by somebody else" in ran.err) == (2, True)
    assert [path.name for path in other.iterdir()] == ["mine"]


@pytest.mark.parametrize(("kind", "url"), [("server", "embedded"), ("embedded", "clickhouse://host/db")])
def test_a_store_of_another_kind(backup: Path, other: Path, lowtide: Command, kind: str, url: str) -> None:
    edit("store", kind=kind, address="clickhouse://me@host:8123/db")(backup)
    ran = lowtide("restore", backup, "--data", other, "--set", f"store.url={url}")
    assert (ran.code, "store" in ran.err) == (2, True)


def test_a_store_on_a_server_must_be_of_the_same_moment(backup: Path, other: Path, lowtide: Command) -> None:
    address = "clickhouse://me@host:8123/db"
    edit("store", kind="server", address=address)(backup)
    ran = lowtide("restore", backup, "--data", other, "--set", f"store.url={address}")
    assert (ran.code, f"First see that {address} is as it was then" in ran.err) == (0, True)


def test_files_that_are_not_in_the_checksums_are_not_restored(
    backup: Path, other: Path, lowtide: Command
) -> None:
    (backup / "data" / "stranger").touch()
    assert lowtide("restore", backup, "--data", other).code == 0
    assert not (other / "stranger").exists()


@given(
    st.lists(
        st.text(st.sampled_from("anr\\\n\r. é\x1b"), min_size=1, max_size=12).filter(
            lambda name: name not in {".", ".."}
        ),
        max_size=5,
    )
)
def test_any_name_survives_the_checksums(names: list[str]) -> None:
    sums = [FileSum(PurePosixPath("store") / name, "ab" * 32) for name in names]
    assert list(decode_sums(encode_sums(sums))) == sums


@pytest.mark.parametrize(
    "line", ["", "short  data/x", f"{'ab' * 32} data/x", f"{'ab' * 32}  /etc/x", f"{'ab' * 32}  data"]
)
def test_lines_that_are_no_checksum(line: str) -> None:
    with pytest.raises(BackupDamagedError, match="Line 1"):
        list(decode_sums(line.encode() + b"\n"))
