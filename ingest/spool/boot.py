"""Which boot of the machine this is, and which it was when the spool was last opened.

A restart of the process loses nothing that was written; a restart of the machine loses what was not synced,
in the store too. The trap: where the kernel does not tell its boot, every opening counts as a restart of the
machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from ingest.spool.batch_format import NO_BOOT
from ingest.spool.errors import SpoolError
from ingest.spool.files import Files, read_whole, write_all

log = structlog.get_logger(__name__)
VERSION = 2
"""1: before requests were recognised that are sent again; their records would be passed over there."""
META_NAME = "spool.meta"
_KERNEL = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Meta:
    """What the last opening left behind."""

    existed: bool
    boot_id: str | None
    version: int = VERSION


def kernel_boot_id() -> str | None:
    """This boot's id, or None where the kernel has none."""
    try:
        return str(UUID(_KERNEL.read_text().strip()))
    except (OSError, ValueError):
        return None


def boot_bytes(boot_id: str | None) -> bytes:
    """The id as it stands in the log of batches."""
    return NO_BOOT if boot_id is None else UUID(boot_id).bytes


def read_meta(files: Files, directory: Path) -> Meta:
    """What the last opening wrote. Raises OSError, and SpoolError for a spool of a later version."""
    try:
        content = read_whole(files, directory / META_NAME)
    except FileNotFoundError:
        return Meta(existed=False, boot_id=None)
    try:
        meta = json.loads(content)
        version = int(meta["version"])
        boot_id = None if meta["boot_id"] is None else str(UUID(meta["boot_id"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("The spool's meta file is damaged; a restart of the machine is assumed", error=str(error))
        return Meta(existed=True, boot_id=None)
    if version > VERSION:
        raise SpoolError(
            f"{directory} was written by a later version of Lowtide (format {version}, this one knows "
            f"{VERSION}); run that version, or choose another data directory"
        )
    return Meta(existed=True, boot_id=boot_id, version=version)


def write_meta(files: Files, directory: Path, boot_id: str | None) -> None:
    """Replace the meta file durably. Raises OSError."""
    content = json.dumps({"version": VERSION, "boot_id": boot_id}).encode() + b"\n"
    replace_file(files, directory / META_NAME, content)


def replace_file(files: Files, path: Path, content: bytes) -> None:
    """Write a small file so that either the old or the new one is there, whatever happens. Raises OSError."""
    put_in_place(files, prepare_file(files, path, content), path)


def prepare_file(files: Files, path: Path, content: bytes) -> Path:
    """Write what will replace `path` beside it, durably; returns where. Raises OSError, nothing changed."""
    new = path.with_name(path.name + ".new")
    if new.exists():
        files.unlink(new)
    handle = files.create(new)
    try:
        write_all(files, handle, [content])
        files.sync(handle)
    except OSError:
        files.unlink(new)
        raise
    finally:
        files.close(handle)
    return new


def put_in_place(files: Files, new: Path, path: Path) -> None:
    """Give the prepared file its name, durably. Raises OSError; then either file may have the name."""
    files.rename(new, path)
    files.sync_directory(path.parent)
