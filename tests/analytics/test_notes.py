"""What an answer says about itself, and only where it concerns this answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from analytics.costing import CostLines
from analytics.notes import activity_notes, cost_notes
from analytics.queries import TIME
from analytics.window import Window

START = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = Window(START, START + timedelta(days=7))
ALWAYS = "Not counted yet: network, load balancers, control planes, discounts and taxes."


def about(**what: Any) -> list[str]:
    given: dict[str, Any] = {
        "lines": pl.DataFrame(), "names": pl.DataFrame(), "paid": pl.DataFrame(), "requests": pl.DataFrame(),
        "nodes_nano": 1, "functions_nano": 0, "covered_s": 1, "present_s": 1, "first_at": START, **what,
    }  # fmt: skip
    return list(cost_notes(CostLines(**given), WEEK))


def test_a_plain_answer_says_only_what_is_not_counted() -> None:
    assert about() == [ALWAYS]


@pytest.mark.parametrize(
    ("what", "note"),
    [
        ({"first_at": None}, ("There are no usage metrics of nodes or containers in this window: only "
         "functions have a cost.")),
        ({"first_at": START + timedelta(hours=3)}, ("Usage metrics begin at 2026-03-02 03:00 UTC; what ran "
         "before is not in the costs.")),
        ({"estimated": ("a",)}, "estimated: a has no list price for type and region; the default rates"),
        ({"estimated": tuple("abcde")}, "estimated: a, b, c and 2 more have no list price"),
        ({"no_spot_price": ("a",)}, "A spot node stands at its price on demand, since the price book has no"),
        ({"no_spot_price": tuple("abcd")}, "Spot nodes stand at their price on demand, since the price book"),
        ({"estimated_volumes": ("a",)}, "estimated: 1 volume of a kind without a price in the price book"),
        ({"unpriced_volumes": ("a",)}, "not in the costs: volumes for which there is no price: a."),
        ({"unsized": ("a",)}, "estimated: containers on a are priced by what they hold"),
        ({"unpriced": ("a",)}, "not in the costs: a, since nobody said how large"),
        ({"uncosted": ("mine",)}, "1 service sends requests but no usage metrics; its cost is not known"),
        ({"uncosted": tuple("abcd")}, ("4 services send requests but no usage metrics; their cost is not "
         "known and stands at 0: a, b, c and 1 more.")),
        ({"unlisted_functions": 1}, "estimated: 1 function without a plan in the price book"),
        ({"functions_without_memory": 2}, "estimated: 2 functions without a memory size"),
        ({"functions_nano": 5}, "Functions stand at list price, first tier"),
        ({"sampled": True}, "Some requests are sampled"),
    ],
)  # fmt: skip
def test_what_is_assumed_is_said(what: dict[str, Any], note: str) -> None:
    first, last = about(**what)

    assert first.startswith(note)
    assert last == ALWAYS


def found(**what: Any) -> pl.DataFrame:
    row = {
        "workload_name": "quote-api",
        "verdict": "silent",
        "sampled_until": None,
        "alive_since": START,
        **what,
    }
    return pl.DataFrame([row], schema_overrides={"sampled_until": TIME, "alive_since": TIME})


def test_activity_that_is_wholly_known_needs_no_words() -> None:
    assert list(activity_notes(found(), WEEK, WEEK, 24)) == []


def test_sampling_late_comers_and_silence_are_said() -> None:
    seen = found(sampled_until=START + timedelta(hours=9), alive_since=START + timedelta(days=2))
    heard = Window(START + timedelta(hours=4, minutes=56), START + timedelta(days=6))

    ends, begins, sampled, late = activity_notes(seen, heard, WEEK, 24)

    assert ends.startswith("All telemetry ends at 2026-03-08 00:00 UTC")
    assert begins.startswith("Telemetry begins at 2026-03-02 04:56 UTC")
    assert sampled.startswith("sampled before 2026-03-02 09:00 UTC: of 1 workload, requests")
    assert late == "1 workload first appeared within the window, judged from then on: quote-api."


def test_of_whom_it_is_too_early_to_speak_is_said_once() -> None:
    seen = found(verdict="too early to say")

    assert list(activity_notes(seen, WEEK, WEEK, 24)) == [
        "Too early to say of 1 workload: a verdict needs 24 h of evidence (analytics.least_evidence_h)."
    ]
