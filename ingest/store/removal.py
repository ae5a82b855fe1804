"""Takes the demo's rows out of every table. The API calls it for `DELETE /api/v1/demo`.

Everything the demo sends carries the resource attribute `lowtide.demo` = "true"; `RULES` says for each table
how its rows are known by that. Parts that hold nothing else are dropped whole, which costs no reading and no
writing; a mutation takes the demo's rows out of the others.

The trap: rows of rollups are known only through the raw tables and the list of workloads, and the demo may
still be sending. So a round first notes which parts those tables have, waits until every insert that was
under way is done, and then takes from them only what lies in those parts: whatever comes later keeps what it
is known by, and the next round, or the next removal, finds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from ingest.store.engine import Session
from ingest.store.errors import StoreRefusedError
from ingest.store.sql import load_sql

_log = structlog.get_logger(__name__)

RULES: Final[Mapping[str, Sequence[str]]] = {
    "metric_samples": ["demo_by_series"],
    "metric_histograms": ["demo_by_series"],
    "metric_exponential_histograms": ["demo_by_series"],
    "metric_summaries": ["demo_by_series"],
    "otel_traces_trace_id_ts": ["demo_by_trace"],
    "activity_1s": ["demo_by_service"],
    "red_1m": ["demo_by_service"],
    "telemetry_volume_1h": ["demo_by_service"],
    "usage_1m": ["demo_by_workload"],
    "nodes_1m": ["demo_by_node"],
    "kubernetes_facts": ["demo_by_label"],
    "mesh_edges_1m": ["demo_by_edge"],
    "autoscaling_1m": ["demo_by_mark"],
    "access_log_1h": ["demo_by_service"],
    "proxy_overhead_1m": ["demo_by_service"],
    "function_initializations": ["demo_by_service"],
    "function_invocation_records": ["demo_by_service"],
    "pod_start_events": ["demo_by_mark"],
    "pod_first_requests": ["demo_by_workload"],
    "otel_logs": ["demo_by_resource"],
    "metric_series": ["demo_by_resource"],
    "otel_traces": ["demo_by_resource"],
    "workloads": ["demo_by_sender"],
}
"""Every table that keeps telemetry, in the order of removal, with the queries that know the demo's rows in
it; one of them is enough."""

EVIDENCE: Final = ("metric_series", "otel_traces", "workloads")
"""Tables by which rows of others are known; they come last."""

ROUNDS: Final = 4
"""One removes, one finds nothing any more; two are for a demo that stops meanwhile."""
PARTS_AT_ONCE: Final = 100
_NO_SUCH_PART: Final = 232


@dataclass(frozen=True, slots=True)
class Step:
    """Where a removal is: about to clear `table`, the `number`th of `tables`, for the `round`th time."""

    table: str
    number: int
    tables: int
    round: int
    rows: int
    """Removed so far, from all tables."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did."""

    rows: Mapping[str, int]
    """Removed, by table."""
    finished: bool
    """False: the demo still sends, its rows came as fast as they were removed."""


def remove_demo(
    session: Session,
    *,
    settle: Callable[[], None] = lambda: None,
    tell: Callable[[Step], None] = lambda _: None,
) -> Removal:
    """Remove the demo's rows, round after round until none is left or it turns out that they keep coming.

    `settle` returns once every insert that was under way when it was called is done. Raises StoreError;
    calling it again then goes on.
    """
    removed = Counter(dict.fromkeys(RULES, 0))
    for number in range(1, ROUNDS + 1):
        known = {table: _parts(session, table) for table in EVIDENCE}
        settle()
        left = 0
        for place, table in enumerate(RULES, 1):
            tell(Step(table, place, len(RULES), number, removed.total()))
            found = _found(session, table)
            left += sum(part.demo for part in found)
            if table in known:
                found = [part for part in found if part.name in known[table]]
            removed[table] += _clear(session, table, found)
        if not left:
            return Removal(dict(removed), finished=True)
    return Removal(dict(removed), finished=False)


def has_demo(session: Session) -> bool:
    """Whether the store holds telemetry of the demo. Raises StoreError."""
    return bool(session.value(load_sql("ingest.store", "demo_is_there")))


@dataclass(frozen=True, slots=True)
class _Part:
    """A part with rows of the demo: how many, and how many of any kind."""

    name: str
    rows: int
    demo: int


def _parts(session: Session, table: str) -> set[str]:
    found = session.rows(load_sql("ingest.store", "demo_parts"), {"table": table})
    return {str(name) for (name,) in found}


def _rule(table: str) -> str:
    return " OR ".join(f"({load_sql('ingest.store', name)})" for name in RULES[table])


def _found(session: Session, table: str) -> list[_Part]:
    """The parts that hold rows of the demo now."""
    rows = session.rows(
        f"SELECT _part, count(), countIf({_rule(table)}) AS demo FROM {{table:Identifier}}"  # noqa: S608 - the rule is a file of ours
        " GROUP BY _part HAVING demo > 0",
        {"table": table},
    )
    return [_Part(str(name), int(count), int(demo)) for name, count, demo in rows]


def _clear(session: Session, table: str, found: Sequence[_Part]) -> int:
    """Take the demo's rows out of these parts, and return how many there were. Returns when they are gone
    from disk. Parts that were merged meanwhile are left to the next round.
    """
    whole = [part for part in found if part.demo == part.rows]
    mixed = [part for part in found if part.demo < part.rows]
    removed = sum(
        drop_parts(session, table, {part.name: part.rows for part in whole[at : at + PARTS_AT_ONCE]})
        for at in range(0, len(whole), PARTS_AT_ONCE)
    )
    if mixed:
        only = " AND _part IN {parts:Array(String)}" if table in EVIDENCE else ""
        session.execute(
            f"ALTER TABLE {{table:Identifier}} DELETE WHERE ({_rule(table)}){only}",
            {"table": table, "parts": [part.name for part in mixed]},
            {"mutations_sync": 2},
        )
        removed += sum(part.demo for part in mixed)
    if removed:
        _log.debug("Removed the demo's rows", table=table, rows=removed, parts=len(found))
    return removed


def drop_parts(session: Session, table: str, rows_of: Mapping[str, int]) -> int:
    """Drop parts, given with their numbers of rows, and return how many rows went. Returns when they are gone
    from disk. A part never changes, so nothing else can be in it; one that was merged meanwhile is left.
    """
    names = {f"part_{number}": name for number, name in enumerate(rows_of)}
    drops = ", ".join(f"DROP PART {{{name}:String}}" for name in names)
    try:
        session.execute(f"ALTER TABLE {{table:Identifier}} {drops}", {"table": table, **names})
    except StoreRefusedError as error:
        if error.code != _NO_SUCH_PART:
            raise
        # One was merged since it was looked at. Each by itself, so that only that one is left.
        alone = [{name: rows} for name, rows in rows_of.items()]
        return sum(drop_parts(session, table, each) for each in alone) if len(alone) > 1 else 0
    return sum(rows_of.values())
