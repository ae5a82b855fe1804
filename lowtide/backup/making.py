"""Makes a backup: has the moment held, copies what is held, and writes the manifest last. `lowtide backup`
calls it.

The folder is made for tools like rsync and restic: plain files under stable names, which never change once a
part of the store was written, with their times.

The trap: what is held takes room in the data directory until it is released, so that happens whatever else
does; only a kill leaves it, and the next backup, or the next start of the server, takes it away.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Final

from ingest.spool.inspect import look
from ingest.store.durable import sync_filesystem
from ingest.store.target import Target
from lowtide.backup.copying import check_room, copy_file
from lowtide.backup.cut import Cut, read_cut, release
from lowtide.backup.errors import BackupPlaceError, BackupRunsError
from lowtide.backup.manifest import (
    CHECKSUMS_NAME,
    DATA_FOLDER,
    FORMAT,
    FileSum,
    Manifest,
    encode_sums,
    write_manifest,
    write_new,
)

LOCK_NAME: Final = "backup.lock"


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up: a data directory, the name its spool has there, and its store."""

    data: Path
    spool_name: str
    target: Target


def make_backup(
    source: Source, target: Path, hold: Callable[[], None], tell: Callable[[int, int], None]
) -> Manifest:
    """Make a backup in `target`, which must not be there yet or be empty. `hold` takes the cut; `tell` is
    told the bytes that are copied, and all there are.

    Raises BackupError, OSError, and whatever `hold` does; nothing is left in `target` then.
    """
    target = _checked(source.data, target)
    with ExitStack() as closing:
        closing.enter_context(backup_lock(source.data))
        release(source.data, source.target)  # of a backup that was killed
        closing.callback(release, source.data, source.target)
        hold()
        cut = read_cut(source.data)
        files = list(_files(cut))
        check_room(target, (size for _, _, size in files))
        made = not target.exists()
        try:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _copy(source, cut, files, target, tell)
        except BaseException:
            _take_away(target, folder_too=made)
            raise


def _copy(
    source: Source,
    cut: Cut,
    files: list[tuple[PurePosixPath, Path, int]],
    target: Path,
    tell: Callable[[int, int], None],
) -> Manifest:
    sums = []
    done, total = 0, sum(size for _, _, size in files)
    data = target / DATA_FOLDER
    data.mkdir(mode=0o700)
    for place, path, size in files:
        digest, copied = copy_file(path, data / place, size)
        sums.append(FileSum(place, digest))
        done += copied
        tell(done, total)
    content = encode_sums(sums)
    write_new(target / CHECKSUMS_NAME, content)
    manifest = Manifest(
        format=FORMAT,
        lowtide_version=version("lowtide"),
        created_at=cut.taken_at,
        store=cut.store,
        requests_waiting=_waiting(data / source.spool_name),
        files=len(sums),
        size_bytes=total,
        checksums_sha256=hashlib.sha256(content).hexdigest(),
    )
    sync_filesystem(target)
    write_manifest(target, manifest)
    return manifest


def _files(cut: Cut) -> Iterator[tuple[PurePosixPath, Path, int]]:
    """Every file that is held: its place below the data directory, where it lies, and its size. In the order
    of the places."""
    found = []
    for root in cut.roots:
        for folder, _, names in os.walk(root.folder):
            for name in names:
                path = Path(folder) / name
                place = PurePosixPath(root.place) / path.relative_to(root.folder)
                found.append((place, path, cut.sizes.get(str(place), path.stat().st_size)))
    return iter(sorted(found))


def _waiting(spool: Path) -> Mapping[str, int]:
    """What the copy holds that its store may not have."""
    found = look(spool, limit_bytes=0, boot_id=None)
    return {each.signal.value: each.records_waiting for each in found.signals}


def _checked(data: Path, target: Path) -> Path:
    """The target's real path. Raises BackupPlaceError."""
    real, own = target.resolve(), data.resolve()
    if real == own or own in real.parents:
        raise BackupPlaceError(
            f"{target} lies in the data directory {data}; a backup in there would be lost with it.",
            hint="Choose a folder on another disk.",
        )
    if real.exists() and (not real.is_dir() or any(real.iterdir())):
        raise BackupPlaceError(
            f"{target} is not empty.", hint="Name a folder that does not exist yet, one for each backup."
        )
    return real


def _take_away(target: Path, *, folder_too: bool) -> None:
    """Leave the target as it was."""
    if folder_too:
        shutil.rmtree(target, ignore_errors=True)
        return
    shutil.rmtree(target / DATA_FOLDER, ignore_errors=True)
    for path in target.iterdir():
        with suppress(OSError):
            path.unlink()


@contextmanager
def backup_lock(data: Path) -> Iterator[None]:
    """One backup at a time, and what it holds is left alone. Raises BackupRunsError, OSError."""
    handle = os.open(data / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.geteuid() == 0:
            # Else a server of another user could not look at it.
            owner = data.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupRunsError(
                f"Another backup of {data} is being made.", hint="Wait until it has ended."
            ) from error
        yield
    finally:
        os.close(handle)
