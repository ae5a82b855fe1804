"""Verdicts: silent, long tail, and what only looks so; examples at the borders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from analytics.activity import Activity
from analytics.cost import identified
from analytics.costing import CostLines
from analytics.idle import idle_rows, judged, thresholds, with_gaps
from analytics.lines import NAME_SCHEMA
from analytics.queries import TIME
from analytics.settings import AnalyticsSettings
from analytics.totals import PAID_SCHEMA, Totals
from analytics.window import Window

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = Window(MONDAY, MONDAY + timedelta(days=1))
SETTINGS = AnalyticsSettings()
NETWORK: dict[str, Any] = {
    "workload_id": pl.UInt64, "network_bytes": pl.Float64, "network_seconds": pl.Float64,
}  # fmt: skip
WITNESSES: dict[str, Any] = {
    "workload_id": pl.UInt64, "cpu_floor_cores": pl.Float64, "cpu_high_cores": pl.Float64,
    "cpu_mean_cores": pl.Float64, "cpu_samples": pl.UInt64, "first_sample_at": TIME,
}  # fmt: skip
HOURS: dict[str, Any] = {
    "workload_id": pl.UInt64, "source": pl.String, "hour": TIME, "requests": pl.Float64,
    "starts": pl.UInt64, "active_seconds": pl.UInt64, "active_minutes": pl.UInt64, "first_request_at": TIME,
    "last_request_at": TIME,
}  # fmt: skip


class Seen:
    """What was seen in a day: workload 99 is busy, `workload` adds others."""

    def __init__(self, estate: Any) -> None:
        self.estate = estate()
        self.hours: list[dict[str, Any]] = []
        self.witnesses: list[dict[str, Any]] = []
        self.traffic: list[dict[str, Any]] = []
        self.names: list[dict[str, Any]] = []
        self.paid: list[dict[str, Any]] = []
        self.waited_for: list[int] = []
        self.workload(99, requests=100_000, minutes=60, role="")

    def workload(
        self,
        number: int,
        *,
        requests: float = 0,
        minutes: int = 0,
        hours: range = range(24),
        cpu: tuple[float, float, float] | None = (0.004, 0.004, 0.004),
        bytes_per_s: float | None = 100.0,
        paid: tuple[float, float] = (0, 24),
        kind: str = "Deployment",
        namespace: str = "shop",
        **owner: Any,
    ) -> None:
        """`requests` and active `minutes` of every hour; CPU is floor, high and mean."""
        self.names.append({
            "workload_id": number, "cluster": "fra", "environment": "", "namespace": namespace,
            "workload_kind": kind, "workload_name": f"workload-{number}",
        })  # fmt: skip
        self.estate.owner(number, **{
            "application": "shop", "service_name": "it", "first_seen_at": MONDAY - timedelta(days=9), **owner,
        })  # fmt: skip
        if requests:
            self.hours += [
                {
                    "workload_id": number, "source": "application", "hour": MONDAY + timedelta(hours=hour),
                    "requests": float(requests), "starts": int(requests) or 1, "active_seconds": minutes,
                    "active_minutes": minutes, "first_request_at": MONDAY + timedelta(hours=hour),
                    "last_request_at": MONDAY + timedelta(hours=hour),
                }
                for hour in hours
            ]  # fmt: skip
        if cpu is not None:
            self.witnesses.append(dict(zip(WITNESSES, (number, *cpu, 1440, MONDAY), strict=True)))
            start, end = (MONDAY + timedelta(hours=at) for at in paid)
            self.paid.append(dict(zip(PAID_SCHEMA, (number, start, end), strict=True)))
        if bytes_per_s is not None:
            self.traffic.append(dict(zip(NETWORK, (number, bytes_per_s * 100, 100.0), strict=True)))

    def judged(self, settings: AnalyticsSettings = SETTINGS, heard: Window = DAY) -> pl.DataFrame:
        names = pl.DataFrame(self.names, NAME_SCHEMA)
        costs = CostLines(
            totals=Totals(names=names, paid=pl.DataFrame(self.paid, dict(PAID_SCHEMA))),
            requests=pl.DataFrame(schema={"workload_id": pl.UInt64, "requests": pl.Float64}),
        )
        activity = Activity(
            pl.DataFrame(self.hours, HOURS),
            pl.DataFrame(self.witnesses, WITNESSES),
            pl.DataFrame(self.traffic, NETWORK),
            pl.DataFrame({"workload_id": self.waited_for}, {"workload_id": pl.UInt64}),
        )
        owners = self.estate.owned
        return judged(identified(names, owners, settings), owners, costs, activity, heard, settings, UTC)

    def verdicts(self) -> dict[int, str | None]:
        return dict(self.judged().filter(pl.col("workload_id") != 99).select("workload_id", "verdict").rows())


def verdict(estate: Any, **what: Any) -> str | None:
    seen = Seen(estate)
    seen.workload(1, **what)
    return seen.verdicts()[1]


@pytest.mark.parametrize(
    ("minutes", "requests", "expected"),
    [
        (29, 29, "long tail"),  # silent in 31 of 60 minutes
        (30, 30, None),  # silent in half of them, not in more
        (10, 59, "long tail"),
        (10, 60, None),  # a request a minute is not below one
    ],
)
def test_long_tail_at_its_borders(estate: Any, minutes: int, requests: int, expected: str | None) -> None:
    assert verdict(estate, minutes=minutes, requests=requests) == expected


def test_the_tail_carries_at_most_its_share_of_all_requests(estate: Any) -> None:
    """950 of 1000 requests are the busy one's; the two small ones carry 2 % and, together, exactly 5 %."""
    for third, expected in ((30, "long tail"), (31, None)):
        seen = Seen(estate)
        for row in seen.hours:
            row["requests"] = 950.0
        seen.workload(1, requests=20, minutes=20)
        seen.workload(2, requests=third, minutes=20)
        assert seen.verdicts() == {1: "long tail", 2: expected}


