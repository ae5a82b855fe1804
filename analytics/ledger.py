"""The ledger: what whole days (UTC) cost, computed once and kept in the store by the hour.

`analytics.ledger_job` keeps days here, `analytics.answers` takes them instead of computing them again. A day
counts as long as nothing has come in for it since, and prices and settings are the same; else it is computed
as if it were not there, until the job has kept it anew. So an answer is the same with the ledger and without.

The trap: an insert goes into one table, and a day's rows into several. They count only once `cost_days` names
their posting, which is inserted last; and what was replaced stays for who is still reading it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Final, Protocol

import polars as pl

from analytics.clock import MARGIN
from analytics.lines import (
    COSTS,
    HOUR_LINE_SCHEMA,
    NAME_SCHEMA,
    NODE_HOUR_SCHEMA,
    REMARK_SCHEMA,
    VOLUME_HOUR_SCHEMA,
    DayCosts,
    Schema,
    named,
)
from analytics.prices import PriceBook
from analytics.queries import Session, read, read_range
from analytics.settings import AnalyticsSettings
from analytics.totals import Totals
from analytics.window import Window
from ingest.store.engine import Session as StoreSession
from ingest.store.frames import insert_frame

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
METHOD: Final = 1
"""Counted up when the same telemetry and prices would give other costs: then every day is computed anew."""
_UNKNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Inserting(Protocol):
    """Holds off whoever looks at the store's parts."""

    def __call__(self) -> AbstractContextManager[object]:
        """The block in which to insert."""


@dataclass(frozen=True, slots=True)
class KeptDay:
    """A day in the ledger: the posting that counts, how many `records` were stored when it was computed, by
    which `terms` (prices and settings), and what it came to.
    """

    day: date
    posting: int
    records: int
    terms: str
    total_nano: int


def terms_of(settings: AnalyticsSettings, book: PriceBook, day: date) -> str:
    """What a day's costs depend on beside telemetry."""
    chosen = (METHOD, sorted(settings.sidecar_containers), settings.function_memory_bytes, book.digest(day))
    return sha256(repr(chosen).encode()).hexdigest()


def kept_days(session: Session, tenant: str, window: Window) -> dict[date, KeptDay]:
    """The days in the ledger of which a part lies in the window, old and new ones alike."""
    found = read_range(session, "cost_days", tenant, midnight(window.start), midnight(window.end) + DAY)
    return {row["day"]: KeptDay(**row) for row in found.iter_rows(named=True)}


def records_of(session: Session, tenant: str, days: Iterable[date]) -> dict[date, int]:
    """How many records are stored of each day and the hours around it, which its costs depend on as well."""
    wanted = sorted(days)
    if not wanted:
        return {}
    start, end = day_window(wanted[0]).start - MARGIN, day_window(wanted[-1]).end + MARGIN
    hours = read_range(session, "records_1h", tenant, start, end)
    by_hour: Mapping[datetime, int] = dict(hours.select("hour", "records").iter_rows())
    around = [number * HOUR for number in range(-int(MARGIN / HOUR), int((DAY + MARGIN) / HOUR))]
    return {one: sum(by_hour.get(day_window(one).start + off, 0) for off in around) for one in wanted}


def trusted_before(now: datetime, telemetry_days: int) -> date:
    """The day before which telemetry may be forgotten in part, so that nobody could compute it better."""
    return (now.astimezone(UTC) - timedelta(days=telemetry_days) + 3 * DAY).date()


def whole_days(window: Window) -> list[date]:
    """The days of UTC that lie in the window from their first to their last second."""
    first = midnight(window.start)
    first = first if first == window.start else first + DAY
    return [(first + number * DAY).date() for number in range(max(0, (midnight(window.end) - first).days))]


def current_days(
    session: Session,
    tenant: str,
    window: Window,
    settings: AnalyticsSettings,
    book: PriceBook,
    trusted_before: date,
) -> list[KeptDay]:
    """The whole days of the window that can be taken from the ledger: nothing came in for them since, and
    prices and settings are the same. Days before `trusted_before` are never computed again.
    """
    kept = kept_days(session, tenant, window)
    found = [kept[day] for day in whole_days(window) if day in kept]
    judged = [one for one in found if one.day >= trusted_before]
    records = records_of(session, tenant, (one.day for one in judged))
    return [
        one
        for one in found
        if one.day < trusted_before
        or (one.records == records[one.day] and one.terms == terms_of(settings, book, one.day))
    ]


