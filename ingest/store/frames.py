"""Puts frames into tables: what was computed or read from a file, beside the telemetry that comes through the
loader.

`ingest.bills` and `analytics.ledger` call it. The trap: the embedded store goes back to its last checkpoint
after a kill, so whoever needs the rows to last takes one afterwards (`Loader.keep`).
"""

from __future__ import annotations

from typing import Final

import polars as pl
import pyarrow as pa

from ingest.store.engine import Session

_SETTINGS: Final = {"max_partitions_per_insert_block": 0}


def insert_frame(session: Session, table: str, rows: pl.DataFrame) -> None:
    """Insert the rows by the names of their columns, as one block. Raises StoreError."""
    sink = pa.BufferOutputStream()
    found = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    session.insert_raw(table, [sink.getvalue().to_pybytes()], fmt="ArrowStream", settings=_SETTINGS)
