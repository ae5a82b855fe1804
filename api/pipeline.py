"""Where telemetry stands on its way from the door into the store: `GET /api/v1/pipeline`.

The numbers add up, per signal, since the process started:

    received = accepted + refused                           in records: spans, data points, log records
    requests_spooled + requests_waiting_at_start = requests_inserted + requests_quarantined + requests_waiting
    accepted = inserted + quarantined                       at rest, if nothing waited at the start

The trap: they are read one after the other while telemetry flows, so all of it holds exactly only at rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class SignalState:
    """One signal since the process started. Counts are records unless they say requests; times are aware."""

    signal: str
    received: int
    accepted: int
    refused: int
    inserted: int
    requests_spooled: int
    requests_waiting_at_start: int
    requests_inserted: int
    requests_waiting: int
    waiting_bytes: int
    oldest_waiting_at: datetime | None
    last_insert_at: datetime | None
    retrying: str
    """Why the store does not take the current batch; empty when it does."""
    quarantined: int = 0
    requests_quarantined: int = 0
    drain_s: float | None = None
    """How long storing what waits takes at the speed of the last batches; None if that is not known."""


@dataclass(frozen=True, slots=True)
class PipelineState:
    """The whole way at one moment."""

    read_at: datetime
    signals: tuple[SignalState, ...]
    spool_bytes: int
    spool_limit_bytes: int
    spool_failed: str
    """Why the spool takes nothing more; empty while it does."""
    loader_failed: str
    """Why loading has ended; empty while it goes on."""
    disk_low: str = ""
    """Why requests are refused although the spool has room; empty while they are not."""
    batches_to_repeat: int = 0
    """Batches of earlier processes that are stored again: no checkpoint has them."""
    broken_parts: int = 0
    """Parts of the store that the engine found damaged."""

    @property
    def requests_waiting(self) -> int:
        """Requests that are acknowledged and not yet in the store."""
        return sum(signal.requests_waiting for signal in self.signals)

    @property
    def waiting_bytes(self) -> int:
        """Their size in the spool."""
        return sum(signal.waiting_bytes for signal in self.signals)

    @property
    def lag_s(self) -> float:
        """Age of the oldest request that waits, in seconds; 0 if none does."""
        oldest = [signal.oldest_waiting_at for signal in self.signals if signal.oldest_waiting_at is not None]
        return max(0.0, (self.read_at - min(oldest)).total_seconds()) if oldest else 0.0

    @property
    def last_insert_at(self) -> datetime | None:
        """When anything was last stored."""
        return max((s.last_insert_at for s in self.signals if s.last_insert_at is not None), default=None)

    @property
    def last_insert_age_s(self) -> float | None:
        """Seconds since then, None if nothing was stored yet."""
        last = self.last_insert_at
        return None if last is None else max(0.0, (self.read_at - last).total_seconds())

    @property
    def retrying(self) -> str:
        """Why the store does not take a batch, of the first signal for which that is so."""
        return next((signal.retrying for signal in self.signals if signal.retrying), "")


class PipelineSource(Protocol):
    """Reads the state from the parts of this process."""

    def read(self) -> PipelineState:
        """From any thread, but not on the event loop: it may wait for a disk."""


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class SignalAnswer(_Answer):
    """One signal since the process started. Records are spans, data points or log records."""

    signal: str = Field(description="traces, metrics or logs.")
    received: int = Field(description="Records in requests that could be decoded.")
    accepted: int = Field(description="Of the received: on disk and acknowledged.")
    refused: int = Field(description="Of the received: refused, with a reason to the sender.")
    inserted: int = Field(description="Records in the store, with those an earlier process had accepted.")
    requests_spooled: int = Field(description="Requests written to the spool.")
    requests_waiting_at_start: int = Field(description="Requests an earlier process had left in the spool.")
    requests_inserted: int = Field(description="Requests in the store.")
    requests_waiting: int = Field(description="Requests in the spool and not yet in the store.")
    waiting_bytes: int = Field(description="Their size in bytes.")
    oldest_waiting_at: datetime | None = Field(description="When the oldest of them was received.")
    last_insert_at: datetime | None = Field(description="When a batch was last stored.")
    retrying: str = Field(description="Why the store does not take the current batch; empty when it does.")
    quarantined: int = Field(default=0, description="Records that the store cannot take, in quarantine.")
    requests_quarantined: int = Field(default=0, description="Requests of which the last piece is there.")
    drain_s: float | None = Field(
        default=None,
        description="Seconds until what waits is stored, at the speed of the last batches and if nothing "
        "more came; null if that is not known.",
    )


class PipelineAnswer(_Answer):
    """The way from the door into the store at one moment."""

    read_at: datetime
    signals: Sequence[SignalAnswer]
    requests_waiting: int = Field(description="Requests of all signals that are not yet in the store.")
    waiting_bytes: int = Field(description="Their size in bytes.")
    lag_s: float = Field(description="Age of the oldest of them, in seconds; 0 if none waits.")
    last_insert_at: datetime | None = Field(description="When anything was last stored.")
    last_insert_age_s: float | None = Field(description="Seconds since then; null for never.")
    spool_bytes: int = Field(description="Bytes of the spool on disk.")
    batches_to_repeat: int = Field(
        default=0,
        description="Batches of earlier processes that are stored again: no checkpoint has them.",
    )
    broken_parts: int = Field(default=0, description="Parts of the store that the engine found damaged.")
    spool_limit_bytes: int = Field(description="What it may take; at that, senders are told to come back.")
    disk_low: str = Field(
        default="",
        description="Why senders are told to come back although it has room; empty if they are not.",
    )


def pipeline_router(source: PipelineSource) -> APIRouter:
    """`GET /api/v1/pipeline`."""
    router = APIRouter(prefix="/api/v1", tags=["operation"])

    @router.get(
        "/pipeline", operation_id="getPipeline", summary="Where telemetry stands on its way into the store"
    )
    def pipeline() -> PipelineAnswer:
        return PipelineAnswer.model_validate(source.read())

    return router


def instant(time_ns: int | None) -> datetime | None:
    """Nanoseconds since 1970 as an aware time, to the microsecond; None for None and 0."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC) if time_ns else None
