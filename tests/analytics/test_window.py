"""Windows of time, as people write them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from analytics.errors import WindowError
from analytics.samples import days
from analytics.window import Window, parse_window

NOW = datetime(2026, 3, 4, 10, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("7d", "2026-02-25T10:00Z", "2026-03-04T10:20:30Z"),
        ("24h", "2026-03-03T10:00Z", "2026-03-04T10:20:30Z"),
        (" 2w ", "2026-02-18T10:00Z", "2026-03-04T10:20:30Z"),
        ("2026-03-01T00:30+01:00/2026-03-02T00:30+01:00", "2026-02-28T23:00Z", "2026-03-01T23:30Z"),
        ("2026-03-04T00:00Z/2027-01-01T00:00Z", "2026-03-04T00:00Z", "2026-03-04T10:20:30Z"),
    ],
)
def test_windows(text: str, start: str, end: str) -> None:
    assert parse_window(text, NOW) == Window(datetime.fromisoformat(start), datetime.fromisoformat(end))


@pytest.mark.parametrize(
    "text",
    [
        "", "week", "0d", "401d", "-7d", "7 d", "2026-03-01T00:00/2026-03-02T00:00",
        "2026-03-02T00:00Z/2026-03-01T00:00Z", "2027-01-01T00:00Z/2027-01-02T00:00Z", "a/b",
        "2020-01-01T00:00Z/2026-03-01T00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(WindowError):
        parse_window(text, NOW)


def test_a_window_is_worked_on_by_days_of_utc() -> None:
    window = parse_window("2d", NOW)

    found = list(days(window))

    assert [day.start.hour for day in found] == [10, 0, 0]
    assert found[0].start == window.start
    assert found[-1].end == window.end
    assert all(day.end == later.start for day, later in itertools.pairwise(found))
    assert all(day.end - day.start <= timedelta(days=1) for day in found)