def read_days(session: Session, tenant: str, days: Sequence[KeptDay]) -> Totals:
    """What these days cost together."""
    if not days:
        return Totals()
    asked = {"days": [one.day for one in days], "postings": [one.posting for one in days]}
    lines, nodes, volumes, names, remarks = (
        read(session, query, tenant, **asked)
        for query in ("cost_lines", "cost_nodes", "cost_volumes", "cost_workloads", "cost_remarks")
    )
    lines = lines.with_columns(
        workload_id=pl.when(pl.col("workload_id") != 0).then("workload_id"),
        **{name: pl.when(pl.col(name) > _UNKNOWN).then(name) for name in ("paid_from", "paid_until")},
    )
    return Totals.added([
        Totals(
            lines=lines,
            names=names,
            paid=lines.drop_nulls(["workload_id", "paid_from"]),
            nodes=nodes,
            volumes=volumes,
            remarks=remarks,
        )
    ])  # fmt: skip


def keep_day(
    session: StoreSession,
    tenant: str,
    day: date,
    parts: Sequence[DayCosts],
    *,
    records: int,
    terms: str,
    because: str,
    now: datetime,
    posting: int,
    inserting: Inserting,
) -> KeptDay:
    """Keep what a day costs, and let it count; no other day has this posting, and none of this day a greater
    one. Raises StoreError; then what counted before still does.
    """
    frames = _frames(parts)
    total = sum(int(part.lines[name].sum()) for part in parts for name in COSTS)
    for table, rows in frames.items():
        if len(rows):
            whose = {"tenant": pl.lit(tenant), "posting": pl.lit(posting, pl.UInt64)}
            on = {} if "hour" in rows.columns else {"day": pl.lit(day)}
            with inserting():
                insert_frame(session, table, rows.with_columns(**whose, **on))
    row = {
        "tenant": tenant, "day": day, "posting": posting, "computed_at": now, "because": because,
        "records": records, "terms": terms, "total_nano": total, "rows": sum(map(len, frames.values())),
    }  # fmt: skip
    kinds = {"posting": pl.UInt64, "records": pl.UInt64, "rows": pl.UInt64, "total_nano": pl.Int64}
    with inserting():
        insert_frame(session, "cost_days", pl.DataFrame([row], schema_overrides=kinds))
    return KeptDay(day, posting, records, terms, total)


def posting_at(at: datetime) -> int:
    """The first number of a posting that is made then: microseconds since 1970."""
    return int(at.timestamp() * 1_000_000)


def _frames(parts: Sequence[DayCosts]) -> dict[str, pl.DataFrame]:
    """The rows of each table; nobody is workload 0, and a time that nobody knows is 1970."""
    lines = _together([part.lines for part in parts], HOUR_LINE_SCHEMA).with_columns(
        pl.col("workload_id").fill_null(0),
        pl.col("paid_from", "paid_until").fill_null(_UNKNOWN),
        pl.col("cluster", "node").fill_null(""),
    )
    return {
        "cost_hours": _seconds(lines),
        "cost_nodes": _seconds(_together([part.nodes for part in parts], NODE_HOUR_SCHEMA)),
        "cost_volumes": _seconds(_together([part.volumes for part in parts], VOLUME_HOUR_SCHEMA)),
        "cost_workloads": named(part.names for part in parts).select(pl.col(list(NAME_SCHEMA)).fill_null("")),
        "cost_remarks": _together([part.remarks for part in parts], REMARK_SCHEMA),
    }


def _seconds(frame: pl.DataFrame) -> pl.DataFrame:
    """Times as the store's whole seconds."""
    return frame.with_columns(pl.col(pl.Datetime).dt.cast_time_unit("ms"))


def _together(frames: Sequence[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=dict(schema)), *frames], how="vertical_relaxed")


def day_window(day: date) -> Window:
    """The whole day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Window(start, start + DAY)


def midnight(at: datetime) -> datetime:
    """The beginning of its day in UTC."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
