"""Keeps the ledger of costs up to date: a thread that computes what is missing, every hour. `lowtide serve`
starts and stops it.

The trap: it shares the machine with what comes in, so it works on one day after the other and stops between
two when the server does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from analytics import queries
from analytics.answers import Basis
from analytics.ledger_job import FEWER, FIRST, LATER, TERMS, Kept, forget_replaced, keep_costs
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreError

log = structlog.get_logger(__name__)
FIRST_AFTER_S = 300.0
"""A server that has just started has something else to do."""
SETTLE_S = 60.0


class Loading(Protocol):
    """What it needs of the loader."""

    def inserting(self) -> AbstractContextManager[None]:
        """The block in which to insert."""

    def settle(self, timeout_s: float) -> bool:
        """Wait until every insert that is under way now has ended."""


class LedgerKeeper:
    """Computes what days cost, for every tenant. Engine and loader stay the caller's, and open until this is
    closed.
    """

    def __init__(
        self,
        engine: Engine,
        loader: Loading,
        basis: Callable[[], Basis],
        *,
        registry: CollectorRegistry,
        interval_s: float,
        first_after_s: float = FIRST_AFTER_S,
    ) -> None:
        """`basis` is asked for at the first run."""
        self._engine = engine
        self._loader = loader
        self._basis = basis
        self._interval_s = interval_s
        self._first_after_s = min(first_after_s, interval_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._days = Counter(
            "lowtide_ledger_days", "Days whose costs were computed and kept.", ["because"], registry=registry
        )
        for because in (FIRST, LATER, FEWER, TERMS):
            self._days.labels(because)
        self._failures = Counter(
            "lowtide_ledger_failures", "Runs of the ledger that a fault broke off.", registry=registry
        )
        self._done_at = Gauge(
            "lowtide_ledger_complete_timestamp_seconds",
            "When the ledger was last brought up to date.",
            registry=registry,
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after the day that is being computed."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def run_once(self, now: datetime) -> int:
        """Bring the ledger up to date, and return how many days that took. What fails is logged and counted,
        and tried again in the next run.
        """
        done = 0
        try:
            with self._engine.session() as session:
                for tenant, first_at in queries.tenants(session).iter_rows():
                    done += self._of_tenant(session, tenant, first_at, now)
                forget_replaced(session, now, self._loader.inserting)
        except StoreError as error:
            self._failures.inc()
            log.warning("The ledger of costs could not be brought up to date", days=done, error=str(error))
        else:
            if not self._stop.is_set():
                self._done_at.set(now.timestamp())
        return done

    def _of_tenant(self, session: Session, tenant: str, first_at: datetime, now: datetime) -> int:
        done = 0
        steps = keep_costs(
            session, self._basis(), tenant, first_at, now,
            inserting=self._loader.inserting, settle=lambda: self._loader.settle(SETTLE_S),
        )  # fmt: skip
        with closing(steps):
            while not self._stop.is_set() and (kept := next(steps, None)) is not None:
                done += 1
                self._days.labels(kept.because).inc()
                _tell(tenant, kept)
        return done

    def _run(self) -> None:
        wait_s = self._first_after_s
        while not self._stop.wait(wait_s):
            self.run_once(datetime.now(UTC))
            wait_s = self._interval_s


def _tell(tenant: str, kept: Kept) -> None:
    """Costs that change are news; those that are new are not."""
    changed = kept.before_nano is not None and kept.before_nano != kept.day.total_nano
    say = log.info if changed else log.debug
    say(
        "The costs of a day were computed", tenant=tenant, day=str(kept.day.day), because=kept.because,
        nano_usd=kept.day.total_nano, before_nano_usd=kept.before_nano,
    )  # fmt: skip
