"""The ledger of whole days: answers are the same with it and without, whatever comes later."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analytics.answers import Basis, cost_answer, first_answers, reconcile_answer
from analytics.documents import CostAnswer
from analytics.grouping import By
from analytics.ledger import (
    current_days,
    keep_day,
    posting_at,
    read_days,
    terms_of,
    trusted_before,
    whole_days,
)
from analytics.ledger_job import FEWER, FIRST, LATER, TERMS, Kept, forget_replaced, keep_costs, price_day
from analytics.lines import COSTS
from analytics.settings import AnalyticsSettings
from analytics.window import Window, parse_window
from ingest.store.engine import Session
from ingest.store.errors import StoreUnavailableError

GIB = 1024**3
SETTINGS = AnalyticsSettings(least_evidence_h=1)
NOW = datetime.now(UTC).replace(hour=5, minute=7, second=11, microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
WINDOW = f"{(TODAY - timedelta(days=3, hours=5)).isoformat()}/{NOW.isoformat()}"
PLACE = {"cloud.provider": "aws", "cloud.region": "eu-central-1"}


@pytest.fixture
def basis() -> Basis:
    return Basis.load(SETTINGS, "USD", UTC)


@pytest.fixture
def estate(telemetry: Any) -> Any:
    """Three days and a bit: a node with two pods, of which one moves in; a machine; a function; a volume."""
    times = [TODAY - timedelta(days=3) + timedelta(minutes=20 * number) for number in range(3 * 72 + 15)]

    def sampled(resource: dict[str, str], after: int = 0, **values: float) -> None:
        telemetry.gauges(
            resource,
            [
                (name.replace("__", "."), value, at, {})
                for name, value in values.items()
                for at in times[after:]
            ],
        )

    cluster = {"k8s.cluster.name": "fra", "k8s.node.name": "node-1"}
    sampled(
        {**cluster, **PLACE, "host.type": "m6i.xlarge"},
        k8s__node__cpu__capacity=4.0, k8s__node__cpu__allocatable=3.9,
        k8s__node__memory__capacity=16.0 * GIB, k8s__node__memory__allocatable=15.0 * GIB,
        k8s__node__cpu__usage=1.0,
    )  # fmt: skip
    sampled({**cluster, "k8s.node.name": "node-2", "host.type": "unheard-of"}, k8s__node__cpu__capacity=2.0,
            k8s__node__memory__capacity=8.0 * GIB, k8s__node__cpu__usage=0.1)  # fmt: skip
    for deployment, after in (("cart", 0), ("till", 100)):
        pod = {
            **cluster, "k8s.namespace.name": "shop", "k8s.deployment.name": deployment,
            "k8s.pod.name": f"{deployment}-1", "k8s.container.name": "app", "service.name": deployment,
            "team": "checkout",
        }  # fmt: skip
        sampled(pod, after, container__cpu__usage=0.3, container__memory__working_set=1.0 * GIB)
        telemetry.requests(pod, [(at, 0.2) for at in times[after::5]])
    machine = {**PLACE, "host.name": "vm-1", "host.type": "t3.medium"}
    sampled(machine, system__cpu__logical__count=2.0, system__memory__limit=4.0 * GIB)
    sampled({**machine, "service.name": "tax"}, process__cpu__time=1.0)
    badge = {
        **PLACE, "cloud.platform": "aws_lambda", "faas.name": "badge", "service.name": "badge",
        "faas.max_memory": str(512 * 1024 * 1024),
    }  # fmt: skip
    telemetry.requests(badge, [(at, 0.5) for at in times[::3]])
    telemetry.store()
    return telemetry


@pytest.fixture
def kept(session: Session, basis: Basis, tenant: str) -> Callable[..., list[Kept]]:
    """Runs the job, and says what it did for the test's own tenant."""

    def run(now: datetime = NOW, basis: Basis = basis, **how: Any) -> list[Kept]:
        how = {"inserting": nullcontext, "settle": lambda: True, **how}
        return list(keep_costs(session, basis, tenant, NOW - timedelta(days=30), now, **how))

    return run


def asked(
    session: Session, basis: Basis, tenant: str, by: By = By.SERVICE, window: str = WINDOW
) -> CostAnswer:
    return cost_answer(session, basis, by=by, window=window, now=NOW, tenant=tenant)


