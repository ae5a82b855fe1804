"""Settings of the loader, section `loader`. Composed in `lowtide.settings`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LoaderSettings(BaseModel):
    """How telemetry gets from the spool into the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=64 * 1024,
        le=512 * 1024 * 1024,
        description="Bytes of requests that are inserted together at most. Larger ones are no faster"
        " and need memory: some thirty times their size, ninety for requests made of nothing but attributes.",
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
        description="Least time between two inserts of a signal while the spool is nearly empty. Two seconds:"
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
        " store first, which makes all of it durable. After a power failure what came since the last is"
        " stored again.",
    )
