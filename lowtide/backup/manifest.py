"""What a backup says about itself: `manifest.json`, and `checksums.sha256` for every file below `data/`.

The manifest is written last and carries the checksum of the checksums, so a folder without one is no backup.
The checksums are in the format of `sha256sum`, so that `sha256sum -c checksums.sha256` works without Lowtide.

The trap: both come from wherever the backup was kept meanwhile, so no path in them is believed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from lowtide.backup.errors import BackupDamagedError, BackupTooNewError, BackupUnfinishedError

FORMAT: Final = 1
MANIFEST_NAME: Final = "manifest.json"
CHECKSUMS_NAME: Final = "checksums.sha256"
DATA_FOLDER: Final = "data"
_MAX_MANIFEST_BYTES: Final = 16 * 1024 * 1024
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_MEANS: Final = {escape: char for char, escape in _ESCAPES.items()}
_ESCAPED: Final = re.compile(r"\\.")


class StoreFacts(BaseModel):
    """What was in the store at the cut."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["embedded", "server"]
    address: str = ""
    """Of a server, without its password; its data is not in the backup."""
    schema_version: int | None = None
    """The last migration that was applied."""
    engine_version: str = ""
    tenants: tuple[str, ...] = ()
    rows: Mapping[str, int] = {}
    """By table."""


class Manifest(BaseModel):
    """A whole backup. `format` rises when an older version could no longer restore it."""

    model_config = ConfigDict(frozen=True)

    format: int
    lowtide_version: str
    created_at: AwareDatetime
    """The moment of the cut: everything acknowledged before it is in the backup."""
    store: StoreFacts
    requests_waiting: Mapping[str, int] = {}
    """Requests in the spool that were not stored yet, by signal."""
    files: int
    size_bytes: int
    checksums_sha256: str
    """Of the file of checksums."""


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file of the backup, `path` relative to its `data/`."""

    path: PurePosixPath
    sha256: str


def encode_sums(sums: list[FileSum]) -> bytes:
    """The file of checksums."""
    return b"".join(_line(each) for each in sums)


def _line(entry: FileSum) -> bytes:
    name = f"{DATA_FOLDER}/{entry.path}"
    escaped = "".join(_ESCAPES.get(char, char) for char in name)
    mark = "\\" if escaped != name else ""
    return f"{mark}{entry.sha256}  {escaped}\n".encode("utf-8", "surrogateescape")


def decode_sums(content: bytes) -> Iterator[FileSum]:
    """What `encode_sums` wrote. Raises BackupDamagedError for anything else, and for paths that lead out."""
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").split("\n")[:-1], 1):
        escaped = line.startswith("\\")
        digest, separator, name = line.removeprefix("\\").partition("  ")
        if escaped:
            name = _ESCAPED.sub(lambda match: _MEANS.get(match[0], match[0]), name)
        path = PurePosixPath(name)
        is_inside = path.parts[:1] == (DATA_FOLDER,) and ".." not in path.parts and len(path.parts) > 1
        if not separator or len(digest) != 64 or not is_inside:
            raise BackupDamagedError(f"Line {number} of {CHECKSUMS_NAME} names no file of the backup.")
        yield FileSum(path.relative_to(DATA_FOLDER), digest)


def write_manifest(target: Path, manifest: Manifest) -> None:
    """Put the manifest in place, durably: from here on it is a backup. Raises OSError."""
    new = target / f"{MANIFEST_NAME}.new"
    write_new(new, manifest.model_dump_json(indent=2).encode() + b"\n")
    new.rename(target / MANIFEST_NAME)
    sync_folder(target)
    sync_folder(target.parent)


def write_new(path: Path, content: bytes) -> None:
    """A new file for its owner's eyes only, durable but for its name. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(backup: Path) -> Manifest:
    """What a folder says about itself.

    Raises BackupUnfinishedError if it says nothing, BackupTooNewError, BackupDamagedError.
    """
    path = backup / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_MANIFEST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BackupUnfinishedError(
            f"{backup} is no backup, or one that was not finished: it has no {MANIFEST_NAME}.",
            hint="A backup that broke off can be deleted; make a new one in another folder.",
        ) from error
    try:
        document = json.loads(content)
        version = document["format"]
        if isinstance(version, int) and version > FORMAT:
            raise BackupTooNewError(
                f"{backup} was made by a later version of Lowtide ({document.get('lowtide_version')}, format "
                f"{version}; this one knows {FORMAT}).",
                hint="Restore it with that version.",
            )
        return Manifest.model_validate_json(content)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BackupDamagedError(f"{path} is damaged: it cannot be read as a manifest.") from error


def read_sums(backup: Path, manifest: Manifest) -> list[FileSum]:
    """The checksums of a backup. Raises BackupDamagedError, OSError."""
    try:
        content = (backup / CHECKSUMS_NAME).read_bytes()
    except FileNotFoundError as error:
        raise BackupDamagedError(f"{CHECKSUMS_NAME} is missing in {backup}.") from error
    if hashlib.sha256(content).hexdigest() != manifest.checksums_sha256:
        raise BackupDamagedError(f"{backup / CHECKSUMS_NAME} is not what it was when the backup was made.")
    return list(decode_sums(content))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
