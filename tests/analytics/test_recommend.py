"""The first scale-to-zero estimate: what it counts, for whom, and what it says about itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from analytics.documents import Recommendation
from analytics.queries import TIME
from analytics.recommend import recommendations, stable_id
from analytics.settings import AnalyticsSettings

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
NANO = 10**9
WEEK_S = 7 * 86_400
TYPES: dict[str, Any] = {
    "sampled_until": TIME, "cpu_samples": pl.UInt64, "begin": TIME, "end": TIME, "paid_from": TIME,
    "paid_until": TIME, "cold_starts": pl.Int64, "starts": pl.UInt64, "total_nano": pl.Int64,
    "application_nano": pl.Int64, "sidecars_nano": pl.Int64,
}  # fmt: skip
FOUND: dict[str, Any] = {
    "workload_name": "quote-api", "workload_kind": "Deployment", "namespace": "shop", "cluster": "fra",
    "environment": "prod", "application": "shop", "team": "checkout", "verdict": "long tail",
    "total_nano": 10 * NANO, "application_nano": 8 * NANO, "sidecars_nano": 2 * NANO,
    "span_s": float(WEEK_S), "awake_s": WEEK_S / 4, "cold_starts": 21, "requests": 420.0, "starts": 420,
    "window_requests": 420.0, "cpu_samples": 1000, "has_service": True, "sampled_until": None,
    "waited_for": False,
    "begin": MONDAY, "end": MONDAY + timedelta(days=7),
    "paid_from": MONDAY, "paid_until": MONDAY + timedelta(days=7),
}  # fmt: skip


def estimates(coverage: float | None = 1.0, **what: Any) -> tuple[Recommendation, ...]:
    found = pl.DataFrame([{**FOUND, **what}], schema_overrides=TYPES)
    return recommendations(found, coverage, AnalyticsSettings(), Decimal(1))


def test_what_is_reserved_while_it_sleeps_is_freed() -> None:
    """Asleep three quarters of the week: of 8 USD for the application and 2 for its sidecar."""
    (one,) = estimates()

    assert one.status == "candidate, not proven"
    assert (one.cost_per_week, one.freed_per_week, one.sidecars_freed_per_week) == (10, 6, Decimal("1.5"))
    assert (one.awake_share, one.cold_starts_per_week, one.requests_per_week) == (0.25, 21, 420)
    assert (one.action, one.confidence, one.keep_alive_s) == ("scale-to-zero", "medium", 60)
    assert (one.evidence.start, one.evidence.end, one.evidence_requests) == (
        MONDAY, MONDAY + timedelta(days=7), 420,
    )  # fmt: skip
    assert "how long it takes to start is not looked at yet" in one.reasons
    assert "a freed reservation saves money only once a node can go" in one.reasons


def test_cost_and_evidence_are_put_to_a_week_each_by_its_own_length() -> None:
    """Two days of evidence; costs of three and a half days, though the window may be longer."""
    (one,) = estimates(
        span_s=2 * 86_400.0, awake_s=86_400.0, begin=MONDAY + timedelta(days=5),
        paid_from=MONDAY + timedelta(days=3.5),
    )  # fmt: skip

    assert (one.cost_per_week, one.freed_per_week) == (20, 8)
    assert (one.cold_starts_per_week, one.requests_per_week) == (73.5, 1470)
    assert one.confidence == "low"
    assert "48 h of evidence, less than a week" in one.reasons


@pytest.mark.parametrize(
    "what",
    [
        {"verdict": "fixed hours"},
        {"verdict": "standby"},
        {"verdict": "no telemetry"},
        {"verdict": "works without requests"},
        {"workload_kind": "StatefulSet"},
        {"workload_kind": "Function"},
        {"total_nano": 0, "application_nano": 0, "sidecars_nano": 0},
        {"span_s": 24 * 3600.0 - 1},
        {"awake_s": float(WEEK_S)},
        {"verdict": "silent", "window_requests": 0.0, "cpu_samples": None},
    ],
)
def test_who_gets_no_estimate(what: dict[str, Any]) -> None:
    assert estimates(**what) == ()


@pytest.mark.parametrize(
    ("what", "coverage", "reason"),
    [
        ({"workload_kind": "Service"}, 1.0, "a machine of its own: the money is freed only by moving off it"),
        ({"cpu_samples": 9}, 0.9, "usage samples cover 90% of the nodes' time"),
        (
            {"sampled_until": MONDAY + timedelta(hours=5), "span_s": WEEK_S - 5 * 3600.0},
            1.0,
            "sampled before 2026-03-02 05:00 UTC: only the time after it is used",
        ),
    ],
)
def test_what_lowers_the_confidence_is_said(what: dict[str, Any], coverage: float, reason: str) -> None:
    (one,) = estimates(coverage, **what)

    assert one.confidence == "low"
    assert reason in one.reasons


@pytest.mark.parametrize(
    ("waited_for", "cold_starts", "confidence"),
    [(True, 50, "medium"), (True, 51, "low"), (False, 5000, "medium"), (True, 1176, "low")],
)
def test_whoever_is_waited_for_must_not_be_cold_often(
    *, waited_for: bool, cold_starts: int, confidence: str
) -> None:
    (one,) = estimates(waited_for=waited_for, cold_starts=cold_starts)

    assert (one.synchronous, one.confidence) == (waited_for, confidence)
    reason = f"callers wait for it, and would for {cold_starts:,} cold starts a week, more than 50"
    assert (reason in one.reasons) == (confidence == "low")


def test_how_many_cold_starts_callers_bear_is_a_setting() -> None:
    found = pl.DataFrame([{**FOUND, "waited_for": True}], schema_overrides=TYPES)
    strict = AnalyticsSettings(bearable_cold_starts_per_week=20)

    (one,) = recommendations(found, 1.0, strict, Decimal(1))

    assert one.confidence == "low"


def test_the_largest_saving_comes_first() -> None:
    rows = [{**FOUND, "workload_name": name, "application_nano": nano * NANO}
            for name, nano in (("b", 1), ("a", 1), ("c", 7))]  # fmt: skip
    found = recommendations(
        pl.DataFrame(rows, schema_overrides=TYPES), 1.0, AnalyticsSettings(), Decimal("0.5")
    )

    assert [one.name for one in found] == ["c", "a", "b"]
    assert found[0].freed_per_week == Decimal("2.625")


def test_ids_are_the_same_in_every_answer_and_differ_between_workloads() -> None:
    (one,), (again,) = estimates(), estimates(awake_s=10.0, environment="staging")

    assert one.id == again.id == stable_id("scale-to-zero", "fra", "", "shop", "Deployment", "quote-api")
    assert estimates(namespace="other")[0].id != one.id


def test_no_estimate_can_call_itself_anything_else() -> None:
    (one,) = estimates()

    with pytest.raises(ValidationError):
        Recommendation.model_validate({**one.model_dump(), "status": "proven"})
