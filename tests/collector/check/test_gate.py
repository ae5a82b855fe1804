"""The time gate."""

from __future__ import annotations

import pytest

from collector.check.gate import TimeGate, Window, written_time

SECOND = 10**9
LAST = (1 << 64) - 1


def test_the_window_reaches_from_the_retention_to_ten_minutes_ahead() -> None:
    window = TimeGate(retention_ns=100 * SECOND).window(1_000 * SECOND)
    assert window == Window(900 * SECOND, 1_600 * SECOND)
    assert 900 * SECOND in window
    assert 900 * SECOND - 1 not in window
    assert 1_600 * SECOND in window
    assert 1_600 * SECOND + 1 not in window


@pytest.mark.parametrize(
    ("retention_ns", "ahead_ns", "now_ns", "earliest_ns", "latest_ns"),
    [
        (10**30, 10**30, 5, 0, LAST),
        (10, 10, 5, 0, 15),
        (10, 10, LAST, LAST - 10, LAST),
        (0, 0, 5, 5, 5),
        (10, 10, -100, 0, 0),
        (10, 10, 10**30, LAST, LAST),
    ],
)
def test_the_window_stays_inside_64_bits(
    retention_ns: int, ahead_ns: int, now_ns: int, earliest_ns: int, latest_ns: int
) -> None:
    window = TimeGate(retention_ns, ahead_ns).window(now_ns)
    assert (window.earliest_ns, window.latest_ns) == (earliest_ns, latest_ns)


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (5, "1970-01-01T00:00:00.000000005Z"),
        (1_792_006_400_500_000_000, "2026-10-14T19:33:20.5Z"),
        (4_294_967_296 * SECOND, "2106-02-07T06:28:16Z"),
        (1 << 63, "2262-04-11T23:47:16.854775808Z"),
        (LAST, "2554-07-21T23:34:33.709551615Z"),
    ],
)
def test_times_are_written_to_the_last_digit(time_ns: int, text: str) -> None:
    assert written_time(time_ns) == text


def test_a_window_is_written_to_the_second() -> None:
    window = Window(1_792_006_400_500_000_000, LAST)
    assert str(window) == "[2026-10-14T19:33:20Z, 2554-07-21T23:34:33Z]"
