"""Confines statements from outside to one tenant. Used by the pool, for the handle, and by the guard.

The engine does it: `additional_table_filters` of a handle add `tenant = '...'` to every reading of a table,
however a statement comes by it - joins, subqueries, unions, IN, views - and a read-only handle cannot
change them. Tables whose rows name no tenant give nothing; a plain view is confined by the tables it reads.

The trap: that filter is a filter among others, and the engine is free to ask another first. A condition
that fails for some value (`toUInt64(ServiceName) = 1`) would then quote another tenant's value in its
error. So conditions are kept apart and in order: no moving into PREWHERE, no merging, and no PREWHERE from
outside. And what remains of a column of type LowCardinality behind that filter still has the dictionary of
all tenants; `api.sql.dictionaries` says what may be done with it.
"""

from __future__ import annotations

import re
from typing import Final

from api.sql.dictionaries import Explained, check_dictionaries
from api.sql.errors import SqlRefusedError
from ingest.store.engine import Session
from ingest.store.sql import load_sql

_PREWHERE: Final = re.compile(r"^ *PREWHERE$", re.MULTILINE)
_MATCHER: Final = re.compile(r"^ *MATCHER id: ", re.MULTILINE)
_OURS: Final = 1
"""The asterisk of the statement that the guard puts around another."""
_SIZED: Final = frozenset(
    f"{database}.{table}"
    for database, tables in (
        ("system", ("tables", "columns", "data_skipping_indices")),
        *((name, ("tables", "TABLES")) for name in ("information_schema", "INFORMATION_SCHEMA")),
    )
    for table in tables
)
"""Lists of tables that also say how much is in them: of all tenants together."""
_SIZES: Final = frozenset({
    "active_on_fly_data_mutations", "active_parts", "avg_row_length", "data_compressed_bytes", "data_free",
    "data_length", "data_uncompressed_bytes", "has_own_data", "index_length", "lifetime_bytes",
    "lifetime_rows", "marks_bytes", "max_data_length", "parts", "serialization_hint", "statistics",
    "table_rows", "total_bytes", "total_bytes_uncompressed", "total_marks", "total_rows",
})  # fmt: skip
_IN_ORDER: Final[dict[str, str | int]] = {
    "optimize_move_to_prewhere": 0,
    "query_plan_optimize_prewhere": 0,
    "query_plan_merge_filters": 0,
    # What it remembers of a condition was found out behind the filter of whoever asked first.
    "use_query_condition_cache": 0,
    # Rows read include those of others in the same granule.
    "output_format_write_statistics": 0,
}


def confinement(session: Session, tenant: str) -> dict[str, str | int]:
    """The settings of a handle that sees this tenant only. `session` is one of the store's own. Raises
    StoreError.
    """
    database = session.value("SELECT currentDatabase()")
    conditions = {"rows": f"tenant = {_literal(tenant)}", "nothing": "0"}
    filters = {
        f"{database}.{name}": conditions[kind]
        for name, kind in session.rows(load_sql("api", "tenant_tables"))
        if kind != "view"
    }
    written = ", ".join(f"{_literal(name)}: {_literal(condition)}" for name, condition in filters.items())
    return {"additional_table_filters": f"{{{written}}}", **_IN_ORDER}


def check_confined(session: Session, statement: Explained, named: frozenset[str]) -> None:
    """Raise SqlRefusedError for what a confined statement may not say. `named` has every identifier in it.
    Raises StoreError.
    """
    if _PREWHERE.search(statement.tree):
        raise SqlRefusedError("PREWHERE is refused for tokens of one tenant: write WHERE")
    _check_sizes(statement.tree, named)
    tables = sorted({name.rpartition(".")[2] for name in named})
    columns = session.rows(load_sql("api", "shared_columns"), {"tables": tables})
    check_dictionaries(statement, {name: (bool(shared), bool(odd)) for name, shared, odd in columns})


def _check_sizes(tree: str, named: frozenset[str]) -> None:
    if named.isdisjoint(_SIZED):
        return
    if len(_MATCHER.findall(tree)) > _OURS:
        raise SqlRefusedError(
            "An asterisk beside a list of tables is refused for tokens of one tenant, since those lists "
            "also say how much all tenants have: name the columns"
        )
    sizes = sorted(_SIZES & {name.rpartition(".")[2].lower() for name in named})
    if sizes:
        raise SqlRefusedError(
            f"{sizes[0]} is refused for tokens of one tenant: it is of all tenants together"
        )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
