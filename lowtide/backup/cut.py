"""The moment of a backup: `<data>/snapshot` holds the data directory as it was then, by hard links, until
somebody has copied it. Taken by the running server (`lowtide.serve.snapshots`) or, if none runs, by
`lowtide.backup.here`; read by `lowtide.backup.making`.

The spool is linked first, the store frozen after it, and nothing is inserted in between: so every request is
in exactly one of them, or in a batch that both know by its token. Links cost milliseconds, whatever the size;
only a spool on another file system is copied.

The trap: a linked file may go on growing, so its size at the cut is noted and no more of it is copied.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict

from ingest.spool.batches import RESERVE_NAME
from ingest.store.engine import Engine
from ingest.store.freezing import Frozen, files_beside_parts, freeze, unfreeze
from ingest.store.target import Embedded, Target
from lowtide.backup.errors import BackupError
from lowtide.backup.manifest import StoreFacts

log = structlog.get_logger(__name__)

SNAPSHOT_FOLDER: Final = "snapshot"
_FILES: Final = "files"
_CUT_NAME: Final = "cut.json"
_NEVER: Final = frozenset({SNAPSHOT_FOLDER, "tmp"})
"""Folders of the data directory that belong to a running process."""
_PASSING: Final = (".lock", ".new", ".tmp")
"""Endings of files that mean nothing to anybody else: locks, and what is being written."""
_NO_LINKS: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
_ROUNDS: Final = 10


class SnapshotError(BackupError):
    """The moment could not be held; nothing is left of it."""


class Root(BaseModel):
    """A folder of what is held: everything in `folder` belongs to `place` below the data directory."""

    model_config = ConfigDict(frozen=True)

    place: str
    folder: Path


class Cut(BaseModel):
    """The data directory as it was at one moment."""

    model_config = ConfigDict(frozen=True)

    taken_at: AwareDatetime
    store: StoreFacts
    roots: tuple[Root, ...]
    sizes: Mapping[str, int]
    """Bytes that count of a file, by its place below the data directory; of all others, all do."""


def take_cut(data: Path, spool: AbstractContextManager[Path], target: Target, engine: Engine | None) -> Cut:
    """Hold the data directory as it is now. The caller sees to it that nothing is inserted meanwhile.

    `spool` gives the spool's directory, and keeps it as it is while it is entered; `engine` is None if there
    is no embedded store. Raises SnapshotError, StoreError, SpoolError, OSError; nothing is held then.
    """
    folder = data / SNAPSHOT_FOLDER
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise SnapshotError(f"{folder} is there already: another backup has not been copied yet.") from error
    try:
        cut = _take(data, spool, target, engine)
        (folder / _CUT_NAME).write_bytes(cut.model_dump_json().encode())
    except BaseException:
        release(data, target)
        raise
    return cut


def read_cut(data: Path) -> Cut:
    """What is held. Raises SnapshotError."""
    path = data / SNAPSHOT_FOLDER / _CUT_NAME
    try:
        return Cut.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{path} cannot be read, so there is nothing to copy.") from error


def release(data: Path, target: Target) -> None:
    """Hold nothing any more; nothing happens if nothing was. Raises OSError."""
    if isinstance(target, Embedded):
        unfreeze(target.directory)
    folder = data / SNAPSHOT_FOLDER
    if folder.exists():
        shutil.rmtree(folder)


def _take(data: Path, spool: AbstractContextManager[Path], target: Target, engine: Engine | None) -> Cut:
    files = data / SNAPSHOT_FOLDER / _FILES
    files.mkdir()
    with spool as directory:
        taken_at = datetime.now(UTC)
        sizes = _hold(directory, files, directory.name)
    own = {directory.name, *_NEVER}
    if isinstance(target, Embedded):
        own.add(target.directory.name)
    for entry in sorted(data.iterdir()):
        if entry.name not in own and not entry.name.endswith(_PASSING):
            sizes |= _hold(entry, files, entry.name)
    roots = [Root(place="", folder=files.resolve())]
    facts = StoreFacts(kind="server", address=str(target))
    if isinstance(target, Embedded):
        frozen = None
        if engine is not None:
            sizes |= _beside_parts(target.directory, files)
            frozen = freeze(engine)
            roots.append(Root(place=f"{target.directory.name}/store", folder=frozen.parts.resolve()))
        facts = _facts(frozen)
    return Cut(taken_at=taken_at, store=facts, roots=tuple(roots), sizes=sizes)


def _facts(frozen: Frozen | None) -> StoreFacts:
    if frozen is None:
        return StoreFacts(kind="embedded")
    return StoreFacts(
        kind="embedded", schema_version=frozen.schema, engine_version=frozen.engine, tenants=frozen.tenants,
        rows=frozen.rows,
    )  # fmt: skip


def _beside_parts(store: Path, files: Path) -> dict[str, int]:
    """Hold what the engine needs beside its parts."""
    sizes = {}
    for path in files_beside_parts(store):
        place = f"{store.name}/{path}"
        sizes[place] = _link(store / path, files / place)
    return sizes


def _hold(source: Path, files: Path, name: str) -> dict[str, int]:
    """Hold a file, or a folder with all that is in it. A file may be given another name meanwhile, as the
    quarantine does; then it is looked at anew."""
    for _ in range(_ROUNDS):
        try:
            return {place: _link(path, files / place) for path, place in _walk(source, name) if _counts(path)}
        except FileNotFoundError:
            log.debug("A file went while it was looked at", folder=name)
            _remove(files / name)
    raise SnapshotError(f"{source} changes too often to be held.", hint="Try again.")


def _walk(source: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Every file with its place below the data directory."""
    if not source.is_dir():
        yield source, name
        return
    for folder, _, names in os.walk(source, onerror=_raise):
        inner = Path(name) / Path(folder).relative_to(source)
        for each in sorted(names):
            if not each.endswith(_PASSING) and str(inner / each) != f"{name}/{RESERVE_NAME}":
                yield Path(folder) / each, str(inner / each)


def _counts(path: Path) -> bool:
    """Whether it is a file, or a link to one. Raises FileNotFoundError if it has gone."""
    if path.is_symlink() and not path.exists():
        log.warning("A link that leads nowhere is not in the backup", link=str(path))
        return False
    return stat.S_ISREG(path.stat().st_mode)


def _raise(error: OSError) -> None:
    raise error


def _link(source: Path, target: Path) -> int:
    """Hold a file; returns its size now. What a link means is held, not the link."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(source.resolve(strict=True), target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
    return target.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
