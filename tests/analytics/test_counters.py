"""Cores from counters of CPU time: restarts, resets, short lives, late beginnings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from analytics.counters import container_cores
from analytics.queries import TIME

START = datetime(2026, 3, 4, 10, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "container_id": pl.UInt64, "counter": pl.String, "minute": TIME, "cpu_time_s": pl.Float64,
    "read_at": TIME, "peak_s": pl.Float64, "started_at": TIME,
}  # fmt: skip


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def read(
    seconds: float, total_s: float, counter: str = "c1", *, started: float | None = None, peak_s: float = 0.0
) -> dict[str, Any]:
    """What was read of a counter last, in the minute that this second is in."""
    return {
        "container_id": 1, "counter": counter, "minute": at(seconds // 60 * 60), "cpu_time_s": total_s,
        "read_at": at(seconds), "peak_s": max(peak_s, total_s),
        "started_at": None if started is None else at(started),
    }  # fmt: skip


def cores(*reads: dict[str, Any]) -> list[float | None]:
    """By minute."""
    found = container_cores(pl.DataFrame(list(reads), SCHEMA))
    return found.sort("minute")["cpu_counted"].to_list()


def test_a_minute_has_the_mean_since_the_last_reading() -> None:
    found = cores(read(10, 100.0), read(70, 112.0), read(195, 137.0))
    assert found == pytest.approx([0.2, 0.2, 0.2])


def test_the_first_reading_has_the_mean_since_the_start() -> None:
    assert cores(read(10, 5.0, started=0), read(70, 35.0)) == pytest.approx([0.5, 0.5])
    assert cores(read(10, 100.0, started=-90), read(70, 106.0)) == pytest.approx([1.0, 0.1])


def test_a_pod_shorter_than_a_scrape() -> None:
    assert cores(read(30, 6.0, started=18)) == pytest.approx([0.5])
    assert cores(read(30, 6.0)) == [None]


def test_a_counter_that_begins_again() -> None:
    assert cores(read(0, 50.0), read(60, 56.0), read(120, 3.0)) == pytest.approx([0.1, 0.1, 0.05])


def test_a_counter_that_begins_again_within_a_minute() -> None:
    assert cores(read(0, 50.0), read(60, 4.0, peak_s=52.0)) == pytest.approx([0.1, 0.1])


def test_a_reading_that_is_stored_out_of_order_is_no_new_beginning() -> None:
    """Of two scrapers of a pair, the one that began a moment later was answered before the other one."""
    found = cores(read(10, 5000.0), read(70, 5011.98, peak_s=5012.0), read(130, 5024.0))
    assert found == pytest.approx([0.2, 0.2, 0.2], rel=0.01)


def test_a_restart_is_a_counter_of_its_own() -> None:
    """Of the first run, what it used after it was last read is not known."""
    assert cores(read(10, 55.0, started=-100), read(60, 6.0, "c2", started=12)) == pytest.approx([0.5, 0.12])
    both = cores(
        read(0, 50.0, started=-100), read(60, 53.0, started=-100), read(62, 6.0, "c2", started=57)
    )  # fmt: skip
    assert both == pytest.approx([0.5, 9 / 62])


def test_a_run_that_is_older_than_the_last_reading_did_not_use_all_of_it_since() -> None:
    found = cores(read(0, 1.0, started=-10), read(60, 500.0, "c2", started=-440))
    assert found == pytest.approx([0.1, 1.0])


def test_a_silence_is_no_rate() -> None:
    day = 24 * 3600
    found = cores(read(0, 10.0), read(60, 16.0), read(day, 20.0, started=-100), read(day + 60, 50.0))
    assert found == pytest.approx([0.1, 0.1, 20 / (day + 100), 0.5])


def test_the_kubelets_second_account_is_not_added() -> None:
    twice = [read(second, 10 + second / 5, counter) for second in (0, 60) for counter in ("c1", "cpu")]
    assert cores(*twice) == pytest.approx([0.2, 0.2])
    assert cores(*(one for one in twice if one["counter"] == "cpu")) == pytest.approx([0.2, 0.2])


def test_containers_are_counted_apart() -> None:
    rows = [read(0, 10.0), read(60, 16.0)]
    rows += [{**row, "container_id": 2, "cpu_time_s": row["cpu_time_s"] * 2} for row in rows]
    found = container_cores(pl.DataFrame(rows, SCHEMA).with_columns(peak_s=pl.col("cpu_time_s")))
    assert found.sort("container_id", "minute")["cpu_counted"].to_list() == pytest.approx(
        [0.1, 0.1, 0.2, 0.2]
    )
