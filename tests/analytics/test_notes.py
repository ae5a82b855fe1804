"""What an answer says about itself, and only where it concerns this answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from analytics.costing import CostLines
from analytics.lines import (
    BY_CONTENTS,
    DEFAULT_PLAN,
    DEFAULT_RATES,
    DEFAULT_VOLUME,
    NO_MEMORY,
    NO_SIZE,
    NO_SPOT_PRICE,
    NO_VOLUME_PRICE,
    REMARK_SCHEMA,
)
from analytics.notes import activity_notes, cost_notes
from analytics.queries import TIME
from analytics.totals import NODE_TOTAL_SCHEMA, Totals
from analytics.window import Window

START = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = Window(START, START + timedelta(days=7))
ALWAYS = "Not counted yet: network, load balancers, control planes, discounts and taxes."


def about(
    remark: str = "", names: str = "", *, begin: datetime | None = START, functions_nano: int = 0, **what: Any
) -> list[str]:
    node = {"node_id": 1, "begin": begin, "end": begin}
    totals = Totals(
        lines=pl.DataFrame({"functions_nano": [functions_nano]}),
        nodes=pl.DataFrame([node] if begin else [], dict(NODE_TOTAL_SCHEMA)),
        remarks=pl.DataFrame([(remark, name) for name in names], dict(REMARK_SCHEMA), orient="row"),
    )
    return list(cost_notes(CostLines(totals, requests=pl.DataFrame(), **what), WEEK))


def test_a_plain_answer_says_only_what_is_not_counted() -> None:
    assert about() == [ALWAYS]


@pytest.mark.parametrize(
    ("remark", "names", "note"),
    [
        (DEFAULT_RATES, "a", "estimated: a has no list price for type and region; the default rates"),
        (DEFAULT_RATES, "abcde", "estimated: a, b, c and 2 more have no list price"),
        (NO_SPOT_PRICE, "a", "A spot node stands at its price on demand, since the price book has no"),
        (NO_SPOT_PRICE, "abcd", "Spot nodes stand at their price on demand, since the price book"),
        (DEFAULT_VOLUME, "a", "estimated: 1 volume of a kind without a price in the price book"),
        (NO_VOLUME_PRICE, "a", "not in the costs: volumes for which there is no price: a."),
        (BY_CONTENTS, "a", "estimated: containers on a are priced by what they hold"),
        (NO_SIZE, "a", "not in the costs: a, since nobody said how large"),
        (DEFAULT_PLAN, "1", "estimated: 1 function without a plan in the price book"),
        (NO_MEMORY, "12", "estimated: 2 functions without a memory size"),
    ],
)
def test_what_is_assumed_is_said(remark: str, names: str, note: str) -> None:
    first, last = about(remark, names)

    assert first.startswith(note)
    assert last == ALWAYS


@pytest.mark.parametrize(
    ("what", "note"),
    [
        ({"begin": None}, ("There are no usage metrics of nodes or containers in this window: only "
         "functions have a cost.")),
        ({"begin": START + timedelta(hours=3)}, ("Usage metrics begin at 2026-03-02 03:00 UTC; what ran "
         "before is not in the costs.")),
        ({"uncosted": ("mine",)}, "1 service sends requests but no usage metrics; its cost is not known"),
        ({"uncosted": tuple("abcd")}, ("4 services send requests but no usage metrics; their cost is not "
         "known and stands at 0: a, b, c and 1 more.")),
        ({"functions_nano": 5}, "Functions stand at list price, first tier"),
        ({"sampled": True}, "Some requests are sampled"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said(what: dict[str, Any], note: str) -> None:
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