def taken(session: Session, basis: Basis, tenant: str) -> list[Any]:
    """The days that answers take from the ledger."""
    span = parse_window(WINDOW, NOW)
    trusted = trusted_before(NOW, basis.telemetry_days)
    return [one.day for one in current_days(session, tenant, span, basis.settings, basis.book, trusted)]


def test_answers_are_the_same_with_the_ledger_and_without(
    session: Session, estate: Any, basis: Basis, tenant: str, kept: Callable[..., list[Kept]]
) -> None:
    before = {by: asked(session, basis, tenant, by) for by in (By.SERVICE, By.WORKLOAD)}
    pages = first_answers(session, basis, window=WINDOW, now=NOW, tenant=tenant)
    compared = reconcile_answer(session, basis, window=WINDOW, now=NOW, tenant=tenant)

    found = kept()

    days = [(TODAY - timedelta(days=number)).date() for number in (3, 2, 1)]
    # The day before has no telemetry of its own; what came right after it might have been of it.
    empty, *others = found
    assert (empty.day.day, empty.day.total_nano) == (days[0] - timedelta(days=1), 0)
    assert [(one.day.day, one.because, one.before_nano) for one in others] == [
        (day, FIRST, None) for day in days
    ]
    assert taken(session, basis, tenant) == days
    assert {by: asked(session, basis, tenant, by) for by in before} == before
    assert first_answers(session, basis, window=WINDOW, now=NOW, tenant=tenant) == pages
    assert reconcile_answer(session, basis, window=WINDOW, now=NOW, tenant=tenant) == compared
    assert before[By.SERVICE].rows[-1].total > 10
    assert before[By.SERVICE].coverage == 1
    assert kept() == [], "nothing is left to do"


def test_what_comes_later_counts_at_once_and_is_kept_by_the_next_run(
    session: Session, estate: Any, basis: Basis, tenant: str, kept: Callable[..., list[Kept]]
) -> None:
    first = {one.day.day: one.day for one in kept()}
    late = TODAY - timedelta(days=2) + timedelta(hours=13)
    node = {"k8s.cluster.name": "fra", "k8s.node.name": "node-3", "host.type": "m6i.xlarge", **PLACE}
    estate.gauges(node, [("k8s.node.cpu.usage", 1.0, late + timedelta(minutes=n), {}) for n in range(60)])
    estate.store()
    told = asked(session, basis, tenant)

    assert taken(session, basis, tenant) == [(TODAY - timedelta(days=n)).date() for n in (3, 1)]
    (again,) = kept(NOW + timedelta(hours=1))
    assert (again.day.day, again.because) == (late.date(), LATER)
    assert again.before_nano == first[late.date()].total_nano < again.day.total_nano
    assert len(taken(session, basis, tenant)) == 3
    assert asked(session, basis, tenant) == told


def test_other_prices_and_settings_are_other_costs(
    session: Session, estate: Any, basis: Basis, tenant: str, tmp_path: Path, kept: Callable[..., list[Kept]]
) -> None:
    kept()
    own = tmp_path / "own.yaml"
    own.write_text(
        "currency: USD\nsource: a test\nretrieved_on: 2026-01-01\nentries:\n"
        "  - {provider: aws, region: eu-central-1, sku: m6i.xlarge, unit: hour, price: '0.5', vcpu: 4, "
        f"memory_gib: 16, effective_on: {(TODAY - timedelta(days=2)).date()}}}\n",
        encoding="utf-8",
    )
    dearer = Basis.load(SETTINGS.model_copy(update={"price_book": (own,)}), "USD", UTC)
    told = asked(session, dearer, tenant)

    assert taken(session, dearer, tenant) == [(TODAY - timedelta(days=3)).date()]
    found = kept(NOW + timedelta(hours=1), dearer)
    assert [one.because for one in found] == [TERMS, TERMS]
    assert all(one.before_nano is not None and one.day.total_nano > one.before_nano for one in found)
    assert asked(session, dearer, tenant) == told
    sidecars = basis.settings.model_copy(update={"sidecar_containers": ("app",)})
    day = (TODAY - timedelta(days=2)).date()
    assert terms_of(sidecars, basis.book, day) != terms_of(basis.settings, basis.book, day)


