"""Figures on pages."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import notation


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("0.004", "<0.01"),
        ("-0.004", ">-0.01"),
        ("1234.565", "1,234.56"),
        ("-0.0", "0.00"),
        ("2.5", "2.50"),
    ],
)
def test_money(amount: str, text: str) -> None:
    assert notation.money(Decimal(amount)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**9), max_value=10**9))
def test_something_never_reads_as_nothing(amount: Decimal) -> None:
    assert (notation.money(amount) == "0.00") == (amount == 0)
    assert Decimal(notation.exact(amount)) == amount
    assert "E" not in notation.exact(amount)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.2, "<1"), (0.7, "1"), (1234.4, "1,234"), (math.nan, "?"), (math.inf, "?")],
)
def test_counts(value: float, text: str) -> None:
    assert notation.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.0 %"), (0.0001, "<0.1 %"), (0.5, "50.0 %"), (1, "100.0 %"), (math.nan, "?")]
)
def test_shares(value: float, text: str) -> None:
    assert notation.share(value) == text


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (0, "0 s"),
        (-1, "0 s"),
        (0.0001, "<1 ms"),
        (0.25, "250 ms"),
        (90, "1.5 min"),
        (5400, "1.5 h"),
        (86_400, "1 d"),
    ],
)
def test_durations(value_s: float, text: str) -> None:
    assert notation.duration(value_s) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1024**2 - 1, "1.0 MiB"), (1024**5, "1024.0 TiB")],
)
def test_sizes(size: int, text: str) -> None:
    assert notation.size(size) == text


def test_instants_are_shown_in_a_zone() -> None:
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)

    assert notation.instant(at, ZoneInfo("Europe/Berlin")) == "2026-07-01 14:00 CEST"
