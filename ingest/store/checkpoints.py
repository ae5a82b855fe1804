"""Checkpoints of an embedded store: moments at which all of it was on the disk, and the way back to the last.

    checkpoints = Checkpoints(target)
    checkpoints.open(position)              # before the engine: the store goes back
    ...
    draft = checkpoints.look(session)       # while nothing is inserted
    checkpoints.keep(draft, covered)        # now the spool may forget what is in it

The engine syncs nothing, and removes what it has merged before the result is on the disk. So a power failure
may take anything that was not synced, even of what was stored long ago, from each table something else. And
it notes a token before the part of that token has its name: killed in between, it has the token and no part,
and passes over the batch when it is repeated. A checkpoint names the parts of every table, holds their files
by a second name, and knows how long each table's record of tokens was. Whatever comes later is in the spool,
and is stored again from there.

On a full disk it may also count a part as stored of which nothing but empty files is there. So what is new is
measured before a checkpoint names it; with such a part there is no checkpoint, the process ends, and the next
start goes back to before it.

The trap: the spool forgets only what a checkpoint covers, and trusts nothing else that was stored before it
was opened; the loader stores nothing before the store has gone back. All three, or records are lost or
doubled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ingest.signals import Signal
from ingest.store.checkpoint_format import (
    FILE_NAME,
    FOLDER_NAME,
    PARTS_NAME,
    TAILS_NAME,
    Checkpoint,
    KeptPart,
    KeptTable,
    decode,
    encode,
)
from ingest.store.durable import FileSystem, replace_durably
from ingest.store.engine import Session
from ingest.store.errors import StoreDamagedError, StoreUnavailableError
from ingest.store.part_links import is_linked, is_whole, link_part
from ingest.store.put_back import PutBack, clear, put_back
from ingest.store.sql import load_sql
from ingest.store.target import Embedded
from ingest.store.token_tails import TokenTails

_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Position:
    """Where the spool of this store stands for one signal."""

    safe_seq: int
    """All records up to here may be gone from it."""
    cursor: int
    """The last record of a batch."""
    is_trusted: bool = False
    """It counts on batches that may not be in the checkpoint, because it was opened as one whose store keeps
    what it was given."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a checkpoint will say, once it is on the disk."""

    tables: tuple[KeptTable, ...]


