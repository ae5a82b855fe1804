"""The data directory: who may read it, who uses it, what waits in it and what was left in it. Facts are
gathered by `*_facts`, judged by `check_*`, which touch nothing.

The trap: locks are looked up in the kernel's list, never tried, since a lock that is tried for a moment could
refuse a server that starts in that moment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.loader.lead import BLOCKS_OF_INSERT
from ingest.signals import Signal
from ingest.spool.batch_book import Book
from ingest.spool.batch_format import decode_all
from ingest.spool.batches import BATCHES_NAME
from ingest.spool.health import DAMAGED_NAME
from ingest.spool.place import LOCK_NAME as SPOOL_LOCK
from ingest.store.migrate import DEDUPLICATION_WINDOW
from lowtide.backup.cut import SNAPSHOT_FOLDER
from lowtide.backup.making import LOCK_NAME as BACKUP_LOCK
from lowtide.doctor.findings import Finding, ok, problem, warning
from lowtide.instance_lock import LOCK_NAME

_SECRETS: Final = ("tokens.json", "scrub.key")


@dataclass(frozen=True, slots=True)
class PermissionFacts:
    """Who may do what with the data directory. Paths are by their name in it, "" for itself."""

    data: Path
    owner: int
    mine: int
    modes: Mapping[str, int]
    not_writable: tuple[str, ...]


def permission_facts(data: Path) -> PermissionFacts:
    """As this user sees it. Raises OSError."""
    names = ["", *(name for name in (*_SECRETS, "spool", "store") if (data / name).exists())]
    found = {name: (data / name).stat() for name in names}
    return PermissionFacts(
        data=data,
        owner=found[""].st_uid,
        mine=os.geteuid(),
        modes={name: stat.S_IMODE(each.st_mode) for name, each in found.items()},
        not_writable=tuple(name for name in names if not os.access(data / name, os.W_OK)),
    )


def check_permissions(facts: PermissionFacts) -> list[Finding]:
    """Nobody else reads telemetry, or writes tokens."""
    found = []
    for name, mode in facts.modes.items():
        path = facts.data / name
        if name in _SECRETS and mode & 0o077:
            found.append(
                problem(
                    "permissions", f"Others than its owner can read or write {path}.", f"Run chmod 600 {path}"
                )
            )
        elif name == "" and mode & 0o022:
            found.append(problem("permissions", f"Others can write to {path}.", f"Run chmod 700 {path}"))
        elif name == "" and mode & 0o055:
            found.append(warning("permissions", f"Others can read {path}.", f"Run chmod 700 {path}"))
    if facts.not_writable:
        paths = ", ".join(str(facts.data / name) for name in facts.not_writable)
        found.append(
            problem("permissions", f"This user cannot write {paths}.", "Run as the user Lowtide runs as.")
        )
    elif facts.owner != facts.mine:
        found.append(
            warning(
                "permissions",
                f"{facts.data} belongs to user {facts.owner}, this is user {facts.mine}.",
                "Run commands as the user Lowtide runs as, or files will belong to two.",
            )
        )
    return found or [ok("permissions", f"Only its owner can read and write {facts.data}.")]


@dataclass(frozen=True, slots=True)
class UseFacts:
    """Which processes hold the locks, and what a backup left."""

    data: Path
    owners: tuple[int, ...]
    """Of the data directory; 0 for a process that is not seen from here."""
    spool_owners: tuple[int, ...]
    has_snapshot: bool
    backup_runs: bool


def use_facts(data: Path, spool: Path) -> UseFacts:
    """From the kernel's list of locks. Raises OSError."""
    locks = Path("/proc/locks").read_text(encoding="ascii")
    return UseFacts(
        data=data,
        owners=_holders(locks, data / LOCK_NAME),
        spool_owners=_holders(locks, spool / SPOOL_LOCK),
        has_snapshot=(data / SNAPSHOT_FOLDER).exists(),
        backup_runs=bool(_holders(locks, data / BACKUP_LOCK)),
    )


