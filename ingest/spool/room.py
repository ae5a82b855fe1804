"""Whether the disk has room for more, asked before a request is read. The spool owns one.

The spool shares its disk with the store, which needs room to merge and to take what waits; a disk that is
really full stops both. So intake ends while some is left, and begins again once there is clearly more:
without a gap between the two it would change with every merge. The disk is asked once a second at most,
whatever comes in.

`AwakeClock` stands still while nothing is taken. A request that was taken before, and whose sender did not
hear of it, is then still known when the sender is at last listened to again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from ingest.disk import Disk
from ingest.spool.errors import SpoolDiskLowError
from ingest.spool.files import Files
from ingest.spool.settings import SpoolSettings

log = structlog.get_logger(__name__)
_ASK_AGAIN_NS = 1_000_000_000
_CLEARLY_MORE = 1.2
"""Times the least free room, from which on requests are taken again."""


@dataclass(frozen=True, slots=True)
class RoomStatus:
    """What is free on the disk of the spool, and how little may be."""

    free_bytes: int
    least_bytes: int
    is_low: bool
    """Requests are refused."""


class DiskRoom:
    """Room on the disk that holds a directory. Safe to call from any thread."""

    def __init__(
        self, directory: Path, settings: SpoolSettings, *, files: Files, ticks_ns: Callable[[], int]
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._files = files
        self._ticks_ns = ticks_ns
        self._lock = threading.Lock()
        self._asked_ns: int | None = None
        self._answers = True
        self._status = RoomStatus(0, 0, is_low=False)

    def check(self) -> None:
        """Raises SpoolDiskLowError while less is free than there must be."""
        status = self.status()
        if status.is_low:
            raise SpoolDiskLowError(
                f"{status.free_bytes} bytes are free on the disk of {self._directory}, and"
                f" {status.least_bytes} are kept free (spool.min_free_share); make room"
            )

    def status(self) -> RoomStatus:
        """What the disk said last, a second ago at most."""
        with self._lock:
            now_ns = self._ticks_ns()
            if self._asked_ns is None or now_ns - self._asked_ns >= _ASK_AGAIN_NS:
                self._asked_ns = now_ns
                self._ask()
            return self._status

    def _ask(self) -> None:
        try:
            disk = self._files.disk(self._directory)
        except OSError as error:
            # What is written next will tell; refusing everything for want of a number would be worse.
            if self._answers:
                log.warning("The disk does not say how much is free", error=str(error))
            self._answers = False
            return
        self._answers = True
        least_bytes = least_free_bytes(self._settings, disk)
        was_low = self._status.is_low
        wanted_bytes = int(least_bytes * _CLEARLY_MORE) if was_low else least_bytes
        self._status = RoomStatus(disk.free_bytes, least_bytes, is_low=disk.free_bytes < wanted_bytes)
        if self._status.is_low is not was_low:
            self._tell(disk)

    def _tell(self, disk: Disk) -> None:
        numbers = {
            "directory": str(self._directory), "free_bytes": disk.free_bytes,
            "least_bytes": self._status.least_bytes, "total_bytes": disk.total_bytes,
        }  # fmt: skip
        if self._status.is_low:
            log.error("The disk is nearly full; senders are told to come back later. Make room", **numbers)
        else:
            log.warning("There is room on the disk again; requests are taken", **numbers)


def least_free_bytes(settings: SpoolSettings, disk: Disk) -> int:
    """How much of a disk must be free for requests to be taken."""
    return min(int(settings.min_free_share * disk.total_bytes), settings.min_free_most_bytes)


class AwakeClock:
    """A clock that can be stopped: nanoseconds that passed while it was not."""

    def __init__(self, ticks_ns: Callable[[], int]) -> None:
        self._ticks_ns = ticks_ns
        self._lock = threading.Lock()
        self._slept_ns = 0
        self._stopped_ns: int | None = None

    def __call__(self) -> int:
        with self._lock:
            now_ns = self._ticks_ns() if self._stopped_ns is None else self._stopped_ns
            return now_ns - self._slept_ns

    def stop(self) -> None:
        """Stand still from now on."""
        with self._lock:
            if self._stopped_ns is None:
                self._stopped_ns = self._ticks_ns()

    def go_on(self) -> None:
        """Go on from where it stood."""
        with self._lock:
            if self._stopped_ns is not None:
                self._slept_ns += self._ticks_ns() - self._stopped_ns
                self._stopped_ns = None
