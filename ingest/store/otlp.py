"""Writes whole batches of OTLP requests into the store; the engine decodes them. The loader calls it.

Every request goes in as the sender wrote it, but for its plain attributes (`ingest.store.plain`), those of
points whose series are known (`ingest.store.known_series`), and three fields of ours behind it: batch, tenant
and time of arrival. OTLP knows no fields of these numbers, and the collector lets no unknown field pass, so
that no sender can set them.

The trap: a batch is stored exactly once only if every attempt has the same token, the same records and the
same settings. `_PINNED` decides how the engine cuts blocks, and so belongs to that promise: never change
it while batches lie unfinished in a spool.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from ingest.series import Numbers
from ingest.signals import Signal
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreConfigError, StoreDamagedError, StoreError
from ingest.store.known_series import NOTHING, KnownSeries, Looked
from ingest.store.plain import plain

TABLES: Final = {Signal.TRACES: "otlp_traces", Signal.METRICS: "otlp_metrics", Signal.LOGS: "otlp_logs"}
RAW_TABLES: Final = {
    Signal.TRACES: ("otel_traces",),
    Signal.METRICS: (
        "metric_samples", "metric_histograms", "metric_exponential_histograms", "metric_summaries",
    ),
    Signal.LOGS: ("otel_logs",),
}  # fmt: skip
"""Where the rows of a batch are, with its id."""
_MESSAGE: Final = "Request"
_BATCH_FIELD: Final = 536_870_001
_TENANT_FIELD: Final = 536_870_002
_RECEIVED_FIELD: Final = 536_870_003
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_ROWS: Final = 1_000_000_000
_PINNED: Final[dict[str, str | int]] = {
    "async_insert": 0,
    "deduplicate_insert": "enable",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "exclude_materialize_skip_indexes_on_insert": "words",
    "input_format_connection_handling": 0,
    "input_format_max_block_size_bytes": 0,
    "input_format_max_block_wait_ms": 0,
    "input_format_parallel_parsing": 0,
    "insert_deduplicate": 1,
    "materialize_skip_indexes_on_insert": 1,
    "max_insert_block_size": _ROWS,
    "max_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
    "max_partitions_per_insert_block": 0,
    "min_insert_block_size_bytes": 0,
    "min_insert_block_size_rows": _ROWS,
    "output_format_json_escape_forward_slashes": 0,
    "output_format_json_quote_64bit_integers": 0,
    "parallel_view_processing": 1,
}

_ON_OUR_DISK: Final[dict[str, str | int]] = {
    # An insert that ends in the middle for want of room may leave parts that are not whole (26.9). Enough for
    # those of a large batch in all tables.
    "min_free_disk_bytes_to_perform_insert": 64 * 1024 * 1024,
}
_STD_EXCEPTION: Final = 1001
_FILE_SYSTEM: Final = "filesystem error"
"""Of that code: a folder cannot be made or renamed. The engine (26.9) notes a token before it renames a part,
and keeps it if that fails: the batch would be passed over when it is repeated."""


@dataclass(frozen=True, slots=True)
class Request:
    """One export request as it was accepted: serialised OTLP, whose it is, and when it came (ns since
    1970)."""

    tenant: str
    received_ns: int
    body: bytes
    points: Looked | None = None
    """What `OtlpWriter.look` said of it; None if nobody asked."""


class OtlpWriter:
    """Inserts batches over one session, opened for the first. One per loader thread."""

    def __init__(
        self,
        engine: Engine,
        inserting: Callable[[], AbstractContextManager[None]] = nullcontext,
        known: KnownSeries | None = None,
    ) -> None:
        """`inserting` is entered for each insert; it may wait. `known` is shared by all writers of a
        store."""
        self._engine = engine
        self._inserting = inserting
        self._known = known or KnownSeries(slots=16)
        self._session: Session | None = None

    def look(self, signal: Signal, tenant: str, body: bytes) -> Looked | None:
        """Which of a request's points leave their attributes behind, if it is inserted soon; None of what has
        no points. Safe to call from any thread."""
        return self._known.look(tenant, body) if signal is Signal.METRICS else None

    def insert(self, signal: Signal, batch_id: int, token: str, requests: Iterable[Request]) -> None:
        """Insert a batch once, however often this is called with the same arguments.

        Returns when every table and rollup has it. Raises StoreUnavailableError, after which it may be
        stored, in part or not at all, and the same call must be repeated; StoreRefusedError if it never
        will be, StoreDecodeError if none of it is and its data is why; StoreDamagedError after which it
        may be repeated in another process only.
        """
        session = self._opened()
        embedded = self._engine.is_embedded
        schema = _schema(signal, embedded=embedded)
        settings = (
            _PINNED | (_ON_OUR_DISK if embedded else {}) | schema | {"insert_deduplication_token": token}
        )
        fresh: list[Numbers] = []
        with self._inserting():
            try:
                session.insert_raw(
                    TABLES[signal],
                    _framed(signal, batch_id, requests, self._known, fresh),
                    fmt="Protobuf",
                    settings=settings,
                )
            except StoreError as error:
                self._known.forget()
                if embedded and error.code == _STD_EXCEPTION and _FILE_SYSTEM in str(error):
                    raise StoreDamagedError(
                        f"a file of the store could not be made or renamed: {error}", error.code
                    ) from error
                raise
        for keys in fresh:
            self._known.add(keys)

    def holds(self, signal: Signal, batch_id: int) -> bool:
        """Whether a raw table has a row of a batch. Reads a column of all of them. Raises StoreError."""
        query = "SELECT 1 FROM {table:Identifier} WHERE _batch = {batch:UInt64} LIMIT 1"
        session = self._opened()
        return any(session.rows(query, {"table": table, "batch": batch_id}) for table in RAW_TABLES[signal])

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._engine.session()
        return self._session

    def close(self) -> None:
        """Give the session back."""
        if self._session is not None:
            self._session.close()


def _framed(
    signal: Signal, batch_id: int, requests: Iterable[Request], known: KnownSeries, fresh: list[Numbers]
) -> Iterable[bytes]:
    """The message of each request. What `known` is to be told of them, once they are stored, goes to
    `fresh`."""
    head = _varint(_BATCH_FIELD << 3 | _VARINT) + _varint(batch_id)
    for request in requests:
        tenant = request.tenant.encode()
        tail = b"".join((
            head,
            _varint(_TENANT_FIELD << 3 | _BYTES), _varint(len(tenant)), tenant,
            _varint(_RECEIVED_FIELD << 3 | _FIXED64), struct.pack("<Q", request.received_ns),
        ))  # fmt: skip
        points = request.points or NOTHING
        if signal is Signal.METRICS and (request.points is None or not known.holds_still(points)):
            points = known.look(request.tenant, request.body)
        body = plain(signal, request.body, points)
        if body is not request.body:  # else it says no fingerprints
            fresh.append(points.fresh)
        yield _varint(len(body) + len(tail))
        yield body
        yield tail


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@cache
def _schema(signal: Signal, *, embedded: bool) -> dict[str, str]:
    """How the engine finds the message: by path, since from a string it would write into the working
    directory."""
    source = files("ingest.store").joinpath("proto", f"{signal}.proto")
    if embedded:
        if not isinstance(source, Path):
            raise StoreConfigError(
                "Lowtide must be installed as plain files: the engine reads its .proto files"
            )
        return {"format_schema": f"{source.resolve()}:{_MESSAGE}"}
    return {
        "format_schema_source": "string",
        "format_schema": source.read_text(encoding="utf-8"),
        "format_schema_message_name": _MESSAGE,
    }
