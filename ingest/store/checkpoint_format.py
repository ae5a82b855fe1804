"""How a checkpoint is written down: which parts every table has, and how long its records of tokens are.

`ingest.store.checkpoints` writes it, `ingest.store.put_back` reads it. One line with the checksum (CRC32C,
Castagnoli, hexadecimal) of all that follows, then JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

import google_crc32c

from ingest.signals import Signal

FOLDER_NAME = "checkpoint"
FILE_NAME = "checkpoint.json"
PARTS_NAME = "parts"
TAILS_NAME = "tails"
LOGS_NAME = "deduplication_logs"
DETACHED_NAME = "detached"
VERSION = 1
_PART = re.compile(r"[^_]+_\d+_\d+_\d+(_\d+)?")
_BROKEN = re.compile(r"broken[^_]*_([^_]+_\d+_\d+_\d+(?:_\d+)?)(?:_try\d+)?")
_LOG = re.compile(r"deduplication_log_(\d+)\.txt")


@dataclass(frozen=True, slots=True)
class KeptLog:
    """A file in which the engine notes the tokens of inserts; it only grows."""

    name: str
    size_bytes: int
    tail: str = ""
    """File in `tails` with the last of it; empty for one that is not written any more."""
    tail_start: int = 0
    """Where in the log that begins."""


class KeptPart(NamedTuple):
    """An active part."""

    copy: str
    """Folder in `parts`, within the table's, that has its files."""
    files: int


@dataclass(frozen=True, slots=True)
class KeptTable:
    """One table."""

    name: str
    folder: str
    """Where it lies, from the store's directory."""
    parts: Mapping[str, KeptPart]
    """By the part's name."""
    logs: tuple[KeptLog, ...]

    def holds_what(self, other: KeptTable) -> bool:
        """Whether going back to either would make the same of it."""
        mine, others = ([(log.name, log.size_bytes) for log in each.logs] for each in (self, other))
        return (self.name, self.folder, self.parts, mine) == (other.name, other.folder, other.parts, others)

    @property
    def key(self) -> str:
        """Names the table in the checkpoint's folders; another table of the same name has another."""
        return self.folder.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The store at a moment at which all of it was on the disk."""

    taken_ns: int
    covered: Mapping[Signal, int]
    """The last record of each signal up to which everything is in it."""
    tables: tuple[KeptTable, ...]


def encode(checkpoint: Checkpoint) -> bytes:
    """The content of the file."""
    document = {
        "version": VERSION,
        "taken_ns": checkpoint.taken_ns,
        "covered": checkpoint.covered,
        "tables": [
            {
                "name": table.name,
                "folder": table.folder,
                "parts": table.parts,
                "logs": [asdict(log) for log in table.logs],
            }
            for table in checkpoint.tables
        ],
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    return b"%08x\n" % google_crc32c.value(content) + content


def decode(data: bytes) -> Checkpoint:
    """What a file says. Raises ValueError if it is damaged or of a later version."""
    checksum, _, content = data.partition(b"\n")
    if checksum != b"%08x" % google_crc32c.value(content):
        raise ValueError("its checksum does not fit")
    found = json.loads(content)
    if found["version"] != VERSION:
        raise ValueError(f"it is of format {found['version']}, this version knows {VERSION}")
    return Checkpoint(
        found["taken_ns"],
        {Signal(name): seq for name, seq in found["covered"].items()},
        tuple(
            KeptTable(
                each["name"],
                each["folder"],
                {name: KeptPart(*part) for name, part in each["parts"].items()},
                tuple(KeptLog(**log) for log in each["logs"]),
            )
            for each in found["tables"]
        ),
    )


def is_part(name: str) -> bool:
    """Whether a folder of a table is one of its parts: partition, first and last block, level."""
    return _PART.fullmatch(name) is not None


def broken_part(name: str) -> str | None:
    """Which part a folder in `detached` was, if the engine set it aside as broken."""
    found = _BROKEN.fullmatch(name)
    return None if found is None else found[1]


def log_number(name: str) -> int | None:
    """Which of a table's records of tokens a file is; None if it is none."""
    found = _LOG.fullmatch(name)
    return None if found is None else int(found[1])
