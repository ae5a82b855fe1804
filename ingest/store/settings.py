"""Settings of the store, section `store`. Composed in `lowtide.settings`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest.store.target import parse_target


class Retention(BaseModel):
    """How long each kind of data is kept, in days. Telemetry older than this is refused at the door."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    traces_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="Days that spans are kept. A quarter, for comparisons by month.",
    )
    logs_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="Days that log records are kept. As long as the spans they belong to.",
    )
    metrics_days: int = Field(
        default=90, ge=1, le=3650, description="Days that metric points are kept as they came."
    )
    activity_days: int = Field(
        default=400,
        ge=1,
        le=3650,
        description="Days that requests by workload and second are kept. A year and a month, so that a season"
        " can be compared with the last one.",
    )
    rollup_days: int = Field(
        default=400,
        ge=1,
        le=3650,
        description="Days that rollups by minute and hour are kept, and workloads that fell silent.",
    )
    costs_days: int = Field(
        default=1125,
        ge=1,
        le=3650,
        description="Days that computed costs are kept. Three years and a month, for comparisons by year.",
    )


class StoreSettings(BaseModel):
    """Where telemetry is kept, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        default="embedded",
        description="`embedded` keeps everything in the data directory, with the engine inside the process;"
        " `clickhouse://user@host:port/database` (`clickhouses://` for TLS) uses a ClickHouse server.",
    )
    password: str = Field(
        default="",
        repr=False,
        description="Password for a ClickHouse server. From the environment, rather than in the address.",
    )
    max_disk_share: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Share of the disk that the embedded store may take. Above it the oldest days of spans, "
        "log records and metric points are dropped before their time, one after the other; rollups and the "
        "newest day never. Four fifths: what is new is worth more than what is oldest, and a disk that fills "
        "up takes nothing new. 0 drops nothing. A server looks after its own disk.",
    )
    retention: Retention = Retention()

    @field_validator("url")
    @classmethod
    def _is_a_store(cls, url: str) -> str:
        parse_target(url, Path())
        return url
