"""Shares of time, open hours and habits; examples at the borders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from analytics.activity import evidence_of, fixed_hours, heard_window, open_hours, shares
from analytics.costing import requests_of
from analytics.queries import TIME
from analytics.window import Window

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = Window(MONDAY, MONDAY + timedelta(days=7))
HOURS: dict[str, Any] = {
    "workload_id": pl.UInt64, "source": pl.String, "hour": TIME, "requests": pl.Float64,
    "starts": pl.UInt64, "active_seconds": pl.UInt64, "active_minutes": pl.UInt64, "last_request_at": TIME,
}  # fmt: skip


def hours(*used: tuple[int, int, float], source: str = "application") -> pl.DataFrame:
    """Hours in which a workload was asked: (workload, hour of the week, requests)."""
    rows = [
        {
            "workload_id": workload, "source": source, "hour": MONDAY + timedelta(hours=hour),
            "requests": asked, "starts": int(asked), "active_seconds": int(asked),
            "active_minutes": min(60, int(asked)), "last_request_at": MONDAY + timedelta(hours=hour),
        }
        for workload, hour, asked in used
    ]  # fmt: skip
    return pl.DataFrame(rows, HOURS)


def workloads(**group_of: str) -> pl.DataFrame:
    """Workloads `w1`, `w2`, ... with their group, alive all the week."""
    return pl.DataFrame(
        {
            "workload_id": [int(name[1:]) for name in group_of],
            "group": list(group_of.values()),
            "alive_since": [None] * len(group_of),
        },
        {"workload_id": pl.UInt64, "group": pl.String, "alive_since": TIME},
    )


def bounded(frame: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    return evidence_of(frame, used, WEEK)


def opened(frame: pl.DataFrame, used: pl.DataFrame, zone: Any = UTC, share: float = 0.25) -> list[int]:
    found = open_hours(frame, used, WEEK, zone, share)
    return sorted((hour - MONDAY) // timedelta(hours=1) for hour in found["hour"])


def test_an_application_is_open_from_a_quarter_of_its_mean_hour_on() -> None:
    """168 requests in 168 hours would be a mean of one."""
    used = hours((1, 8, 167.5), (1, 9, 0.25), (1, 10, 0.24), (1, 11, 0.01))

    assert opened(workloads(w1="shop"), used) == [8, 9]


def test_it_is_open_when_any_of_its_workloads_is_used() -> None:
    used = hours((1, 8, 10), (2, 20, 10), (3, 30, 10))

    assert opened(workloads(w1="shop", w2="shop", w3="else"), used).count(8) == 1
    assert opened(workloads(w1="shop", w2="shop"), used) == [8, 20]


def test_one_without_requests_is_always_open() -> None:
    assert opened(workloads(w1="shop"), hours()) == list(range(168))


def test_a_proxys_requests_count_only_where_the_application_tells_nothing() -> None:
    used = pl.concat([
        hours((1, 8, 5)), hours((1, 8, 5), (2, 8, 7), source="proxy"),
    ])  # fmt: skip

    assert requests_of(used).select("workload_id", "requests").sort("workload_id").rows() == [(1, 5), (2, 7)]


def test_shares_are_of_the_open_minutes() -> None:
    """Open in two hours; used in 30 of these 120 minutes, by 30 requests, and by five when it is closed."""
    both = workloads(w1="shop", w2="shop")
    used = hours((1, 8, 30), (1, 100, 5), (2, 8, 5000), (2, 9, 5000))
    frame = bounded(both, used)

    row = (
        shares(frame, used, open_hours(frame, used, WEEK, UTC, 0.25)).filter(pl.col("workload_id") == 1)
    ).to_dicts()[0]

    assert (row["open_minutes"], row["open_silent_share"]) == (120, 0.75)
    assert row["open_requests_per_minute"] == 30 / 120
    assert (row["requests"], row["starts"]) == (35, 35)
    assert row["active_minutes_share"] == pytest.approx(35 / (168 * 60))


def test_a_workload_is_judged_from_its_first_sign_of_life_on() -> None:
    late = workloads(w1="shop").with_columns(alive_since=pl.lit(MONDAY + timedelta(hours=8.5), TIME))
    used = hours((1, 8, 15), (1, 9, 30))
    frame = bounded(late, used)

    (row,) = shares(frame, used, open_hours(frame, used, WEEK, UTC, 0.25)).to_dicts()

    assert row["begin"] == MONDAY + timedelta(hours=8.5)
    assert row["open_minutes"] == 90


def test_sampled_requests_are_no_evidence_of_silence() -> None:
    """The second workload is not sampled itself, so all of its silence counts."""
    used = hours((1, 8, 4), (1, 50, 4), (2, 8, 1)).with_columns(
        starts=pl.when(pl.col("workload_id") == 1).then(1).otherwise("starts").cast(pl.UInt64)
    )

    begins = dict(bounded(workloads(w1="shop", w2="shop"), used).select("workload_id", "begin").rows())

    assert begins == {1: MONDAY + timedelta(hours=51), 2: MONDAY}


def owners(first: datetime, last: datetime) -> pl.DataFrame:
    return pl.DataFrame({"first_seen_at": [first], "last_seen_at": [last]})


def test_silence_of_all_telemetry_says_nothing() -> None:
    first, last = MONDAY + timedelta(hours=20.5), MONDAY + timedelta(hours=100.25)

    assert heard_window(owners(first, last), WEEK) == Window(first, last), "to the second"
    assert heard_window(owners(MONDAY - timedelta(days=9), WEEK.end + timedelta(days=9)), WEEK) == WEEK
    assert heard_window(owners(first, last).clear(), WEEK) == WEEK


def test_telemetry_begins_with_the_oldest_thing_known_of_it() -> None:
    """Backfill of days arrives in one request, and a workload is registered with the newest of its spans."""
    first, sample, request = (MONDAY + timedelta(hours=at) for at in (60.5, 50.25, 40.75))

    assert heard_window(owners(first, WEEK.end), WEEK, sample, None, request) == Window(request, WEEK.end)
    assert heard_window(owners(first, WEEK.end), WEEK, MONDAY) == WEEK


def test_open_hours_are_whole_ones_of_the_clock() -> None:
    """Telemetry that began at 8:56 knows the hour from 8 on, and of it four minutes."""
    begun = Window(MONDAY + timedelta(hours=8, minutes=56), MONDAY + timedelta(hours=11))
    used = hours((1, 8, 2), (1, 9, 2), (1, 10, 2))
    frame = evidence_of(workloads(w1="shop"), used, begun)

    found = open_hours(frame, used, begun, UTC, 0.25)

    assert [(hour - MONDAY) // timedelta(hours=1) for hour in found["hour"]] == [8, 9, 10]
    assert shares(frame, used, found)["open_minutes"].to_list() == [124]


def office(
    *, days: int = 5, first: int = 8, until: int = 18, asked: float = 10
) -> list[tuple[int, int, float]]:
    return [(1, day * 24 + hour, asked) for day in range(days) for hour in range(first, until)]


def fixed(used: pl.DataFrame, zone: Any = UTC) -> dict[int, int]:
    frame = bounded(workloads(w1="shop"), used)
    return dict(fixed_hours(frame, used, zone).rows())


def test_office_hours_are_fixed_hours() -> None:
    assert fixed(hours(*office())) == {1: 50}


@pytest.mark.parametrize(
    ("extra", "is_fixed"),
    [
        ([(1, 3, 20.0)], True),  # 20 of 520 requests in one night: 96 % are at the fixed hours
        ([(1, 3, 40.0)], False),  # 40 of 540: 93 %
    ],
)
def test_nearly_all_requests_are_at_the_fixed_hours(
    extra: list[tuple[int, int, float]], *, is_fixed: bool
) -> None:
    assert bool(fixed(hours(*office(), *extra))) is is_fixed


def test_missed_hours_break_the_habit() -> None:
    assert fixed(hours(*office()[2:])) == {1: 50}  # used in 48 of 50: 96 %
    assert fixed(hours(*office()[3:])) == {}  # 47 of 50: 94 %


def test_who_is_used_most_of_the_time_has_no_fixed_hours() -> None:
    assert fixed(hours(*((1, hour, 10.0) for hour in range(168)))) == {}


def test_less_than_three_days_tell_no_habit() -> None:
    used = hours(*office(days=3))
    frame = bounded(workloads(w1="shop"), used)
    short = frame.with_columns(end=pl.lit(MONDAY + timedelta(hours=71.9), TIME))
    enough = frame.with_columns(end=pl.lit(MONDAY + timedelta(hours=72), TIME))

    assert fixed_hours(short, used, UTC).is_empty()
    assert fixed_hours(enough, used, UTC)["fixed_hours"].to_list() == [30]


def test_hours_are_those_of_the_zone() -> None:
    """From Friday 18:00 to 24:00 in Los Angeles it is Saturday in UTC."""
    zone = ZoneInfo("America/Los_Angeles")
    used = hours(*((1, day * 24 + hour + 8, 10.0) for day in range(5) for hour in range(18, 24)))

    assert fixed(used, zone) == {1: 30}
    assert fixed(used, UTC) == {}
