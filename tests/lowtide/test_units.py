"""How figures are written for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide import units

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)


@given(DECIMALS)
def test_an_exact_decimal_reads_back_the_same(value: Decimal) -> None:
    written = units.exact(value)

    assert Decimal(written) == value
    assert "E" not in written.upper()


@given(DECIMALS, st.integers(0, 6))
def test_money_is_the_nearest_amount_and_never_nothing_for_something(value: Decimal, places: int) -> None:
    written = units.money(value, places)
    step = Decimal(1).scaleb(-places)

    if written.startswith(("<", ">")):
        assert 0 < abs(value) <= step / 2
        assert written.startswith("<") == (value > 0)
    else:
        shown = Decimal(written.replace(",", ""))
        assert abs(shown - value) <= step / 2
        assert (shown == 0) == (value == 0)


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0", "0.00"),
        ("-0.00", "0.00"),
        ("0.001", "<0.01"),
        ("-0.001", ">-0.01"),
        ("0.005", "<0.01"),
        ("0.015", "0.02"),
        ("1234567.891", "1,234,567.89"),
        ("-12.5", "-12.50"),
    ],
)
def test_money(amount: str, written: str) -> None:
    assert units.money(Decimal(amount)) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_sizes(value: float, written: str) -> None:
    assert units.size(value) == written


@given(st.integers(0, 2**60))
def test_a_size_is_right_to_a_tenth_of_its_unit(value: int) -> None:
    figure, unit = units.size(value).split()
    scale = 1024 ** ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].index(unit)

    assert float(figure) < 1024
    assert abs(float(figure) * scale - value) <= 0.051 * scale


@pytest.mark.parametrize(
    ("value_s", "written"),
    [
        (0, "0 s"),
        (3e-9, "3 ns"),
        (0.0000042, "4.2 us"),
        (0.0042, "4.2 ms"),
        (1, "1 s"),
        (90, "1.5 min"),
        (5400, "1.5 h"),
        (129_600, "1.5 d"),
        (86_400 * 1234, "1.23e+03 d"),
        (-90, "-1.5 min"),
        (float("inf"), "?"),
    ],
)
def test_durations(value_s: float, written: str) -> None:
    assert units.duration(value_s) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.25, "25.0 %"),
        (0, "0.0 %"),
        (1, "100.0 %"),
        (0.0001, "<0.1 %"),
        (-0.0001, ">-0.1 %"),
        (float("nan"), "?"),
    ],
)
def test_shares(value: float, written: str) -> None:
    assert units.share(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (2.0, "2"),
        (0.5, "0.50"),
        (0.001, "<0.01"),
        (-0.001, ">-0.01"),
        (float("nan"), "?"),
    ],
)
def test_numbers(value: float, written: str) -> None:
    assert units.number(value) == written


def test_an_instant_is_shown_in_a_zone_and_written_in_utc() -> None:
    at = datetime(2026, 7, 1, 12, 0, 1, 500_000, tzinfo=timezone(timedelta(hours=5)))

    assert units.instant(at) == "2026-07-01 07:00:01 UTC"
    assert units.instant(at, ZoneInfo("Europe/Berlin")) == "2026-07-01 09:00:01 CEST"
    assert units.rfc3339(at) == "2026-07-01T07:00:01.500000Z"
    assert units.rfc3339(datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01T00:00:00Z"


@pytest.mark.parametrize("write", [units.instant, units.rfc3339])
def test_a_time_without_a_zone_is_refused(write: object) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        write(datetime(2026, 7, 1))  # type: ignore[operator]  # noqa: DTZ001 - that is the point
