"""What the SQL endpoint counts about itself. The API's `/metrics` collects REGISTRY.

The trap: labels are our own few words, never parts of a statement.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY: Final = CollectorRegistry()

STATEMENTS: Final = Counter(
    "lowtide_sql_statements_total",
    "Statements from outside by outcome: answered, refused, malformed, failed or busy.",
    ["outcome"],
    registry=REGISTRY,
)
SECONDS: Final = Histogram(
    "lowtide_sql_statement_seconds",
    "Seconds from a statement's arrival to its whole answer, waiting for a handle included.",
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
    registry=REGISTRY,
)
ANSWER_BYTES: Final = Counter(
    "lowtide_sql_answer_bytes_total", "Bytes of answers before compression.", registry=REGISTRY
)
HANDLES_DISCARDED: Final = Counter(
    "lowtide_sql_handles_discarded_total",
    "Read-only handles closed because a statement failed on them.",
    registry=REGISTRY,
)
for _outcome in ("answered", "refused", "malformed", "failed", "busy"):
    STATEMENTS.labels(_outcome)
