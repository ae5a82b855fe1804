"""Takes the demo's rows out of every table. The API calls it for `DELETE /api/v1/demo`.

Everything the demo sends carries the resource attribute `lowtide.demo` = "true"; `_RULES` says for each
table how its rows are known by that. The trap: rows of rollups are known only through the raw tables and
the list of workloads, so those go last; if a removal breaks off, the next one still finds everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from ingest.store.engine import Session
from ingest.store.sql import load_sql

_log = structlog.get_logger(__name__)

RULES: Final[Mapping[str, str]] = {
    "metric_samples": "demo_by_series",
    "metric_histograms": "demo_by_series",
    "metric_exponential_histograms": "demo_by_series",
    "metric_summaries": "demo_by_series",
    "metric_series": "demo_by_attribute",
    "half_edges": "demo_by_call",
    "otel_traces_trace_id_ts": "demo_by_trace",
    "activity_1s": "demo_by_service",
    "red_1m": "demo_by_service",
    "telemetry_volume_1h": "demo_by_service",
    "usage_1m": "demo_by_workload",
    "nodes_1m": "demo_by_node",
    "otel_traces": "demo_by_attribute",
    "otel_logs": "demo_by_attribute",
    "workloads": "demo_by_sender",
}
"""Every table that keeps telemetry, in the order of removal, with the query that knows the demo's rows in
it."""


def remove_demo(session: Session) -> dict[str, int]:
    """Remove the demo's rows, and return how many there were by table. Returns when they are gone from disk.

    Raises StoreError; calling it again then goes on.
    """
    removed: dict[str, int] = {}
    for table, rule in RULES.items():
        where = load_sql("ingest.store", rule)
        rows = int(session.value(f"SELECT count() FROM {{table:Identifier}} WHERE {where}", {"table": table}))  # noqa: S608 - `where` is a file of ours
        if rows:
            session.execute(
                f"ALTER TABLE {{table:Identifier}} DELETE WHERE {where}",
                {"table": table},
                {"mutations_sync": 2},
            )
            _log.debug("Removed the demo's rows", table=table, rows=rows)
        removed[table] = rows
    return removed


def has_demo(session: Session) -> bool:
    """Whether the store holds telemetry of the demo. Raises StoreError."""
    return bool(session.value(load_sql("ingest.store", "demo_is_there")))
