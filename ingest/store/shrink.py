"""Drops the oldest telemetry when the embedded store takes too much of its disk. `ingest.store.keeper` calls
it.

Day by day from the oldest, raw tables only: what costs and activity are computed from are rollups, which are
small and stay for as long as `store.retention` says. The newest day of all stays, whatever its size.

The trap: a batch that is not known to be durable may be given to the store again, and is recognised by its
token or by its rows; both go with the part that holds them. So a part is dropped only if all of its batches
are older than the first such batch. Parts never change, so what is inserted meanwhile is in others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from ingest.store.engine import Session
from ingest.store.otlp import RAW_TABLES
from ingest.store.removal import PARTS_AT_ONCE, drop_parts
from ingest.store.sql import load_sql

log = structlog.get_logger(__name__)

LOOKUPS: Final = {"otel_traces": "otel_traces_trace_id_ts"}
"""Tables that only lead to the rows of another one, and go once that has none of a day any more."""
RAW: Final = tuple(table for tables in RAW_TABLES.values() for table in tables)
CLEARLY_LESS: Final = 0.98
"""Of the limit: down to there, so that not every round drops something."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The parts of one day that went from one table."""

    table: str
    day: str
    """As ISO 8601."""
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What a round did."""

    store_bytes: int
    """What the store takes now."""
    dropped: Sequence[Dropped]
    is_enough: bool
    """Whether it takes no more than it may."""


@dataclass(frozen=True, slots=True)
class _Part:
    table: str
    day: str
    name: str
    rows: int
    size_bytes: int


def shrink(session: Session, limit_bytes: int, oldest_unsafe: Callable[[], int | None]) -> Shrunk:
    """Drop raw telemetry, the oldest day first, until the store takes less than `limit_bytes`.

    `oldest_unsafe` says which is the first batch that must stay as it is; None if there is none. Raises
    StoreError; what was dropped before is logged all the same.
    """
    size_bytes = store_bytes(session)
    if size_bytes <= limit_bytes:
        return Shrunk(size_bytes, (), is_enough=True)
    dropped: list[Dropped] = []
    for table, day, parts in _oldest_first(_parts(session)):
        # Asked after the parts were listed: what was begun since then is in none of them.
        free = _safe(session, table, parts, oldest_unsafe())
        if not free:
            continue
        dropped += _drop(session, table, day, free)
        if table in LOOKUPS and len(free) == len(parts):
            lookup = LOOKUPS[table]
            dropped += _drop(session, lookup, day, _parts(session, (lookup,), day))
        left_bytes = size_bytes - sum(each.size_bytes for each in dropped)
        if left_bytes <= limit_bytes * CLEARLY_LESS:
            break
    size_bytes = store_bytes(session)
    return Shrunk(size_bytes, dropped, is_enough=size_bytes <= limit_bytes)


def store_bytes(session: Session) -> int:
    """What all tables take on disk. Raises StoreError."""
    return int(session.value(load_sql("ingest.store", "store_bytes")))


def _parts(session: Session, tables: Sequence[str] = RAW, day: str = "") -> list[_Part]:
    rows = session.rows(load_sql("ingest.store", "raw_parts"), {"tables": list(tables), "day": day})
    return [
        _Part(str(table), str(partition), str(name), int(count), int(size))
        for table, partition, name, count, size in rows
    ]


def _oldest_first(parts: Sequence[_Part]) -> list[tuple[str, str, list[_Part]]]:
    """Table, day and parts, of every day but the newest."""
    newest = max((part.day for part in parts), default="")
    found: dict[tuple[str, int], list[_Part]] = {}
    for part in parts:
        if part.day < newest:
            found.setdefault((part.day, RAW.index(part.table)), []).append(part)
    return [(RAW[place], day, found[day, place]) for day, place in sorted(found)]


def _safe(session: Session, table: str, parts: list[_Part], oldest_unsafe: int | None) -> list[_Part]:
    """The parts that hold nothing of a batch that must stay."""
    if oldest_unsafe is None:
        return parts
    found = session.rows(
        load_sql("ingest.store", "last_batches"),
        {"table": table, "parts": [part.name for part in parts]},
    )
    last = {str(name): int(batch) for name, batch in found}
    return [part for part in parts if part.name in last and last[part.name] < oldest_unsafe]


def _drop(session: Session, table: str, day: str, parts: Sequence[_Part]) -> list[Dropped]:
    if not parts:
        return []
    rows = 0
    for at in range(0, len(parts), PARTS_AT_ONCE):
        rows += drop_parts(session, table, {part.name: part.rows for part in parts[at : at + PARTS_AT_ONCE]})
    dropped = Dropped(table, day, rows, sum(part.size_bytes for part in parts))
    log.warning(
        "The store takes too much of its disk; the oldest telemetry was dropped",
        table=table, day=day, rows=dropped.rows, size_bytes=dropped.size_bytes,
    )  # fmt: skip
    return [dropped]
