"""Puts the files of an embedded store back to what they were at a checkpoint. `ingest.store.checkpoints`
calls it before the engine opens them.

After a power failure any file that is younger than the last checkpoint may be missing, empty or half there,
each without the others; after a kill a token may have no part. What the checkpoint names is on the disk.
Nothing here changes the checkpoint, so that whatever breaks this off, it is begun anew and ends the same.

The trap: a part that is put back may be one that a merge had made obsolete, and the merge's result is
younger. Both in one folder would be read as the result alone, so what is not in the checkpoint is removed.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from ingest.store.checkpoint_format import (
    DETACHED_NAME,
    LOGS_NAME,
    PARTS_NAME,
    TAILS_NAME,
    Checkpoint,
    KeptTable,
    broken_part,
    is_part,
    log_number,
)
from ingest.store.part_links import files_of, link_part, remove_part
from ingest.store.token_tails import put_log_back


@dataclass(slots=True)
class PutBack:
    """What was done."""

    tables: int = 0
    parts: int = 0
    """In the checkpoint, of the tables that were put back."""
    returned: int = 0
    """Parts that were missing or not whole."""
    removed: int = 0
    """Parts that are younger than the checkpoint."""
    problems: list[str] = field(default_factory=list)
    """What was left as it is, and why: rows of the last seconds may be missing there, or doubled."""
    forgetful: list[str] = field(default_factory=list)
    """Tables that know only the last tokens again."""


def put_back(directory: Path, checkpoint: Checkpoint, folder: Path) -> PutBack:
    """Make all tables what they were. `folder` is the checkpoint's. Raises OSError."""
    done = PutBack()
    for table in checkpoint.tables:
        place = directory / table.folder
        if place.is_dir():
            _table(place, table, folder, done)
    return done


def _table(place: Path, table: KeptTable, folder: Path, done: PutBack) -> None:
    copies = folder / PARTS_NAME / table.key
    broken: list[str] = []
    lost: list[str] = []
    for name, kept in table.parts.items():
        copy = files_of(copies / kept.copy)
        if copy is None or len(copy) != kept.files:
            lost.append(name)
        elif files_of(place / name) != copy:
            broken.append(name)
    if lost:
        done.problems.append(
            f"{table.name}: the checkpoint has lost {len(lost)} of {len(table.parts)} parts, {lost[0]} first"
        )
        return
    younger = [each for each in place.iterdir() if is_part(each.name) and each.name not in table.parts]
    for part in younger:  # first, because on a full disk the folders of the others need the room
        remove_part(part)
    for name in broken:
        if (place / name).exists():
            remove_part(place / name)
        link_part(copies / table.parts[name].copy, place / name)
    _forget_broken(place / DETACHED_NAME, table)
    if not _put_logs_back(place, table, folder / TAILS_NAME):
        done.forgetful.append(table.name)
    done.tables += 1
    done.parts += len(table.parts)
    done.returned += len(broken)
    done.removed += len(younger)


def _forget_broken(detached: Path, table: KeptTable) -> None:
    """Remove what an engine has set aside as broken, if it is younger than the checkpoint: it comes again."""
    for path in list(detached.iterdir()) if detached.is_dir() else []:
        part = broken_part(path.name)
        if part is not None and part not in table.parts:
            shutil.rmtree(path)


def _put_logs_back(place: Path, table: KeptTable, tails: Path) -> bool:
    names = {kept.name for kept in table.logs}
    logs = place / LOGS_NAME
    for path in list(logs.iterdir()) if logs.is_dir() else []:
        if log_number(path.name) is not None and path.name not in names:
            path.unlink()
    whole = [put_log_back(place, kept, tails) for kept in table.logs]
    return all(whole)


def clear(folder: Path, checkpoint: Checkpoint | None) -> None:
    """Remove copies that a checkpoint does not name, so that no later part of the same name is taken for one.

    Raises OSError.
    """
    tables = () if checkpoint is None else checkpoint.tables
    wanted = {table.key: {part.copy for part in table.parts.values()} for table in tables}
    for table in (folder / PARTS_NAME).iterdir():
        for part in list(table.iterdir()):
            if part.name not in wanted.get(table.name, ()):
                shutil.rmtree(part)
        if table.name not in wanted:
            table.rmdir()