class Checkpoints:
    """The checkpoints of one database of an embedded store. Used by one thread at a time."""

    def __init__(self, target: Embedded, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._directory = target.directory.resolve()
        self._database = target.database
        self._folder = self._directory / FOLDER_NAME / target.database
        self._clock_ns = clock_ns
        self._tails = TokenTails(self._folder / TAILS_NAME)
        self._last: Checkpoint | None = None
        self._unreadable = ""
        self._linked: dict[str, dict[str, KeptPart]] = {}
        """Parts of which this process knows that their copies are theirs, by table."""
        self._before: Mapping[str, Mapping[str, KeptPart]] = {}
        """Parts of the checkpoint that the last process has left, by table."""
        self._disk: FileSystem | None = None

    def open(self, position: Mapping[Signal, Position]) -> PutBack | None:
        """Have the store go back to the last checkpoint; returns what had to be done, None if there is none.

        However the last process ended: one that was killed may have left an insert half done, and one that
        stopped in good order has left a checkpoint of everything.

        The engine must not be open. Raises OSError; then nothing may be stored, and it can be called again.
        """
        for name in (PARTS_NAME, TAILS_NAME):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        self._disk = FileSystem(self._folder)
        self._last, self._unreadable = self._read()
        # Not synced: whatever is lost of it, the next start goes back again.
        done = self._go_back(position)
        clear(self._folder, self._last)
        if self._last is not None:
            self._before = {table.key: table.parts for table in self._last.tables}
        return done

    def look(self, session: Session) -> Draft:
        """Note what the store is made of. Nothing may be inserted meanwhile; merges do not matter.

        Raises StoreDamagedError if a new part is not whole, StoreError, OSError.
        """
        found: dict[str, KeptTable] = {}
        for _ in range(_ATTEMPTS):
            tables = self._tables(session)
            found = {name: kept for name, kept in found.items() if name in tables}
            for name, (place, parts) in tables.items():
                if name not in found:
                    try:
                        found[name] = self._table(name, place, parts)
                    except FileNotFoundError:
                        # Merged since it was listed. What it was merged into is in the next list.
                        continue
            if len(found) == len(tables):
                return Draft(tuple(found[name] for name in tables))
        raise StoreUnavailableError("parts are merged faster than they can be listed")

    def keep(self, draft: Draft, covered: Mapping[Signal, int]) -> bool:
        """Make a checkpoint of it, durably; False if it is the last one. Inserts may go on meanwhile.

        `covered` is the last record of each signal up to which everything is in it. Raises OSError; then the
        last one still holds.
        """
        if self._last is not None and _is_same(self._last, draft, covered):
            return False
        if self._disk is None:
            raise StoreUnavailableError("the checkpoints are not open")
        self._disk.sync()
        checkpoint = Checkpoint(self._clock_ns(), dict(covered), draft.tables)
        replace_durably(self._folder / FILE_NAME, encode(checkpoint))
        self._last = checkpoint
        clear(self._folder, checkpoint)
        self._tails.forget({log.tail for table in draft.tables for log in table.logs})
        self._linked = {table.key: dict(table.parts) for table in draft.tables}
        return True

    @property
    def taken_at_ns(self) -> int:
        """When the last one was taken, ns since 1970; 0 if there is none."""
        return 0 if self._last is None else self._last.taken_ns

    @property
    def disk_failed(self) -> bool:
        """Whether nobody knows what is on the disk any more: nothing can be kept until a new start."""
        return self._disk is not None and self._disk.has_failed

    def close(self) -> None:
        """Let the directory go; may be called again."""
        disk, self._disk = self._disk, None
        if disk is not None:
            disk.close()

    # --- looking

    def _tables(self, session: Session) -> dict[str, tuple[Path, dict[str, int]]]:
        """Where each table lies, and the bytes of its active parts."""
        rows = session.rows(load_sql("ingest.store", "active_parts"))
        return {
            str(name): (Path(path), {str(part): int(size) for part, size in found})
            for name, path, found in rows
        }

    def _table(self, name: str, place: Path, parts: Mapping[str, int]) -> KeptTable:
        folder = place.resolve().relative_to(self._directory).as_posix()
        logs = self._tails.keep(place.name, place)
        copies = self._folder / PARTS_NAME / place.name
        copies.mkdir(exist_ok=True)
        linked = self._linked.setdefault(place.name, {})
        before = self._before.get(place.name, {})
        for part, size_bytes in parts.items():
            if part not in linked:
                kept = before.get(part)
                if kept is None or not is_linked(place / part, copies / kept.copy):
                    kept = _link(place / part, copies)
                    if not is_whole(copies / kept.copy, size_bytes):
                        raise StoreDamagedError(
                            f"{name}: the engine counts part {part} as stored, and has not written all of it"
                        )
                linked[part] = kept
        return KeptTable(name, folder, {part: linked[part] for part in sorted(parts)}, logs)

    # --- going back

    def _read(self) -> tuple[Checkpoint | None, str]:
        """The last checkpoint, or why it cannot be read."""
        try:
            return decode((self._folder / FILE_NAME).read_bytes()), ""
        except FileNotFoundError:
            return None, ""
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return None, f"the checkpoint cannot be read: {error}"

    def _go_back(self, position: Mapping[Signal, Position]) -> PutBack | None:
        if self._last is None:
            return PutBack(problems=[self._unreadable]) if self._unreadable else None
        strange = _strange(self._last, position)
        if strange:
            return PutBack(problems=[strange])
        return put_back(self._directory, self._last, self._folder)


def _is_same(last: Checkpoint, draft: Draft, covered: Mapping[Signal, int]) -> bool:
    return (
        last.covered == covered
        and len(last.tables) == len(draft.tables)
        and all(one.holds_what(other) for one, other in zip(last.tables, draft.tables, strict=True))
    )


def _strange(checkpoint: Checkpoint, position: Mapping[Signal, Position]) -> str:
    """Why the spool may not have everything that is not in the checkpoint; empty if it has."""
    for signal, at in position.items():
        covered = checkpoint.covered.get(signal, 0)
        if at.is_trusted:
            return f"{signal} was stored without checkpoints"
        if not at.safe_seq <= covered <= at.cursor:
            return (
                f"the checkpoint is not of this spool: it covers {signal} up to {covered}, the spool needs"
                f" {at.safe_seq} to {at.cursor}"
            )
    return ""


def _link(part: Path, copies: Path) -> KeptPart:
    """Keep a part. A copy of its name may be of an earlier part: the engine gives numbers again after a start
    if those that had them are gone.
    """
    name = part.name
    while (copies / name).exists():
        name += "+"
    return KeptPart(name, link_part(part, copies / name))
