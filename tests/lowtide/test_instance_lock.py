"""One owner of a data directory, across processes, whatever way the last one ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from lowtide.instance_lock import (
    LOCK_NAME,
    AlreadyRunningError,
    DataDirectoryError,
    InstanceError,
    InstanceLock,
    read_running,
)

ADDRESSES = {"api": "http://127.0.0.1:1", "otlp_http": "http://127.0.0.1:2", "otlp_grpc": "127.0.0.1:3"}

OWNER = """
import sys
from pathlib import Path
from lowtide.instance_lock import InstanceLock, InstanceError
try:
    lock = InstanceLock.acquire(Path(sys.argv[1]))
except InstanceError as error:
    print(f"refused: {error}", flush=True)
    sys.exit(1)
lock.publish({"api": "http://127.0.0.1:1"})
print("owns", flush=True)
sys.stdin.read()
"""


class Owner:
    """Another process that owns a data directory, or was refused it, until it is ended."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.says = _stream(self.process.stdout).readline().strip()

    def end(self, with_signal: int | None = None) -> None:
        if with_signal is None:
            _stream(self.process.stdin).close()
        else:
            self.process.send_signal(with_signal)
        self.process.wait(timeout=30)
        _stream(self.process.stdout).close()
        _stream(self.process.stdin).close()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "data"


@pytest.fixture
def owner(data: Path) -> Iterator[Owner]:
    other = Owner(data)
    assert other.says == "owns"
    yield other
    if other.process.poll() is None:
        other.end()


def test_a_directory_nobody_owns(data: Path) -> None:
    assert read_running(data) is None
    assert not data.exists()  # looking writes nothing


def test_the_owner_is_seen_by_others(data: Path, owner: Owner) -> None:
    running = read_running(data)

    assert running is not None
    assert running.pid == owner.process.pid
    assert running.api == "http://127.0.0.1:1"
    assert running.started_at.tzinfo is not None


def test_a_second_process_is_refused_with_a_plain_sentence(data: Path, owner: Owner) -> None:
    running = read_running(data)
    assert running is not None

    second = Owner(data)
    second.end()

    assert second.says == (
        f"refused: Lowtide already runs on this data directory (pid {owner.process.pid}, started "
        f"{running.started_at:%Y-%m-%d %H:%M:%S} UTC, http://127.0.0.1:1). "
        "Stop it first or choose another directory with --data."
    )


def test_the_same_process_is_refused_too(data: Path) -> None:
    with InstanceLock.acquire(data), pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}"):
        InstanceLock.acquire(data)


@pytest.mark.parametrize("how", [None, signal.SIGKILL, signal.SIGTERM])
def test_whatever_way_it_ends_the_directory_is_free(data: Path, owner: Owner, how: int | None) -> None:
    owner.end(how)

    assert (data / LOCK_NAME).exists()
    assert read_running(data) is None
    with InstanceLock.acquire(data):
        assert read_running(data) is not None


def test_what_a_crash_left_behind_is_not_the_new_owner(data: Path, owner: Owner) -> None:
    owner.end(signal.SIGKILL)
    assert b"127.0.0.1:1" in (data / LOCK_NAME).read_bytes()

    with InstanceLock.acquire(data):
        running = read_running(data)

    assert running is not None
    assert running.pid == os.getpid()
    assert running.api is None


def test_addresses_are_published_and_replaced_as_a_whole(data: Path) -> None:
    with InstanceLock.acquire(data) as lock:
        lock.publish(ADDRESSES)
        assert read_running(data).addresses == ADDRESSES  # type: ignore[union-attr] - it runs
        lock.publish({"api": "http://h"})
        assert read_running(data).addresses == {"api": "http://h"}  # type: ignore[union-attr] - it runs
        assert len((data / LOCK_NAME).read_bytes().splitlines()) == 1


def test_a_reader_never_sees_half_a_record(data: Path) -> None:
    """Records of different lengths, published while another thread reads."""
    long = {"api": "http://" + "x" * 2000}
    stop = threading.Event()
    seen = []

    def read() -> None:
        while not stop.is_set():
            running = read_running(data)
            assert running is not None
            seen.append(len(running.addresses.get("api", "")))

    with InstanceLock.acquire(data) as lock:
        lock.publish({"api": "h"})
        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(300):
            lock.publish(long)
            lock.publish({"api": "h"})
        stop.set()
        reader.join(timeout=30)
        assert not reader.is_alive()

    assert seen
    assert set(seen) <= {1, len(long["api"])}


def test_looking_does_not_refuse_a_server_that_starts(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader holds the lock for an instant; a server that starts just then waits for it."""
    InstanceLock.acquire(data).release()
    reader = os.open(data / LOCK_NAME, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_SH)
    pauses = []

    def reader_is_done(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            os.close(reader)

    monkeypatch.setattr(time, "sleep", reader_is_done)

    with InstanceLock.acquire(data):
        assert len(pauses) == 3


def test_a_locked_file_that_says_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with InstanceLock.acquire(data):
        (data / LOCK_NAME).write_bytes(b"")

        with pytest.raises(InstanceError, match="does not say by whom"):
            read_running(data)
        with pytest.raises(AlreadyRunningError, match=r"^Lowtide already runs on this data directory\. Stop"):
            InstanceLock.acquire(data)


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"3", b'{"pid": "x"}', b"\xff", json.dumps({"pid": 1}).encode()]
)
def test_foreign_content_of_a_free_file_does_not_matter(data: Path, content: bytes) -> None:
    data.mkdir(parents=True)
    (data / LOCK_NAME).write_bytes(content)

    assert read_running(data) is None
    with InstanceLock.acquire(data):
        assert read_running(data) is not None


def test_release_may_be_repeated_and_ends_publishing(data: Path) -> None:
    lock = InstanceLock.acquire(data)
    lock.release()
    lock.release()

    with pytest.raises(InstanceError, match="released"):
        lock.publish(ADDRESSES)


def test_only_its_user_can_read_it(data: Path) -> None:
    with InstanceLock.acquire(data):
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE((data / LOCK_NAME).stat().st_mode) == 0o600


def test_children_do_not_inherit_it(data: Path) -> None:
    """Or a collector process that outlives its parent would keep the directory."""
    lock = InstanceLock.acquire(data)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        lock.release()
        InstanceLock.acquire(data).release()
    finally:
        child.communicate(b"\n", timeout=30)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        DataDirectoryError, match=r"directory .*file/data cannot be used: Not a dir"
    ) as caught:
        InstanceLock.acquire(tmp_path / "file" / "data")

    assert "--data" in (caught.value.hint or "")
    assert read_running(tmp_path / "file" / "data") is None


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DataDirectoryError, match="cannot be used: File exists"):
        InstanceLock.acquire(tmp_path / "file")


def test_a_lock_that_cannot_be_read(data: Path) -> None:
    (data / LOCK_NAME).mkdir(parents=True)

    with pytest.raises(DataDirectoryError, match="cannot be used: Is a directory"):
        InstanceLock.acquire(data)
