"""Keeps the ledger up to date: computes every whole day that is over and not in it, or not as it is now.

`lowtide.serve.ledger_keeper` calls `keep_costs` for each tenant every hour, day by day from the oldest. It
can be broken off after any day, and the next call goes on. The trap: what is counted before a day is computed
must have arrived in all tables, so between the two the inserts under way are waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from analytics import ledger, queries
from analytics.answers import Basis
from analytics.clock import MARGIN
from analytics.cluster_owners import cluster_owners, filled, with_clusters
from analytics.costing import day_costs, function_costs
from analytics.inventory_owners import inventory_owners
from analytics.ledger import Inserting, KeptDay
from analytics.lines import DayCosts
from analytics.queries import read_range
from analytics.samples import read_samples
from analytics.window import Window
from ingest.store.engine import Session
from ingest.store.sql import load_sql

GRACE: Final = timedelta(minutes=30)
"""How much later than the hours that its costs depend on a day is computed: senders repeat what failed."""
FORGET_AFTER: Final = timedelta(hours=6)
"""Longer than any answer takes that still reads what was replaced."""


FIRST: Final = "computed for the first time"
LATER: Final = "telemetry came later"
FEWER: Final = "telemetry was removed"
TERMS: Final = "prices or settings changed"
_DEAD: Final = {
    "cost_hours": "cost_dead_hours",
    "cost_nodes": "cost_dead_hours",
    "cost_volumes": "cost_dead_hours",
    "cost_workloads": "cost_dead_days",
    "cost_remarks": "cost_dead_days",
}
_AT_ONCE: Final = {"mutations_sync": 2}


@dataclass(frozen=True, slots=True)
class Kept:
    """A day that was computed and kept: why, and what it came to before (None: it was not there)."""

    day: KeptDay
    because: str
    before_nano: int | None


def keep_costs(
    session: Session,
    basis: Basis,
    tenant: str,
    first_at: datetime,
    now: datetime,
    *,
    inserting: Inserting,
    settle: Callable[[], bool],
) -> Generator[Kept]:
    """Compute and keep what is missing or no longer holds since `first_at`, a day for each step. `settle`
    waits for the inserts under way, and says whether they have ended. Raises StoreError.
    """
    start = max(first_at, ledger.day_window(ledger.trusted_before(now, basis.telemetry_days)).start)
    window = Window(ledger.midnight(start), ledger.midnight(now - MARGIN - GRACE))
    kept = ledger.kept_days(session, tenant, window)
    records = ledger.records_of(session, tenant, ledger.whole_days(window))
    posting = max([ledger.posting_at(now), *(one.posting for one in kept.values())])
    for day, count in records.items():
        known = kept.get(day)
        terms = ledger.terms_of(basis.settings, basis.book, day)
        because = _reason(known, count, terms)
        if because is None:
            continue
        if not settle():
            return
        posting += 1
        found = ledger.keep_day(
            session, tenant, day, price_day(session, basis, tenant, day, now),
            records=count, terms=terms, because=because, now=now, posting=posting, inserting=inserting,
        )  # fmt: skip
        yield Kept(found, because, known.total_nano if known else None)


def forget_replaced(session: Session, now: datetime, inserting: Inserting) -> None:
    """Take away what was replaced long enough ago, of all tenants. Raises StoreError."""
    before = {"before": ledger.posting_at(now - FORGET_AFTER)}
    for table, condition in _DEAD.items():
        where = load_sql("analytics", condition)
        bound = {"table": table, **before}
        count = "SELECT count() FROM {table:Identifier} WHERE "
        if session.value(f"{count}{where}", bound):
            with inserting():
                session.execute(f"ALTER TABLE {{table:Identifier}} DELETE WHERE {where}", bound, _AT_ONCE)


def price_day(session: Session, basis: Basis, tenant: str, day: date, now: datetime) -> list[DayCosts]:
    """What a day cost, from telemetry. Raises StoreError."""
    span, settings = ledger.day_window(day), basis.settings
    told = queries.owners(session, tenant, settings)
    owners = filled(
        with_clusters(told, cluster_owners(session, span, tenant, settings)),
        inventory_owners(session, tenant, settings),
    )
    requests = read_range(session, "requests_1h", tenant, span.start, span.end)
    reported = read_range(session, "invocations_1h", tenant, span.start, span.end + MARGIN)
    return [
        *day_costs(read_samples(session, span, tenant), settings, basis.book, owners, span, now),
        function_costs(requests, reported, owners, settings, basis.book, span),
    ]


def _reason(known: KeptDay | None, records: int, terms: str) -> str | None:
    """Why a day is to be computed; None if it is not."""
    if known is None:
        return FIRST if records else None
    if known.records != records:
        return LATER if records > known.records else FEWER
    return None if known.terms == terms else TERMS
