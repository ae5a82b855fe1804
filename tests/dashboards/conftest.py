"""Answers for pages: of a small company, with names that try to break out of the page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from analytics.documents import (
    CostAnswer,
    CostRow,
    IdleAnswer,
    IdleRow,
    RecommendAnswer,
    Recommendation,
    Span,
)
from dashboards.front import Answers, Flow, Front, Place

EVIL = "<script>alert(1)</script>\"'"
WINDOW = Span(start=datetime(2026, 11, 13, 12, tzinfo=UTC), end=datetime(2026, 11, 20, 12, 30, tzinfo=UTC))
ABOUT: dict[str, Any] = {
    "window": WINDOW, "time_zone": "UTC", "currency": "USD", "prices_retrieved_on": date(2026, 1, 19),
    "coverage": 0.995,
}  # fmt: skip


def cost_row(name: str, total: str, line: str = "direct", **more: Any) -> CostRow:
    given = {
        "cpu": Decimal(total), "memory": Decimal(0), "sidecars": Decimal(0), "functions": Decimal(0),
        "storage": Decimal(0), "total": Decimal(total), "share": 0.25, "unused": Decimal("0.001"),
        "requests": None, "per_million_requests": None,
    }  # fmt: skip
    return CostRow.model_validate({"name": name, "line": line, **given, **more})


def idle_row(name: str, **more: Any) -> IdleRow:
    given = {
        "kind": "Deployment", "namespace": "shop", "cluster": "fra", "environment": "live", "service": name,
        "service_namespace": "shop", "evidence": WINDOW, "evidence_hours": 168.5,
        "application": "shop", "team": "checkout", "verdict": "long tail", "why": "hardly ever called",
        "requests": 34.0, "active_seconds_share": 0.0001, "active_minutes_share": 0.003,
        "longest_gap_s": 1000.0, "last_request_at": None, "cost": Decimal("1.905"), "cpu_cores": 0.1,
        "cpu_floor_cores": 0.1, "network_bytes_per_s": None,
    }  # fmt: skip
    return IdleRow.model_validate({"name": name, **given, **more})


def candidate(name: str, *reasons: str, freed: str = "2.50") -> Recommendation:
    return Recommendation(
        id="1dee8c516841", name=name, kind="Deployment", namespace="shop", cluster="", environment="live",
        application="shop", team="checkout", action="scale-to-zero", status="candidate, not proven",
        verdict="long tail", cost_per_week=Decimal(3), freed_per_week=Decimal(freed),
        sidecars_freed_per_week=Decimal(0), awake_share=0.01, cold_starts_per_week=12.0,
        requests_per_week=34.0, keep_alive_s=60.0, evidence=WINDOW, evidence_requests=34,
        evidence_hours=168.0, synchronous=True, sampled_before=None, confidence="medium", reasons=reasons,
    )  # fmt: skip


COSTS = (
    cost_row(EVIL, "60.125", requests=1_234_567.0, per_million_requests=Decimal("48.7")),
    cost_row("platform", "9", "platform"),
    cost_row("idle", "30", "idle", share=0.3),
    cost_row("total", "99.125", "total", share=1.0),
)


@pytest.fixture
def answers() -> Answers:
    return Answers(
        costs=(
            CostAnswer(**ABOUT, notes=("Some are sampled.",), by="application", rows=COSTS),
            CostAnswer(**ABOUT, notes=("Some are sampled.",), by="team", rows=COSTS),
        ),
        idle=IdleAnswer(
            **ABOUT, notes=(EVIL,), thresholds={}, rows=(idle_row(EVIL), idle_row("quote", why=EVIL))
        ),
        recommend=RecommendAnswer(
            **ABOUT, notes=(),
            rows=(candidate(EVIL, "not looked at", EVIL), candidate("quote", "not looked at", freed="1.25")),
        ),
    )  # fmt: skip


@pytest.fixture
def nothing() -> Answers:
    """What there is to say about an empty store."""
    total = cost_row("total", "0", "total", share=None)
    return Answers(
        costs=(CostAnswer(**ABOUT, notes=("No metrics.",), by="application", rows=(total,)),),
        idle=IdleAnswer(**ABOUT, notes=(), thresholds={}, rows=()),
        recommend=RecommendAnswer(**ABOUT, notes=(), rows=()),
    )


@pytest.fixture
def front(answers: Answers) -> Callable[..., Front]:
    """`front(name=value)`: a page with these fields changed."""

    def make(**given: Any) -> Front:
        flow = Flow(10_000, 3, 2, 1536, 0.5, datetime(2026, 11, 20, 12, 29, tzinfo=UTC), ())
        usual: dict[str, Any] = {
            "version": "1.2.3", "place": Place("7d", ""), "answers": answers, "problem": "", "flow": flow,
            "zone": UTC, "otlp_http": "http://127.0.0.1:4318", "otlp_grpc": "http://127.0.0.1:4317",
        }  # fmt: skip
        return Front(**{**usual, **given})

    return make
