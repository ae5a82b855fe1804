"""What the spool gives to others: records, batches and its status. Import them from `ingest.spool.spool`."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from ingest.signals import Signal

if TYPE_CHECKING:
    from ingest.spool.room import RoomStatus

_REQUEST_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """One request as it was acknowledged."""

    seq: int
    """Number within its signal, from 1, never used twice."""
    signal: Signal
    tenant: str
    received_ns: int
    """When it arrived, ns since 1970."""
    items: int
    """Spans, data points or log records in `body`."""
    digest: bytes
    """The digest by which a repetition of it is recognised, or SHA-256 of tenant, signal and body."""
    body: bytes
    """An OTLP request, protobuf."""
    disk_bytes: int = 0
    """Bytes it takes in its segment."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request that was handed over, and whether it had been before."""

    stored: Future[int]
    """Resolves once it is on disk, to its number, or to 0 if that was long ago."""
    is_resend: bool
    """It was received before and is not stored again."""
    reply: bytes | None
    """What the sender of the first was told; None if that must be read: `Spool.reply`."""
    place: int = 0
    """Where to read it. The spool's own."""


@dataclass(frozen=True, slots=True)
class ResendStatus:
    """What would be recognised as sent again."""

    entries: int
    """Requests."""
    window_s: float
    """How long ago such a request may have come: the setting, or less if they are too many."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of a signal, inserted together: always the same ones under the same token."""

    batch_id: int
    """Microseconds since 1970 when it was begun; unique and rising, whatever the clock does."""
    signal: Signal
    first_seq: int
    last_seq: int
    token: str
    """Hexadecimal SHA-256 of id, signal and the records' digests."""
    before_reboot: bool = False
    """The machine was started anew since this batch was begun. An embedded store has gone back to a
    checkpoint since, in which it may be or not."""
    pieces: tuple[int, int] | None = None
    """First and last piece, from 1, of its only record, if it is not of whole records."""
    is_part: bool = False
    """It came of a split, and its token of the token of what was split."""


@dataclass(frozen=True, slots=True)
class SignalStatus:
    """Where one signal stands. Waiting is what is durable and in no finished batch."""

    signal: Signal
    first_seq: int
    """First record still on disk; one above `last_seq` if there is none."""
    last_seq: int
    """Last durable record; 0 if there never was one."""
    cursor: int
    """Last record that belongs to a batch."""
    batches: int
    """Batches that are begun and not finished."""
    batches_before_reboot: int
    """Of those: begun before the machine was started anew; they are repeated."""
    records_waiting: int
    bytes_waiting: int
    oldest_received_ns: int | None
    """When the first waiting record arrived, ns since 1970; None if none waits."""
    lost_records: int
    """Records found missing or damaged among those still on disk, since it was opened."""
    segments: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """Where the spool stands."""

    directory: Path
    signals: tuple[SignalStatus, ...]
    total_bytes: int
    """Bytes on disk that count towards the limit."""
    limit_bytes: int
    segments: int
    failed: str
    """Why the spool takes nothing more; empty while it does."""
    resends: ResendStatus | None = None
    """None if nobody has it open."""
    held: tuple[int, int] = (0, 0)
    """Requests in quarantine, and their bytes on disk."""
    room: RoomStatus | None = None
    """Of its disk; None if nobody has it open."""


def request_digest(signal: Signal, tenant: str, form: str, body: bytes) -> bytes:
    """16 bytes that stand for a request as it came: whose it is, how it is written (`form`, its media type)
    and its bytes without compression. BLAKE3, in a quarter of the time of SHA-256: nobody can make two
    requests that look alike, and every byte that is received goes through it.
    """
    written = f"{form} {signal.value}"
    digest = blake3(f"{len(tenant)} {tenant} {len(written)} {written} ".encode())
    digest.update(body)
    return digest.digest(_REQUEST_DIGEST_BYTES)


def digest_of(tenant: bytes, signal: Signal, body: bytes) -> bytes:
    """SHA-256 over the three, each after its length, so that no two different records look alike."""
    name = signal.value.encode()
    head = struct.pack("<QQQ", len(tenant), len(name), len(body))
    digest = hashlib.sha256(head + tenant + name)
    digest.update(body)
    return digest.digest()


def token_of(batch_id: int, signal: Signal, digests: Iterable[bytes]) -> str:
    """The token of a batch of records with these digests."""
    digest = hashlib.sha256(struct.pack("<Q", batch_id) + signal.value.encode() + b"\0")
    for each in digests:
        digest.update(each)
    return digest.hexdigest()
