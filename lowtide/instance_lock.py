"""One process owns a data directory. The lock also tells other commands where that process answers.

`lowtide serve` acquires it before it opens anything and publishes its addresses once its ports are bound,
with a secret of this start by which commands of the same user are let in; they call `read_running`. The
kernel drops the lock when the process ends, however it ends, so a file that a crash left behind means
nothing. The trap: a forked child inherits the lock and would keep it; start children with `subprocess` or
the spawn method.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lowtide.errors import LowtideError
from lowtide.units import instant

LOCK_NAME = "lowtide.lock"
_ATTEMPTS = 10
_PAUSE_S = 0.03
"""A command that looks whether a server runs holds the lock for microseconds; that must not refuse a
server.
"""


class InstanceError(LowtideError):
    """The data directory cannot be used by this process."""


class AlreadyRunningError(InstanceError):
    """Another process owns the data directory."""


class DataDirectoryError(InstanceError):
    """The data directory cannot be created or written."""


@dataclass(frozen=True, slots=True)
class RunningInstance:
    """A process that owns a data directory. `addresses` is empty until its ports are bound.

    Its keys are those of the ready line: "api", "otlp_http", "otlp_grpc".
    """

    pid: int
    started_at: datetime
    addresses: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    """Shown as a token, it opens everything there; new at each start, None while it starts."""
    certificates: tuple[str, ...] = ()
    """How its certificate is known: SHA-256 in hex of those a client may meet; none for plain text."""

    @property
    def api(self) -> str | None:
        """Base address of its HTTP API, or None while it starts."""
        return self.addresses.get("api")


class InstanceLock:
    """The lock on a data directory, held until `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int, started_at: datetime) -> None:
        self.path = path
        self.started_at = started_at
        self._descriptor: int | None = descriptor
        self.publish({})

    @classmethod
    def acquire(cls, data: Path) -> Self:
        """Own the data directory, creating it (readable by its owner only) if it is missing.

        Raises AlreadyRunningError if another process owns it, DataDirectoryError if it cannot be written.
        """
        path = data / LOCK_NAME
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(data, error) from error
        try:
            _lock_or_refuse(descriptor)
            return cls(path, descriptor, datetime.now(UTC))
        except OSError as error:
            os.close(descriptor)
            raise _unusable(data, error) from error
        except BaseException:
            os.close(descriptor)
            raise

    def publish(
        self, addresses: Mapping[str, str], secret: str | None = None, certificates: Sequence[str] = ()
    ) -> None:
        """Tell other commands where this process answers, what opens it, and how to know it. One write, so a
        reader sees old or new, never half; and only the owner of the directory can be a reader.
        """
        if self._descriptor is None:
            raise InstanceError(f"the lock {self.path} was released; nothing can be published any more")
        record: dict[str, object] = {
            "pid": os.getpid(), "started_at": self.started_at.isoformat(), "addresses": dict(addresses)
        }  # fmt: skip
        if secret is not None:
            os.fchmod(self._descriptor, 0o600)  # whatever somebody has made of the file since
            record["secret"] = secret
        if certificates:
            record["certificates"] = list(certificates)
        line = json.dumps(record).encode() + b"\n"
        os.pwrite(self._descriptor, line, 0)
        os.ftruncate(self._descriptor, len(line))

    def release(self) -> None:
        """Give the directory up. May be called again. The file stays: removing it would race with the next
        owner.
        """
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def read_running(data: Path) -> RunningInstance | None:
    """The process that owns the data directory, or None if none does. Writes nothing.

    Raises DataDirectoryError if the lock cannot be read by this user.
    """
    path = data / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataDirectoryError(
            f"{path} cannot be read, so it is unknown whether Lowtide runs there: {error.strerror or error}."
        ) from error
    try:
        for _ in range(_ATTEMPTS):
            if _lock(descriptor, fcntl.LOCK_SH):
                return None
            running = _parse(_read(descriptor))
            if running is not None:
                return running
            time.sleep(_PAUSE_S)  # locked, and not yet written: it is just starting
    finally:
        os.close(descriptor)
    raise InstanceError(f"{path} is locked, but does not say by whom.", hint="Try again in a moment.")


def _unusable(data: Path, error: OSError) -> DataDirectoryError:
    return DataDirectoryError(
        f"The data directory {data} cannot be used: {error.strerror or error}.",
        hint="Choose another one with --data, or make this one writable.",
    )


def _lock_or_refuse(descriptor: int) -> None:
    if not _lock(descriptor, fcntl.LOCK_EX, attempts=_ATTEMPTS):
        raise AlreadyRunningError(_refusal(_parse(_read(descriptor))))


def _lock(descriptor: int, kind: int, *, attempts: int = 1) -> bool:
    """Whether the lock was taken."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(_PAUSE_S)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def _read(descriptor: int) -> bytes:
    return os.pread(descriptor, 65_536, 0)


def _parse(content: bytes) -> RunningInstance | None:
    """What the owner wrote; None if it has not written yet."""
    try:
        record: Any = json.loads(content.split(b"\n", 1)[0])
        started_at = datetime.fromisoformat(record["started_at"])
        addresses = {str(name): str(address) for name, address in record["addresses"].items()}
        secret = record.get("secret")
        certificates = tuple(map(str, record.get("certificates", ())))
        return RunningInstance(
            int(record["pid"]), started_at, addresses, None if secret is None else str(secret), certificates
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _refusal(running: RunningInstance | None) -> str:
    advice = "Stop it first or choose another directory with --data."
    if running is None:
        return f"Lowtide already runs on this data directory. {advice}"
    details = [f"pid {running.pid}", f"started {instant(running.started_at)}"]
    if running.api is not None:
        details.append(running.api)
    return f"Lowtide already runs on this data directory ({', '.join(details)}). {advice}"
