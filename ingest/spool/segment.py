"""One segment file: what is known of it, how that is found out when the spool is opened or inspected.

`examine` writes nothing, so it is safe on a spool that another process has open.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ingest.spool.files import Files, read_exactly
from ingest.spool.segment_format import (
    FILE_HEADER_BYTES,
    HEAD_BYTES,
    MARKER_BYTES,
    SEAL_BYTES,
    Damage,
    Found,
    Head,
    Pread,
    Seal,
    marker_of,
    parse_seal,
    walk,
)

SUFFIX = ".seg"


@dataclass(slots=True)
class Segment:
    """A segment of an open spool. Numbers grow while it is written; readers see durable ones only."""

    path: Path
    first_seq: int
    marker: bytes
    last_seq: int
    """One below `first_seq` while it is empty."""
    size: int
    """Durable bytes."""
    records: int = 0
    closed: bool = False
    """No record may be added any more."""


@dataclass(slots=True)
class Examined:
    """What a look at a segment file found."""

    path: Path
    first_seq: int
    size: int
    marker: bytes | None
    """None: both ends of the file are damaged beyond use."""
    last_seq: int
    records: int = 0
    sealed: bool = False
    damages: list[Damage] = field(default_factory=list)
    """What may once have been acknowledged, and is no longer whole."""
    tail: Damage | None = None
    """The beginning of a record at the end, cut off: never acknowledged."""
    lost: list[tuple[int, int]] = field(default_factory=list)
    """Numbers that are missing before `last_seq`."""
    open_end: bool = False
    """It ends in damage of which nobody knows how many records it was."""
    remembered: list[tuple[Head, bytes, bytes]] = field(default_factory=list)
    """Head, digest and reply of the requests that are to be recognised, if it was walked."""


def segment_path(folder: Path, first_seq: int) -> Path:
    """Where the segment lies that begins with a number."""
    return folder / f"{first_seq:020d}{SUFFIX}"


def segment_paths(folder: Path) -> list[tuple[int, Path]]:
    """The segments in a folder by their first number; other files are none of ours."""
    if not folder.is_dir():
        return []
    found = [(path.stem, path) for path in folder.iterdir() if path.suffix == SUFFIX]
    return sorted((int(stem), path) for stem, path in found if stem.isascii() and stem.isdigit())


def reader(files: Files, handle: int) -> Pread:
    """Reads of an open file for `walk`."""
    return partial(_pread, files, handle)


def _pread(files: Files, handle: int, size: int, offset: int) -> bytes:
    return read_exactly(files, handle, size, offset)


def examine(files: Files, path: Path, first_seq: int, *, verify: bool) -> Examined:
    """Look at a segment. Raises OSError.

    A segment with a seal is believed without reading it, unless `verify` wants every checksum compared.
    """
    handle = files.open_read(path)
    try:
        size = os.fstat(handle).st_size
        end = _end_of(files, handle, size)
        marker = marker_of(read_exactly(files, handle, FILE_HEADER_BYTES + HEAD_BYTES, 0))
        if marker is None and parse_seal(end, end[:MARKER_BYTES]) is not None:
            marker = end[:MARKER_BYTES]
        found = Examined(path, first_seq, size, marker, first_seq - 1)
        if marker is None:
            return found
        sealed = parse_seal(end, marker)
        if sealed is None or verify:
            upto = size if sealed is None else size - SEAL_BYTES
            _count(found, walk(reader(files, handle), marker, FILE_HEADER_BYTES, upto))
        if sealed is not None:
            _believe(found, sealed, verified=verify)
        return found
    finally:
        files.close(handle)


def _end_of(files: Files, handle: int, size: int) -> bytes:
    """Where the seal is, if there is one."""
    if size < FILE_HEADER_BYTES + SEAL_BYTES:
        return b""
    return read_exactly(files, handle, SEAL_BYTES, size - SEAL_BYTES)


def _count(found: Examined, pieces: Iterator[Found | Damage]) -> None:
    """Walk the whole segment and note what is there."""
    last = found.first_seq - 1
    for piece in pieces:
        if isinstance(piece, Damage):
            if piece.cut:
                found.tail = piece
                continue
            found.damages.append(piece)
            found.open_end = piece.seq is None
            seq, lost_upto = piece.seq, piece.seq
        else:
            found.records += 1
            found.open_end = False
            if piece.digest:
                found.remembered.append((piece.head, piece.digest, piece.reply))
            seq, lost_upto = piece.head.seq, piece.head.seq - 1
        if seq is not None and lost_upto is not None and seq > last:
            if lost_upto > last:
                found.lost.append((last + 1, lost_upto))
            last = seq
    found.last_seq = last


def _believe(found: Examined, sealed: Seal, *, verified: bool) -> None:
    """Take from the seal what only it knows; what was walked is compared with it."""
    found.sealed = True
    found.open_end = False
    if not verified:
        found.last_seq, found.records = sealed
        return
    if found.tail is not None:
        # Nothing is cut off before a seal.
        found.damages.append(found.tail._replace(cut=False))
        found.tail = None
    if sealed.last_seq > found.last_seq:
        found.lost.append((found.last_seq + 1, sealed.last_seq))
        found.last_seq = sealed.last_seq
