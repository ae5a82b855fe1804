"""Temporary files of the server lie in its data directory, and nothing of them stays."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lowtide.instance_lock import DataDirectoryError
from lowtide.serve.scratch import leave_scratch, take_scratch


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    yield
    leave_scratch()


def test_temporary_files_go_there_and_only_the_owner_sees_them(tmp_path: Path) -> None:
    folder = take_scratch(tmp_path)

    assert folder == tmp_path / "tmp"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == folder
    leave_scratch()
    assert Path(tempfile.gettempdir()) != folder


def test_what_a_killed_process_left_is_gone(tmp_path: Path) -> None:
    (tmp_path / "tmp" / "folder").mkdir(parents=True, mode=0o755)
    (tmp_path / "tmp" / "folder" / "one.native").write_bytes(b"left")

    folder = take_scratch(tmp_path)

    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_a_link_leads_to_is_not_emptied(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "file").write_bytes(b"precious")
    data = tmp_path / "data"
    data.mkdir()
    (data / "tmp").symlink_to(own)

    with pytest.raises(DataDirectoryError, match="is a link"):
        take_scratch(data)
    assert (own / "file").read_bytes() == b"precious"


def test_a_folder_that_cannot_be_made_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "tmp").write_bytes(b"a file")
    with pytest.raises(DataDirectoryError, match="temporary files"):
        take_scratch(tmp_path)


@pytest.mark.process
@pytest.mark.timeout(120)
def test_telemetry_is_stored_although_the_systems_folder_takes_nothing(launch: Any, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.mkdir()
    launch.environment["TMPDIR"] = str(system)
    left = tmp_path / "data" / "tmp" / "left.native"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"left")
    server = launch.serve()
    assert not left.exists()
    shutil.rmtree(system)
    # A file where the folder was: even the superuser makes no file below it.
    system.write_bytes(b"")
    server.send_log("mine")
    server.wait_stored()

    assert server.rows("SELECT Body FROM otel_logs") == [{"Body": "mine"}]
    assert list((tmp_path / "data" / "tmp").iterdir()) == []
    assert server.stop() == 0
