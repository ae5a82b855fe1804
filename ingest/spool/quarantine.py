"""Keeps what the store can never take: one file for each request, or piece of one, with the reason. The
loader puts them there, `lowtide spool` lists, drops and requeues them.

A file is a line of JSON and the bytes behind it, and is there as a whole or not at all. To requeue one is to
rename it; the loader takes it from there. So both work whether a server runs or not.

The trap: what lies here was acknowledged. Nothing removes it but a person, and if there is no room for more,
the batch waits.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from ingest.signals import Signal
from ingest.spool.boot import prepare_file, put_in_place
from ingest.spool.errors import SpoolError, SpoolFullError, SpoolReadError
from ingest.spool.files import Files, is_full, read_whole
from ingest.spool.health import Health

log = structlog.get_logger(__name__)
FOLDER_NAME = "quarantine"
SUFFIX = ".held"
REQUEUED = ".requeue"
_NAME = re.compile(r"^(traces|metrics|logs)-\d+$")


@dataclass(frozen=True, slots=True)
class Held:
    """A request that the store cannot take."""

    name: str
    signal: Signal
    tenant: str
    received_ns: int
    """When it arrived, ns since 1970."""
    items: int
    reason: str
    held_ns: int
    """When it was put here."""
    body_bytes: int
    requeued: bool = False
    """It is on its way back into the spool."""


class Quarantine:
    """The folder, as an open spool writes to it."""

    def __init__(self, folder: Path, limit_bytes: int, *, files: Files, health: Health) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._files = files
        self._health = health
        self._lock = threading.Lock()

    def put(self, name: str, held: Held, body: bytes) -> None:
        """Keep a request durably; doing so twice is fine.

        Raises SpoolFullError if there is no room for it, SpoolFailedError.
        """
        head = {key: value for key, value in asdict(held).items() if key not in ("name", "requeued")}
        content = json.dumps(head, ensure_ascii=False).encode() + b"\n" + body
        path = self._folder / f"{name}{SUFFIX}"
        with self._lock:
            used = sum(_size(each) for each in paths_of(self._folder) if each != path)
            if used + len(content) > self._limit_bytes:
                raise SpoolFullError(
                    f"the quarantine holds {used} of {self._limit_bytes} bytes (spool.quarantine_bytes) and"
                    " has no room for another request that the store cannot take: see"
                    " `lowtide spool quarantine`"
                )
            try:
                self._write(path, content)
            except OSError as error:
                if is_full(error):
                    raise SpoolFullError(f"the disk that holds {self._folder} is full; make room") from error
                raise self._health.failed(f"writing {path} failed", error) from error

    def _write(self, path: Path, content: bytes) -> None:
        if not self._folder.is_dir():
            self._files.mkdir(self._folder)
            self._files.sync_directory(self._folder.parent)
        put_in_place(self._files, prepare_file(self._files, path, content), path)

    def requeued(self) -> Iterator[tuple[Held, bytes]]:
        """What is to go back into the spool, with its bytes. What cannot be read stays. Raises SpoolReadError
        if the disk does not answer."""
        for path in paths_of(self._folder):
            if path.suffix != REQUEUED:
                continue
            try:
                content = read_whole(self._files, path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SpoolReadError(f"{path} cannot be read: {error}") from error
            held = _held(path, content)
            if held is None:
                log.error("A file of the quarantine cannot be understood and stays there", file=path.name)
                continue
            yield held, content.partition(b"\n")[2]

    def forget(self, name: str) -> None:
        """A requeued request is in the spool again. Raises SpoolFailedError."""
        path = self._folder / f"{name}{REQUEUED}"
        try:
            if path.exists():
                self._files.unlink(path)
                self._files.sync_directory(self._folder)
        except OSError as error:
            raise self._health.failed(f"removing {path} failed", error) from error

    def usage(self) -> tuple[int, int]:
        """How many requests are held, and their bytes."""
        sizes = [_size(path) for path in paths_of(self._folder)]
        return len(sizes), sum(sizes)


def paths_of(folder: Path) -> list[Path]:
    """The files of a quarantine, the oldest batch first."""
    if not folder.is_dir():
        return []
    found = [
        path for path in folder.iterdir() if path.suffix in (SUFFIX, REQUEUED) and _NAME.match(path.stem)
    ]
    return sorted(found, key=lambda path: int(path.stem.rpartition("-")[2]))


def held_in(folder: Path) -> Iterator[Held]:
    """What a quarantine holds. What is no file of ours is passed over. Raises OSError."""
    for path in paths_of(folder):
        with suppress(FileNotFoundError):
            held = _held(path, path.read_bytes())
            if held is not None:
                yield held


def requeue(folder: Path, name: str) -> None:
    """Have a held request sent into the spool again. Raises OSError, SpoolError if there is none of that
    name."""
    _path_of(folder, name).rename(folder / f"{name}{REQUEUED}")


def drop(folder: Path, name: str) -> None:
    """Delete a held request for good. Raises SpoolError if there is none of that name, OSError."""
    _path_of(folder, name).unlink()


def _path_of(folder: Path, name: str) -> Path:
    path = folder / f"{name}{SUFFIX}"
    if not _NAME.match(name) or not path.is_file():
        raise SpoolError(f"the quarantine holds no request {name!r}")
    return path


def _held(path: Path, content: bytes) -> Held | None:
    """What the first line says; None if it is not whole."""
    line, separator, body = content.partition(b"\n")
    try:
        head = json.loads(line)
        held = Held(
            path.stem,
            Signal(head["signal"]),
            str(head["tenant"]),
            int(head["received_ns"]),
            int(head["items"]),
            str(head["reason"]),
            int(head["held_ns"]),
            int(head["body_bytes"]),
            requeued=path.suffix == REQUEUED,
        )
    except (ValueError, KeyError, TypeError):
        return None
    return held if separator and len(body) == held.body_bytes else None


def _size(path: Path) -> int:
    """Bytes of a file, 0 if it has gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
