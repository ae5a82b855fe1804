"""Settings of the loader, section `loader`. Composed in `lowtide.settings`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LoaderSettings(BaseModel):
    """How telemetry gets from the spool into the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=64 * 1024,
        le=512 * 1024 * 1024,
        description="Bytes of requests that are inserted together at most.",
    )
    batch_memory_bytes: int = Field(
        default=360 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of memory that inserting a batch may be expected to take; a request above it is"
        " inserted by itself. This ends most batches: 360 MiB are some 100,000 spans, and several times as"
        " many points of series that the store knows. Larger batches need fewer merges.",
    )
    inserts_at_once: int = Field(
        default=2,
        ge=1,
        le=32,
        description="Batches that are inserted at the same time, of traces, metrics and logs together. Each"
        " takes up to `batch_memory_bytes`; reading a batch keeps one core busy, writing it several.",
    )
    batch_requests: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Requests that are inserted together at most, whatever their size.",
    )
    interval_ms: int = Field(
        default=2000,
        ge=0,
        le=60_000,
        description="Least time between two inserts of a signal while less than a batch waits. Two seconds:"
        " an insert of a single request costs as much planning as one of thousands, and leaves a part in"
        " each table that has to be merged. A full batch never waits.",
    )
    retry_max_s: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Longest pause between attempts to insert a batch. Attempts never end: the spool holds"
        " what the store cannot take.",
    )
    trim_interval_s: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Seconds between two clean-ups of the spool. Each takes a checkpoint of the embedded"
        " store first, which makes all of it durable. After a kill or a power failure what came since the"
        " last is stored again. Soon after a start it is done more often, first after a tenth of this.",
    )