def test_what_is_removed_is_computed_anew_unless_it_has_expired(
    session: Session, estate: Any, basis: Basis, tenant: str, kept: Callable[..., list[Kept]]
) -> None:
    kept()
    session.execute(
        "ALTER TABLE telemetry_volume_1h DELETE"
        " WHERE tenant = {tenant:String} AND hour = {hour:DateTime('UTC')}",
        {"tenant": tenant, "hour": (TODAY - timedelta(hours=36)).replace(tzinfo=None)},
        {"mutations_sync": 2},
    )
    assert len(taken(session, basis, tenant)) == 2
    old = Basis.load(SETTINGS, "USD", UTC, telemetry_days=3)
    assert len(taken(session, old, tenant)) == 3, "what may have expired is never computed again"
    assert kept(NOW, old) == []
    assert [one.because for one in kept(NOW + timedelta(hours=1))] == [FEWER]


def test_one_that_breaks_off_changes_nothing_and_goes_on(
    session: Session, estate: Any, basis: Basis, tenant: str, kept: Callable[..., list[Kept]]
) -> None:
    told = asked(session, basis, tenant)
    inserts = iter(range(100))

    def failing() -> Any:
        if next(inserts) == 9:
            raise StoreUnavailableError("the disk is full")
        return nullcontext()

    with pytest.raises(StoreUnavailableError):
        kept(inserting=failing)

    assert len(taken(session, basis, tenant)) == 1, "the first day is whole; of the second only rows"
    assert asked(session, basis, tenant) == told
    assert kept(settle=lambda: False) == [], "who still inserts is waited for"
    assert len(kept(NOW + timedelta(minutes=1))) == 2
    assert asked(session, basis, tenant) == told


def test_what_was_replaced_is_forgotten_later(
    session: Session, estate: Any, basis: Basis, tenant: str, kept: Callable[..., list[Kept]]
) -> None:
    kept()
    whose = {"tenant": tenant}
    rows = "SELECT count(), uniqExact(posting) FROM cost_hours WHERE tenant = {tenant:String}"
    whole, _ = session.rows(rows, whose)[0]
    day = (TODAY - timedelta(days=2)).date()
    parts = price_day(session, basis, tenant, day, NOW)
    keep_day(
        session, tenant, day, parts, records=1, terms="others", because=TERMS, now=NOW,
        posting=posting_at(NOW + timedelta(minutes=30)), inserting=nullcontext,
    )  # fmt: skip

    (again,) = kept(NOW + timedelta(hours=1))
    assert session.rows(rows, whose)[0][1] == 5
    forget_replaced(session, NOW + timedelta(hours=1), nullcontext)
    assert session.rows(rows, whose)[0][1] == 5, "somebody may still be reading"
    forget_replaced(session, NOW + timedelta(hours=8), nullcontext)

    assert (again.day.day, session.rows(rows, whose)) == (day, [(whole, 3)])
    history = (
        "SELECT because FROM cost_days WHERE tenant = {tenant:String} AND day = {day:Date} ORDER BY posting"
    )
    assert session.rows(history, {**whose, "day": day}) == [(FIRST,), (TERMS,), (LATER,)], (
        "what changed is remembered"
    )


def test_days_that_are_kept_add_up_as_they_were_computed(
    session: Session, estate: Any, basis: Basis, tenant: str, kept: Callable[..., list[Kept]]
) -> None:
    found = kept()

    for one in found:
        totals = read_days(session, tenant, [one.day])
        borne = totals.lines.select(pl.sum_horizontal(COSTS).sum()).item()
        assert borne == one.day.total_nano == totals.nodes_nano + totals.functions_nano + totals.volumes_nano
    shown = session.rows(
        "SELECT sum(cost_nano), countIf(workload_name = '' AND line NOT IN ('idle', 'system')) FROM costs"
        " WHERE tenant = {tenant:String}",
        {"tenant": tenant},
    )
    assert shown == [(sum(one.day.total_nano for one in found), 0)]


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC), [1, 2, 3]),
        (datetime(2026, 3, 1, 1, tzinfo=UTC), datetime(2026, 3, 4, 23, tzinfo=UTC), [2, 3]),
        (datetime(2026, 3, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, 3, tzinfo=UTC), []),
        (datetime(2026, 3, 1, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC), []),
    ],
)
def test_whole_days_of_a_window(start: datetime, end: datetime, days: list[int]) -> None:
    assert [one.day for one in whole_days(Window(start, end))] == days


def test_no_column_of_money_is_a_float(session: Session) -> None:
    kinds = session.rows(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
        " AND (table LIKE 'cost%' OR table LIKE 'bill%') AND type LIKE '%Float%'"
    )
    money = "SELECT count() FROM system.columns WHERE database = currentDatabase() AND name LIKE '%\\\\_nano'"
    assert kinds == []
    assert session.value(money) > 10
