"""The first answers: what everything costs, what sits idle, what could sleep.

The API calls these, and the command where no server runs. Each asks the store through a session, hands
frames to the pure functions beside it and returns a document. The trap: `now` is given, never taken, so
that an answer can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import partial
from typing import Any, Final, Self

import polars as pl

from analytics import ledger, queries
from analytics.activity import Activity, activity_of, heard_window, quiet_seconds
from analytics.ahead import Reader
from analytics.bill_documents import BillsAnswer, ReconciliationAnswer
from analytics.clock import MARGIN
from analytics.cluster_owners import cluster_owners, filled, with_clusters
from analytics.cost import UNOWNED, cost_rows, described, identified
from analytics.cost_shares import AS_IT_IS, Sharing
from analytics.costing import CostLines, cost_lines, day_costs, function_costs
from analytics.documents import CostAnswer, IdleAnswer, RecommendAnswer, Span
from analytics.grouping import PLAIN, By, CostTerms
from analytics.idle import idle_rows, judged, thresholds, with_gaps
from analytics.inventory_owners import inventory_owners
from analytics.money import usd
from analytics.notes import activity_notes, cost_notes, ownership_notes, service_notes
from analytics.ownership.apply import asked_of
from analytics.ownership.documents import OwnersAnswer, OwnersExplained
from analytics.ownership.file import NOBODY, Ownership, OwnershipFile
from analytics.ownership.rows import explained, owner_rows, unused_rules, with_costs
from analytics.price_files import load_price_book
from analytics.prices import PriceBook
from analytics.queries import Session
from analytics.recommend import recommendations
from analytics.reconciling import bill_rows, reconciled, things
from analytics.samples import days, read_samples
from analytics.settings import AnalyticsSettings
from analytics.totals import Totals
from analytics.window import Window, parse_window

TELEMETRY_DAYS: Final = 400


@dataclass(frozen=True, slots=True)
class Basis:
    """What every answer rests on. Made once, at start-up."""

    settings: AnalyticsSettings
    book: PriceBook
    currency: str
    zone: tzinfo
    ownership: OwnershipFile = NOBODY
    telemetry_days: int = TELEMETRY_DAYS
    """For how long at least what costs are computed from is kept."""

    @classmethod
    def load(
        cls, settings: AnalyticsSettings, currency: str, zone: tzinfo, telemetry_days: int = TELEMETRY_DAYS
    ) -> Self:
        """Read and check the price book and the ownership file too. Raises FileError."""
        ownership = OwnershipFile(settings.ownership_file)
        book = load_price_book(settings.price_book)
        return cls(settings, book, currency, zone, ownership, telemetry_days)

    @property
    def rate(self) -> Decimal:
        """Units of the shown currency for a US dollar."""
        return self.settings.exchange_rate


@dataclass(frozen=True, slots=True)
class FirstAnswers:
    """All answers of one window, made from one reading of the store."""

    by_application: CostAnswer
    by_team: CostAnswer
    idle: IdleAnswer
    recommend: RecommendAnswer


@dataclass(frozen=True, slots=True)
class _Facts:
    """What all answers need to know of a window."""

    window: Window
    owners: pl.DataFrame
    costs: CostLines
    activity: Activity
    workloads: pl.DataFrame
    ownership: Ownership

    @property
    def heard(self) -> Window:
        """The part of the window with any telemetry."""
        return heard_window(self.owners, self.window, self.costs.totals.first_at, self.activity.first_at)


def cost_answer(
    session: Session,
    basis: Basis,
    *,
    by: By,
    window: str,
    now: datetime,
    tenant: str,
    terms: CostTerms = PLAIN,
) -> CostAnswer:
    """What everything cost in the window. Raises WindowError, FilterError, and what the session raises."""
    span = parse_window(window, now)
    hours = Decimal(int((span.end - span.start).total_seconds())) / 3600
    sharing = Sharing.of(terms, hours, basis.rate)
    facts = _facts(session, basis, span, now, tenant, witnesses=False, asked=sharing.columns())
    return _cost(facts, basis, by, terms, sharing)


def idle_answer(session: Session, basis: Basis, *, window: str, now: datetime, tenant: str) -> IdleAnswer:
    """What is silent or long tail in the window. Raises WindowError, and what the session raises."""
    facts = _facts(session, basis, parse_window(window, now), now, tenant)
    return _idle(facts, basis, _judged(session, basis, facts, tenant))


def recommend_answer(
    session: Session, basis: Basis, *, window: str, now: datetime, tenant: str
) -> RecommendAnswer:
    """What could sleep, with a first estimate. Raises WindowError, and what the session raises."""
    facts = _facts(session, basis, parse_window(window, now), now, tenant)
    return _recommend(facts, basis, _judged(session, basis, facts, tenant))


def bills_answer(session: Session, *, tenant: str) -> BillsAnswer:
    """What bills there are. Raises what the session raises."""
    return BillsAnswer(rows=bill_rows(queries.read(session, "bill_list", tenant)))


def reconcile_answer(
    session: Session, basis: Basis, *, window: str, now: datetime, tenant: str
) -> ReconciliationAnswer:
    """The bill beside what was computed. Raises WindowError, and what the session raises."""
    facts = _facts(session, basis, parse_window(window, now), now, tenant, witnesses=False)
    span = facts.window
    bill = queries.read_range(session, "bill_resources", tenant, span.start, span.end)
    node_ids = queries.read_range(session, "node_ids", tenant, span.start, span.end)
    volume_ids = queries.read_range(session, "volume_ids", tenant, span.start, span.end)
    known = things(facts.costs, node_ids, volume_ids, basis.rate)
    found = reconciled(bill, known, basis.currency)
    notes = (*found.notes, *cost_notes(facts.costs, span))
    return ReconciliationAnswer(
        **_about(facts, basis, notes),
        matched=found.sum_of("matched", "effective"),
        only_in_bill=found.sum_of("only in bill", "effective"),
        only_in_lowtide=found.sum_of("only in lowtide", "computed"),
        rows=found.rows,
        instance_types=found.discounts,
    )


def first_answers(session: Session, basis: Basis, *, window: str, now: datetime, tenant: str) -> FirstAnswers:
    """Everything a front page shows, for the price of one answer. Raises as the others do."""
    facts = _facts(session, basis, parse_window(window, now), now, tenant)
    found = _judged(session, basis, facts, tenant)
    return FirstAnswers(
        by_application=_cost(facts, basis, By.APPLICATION),
        by_team=_cost(facts, basis, By.TEAM),
        idle=_idle(facts, basis, found),
        recommend=_recommend(facts, basis, found),
    )


def owners_answer(session: Session, basis: Basis, *, window: str, now: datetime, tenant: str) -> OwnersAnswer:
    """Who owns what in the window, and what nobody does. Raises as the others do."""
    facts = _facts(session, basis, parse_window(window, now), now, tenant, witnesses=False)
    ruleset, costed = facts.ownership.rules, with_costs(facts.workloads, facts.costs)
    whole, unowned = (
        int(frame["cost_nano"].sum()) for frame in (costed, costed.filter(pl.col("team") == UNOWNED))
    )
    return OwnersAnswer(
        **_about(facts, basis, ()),
        file=ruleset.file or None,
        rules=len(ruleset.rules),
        warnings=ruleset.warnings,
        unused_rules=unused_rules(costed, ruleset),
        owned_cost=usd(whole - unowned) * basis.rate,
        unowned_cost=usd(unowned) * basis.rate,
        unowned_share=unowned / whole if whole else None,
        rows=owner_rows(costed, ruleset, basis.rate),
    )


def owners_explained(
    session: Session, basis: Basis, *, service: str, window: str, now: datetime, tenant: str
) -> OwnersExplained:
    """Why the workloads of a service are whose they are. Raises as the others do."""
    facts = _facts(session, basis, parse_window(window, now), now, tenant, witnesses=False)
    ruleset = facts.ownership.rules
    rows = explained(
        with_costs(facts.workloads, facts.costs),
        described(facts.costs.names, facts.owners, ruleset.columns()),
        ruleset,
        service,
        basis.rate,
    )
    return OwnersExplained(**_about(facts, basis, ()), file=ruleset.file or None, rows=rows)


def _cost(
    facts: _Facts, basis: Basis, by: By, terms: CostTerms = PLAIN, sharing: Sharing = AS_IT_IS
) -> CostAnswer:
    rows = cost_rows(facts.costs, facts.workloads, by, basis.rate, sharing)
    divided = usd(facts.costs.divided_nano + sharing.overhead_nano) * basis.rate
    notes = (*service_notes(rows), *cost_notes(facts.costs, facts.window))
    return CostAnswer(
        **_about(facts, basis, notes),
        by=by.value,
        filter=terms.filter,
        shared=terms.shared,
        split=terms.split.value,
        idle=terms.idle.value,
        system=terms.system.value,
        overhead=terms.overhead,
        filtered_away=divided - rows[-1].total,
        rows=rows,
    )


def _idle(facts: _Facts, basis: Basis, found: pl.DataFrame) -> IdleAnswer:
    about = _about(facts, basis, _activity_notes(facts, basis, found))
    return IdleAnswer(**about, thresholds=thresholds(basis.settings), rows=idle_rows(found, basis.rate))


def _recommend(facts: _Facts, basis: Basis, found: pl.DataFrame) -> RecommendAnswer:
    about = _about(facts, basis, _activity_notes(facts, basis, found))
    rows = recommendations(found, about["coverage"], basis.settings, basis.rate)
    return RecommendAnswer(**about, rows=rows)


def _activity_notes(facts: _Facts, basis: Basis, found: pl.DataFrame) -> Iterator[str]:
    return activity_notes(found, facts.heard, facts.window, basis.settings.least_evidence_h)


def _facts(
    session: Session,
    basis: Basis,
    span: Window,
    now: datetime,
    tenant: str,
    *,
    witnesses: bool = True,
    asked: Sequence[str] = (),
) -> _Facts:
    """Everything an answer is made of; `witnesses` only if workloads are to be judged, `asked` labels and
    attributes beside those of the rules. Days are taken from the ledger where it has them; the next of the
    others is read while one is priced.
    """
    settings = basis.settings
    ownership = basis.ownership.now()
    told = asked_of((*ownership.rules.columns(), *asked))
    trusted = ledger.trusted_before(now, basis.telemetry_days)
    with Reader() as reader:
        read_owners = reader.plan(lambda: queries.owners(session, tenant, settings, told))
        read_told = reader.plan(lambda: cluster_owners(session, span, tenant, settings, told))
        read_labels = reader.plan(lambda: inventory_owners(session, tenant, settings, told))
        read_kept = reader.plan(
            lambda: ledger.current_days(session, tenant, span, settings, basis.book, trusted)
        )
        kept = read_kept()
        live = [day for day in days(span) if day.start.date() not in {one.day for one in kept}]
        read_totals = reader.plan(lambda: ledger.read_days(session, tenant, kept))
        read_days = [(day, reader.plan(partial(read_samples, session, day, tenant))) for day in live]
        read_activity = reader.plan(lambda: activity_of(session, span, settings, tenant, witnesses=witnesses))
        read_reported = reader.plan(
            lambda: queries.read_range(session, "invocations_1h", tenant, span.start, span.end + MARGIN)
        )
        owners = filled(with_clusters(read_owners(), read_told(), told), read_labels(), told)
        totals = read_totals()
        parts = [
            Totals.of(part)
            for day, read in read_days
            for part in day_costs(read(), settings, basis.book, owners, day, now)
        ]
        activity = read_activity()
        reported = read_reported()
    runs = [function_costs(activity.told, reported, owners, settings, basis.book, day) for day in live]
    costs = cost_lines([totals, *parts, *map(Totals.of, runs)], activity.hours)
    workloads = identified(costs.names, owners, settings, ownership.rules, asked)
    return _Facts(span, owners, costs, activity, workloads, ownership)


def _judged(session: Session, basis: Basis, facts: _Facts, tenant: str) -> pl.DataFrame:
    """Every workload with a verdict, with its gaps."""
    found = judged(
        facts.workloads, facts.owners, facts.costs, facts.activity, facts.heard, basis.settings, basis.zone
    ).filter(pl.col("verdict").is_not_null())
    seconds = quiet_seconds(session, found, facts.window, tenant)
    return with_gaps(found, seconds, basis.settings.keep_alive_s)


def _of_the_demo(facts: _Facts) -> int:
    seen = pl.col("last_seen_at") >= facts.window.start
    return len(facts.owners.filter(seen & (pl.col("is_demo") != 0)))


def _about(facts: _Facts, basis: Basis, notes: Iterable[str]) -> dict[str, Any]:
    totals = facts.costs.totals
    return {
        "window": Span(start=facts.window.start, end=facts.window.end),
        "time_zone": str(basis.zone),
        "currency": basis.currency,
        "prices_retrieved_on": basis.book.retrieved_on,
        "coverage": totals.covered_s / totals.present_s if totals.present_s else None,
        "demo_workloads": _of_the_demo(facts),
        "notes": (*ownership_notes(facts.ownership), *notes),
    }