def test_the_thresholds_are_settings(estate: Any) -> None:
    seen = Seen(estate)
    seen.workload(1, requests=40, minutes=40)
    lax = AnalyticsSettings(long_tail_silent_minutes=0.3)

    assert seen.verdicts() == {1: None}
    found = seen.judged(lax).filter(pl.col("workload_id") == 1)
    assert found["verdict"].to_list() == ["long tail"]
    assert thresholds(lax)["long_tail_silent_minutes"] == 0.3
    assert thresholds(lax)["least_evidence_h"] == 24


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, "silent"),
        ({"cpu": None, "bytes_per_s": None}, "silent"),
        # CPU above its own floor: by more than 0.02 cores and more than twice it.
        ({"cpu": (0.004, 0.024, 0.01)}, "silent"),
        ({"cpu": (0.004, 0.025, 0.01)}, "works without requests"),
        ({"cpu": (0.010, 0.031, 0.01)}, "works without requests"),
        # An even load has no floor, but a waiting process does not burn this much.
        ({"cpu": (0.020, 0.020, 0.020)}, "silent"),
        ({"cpu": (0.021, 0.021, 0.021)}, "works without requests"),
        ({"bytes_per_s": 2000.0}, "silent"),
        ({"bytes_per_s": 2001.0}, "works without requests"),
        ({"bytes_per_s": 2001.0, "service_name": ""}, "no telemetry"),
        ({"role": "standby"}, "standby"),
        ({"role": "standby", "requests": 1, "minutes": 1}, "standby"),
    ],
)
def test_nothing_is_called_idle_on_one_witness(estate: Any, what: dict[str, Any], expected: str) -> None:
    assert verdict(estate, **what) == expected


@pytest.mark.parametrize(
    "what", [{"kind": "DaemonSet"}, {"kind": "CronJob"}, {"kind": "Job"}, {"namespace": "kube-system"}]
)
def test_what_serves_the_cluster_or_holds_nothing_is_not_judged(estate: Any, what: dict[str, Any]) -> None:
    seen = Seen(estate)
    seen.workload(1, **what)

    assert seen.verdicts() == {}


def test_who_has_no_pods_any_more_is_gone_and_not_idle(estate: Any) -> None:
    seen = Seen(estate)
    seen.workload(1, paid=(0, 21.9))
    seen.workload(2, paid=(0, 22))

    assert seen.verdicts() == {2: "silent"}


