"""The key under which attributes are hashed: `scrub.key` in the data directory, made when it is first needed.

Read by `lowtide.serve.parts`. The trap: with another key the same value gets another digest, so the file
belongs into every backup, and must be as well kept as the values themselves.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from lowtide.instance_lock import DataDirectoryError
from lowtide.tokens.file import write_private

if TYPE_CHECKING:
    from lowtide.settings import Settings

FILE_NAME: Final = "scrub.key"
_KEY_BYTES: Final = 32


def scrub_key(settings: Settings) -> bytes:
    """The key; empty if no rule asks for a digest. Raises DataDirectoryError."""
    if not settings.collector.scrub.hash:
        return b""
    path = settings.data / FILE_NAME
    try:
        if not path.exists():
            write_private(path, secrets.token_bytes(_KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be read or made: {error.strerror or error}.") from error
    if len(key) != _KEY_BYTES:
        raise DataDirectoryError(
            f"{path} is no key of {_KEY_BYTES} bytes.",
            hint="Restore it from a backup. Without it, remove it: new digests then differ from the "
            "old ones.",
        )
    return key
