"""Restores a backup into a data directory that does not exist yet, or is empty. `lowtide restore` calls it.

Every checksum is compared before anything is written. The files are copied into a folder beside the data
directory, the engine opens them there and brings its tables up to date, and only then does the folder get its
name: whatever happens before, nothing is restored.

The trap: the spool must not take this machine's boot for the one it was last opened in, so it is told that it
does not know: it then doubts whatever it would doubt after a restart of the machine.
"""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.spool.boot import META_NAME
from ingest.store.durable import sync_filesystem
from ingest.store.engine import Engine
from ingest.store.migrate import migrate, newest_number
from ingest.store.target import Embedded
from lowtide.backup.copying import check_room, check_sums, copy_file, damaged
from lowtide.backup.errors import BackupDamagedError, BackupPlaceError, BackupTooNewError
from lowtide.backup.manifest import DATA_FOLDER, FileSum, Manifest, read_manifest, read_sums, sync_folder
from lowtide.store_access import SPOOL_FOLDER, STORE_FOLDER, target_of

if TYPE_CHECKING:
    from lowtide.settings import Settings

Tell = Callable[[str, int, int], None]
"""Is told what is being done, the bytes done so far, and all there are."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup of which every file is as it was."""

    folder: Path
    manifest: Manifest
    sums: list[FileSum]


def check_backup(backup: Path, tell: Tell) -> Checked:
    """Read all of a backup and compare every checksum. Writes nothing to it.

    Raises BackupUnfinishedError, BackupDamagedError, BackupTooNewError, StoreError, OSError.
    """
    manifest = read_manifest(backup)
    _check_versions(backup, manifest)
    sums = read_sums(backup, manifest)
    if len(sums) != manifest.files:
        raise damaged(backup, [f"{len(sums)} files instead of {manifest.files}"])
    check_sums(backup, sums, lambda done: tell("compared", done, manifest.size_bytes))
    return Checked(backup, manifest, sums)


def restore(backup: Path, settings: Settings, tell: Tell) -> Manifest:
    """Restore a backup into the data directory of the settings, durably and all at once.

    Raises BackupError, StoreError, OSError; the data directory is as it was then.
    """
    data = settings.data.resolve()
    _check_place(data, settings.data)
    _check_kind(read_manifest(backup), settings)
    checked = check_backup(backup, tell)
    check_room(data.parent, ((backup / DATA_FOLDER / each.path).stat().st_size for each in checked.sums))
    data.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{data.name}.restoring-", dir=data.parent))
    try:
        _fill(checked, folder, tell)
        _forget_boot(folder / SPOOL_FOLDER)
        if checked.manifest.store.rows:
            _open_store(folder / STORE_FOLDER, settings, checked)
        sync_filesystem(folder)
        _give_name(folder, data)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return checked.manifest


def _check_place(data: Path, named: Path) -> None:
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise BackupPlaceError(
            f"{named} is not empty, and nothing is ever restored over anything.",
            hint="Name another data directory with --data, or move this one away.",
        )


def _check_kind(manifest: Manifest, settings: Settings) -> None:
    kind = "embedded" if isinstance(target_of(settings), Embedded) else "server"
    if kind == manifest.store.kind:
        return
    if kind == "server":
        raise BackupPlaceError(
            "The backup holds an embedded store, and the settings name a ClickHouse server.",
            hint="Restore with --set store.url=embedded.",
        )
    raise BackupPlaceError(
        f"The backup's store was {manifest.store.address}, whose data is not in it, and the settings have an "
        "embedded store.",
        hint="Restore the server's own backup, and name the server with --set store.url=...",
    )


def _check_versions(backup: Path, manifest: Manifest) -> None:
    store = manifest.store
    if store.schema_version is not None and store.schema_version > newest_number():
        raise BackupTooNewError(
            f"{backup} was made by a later version of Lowtide ({manifest.lowtide_version}): its tables are "
            f"of migration {store.schema_version}, this version knows {newest_number()}.",
            hint="Restore it with that version.",
        )
    if store.engine_version:
        mine = _engine_version()
        if _release(mine) < _release(store.engine_version):
            raise BackupTooNewError(
                f"{backup} was written by a later engine ({store.engine_version}; this one is {mine}), whose "
                "files an earlier one may not read.",
                hint="Restore it with the version of Lowtide that made it, or a later one.",
            )


def _engine_version() -> str:
    """Of the engine in this process. There can be one at a time, so it is closed again."""
    with tempfile.TemporaryDirectory(prefix="lowtide-") as folder:
        engine = Engine.open(Embedded(Path(folder) / STORE_FOLDER))
        try:
            with engine.session() as session:
                return str(session.value("SELECT version()"))
        finally:
            engine.close()


def _release(version: str) -> tuple[int, ...]:
    """Year and month: within one, files do not change."""
    return tuple(int(part) for part in version.split(".")[:2])


def _fill(checked: Checked, folder: Path, tell: Tell) -> None:
    """Copy every file, and compare once more what was really read."""
    done = 0
    for each in checked.sums:
        digest, size = copy_file(checked.folder / DATA_FOLDER / each.path, folder / each.path)
        if digest != each.sha256:
            raise damaged(checked.folder, [f"{each.path}: other bytes than a moment ago"])
        done += size
        tell("copied", done, checked.manifest.size_bytes)


def _forget_boot(spool: Path) -> None:
    meta = spool / META_NAME
    if meta.exists():
        meta.write_text(json.dumps({**json.loads(meta.read_text()), "boot_id": None}) + "\n")


def _open_store(directory: Path, settings: Settings, checked: Checked) -> None:
    """Let the engine open what was copied, and bring its tables up to date."""
    engine = Engine.open(Embedded(directory))
    try:
        with engine.session() as session:
            # Nothing was detached in the backup, so this is what the engine could not read.
            unread = session.rows(
                "SELECT table, name FROM system.detached_parts WHERE database = currentDatabase() LIMIT 5"
            )
            if unread:
                names = ", ".join(f"{table}/{name}" for table, name in unread)
                raise BackupDamagedError(
                    f"The engine cannot read parts of {checked.folder}: {names}.",
                    hint="Nothing was restored.",
                )
            migrate(session, settings.store)
    finally:
        engine.close()


def _give_name(folder: Path, data: Path) -> None:
    try:
        folder.rename(data)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise BackupPlaceError(
                f"{data} is the root of a mounted disk, which cannot be replaced as a whole.",
                hint="Restore into a folder on that disk, and name it with --data.",
            ) from error
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise BackupPlaceError(f"{data} was filled by somebody else meanwhile.") from error
        raise
    sync_folder(data.parent)
