"""What the server holds for a backup: refusals, and what is left of a killed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.snapshots import SnapshotRefusedError
from ingest.loader.gate import StillBusyError
from ingest.spool.errors import SpoolFailedError
from ingest.store.target import Server
from lowtide.backup.making import backup_lock
from lowtide.serve.snapshots import ServerSnapshots, forget_snapshot

TARGET = Server("host", 1, "default", "", "lowtide", secure=False)


def parts(data: Path, during: Callable[[], None] = lambda: None) -> Any:
    """A server whose store is elsewhere; `during` is called while the loader stands still."""

    @contextmanager
    def paused(_: float) -> Iterator[None]:
        during()
        yield

    @contextmanager
    def still() -> Iterator[Path]:
        yield data / "spool"

    return SimpleNamespace(
        loader=SimpleNamespace(paused=paused), spool=SimpleNamespace(still=still),
        engine=SimpleNamespace(target=TARGET, is_embedded=False),
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "batches.log").write_bytes(b"x")
    return tmp_path


def test_it_is_held_until_it_is_let_go(data: Path) -> None:
    snapshots = ServerSnapshots(data, parts(data))
    assert snapshots.take().loading_paused_s >= 0
    with pytest.raises(SnapshotRefusedError, match="has not been copied yet") as refused:
        snapshots.take()
    assert refused.value.is_held
    with backup_lock(data):
        forget_snapshot(data, TARGET)
        assert (data / "snapshot").exists()
    forget_snapshot(data, TARGET)
    assert not (data / "snapshot").exists()
    snapshots.take()


def test_what_cannot_be_let_go_keeps_no_server_from_starting(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lowtide.serve.snapshots.release", refuse)
    forget_snapshot(data, TARGET)


@pytest.mark.parametrize(
    "error", [StillBusyError("busy"), SpoolFailedError("failed"), PermissionError(13, "denied")]
)
def test_refusals_leave_nothing(data: Path, error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SnapshotRefusedError) as refused:
        ServerSnapshots(data, parts(data, fail)).take()
    assert not refused.value.is_held
    assert not (data / "snapshot").exists()
    ServerSnapshots(data, parts(data)).take()


def test_one_at_a_time(data: Path) -> None:
    inner: list[SnapshotRefusedError] = []
    snapshots: ServerSnapshots

    def again() -> None:
        try:
            snapshots.take()
        except SnapshotRefusedError as error:
            inner.append(error)

    snapshots = ServerSnapshots(data, parts(data, again))
    snapshots.take()
    assert [error.is_held for error in inner] == [True]
