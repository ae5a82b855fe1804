"""The tokens of a data directory: `tokens.json`, for its owner's eyes only, replaced as a whole.

Commands change it while a server may be running; the server looks for a new one several times a second
(`lowtide.tokens.live`). Two commands at a time take turns by a lock on `tokens.lock`. Revoked and expired
tokens stay in it: they are the record of who once had access, and a file with any token in it never means
"nobody is asked for one".

The trap: the file decides who may do everything, so one that others than its owner could have written is
refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lowtide.tokens.errors import TokenFileError
from lowtide.tokens.token import Scope, Token

FILE_NAME: Final = "tokens.json"
USE_NAME: Final = "tokens.used.json"
_LOCK_NAME: Final = "tokens.lock"
_VERSION: Final = 1
_MAX_BYTES: Final = 16 * 1024 * 1024
"""Some forty thousand tokens: more than that is not this file any more."""

Stamp = tuple[int, int, int] | None
"""Changes whenever the file is replaced; None while there is none."""


def stamp_of(data: Path) -> Stamp:
    """What to compare in order to notice a change. Raises TokenFileError."""
    try:
        found = (data / FILE_NAME).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(data / FILE_NAME, error) from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_tokens(data: Path) -> tuple[Token, ...]:
    """Every token, in the order of creation; none if there is no file. Raises TokenFileError."""
    path = data / FILE_NAME
    try:
        with path.open("rb") as file:
            _refuse_strangers(path, os.fstat(file.fileno()).st_mode)
            content = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return _parsed(content[:_MAX_BYTES])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TokenFileError(
            f"{path} is damaged or of another version of Lowtide.",
            hint="Restore it from a backup, or remove it and make new tokens.",
        ) from error


def change_tokens(data: Path, change: Callable[[Sequence[Token]], Sequence[Token]]) -> None:
    """Replace the tokens by what `change` makes of them, durably, while no other command does.

    Raises TokenFileError, and whatever `change` raises; the file is then as it was.
    """
    try:
        with _turn(data):
            tokens = change(read_tokens(data))
            write_private(data / FILE_NAME, _document(tokens))
    except OSError as error:
        raise TokenFileError(
            f"{data / FILE_NAME} cannot be written: {error.strerror or error}.",
            hint="Run the command as the user who owns the data directory.",
        ) from error


def read_use(data: Path) -> dict[str, datetime]:
    """When each token was last used, by id, as the server last noted it. A file that cannot be read says
    nothing: it decides nothing either."""
    try:
        document: Mapping[str, str] = json.loads((data / USE_NAME).read_bytes())
        return {str(key): datetime.fromisoformat(value) for key, value in document.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_use(data: Path, used: Mapping[str, datetime]) -> None:
    """Note when tokens were last used. Raises OSError."""
    written = {key: at.isoformat(timespec="minutes") for key, at in sorted(used.items())}
    write_private(data / USE_NAME, json.dumps(written, indent=1).encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Replace a file durably; nobody but its owner may read it at any moment. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            _give_to_owner(descriptor, path.parent)
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _turn(data: Path) -> Iterator[None]:
    """Hold the lock that commands take turns by."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _give_to_owner(descriptor, data)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _give_to_owner(descriptor: int, folder: Path) -> None:
    """Root may run the command for a server of another user, who must be able to read the result."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _refuse_strangers(path: Path, mode: int) -> None:
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise TokenFileError(
            f"{path} can be written by others than its owner, so anybody may have put tokens into it.",
            hint=f"Look at `lowtide token list`, then run `chmod 600 {path}`.",
        )


def _unreadable(path: Path, error: OSError) -> TokenFileError:
    return TokenFileError(
        f"{path} cannot be read, so nobody can be let in: {error.strerror or error}.",
        hint="It must belong to the user who runs the server.",
    )


def _document(tokens: Sequence[Token]) -> bytes:
    records = [
        {
            "id": token.id,
            "name": token.name,
            "tenant": token.tenant,
            "scopes": sorted(token.scopes),
            "sha256": token.digest,
            "created_at": token.created_at.isoformat(),
            "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
            "revoked_at": None if token.revoked_at is None else token.revoked_at.isoformat(),
        }
        for token in tokens
    ]
    return json.dumps({"version": _VERSION, "tokens": records}, indent=1).encode() + b"\n"


def _parsed(content: bytes) -> tuple[Token, ...]:
    document = json.loads(content)
    if document["version"] != _VERSION:
        raise ValueError("another version")
    return tuple(_token(record) for record in document["tokens"])


def _token(record: Mapping[str, Any]) -> Token:
    return Token(
        id=str(record["id"]),
        name=str(record["name"]),
        tenant=str(record["tenant"]),
        scopes=frozenset(Scope(scope) for scope in record["scopes"]),
        digest=str(record["sha256"]),
        created_at=_aware(record["created_at"]),
        expires_at=None if record["expires_at"] is None else _aware(record["expires_at"]),
        revoked_at=None if record["revoked_at"] is None else _aware(record["revoked_at"]),
    )


def _aware(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time without its offset")
    return instant
