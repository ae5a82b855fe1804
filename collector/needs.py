"""What the way in needs from others, in terms of its own: a check of requests, and a disk to keep them on.
`collector.intake` is given them; `lowtide.serve` and tests give what they have.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from collector.door import Arrival
from collector.replies import Written
from ingest.signals import Signal
from ingest.spool.records import Receipt


class CheckResult(Protocol):
    """What the check says: the body to store, how many records are in it, how many were refused and why."""

    @property
    def body(self) -> bytes:
        """OTLP protobuf without the refused records."""

    @property
    def items(self) -> int:
        """Records in `body`."""

    @property
    def rejected(self) -> int:
        """Records that were taken out."""

    @property
    def reason(self) -> str:
        """Why they were, for the sender; empty if none was."""

    @property
    def warning(self) -> str:
        """What the sender should know although nothing was refused; mostly empty."""

    @property
    def timed(self) -> bool:
        """Whether every record in `body` carries a time."""

    @property
    def dropped(self) -> int:
        """Attributes that were left out."""

    @property
    def hashed(self) -> int:
        """Attributes that were replaced by a digest."""


class TranslatedResult(Protocol):
    """What a translation says: an OTLP request, what is in it, and what was refused and why."""

    @property
    def body(self) -> bytes:
        """OTLP protobuf; empty if nothing is left."""

    @property
    def written(self) -> Written:
        """The elements in `body`; of remote write only."""

    @property
    def refused(self) -> int:
        """Elements that are not in it."""

    @property
    def reason(self) -> str:
        """Why, for the sender; empty if none was refused."""


class Translate(Protocol):
    """Makes OTLP of one request of another protocol. Raises BadRequestError or TooLargeError."""

    def __call__(
        self, arrival: Arrival, body: bytes, *, now_ns: int, grow: Callable[[int], None]
    ) -> TranslatedResult:
        """`grow` is told of memory before it is taken, and may raise. Called in a thread."""


class Look(Protocol):
    """Looks at one OTLP request, quickly."""

    def __call__(self, signal: Signal, body: bytes, *, now_ns: int) -> CheckResult | None:
        """The result if the request is as it should be; None if that takes a closer look, the check.

        `body` is protobuf, `now_ns` the time of arrival. Called on the loop or in a thread.
        """


class Check(Protocol):
    """Checks one OTLP request, and repairs it. Raises BadRequestError or TooLargeError."""

    def __call__(self, signal: Signal, body: bytes, *, now_ns: int) -> CheckResult:
        """As for `Look`, but takes time and memory. Called in a thread, one at a time."""


class Spool(Protocol):
    """The part of the spool that the collector needs."""

    def check_room(self, signal: Signal) -> None:
        """Raises SpoolFullError, SpoolDiskLowError or SpoolFailedError while nothing can be taken. Quick."""

    def append(
        self, signal: Signal, tenant: str, body: bytes, *, items: int, received_ns: int
    ) -> Future[int]:
        """Resolves when the body is on disk, and is never cancelled.

        Raises, or resolves to, SpoolFullError or SpoolFailedError.
        """

    def append_once(
        self,
        signal: Signal,
        tenant: str,
        body: bytes,
        *,
        items: int,
        received_ns: int,
        digest: bytes,
        reply: bytes,
    ) -> Receipt:
        """As `append`, unless the request with this digest was received before."""

    def recall(self, signal: Signal, digest: bytes) -> Receipt | None:
        """What became of the request with a digest; None if it is not remembered. Never blocks."""

    def reply(self, receipt: Receipt) -> bytes | None:
        """What was given as `reply` the first time; None if nobody knows. May read the disk.

        Raises SpoolReadError.
        """
