"""Every number of the demo that is not part of the estate itself. Used by the player and the command; no
globals.

The trap: changing `seed` or `now` changes the bytes, changing `requests_in_flight` must not.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class DemoSettings(BaseModel):
    """What is played, how densely, and how it is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(
        default=20_170, ge=0, description="Random seed: the same seed and `now` give the same bytes."
    )
    now: AwareDatetime = Field(description="End of the history; a whole minute, aware. Nothing ends later.")
    days: float = Field(
        default=63.0, gt=0, le=120, description="Days of history before `now`; nine weeks show every story."
    )
    rate: float = Field(
        default=1.0,
        gt=0,
        le=50,
        description="Multiplies the traffic of every entry point; 1 is a small company.",
    )
    whole_days: float = Field(
        default=2.0,
        ge=0,
        description="Last days whose traces are all kept; before them traces are head-sampled.",
    )
    metric_steps: tuple[tuple[float, int], ...] = Field(
        default=((1.0, 1), (2.0, 5), (9.0, 15)),
        description="(days before now, minutes between metric points), nearest first; hourly before the last "
        "of them. A hundred pods every minute for two days would be three million points, so only the last "
        "day is that dense.",
    )
    spans_per_request: int = Field(
        default=4000,
        ge=1,
        description="Spans or log records a request aims at: well below 4 MiB of protobuf.",
    )
    points_per_request: int = Field(
        default=20_000,
        ge=1,
        description="Metric points a request aims at: a point is some 20 B, so below 4 MiB.",
    )
    requests_in_flight: int = Field(
        default=3, ge=1, le=16, description="Requests being compressed or sent at once; bounds memory too."
    )
    request_timeout_s: float = Field(default=60.0, gt=0, description="Seconds to wait for one answer.")
    give_up_after_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds a request may be refused with 429 or 503 before the demo gives up.",
    )
    live_block_s: int = Field(
        default=600, ge=60, multiple_of=60, description="Seconds of the future prepared at once while live."
    )

    @property
    def now_ns(self) -> int:
        """`now` as Unix nanoseconds, cut to the whole minute."""
        return int(self.now.timestamp()) // 60 * 60 * 1_000_000_000

    @property
    def start_ns(self) -> int:
        """First instant of the history, Unix nanoseconds, a whole minute."""
        return self.now_ns - round(self.days * 1440) * 60_000_000_000

    @classmethod
    def ending(cls, now: datetime, **given: object) -> DemoSettings:
        """Settings for a history that ends at `now`; other fields by name."""
        return cls.model_validate({"now": now, **given})