def test_the_rows_say_why(estate: Any) -> None:
    seen = Seen(estate)
    seen.workload(1, service_name="")
    seen.workload(2, cpu=None, bytes_per_s=None)
    seen.workload(3, requests=1, minutes=1)
    seen.workload(4, role="standby")
    seen.workload(5, cpu=(0.0, 1.0, 0.5), bytes_per_s=1e6)
    seen.workload(6, cpu=(0.0, 1.0, 0.5), service_name="")
    seen.workload(7, requests=0.1, minutes=1, hours=range(8, 9))
    found = seen.judged().filter(pl.col("verdict").is_not_null())
    none = {"second": TIME, "starts": pl.Int64, "ends": pl.Int64, "carried": pl.Int64}
    seconds = pl.DataFrame(schema={"workload_id": pl.UInt64, **none})

    rows = idle_rows(with_gaps(found, seconds, 60), Decimal(1))

    # The one that is asked in one hour of the day is silent in 1439 of 1440 minutes.
    assert {row.name.removeprefix("workload-"): (row.verdict, row.why) for row in rows} == {
        "1": ("silent", "no request; CPU and network at their floor; no telemetry of its own either"),
        "2": ("silent", "no request; no CPU or network metrics to confirm it"),
        "3": ("long tail", "silent in 98% of its application's open minutes, 1 requests/h then"),
        "4": ("standby", "declared standby"),
        "5": ("works without requests", "no request seen, but CPU and network are above the floor"),
        "6": ("no telemetry", "no request seen, but CPU is above the floor"),
        "7": ("long tail", "silent in over 99% of its application's open minutes, 0.00417 requests/h then"),
    }
    verdicts = [row.verdict for row in rows]
    assert verdicts == sorted(
        verdicts,
        key=["silent", "long tail", "standby", "no telemetry", "works without requests"].index,
    )


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"requests": 1, "minutes": 1},
        {"cpu": (0.0, 1.0, 0.5)},
        {"cpu": (0.0, 1.0, 0.5), "service_name": ""},
    ],
)
def test_a_verdict_needs_a_day_of_evidence(estate: Any, what: dict[str, Any]) -> None:
    """One that was first seen a second late is not judged; a declaration needs no evidence."""
    seen = Seen(estate)
    late = {"first_seen_at": MONDAY + timedelta(seconds=1), "paid": (1 / 3600, 24)}
    hours = range(1, 24) if what.get("requests") else range(24)
    seen.workload(1, **{**what, "hours": hours})
    seen.workload(2, **{**what, "hours": hours, **late})
    seen.workload(3, **{**what, "hours": hours, **late, "role": "standby"})
    for witness in seen.witnesses:
        if witness["workload_id"] in (2, 3):
            witness["first_sample_at"] = MONDAY + timedelta(seconds=1)

    verdicts = seen.verdicts()

    assert verdicts[1] not in (None, "too early to say")
    assert (verdicts[2], verdicts[3]) == ("too early to say", "standby")


def test_what_is_busy_needs_no_verdict_however_new_it_is(estate: Any) -> None:
    seen = Seen(estate)
    seen.workload(1, requests=1000, minutes=60, first_seen_at=MONDAY + timedelta(hours=20))

    assert seen.verdicts() == {1: None}


def test_how_much_evidence_there_is_is_shown(estate: Any) -> None:
    """The telemetry of all is three minutes old: nobody is judged, and the reason says why."""
    seen = Seen(estate)
    seen.workload(1, requests=1, minutes=1, hours=range(23, 24))
    start = DAY.end - timedelta(minutes=3)
    found = seen.judged(heard=Window(start, DAY.end)).filter(pl.col("verdict").is_not_null())
    none = {"second": TIME, "starts": pl.Int64, "ends": pl.Int64, "carried": pl.Int64}

    rows = idle_rows(
        with_gaps(found, pl.DataFrame(schema={"workload_id": pl.UInt64, **none}), 60), Decimal(1)
    )

    (row,) = [row for row in rows if row.name == "workload-1"]
    assert (row.verdict, row.why) == ("too early to say", "3 min of evidence, less than 24 h")
    assert (row.evidence.start, row.evidence.end, row.evidence_hours) == (start, DAY.end, 0.05)


def test_a_workload_lives_since_its_first_request_at_the_latest(estate: Any) -> None:
    """A first request with days of history is registered when its newest span began."""
    seen = Seen(estate)
    seen.workload(1, requests=1, minutes=1, cpu=None, bytes_per_s=None, first_seen_at=DAY.end)

    assert seen.judged().filter(pl.col("workload_id") == 1)["begin"].to_list() == [MONDAY]
    assert seen.verdicts() == {1: "long tail"}


def test_whether_anybody_waits_is_known_from_server_spans(estate: Any) -> None:
    seen = Seen(estate)
    seen.workload(1, requests=1, minutes=1)
    seen.workload(2, requests=1, minutes=1)
    seen.waited_for = [2]

    found = dict(seen.judged().select("workload_id", "waited_for").rows())

    assert found == {99: False, 1: False, 2: True}
