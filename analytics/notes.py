"""The remarks beside an answer: what is estimated, sampled, missing or not counted yet. Plain sentences.

Called by `analytics.answers`. The trap: a remark that is always there is not read, so each is made only if it
concerns this answer; but what no cost table counts yet is always said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from analytics.costing import CostLines
from analytics.documents import CostRow
from analytics.idle import TOO_EARLY
from analytics.lines import (
    BY_CONTENTS,
    DEFAULT_PLAN,
    DEFAULT_RATES,
    DEFAULT_VOLUME,
    NO_MEMORY,
    NO_SIZE,
    NO_SPOT_PRICE,
    NO_VOLUME_PRICE,
)
from analytics.ownership.file import Ownership
from analytics.window import Window
from ingest.counted import counted

_NAMED: Final = 3
_LATE: Final = timedelta(hours=2)


def cost_notes(costs: CostLines, window: Window) -> Iterator[str]:
    """What to know about a cost table."""
    of = costs.totals.named_by
    yield from _beginning(costs.totals.first_at, window)
    if of(DEFAULT_RATES):
        yield (
            f"estimated: {_list(of(DEFAULT_RATES))} ha{'s' if len(of(DEFAULT_RATES)) == 1 else 've'} no list "
            f"price for type and region; the default rates of a vCPU and a GiB are taken."
        )
    if of(NO_SPOT_PRICE):
        one = len(of(NO_SPOT_PRICE)) == 1
        yield (
            f"{'A spot node stands at its' if one else 'Spot nodes stand at their'} price on demand, since "
            f"the price book has no spot price for type and region: {_list(of(NO_SPOT_PRICE))}."
        )
    if of(BY_CONTENTS):
        yield (
            f"estimated: containers on {_list(of(BY_CONTENTS))} are priced by what they hold, because those "
            f"nodes never said how large they are. Their idle capacity is unknown and not shown."
        )
    if of(NO_SIZE):
        yield f"not in the costs: {_list(of(NO_SIZE))}, since nobody said how large, or of which type."
    if of(DEFAULT_VOLUME):
        yield (
            f"estimated: {counted(len(of(DEFAULT_VOLUME)), 'volume')} of a kind without a price in the "
            f"price book, at its default for volumes: {_list(of(DEFAULT_VOLUME))}."
        )
    if of(NO_VOLUME_PRICE):
        yield f"not in the costs: volumes for which there is no price: {_list(of(NO_VOLUME_PRICE))}."
    if costs.uncosted:
        send, whose = ("sends", "its") if len(costs.uncosted) == 1 else ("send", "their")
        yield (
            f"{counted(len(costs.uncosted), 'service')} {send} requests but no usage metrics; {whose} cost "
            f"is not known and stands at 0: {_list(costs.uncosted)}."
        )
    if of(DEFAULT_PLAN):
        yield (
            f"estimated: {counted(len(of(DEFAULT_PLAN)), 'function')} without a plan in the price book, "
            f"priced by the default one."
        )
    if of(NO_MEMORY):
        yield (
            f"estimated: {counted(len(of(NO_MEMORY)), 'function')} without a memory size "
            f"(faas.max_memory), priced with analytics.function_memory_bytes."
        )
    if costs.totals.functions_nano:
        yield "Functions stand at list price, first tier; the account's free quota is not taken off."
    if costs.sampled:
        yield (
            "Some requests are sampled; counts and functions' costs are corrected by their sampling "
            "probability."
        )
    yield "Not counted yet: network, load balancers, control planes, discounts and taxes."


def ownership_notes(ownership: Ownership) -> Iterator[str]:
    """What to know about who owns what."""
    if ownership.problems:
        first, *rest = ownership.problems
        more = f", and {counted(len(rest), 'other fault')}" if rest else ""
        yield (
            f"The ownership file is wrong since it changed ({first}{more}); the rules that were read before "
            "still hold."
        )


def service_notes(rows: Iterable[CostRow]) -> Iterator[str]:
    """What to know about a cost table by service: which lines are sums over environments."""
    several = [f"{row.name} ({', '.join(row.environments)})" for row in rows if len(row.environments) > 1]
    if several:
        yield f"A service's environments are added up: {_list(several)}."


def activity_notes(
    found: pl.DataFrame, heard: Window, window: Window, least_evidence_h: float
) -> Iterator[str]:
    """What to know about an answer on activity. `heard` is the part of the window with any telemetry."""
    if heard.end < window.end - _LATE:
        yield (
            f"All telemetry ends at {heard.end:%Y-%m-%d %H:%M} UTC; workloads are judged until then, since "
            f"nothing is known of the time after it."
        )
    if heard.start > window.start + _LATE:
        yield f"Telemetry begins at {heard.start:%Y-%m-%d %H:%M} UTC; workloads are judged from then on."
    sampled = found.filter(pl.col("sampled_until").is_not_null())
    last = sampled["sampled_until"].max()
    if isinstance(last, datetime):
        yield (
            f"sampled before {last:%Y-%m-%d %H:%M} UTC: of {counted(len(sampled), 'workload')}, requests "
            f"before then are a sample. Counts are corrected; gaps are looked at only after it."
        )
    early = found.filter(pl.col("verdict") == TOO_EARLY)
    if len(early):
        yield (
            f"Too early to say of {counted(len(early), 'workload')}: a verdict needs {least_evidence_h:g} h "
            f"of evidence (analytics.least_evidence_h)."
        )
    late = found.filter(pl.col("alive_since") > heard.start + _LATE)
    if len(late):
        yield (
            f"{counted(len(late), 'workload')} first appeared within the window, judged from then on: "
            f"{_list(late.sort('workload_name')['workload_name'].to_list())}."
        )


def _beginning(first_at: datetime | None, window: Window) -> Iterator[str]:
    if first_at is None:
        yield "There are no usage metrics of nodes or containers in this window: only functions have a cost."
    elif first_at > window.start + _LATE:
        yield f"Usage metrics begin at {first_at:%Y-%m-%d %H:%M} UTC; what ran before is not in the costs."


def _list(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
