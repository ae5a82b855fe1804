"""When requests come in from outside: curves over the week in local time, and counts drawn from them.

Used by the player, the autoscaler model and the work model: all three see the same curves. The whole
population is drawn minute by minute, and head sampling thins it afterwards, so the true counts are known
although most traces of older weeks are never made. The trap: local time has daylight saving, the arrays
are in UTC minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np

from lowtide.demo.draw import stream
from lowtide.demo.estate import Estate, Operation, Shape
from lowtide.demo.wire import Floats, Integers

MINUTE_NS = 60_000_000_000
DAY_NS = 1440 * MINUTE_NS


@dataclass(frozen=True)
class Calendar:
    """Minutes from `start_ns` (whole minute) on, with their local clock. `now_ns` fixes the promotion."""

    start_ns: int
    minutes: int
    now_ns: int
    estate: Estate

    @cached_property
    def zone(self) -> ZoneInfo:
        """The company's time zone."""
        return ZoneInfo(self.estate.time_zone)

    @cached_property
    def _offset_minutes(self) -> Integers:
        """Local minus UTC, per minute. Offsets change on whole hours only."""
        first = self.start_ns // MINUTE_NS
        hours = (first + np.arange(self.minutes, dtype=np.int64)) // 60
        known, where = np.unique(hours, return_inverse=True)
        offsets = [self._offset(int(hour)) for hour in known]
        return np.asarray(offsets, dtype=np.int64)[where]

    def _offset(self, hour: int) -> int:
        delta = datetime.fromtimestamp(hour * 3600, self.zone).utcoffset()
        return 0 if delta is None else int(delta.total_seconds()) // 60

    @cached_property
    def local_minutes(self) -> Integers:
        """Minutes since the epoch on the local clock."""
        return self.start_ns // MINUTE_NS + np.arange(self.minutes, dtype=np.int64) + self._offset_minutes

    @cached_property
    def workday(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Monday to Friday, local. The epoch was a Thursday."""
        return (self.local_minutes // 1440 + 3) % 7 < 5

    @cached_property
    def promotion(self) -> tuple[int, int]:
        """First and last + 1 minute of the promotion, may lie outside."""
        began, ended = (
            (self.now_ns - round(days * DAY_NS) - self.start_ns) // MINUTE_NS
            for days in (self.estate.promotion.began_days_ago, self.estate.promotion.ended_days_ago)
        )
        return began, ended

    def local_days(self) -> list[datetime]:
        """Local midnights of the days that touch the calendar."""
        first = datetime.fromtimestamp(self.start_ns / 1e9, self.zone)
        last = datetime.fromtimestamp((self.start_ns + self.minutes * MINUTE_NS) / 1e9, self.zone)
        count = (last.date() - first.date()).days + 1
        return [
            datetime.combine(first.date() + timedelta(days=day), time(), self.zone) for day in range(count)
        ]

    def curve(self, name: str) -> Floats:
        """Relative traffic of a shape per minute, without noise."""
        shape = self.estate.shapes[name]
        of_day = self.local_minutes % 1440
        curve = np.where(self.workday, _day(shape, shape.workday, of_day), _day(shape, shape.weekend, of_day))
        began, ended = self.promotion
        index = np.arange(self.minutes)
        curve *= np.where(
            index >= ended, shape.after_promotion, np.where(index >= began, shape.promotion, 1.0)
        )
        return curve


def _day(shape: Shape, hours: tuple[float, ...], of_day: Integers) -> Floats:
    if shape.hard_edges:
        return np.asarray(hours)[of_day // 60]
    middles = np.arange(24) * 60 + 30
    return np.interp(of_day, middles, hours, period=1440)


@dataclass(frozen=True)
class Arrivals:
    """What comes in for one operation over a calendar: the whole population."""

    start_ns: int
    rate: Floats
    """Expected requests per minute."""
    counts: Integers
    """Requests that really came, per minute."""
    times_ns: Integers | None
    """Exact times where they are not uniform within their minute."""

    def between(
        self, start_ns: int, end_ns: int, one_in: int, rng: np.random.Generator
    ) -> tuple[Integers, int]:
        """Sorted times of the requests kept, each with probability 1/one_in, and how many there were in
        all."""
        if self.times_ns is not None:
            chosen = self.times_ns[
                np.searchsorted(self.times_ns, start_ns) : np.searchsorted(self.times_ns, end_ns)
            ]
            kept = chosen if one_in == 1 else chosen[rng.random(len(chosen)) < 1.0 / one_in]
            return kept, len(chosen)
        first, last = ((at - self.start_ns) // MINUTE_NS for at in (start_ns, end_ns))
        counts = self.counts[max(0, first) : max(0, last)]
        kept_counts = counts if one_in == 1 else rng.binomial(counts, 1.0 / one_in)
        minutes = np.repeat(np.arange(len(counts), dtype=np.int64), kept_counts)
        within = (rng.random(len(minutes)) * MINUTE_NS).astype(np.int64)
        base = self.start_ns + max(0, first) * MINUTE_NS
        return np.sort(base + minutes * MINUTE_NS + within), int(counts.sum())


def rate_per_minute(calendar: Calendar, name: str, seed: int, scale: float) -> Floats:
    """Expected requests per minute of an operation that has a shape; zeros for the others."""
    operation = calendar.estate.operations[name]
    if operation.shape is None:
        return np.zeros(calendar.minutes)
    curve = calendar.curve(operation.shape)
    if operation.peak_per_s is not None:
        curve = curve * operation.peak_per_s * 60.0
    elif operation.per_day is not None:
        hours = calendar.estate.shapes[operation.shape].workday
        curve = curve * operation.per_day / (float(np.mean(hours)) * 1440.0)
    return curve * _day_noise(calendar, name, seed) * scale


def _day_noise(calendar: Calendar, name: str, seed: int) -> Floats:
    """No two days are alike: a factor per local day, partly shared by the whole company."""
    days = calendar.local_minutes // 1440
    known, where = np.unique(days, return_inverse=True)
    factors = [
        np.exp(
            0.05 * stream(seed, "day", int(day)).standard_normal()
            + 0.04 * stream(seed, "day", name, int(day)).standard_normal()
        )
        for day in known
    ]
    return np.asarray(factors)[where]


def arrivals_of(calendar: Calendar, name: str, seed: int, scale: float) -> Arrivals:
    """The population of an operation over the calendar. Same seed, same calendar: same arrivals."""
    operation = calendar.estate.operations[name]
    rng = stream(seed, "arrivals", name, calendar.start_ns // MINUTE_NS)
    rate = rate_per_minute(calendar, name, seed, scale)
    times = _exact_times(calendar, operation, rate, scale, rng)
    if times is None:
        return Arrivals(calendar.start_ns, rate, rng.poisson(rate).astype(np.int64), None)
    minute = (times - calendar.start_ns) // MINUTE_NS
    return Arrivals(
        calendar.start_ns, rate, np.bincount(minute, minlength=calendar.minutes).astype(np.int64), times
    )


def _exact_times(
    calendar: Calendar, operation: Operation, rate: Floats, scale: float, rng: np.random.Generator
) -> Integers | None:
    if operation.batches is not None:
        batches = operation.batches
        moments = [
            day + timedelta(hours=hour, minutes=float(rng.normal(0.0, 4.0)))
            for day in calendar.local_days()
            if day.weekday() < 5
            for hour in batches.hours
        ]
        sizes = rng.poisson(batches.size * scale, len(moments))
        starts = np.repeat(_ns(moments), sizes)
        found = starts + (rng.random(len(starts)) * batches.within_s * 1e9).astype(np.int64)
    elif operation.daily_at is not None:
        at = time.fromisoformat(operation.daily_at)
        moments = [day.replace(hour=at.hour, minute=at.minute) for day in calendar.local_days()]
        found = _ns(moments) + (rng.uniform(5.0, 9.0, len(moments)) * 1e9).astype(np.int64)
    elif operation.every_s is not None:
        step_ns = operation.every_s * 1_000_000_000
        first = -(-calendar.start_ns // step_ns)
        count = -(-(calendar.start_ns + calendar.minutes * MINUTE_NS) // step_ns) - first
        found = (first + np.arange(count, dtype=np.int64)) * step_ns + rng.integers(0, 20_000_000, count)
    elif operation.bursts is not None:
        began = rng.poisson(rate / operation.bursts.size)
        starts = calendar.start_ns + np.repeat(np.arange(calendar.minutes, dtype=np.int64), began) * MINUTE_NS
        sizes = rng.geometric(1.0 / operation.bursts.size, len(starts))
        gaps = rng.exponential(operation.bursts.within_s / 2.5, int(sizes.sum()))
        found = np.repeat(starts, sizes) + (gaps * 1e9).astype(np.int64)
    else:
        return None
    found = np.sort(found)
    end_ns = calendar.start_ns + calendar.minutes * MINUTE_NS
    return found[np.searchsorted(found, calendar.start_ns) : np.searchsorted(found, end_ns)]


def _ns(moments: list[datetime]) -> Integers:
    return np.asarray(
        [round(moment.astimezone(UTC).timestamp() * 1e6) * 1000 for moment in moments], dtype=np.int64
    )
