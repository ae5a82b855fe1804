"""Copies of the last part of each table's record of tokens. A checkpoint keeps them.

Going back to a checkpoint cuts the record itself to the length it had. The copy is for the case that the
record is not there any more: what is repeated then is among the last tokens. A copy grows with its record and
is begun anew when it is large; what a checkpoint on the disk names is never written over.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ingest.store.checkpoint_format import LOGS_NAME, KeptLog, log_number

KEEP_BYTES = 256 * 1024
"""Some 4,000 tokens: hundreds of times what is inserted between two checkpoints."""
MOST_BYTES = 1024 * 1024


@dataclass(slots=True)
class _Tail:
    """A copy that this process writes."""

    log: str
    name: str
    start: int
    end: int


class TokenTails:
    """The copies of all tables, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tails: dict[str, _Tail] = {}
        self._number = 0

    def keep(self, key: str, table: Path) -> tuple[KeptLog, ...]:
        """Note how long a table's records are, and copy what is new. Nothing may be inserted meanwhile.

        Raises OSError.
        """
        folder = table / LOGS_NAME
        if not folder.is_dir():
            return ()
        numbers = sorted(number for path in folder.iterdir() if (number := log_number(path.name)) is not None)
        names = [f"deduplication_log_{number}.txt" for number in numbers]
        kept = [KeptLog(name, (folder / name).stat().st_size) for name in names[:-1]]
        if names:
            kept.append(self._copy(key, folder / names[-1]))
        return tuple(kept)

    def _copy(self, key: str, log: Path) -> KeptLog:
        size = log.stat().st_size
        tail = self._tails.get(key)
        if tail is None or tail.log != log.name or size < tail.end or size - tail.start > MOST_BYTES:
            start = _line_after(log, max(0, size - KEEP_BYTES))
            tail = self._tails[key] = _Tail(log.name, self._new_name(key), start, start)
        if size > tail.end:
            with log.open("rb") as source, (self._folder / tail.name).open("ab") as target:
                # What an attempt that failed has left behind it.
                target.truncate(tail.end - tail.start)
                source.seek(tail.end)
                target.write(source.read(size - tail.end))
            tail.end = size
        return KeptLog(log.name, size, tail.name, tail.start)

    def _new_name(self, key: str) -> str:
        while True:
            self._number += 1
            name = f"{key}.{self._number}"
            if not (self._folder / name).exists():
                return name

    def forget(self, used: set[str]) -> None:
        """Remove the copies that no checkpoint names. Raises OSError."""
        for path in self._folder.iterdir():
            if path.name not in used:
                path.unlink()


def put_log_back(table: Path, kept: KeptLog, tails: Path) -> bool:
    """Make a record of tokens what it was; False if only the last of it could be had. Raises OSError."""
    path = table / LOGS_NAME / kept.name
    tail = (
        (tails / kept.tail).read_bytes()[: kept.size_bytes - kept.tail_start]
        if kept.tail_start < (kept.size_bytes) and kept.tail
        else b""
    )
    try:
        with path.open("r+b") as log:
            whole = os.fstat(log.fileno()).st_size >= kept.size_bytes
            if whole and tail:
                log.seek(kept.tail_start)
                whole = log.read(len(tail)) == tail
            if whole:
                log.truncate(kept.size_bytes)
                return True
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
    if not kept.tail:
        # An old one, which the engine has dropped since or will soon.
        return True
    path.write_bytes(tail)
    return kept.size_bytes == 0 or (kept.tail_start == 0 and len(tail) == kept.size_bytes)


def _line_after(log: Path, at: int) -> int:
    """The first beginning of a line from an offset on."""
    if at == 0:
        return 0
    with log.open("rb") as source:
        source.seek(at - 1)
        return at - 1 + len(source.readline())