def _holders(locks: str, path: Path) -> tuple[int, ...]:
    """The processes that hold a file's lock (flock)."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    holders = set()
    for line in locks.splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == place:
            holders.add(max(0, int(fields[4])))
    return tuple(sorted(holders))


def check_use(facts: UseFacts) -> list[Finding]:
    """One process at a time."""
    found = []
    strangers = set(facts.spool_owners) - set(facts.owners)
    if strangers:
        who = ", ".join(f"process {pid}" if pid else "a process of another container" for pid in strangers)
        found.append(
            problem(
                "use",
                f"{who.capitalize()} has the spool of {facts.data} open without owning the directory.",
                "Two programs use one directory: stop one of them.",
            )
        )
    if facts.has_snapshot and not facts.backup_runs:
        found.append(
            warning(
                "use",
                f"{facts.data / SNAPSHOT_FOLDER} was left by a backup that was killed, and holds room.",
                "The next backup or start of the server takes it away.",
            )
        )
    owner = f"Process {facts.owners[0]} uses" if facts.owners else "No process uses"
    return found or [ok("use", f"{owner} {facts.data}.")]


@dataclass(frozen=True, slots=True)
class SpoolFacts:
    """What the files of the spool say without being opened."""

    spool: Path
    newest_ns: int
    """The latest time noted in it, or at which one of its files was written; 0 if there is none."""
    repeatable: int
    """Batches that would be inserted again after a crash."""
    quarantined: int
    damaged: int


def spool_facts(spool: Path) -> SpoolFacts:
    """Reads the log of batches and lists files. Raises OSError."""
    book = Book()
    log = spool / BATCHES_NAME
    if log.exists():
        for entry in decode_all(log.read_bytes()):
            if entry is not None:
                book.apply(entry)
    written_ns = [path.stat().st_mtime_ns for path in (log, *spool.glob("*/*.seg")) if path.exists()]
    book.distrust(b"\xff" * 16)  # no boot of any: what is not known to be safe
    return SpoolFacts(
        spool=spool,
        newest_ns=max([book.last_id * 1000, *written_ns]),
        repeatable=sum(len(book.unfinished(signal)) for signal in Signal),
        quarantined=_count(spool / "quarantine"),
        damaged=_count(spool / DAMAGED_NAME),
    )


def _count(folder: Path) -> int:
    return sum(1 for path in folder.iterdir() if path.is_file()) if folder.is_dir() else 0


def check_quarantine(facts: SpoolFacts) -> list[Finding]:
    """What was set aside is somebody's telemetry."""
    found = []
    if facts.quarantined:
        found.append(
            warning(
                "quarantine",
                f"{facts.quarantined} requests are in quarantine: acknowledged, and not stored.",
                "`lowtide spool quarantine` says why; `lowtide spool requeue` tries them again.",
            )
        )
    if facts.damaged:
        found.append(
            warning(
                "quarantine",
                f"{facts.damaged} damaged pieces of the spool were set aside.",
                f"Check the disk. Look at {facts.spool / DAMAGED_NAME}, then remove them.",
            )
        )
    return found or [ok("quarantine", "Nothing was set aside.")]


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """What tables remember of inserts, and what may be inserted again."""

    windows: Mapping[str, int]
    """Inserts, by table; empty if there is no store yet."""
    repeatable: int


def check_windows(facts: WindowFacts) -> list[Finding]:
    """A repeated batch must be recognised by every table."""
    weak = sorted(name for name, window in facts.windows.items() if window < DEDUPLICATION_WINDOW)
    if weak:
        return [
            problem(
                "deduplication",
                f"Tables remember too few inserts to recognise repeated ones: {', '.join(weak)}.",
                "The server does not start like this. Run ALTER TABLE <table> MODIFY SETTING "
                f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW} for each.",
            )
        ]
    least = min(facts.windows.values(), default=None)
    if least is None:
        return [ok("deduplication", "There is no store yet.")]
    if facts.repeatable * BLOCKS_OF_INSERT > least:
        return [
            warning(
                "deduplication",
                f"{facts.repeatable} batches may be repeated, and a table remembers {least} inserts only.",
                "Find out in the server's log why the spool is not cleaned up, before it is restarted.",
            )
        ]
    return [
        ok(
            "deduplication",
            f"Tables remember {least:,} inserts or more; {facts.repeatable} batches may be repeated.",
        )
    ]
