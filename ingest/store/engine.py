"""The one way to the database: an engine per process, and sessions on it. Everything that reads or writes the
store gets a `Session` from here.

Embedded, the engine lives in this process and owns its directory; any number of sessions share it. On a
server each session is a connection of its own. A session belongs to one thread at a time.

The traps: one process can hold one embedded engine only, whatever the directory, so the engine is closed
before another one opens; and a `SET` stays on a session of the embedded engine but is forgotten at once by a
server, so settings are given per session or per call, never as a statement.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, cast

import clickhouse_connect
import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from ingest.store.errors import (
    StoreDecodeError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from ingest.store.handover import Handover
from ingest.store.target import DATABASE_NAME, Embedded, Server, Target

# The driver logs what it raises; whoever catches it says it once.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())

Parameters = Mapping[str, Any]
Settings = Mapping[str, str | int]

_RETRYABLE_CODES: Final = frozenset({
    159,  # TIMEOUT_EXCEEDED
    160,  # TOO_SLOW
    164,  # READONLY: a disk that was remounted
    173,  # CANNOT_ALLOCATE_MEMORY
    202,  # TOO_MANY_SIMULTANEOUS_QUERIES
    203,  # NO_FREE_CONNECTION
    209,  # SOCKET_TIMEOUT
    210,  # NETWORK_ERROR
    225,  # NO_ZOOKEEPER
    236,  # ABORTED
    241,  # MEMORY_LIMIT_EXCEEDED
    242,  # TABLE_IS_READ_ONLY
    243,  # NOT_ENOUGH_SPACE
    252,  # TOO_MANY_PARTS
    254,  # NO_ACTIVE_REPLICAS
    285,  # TOO_FEW_LIVE_REPLICAS
    298, 299,  # CANNOT_PIPE, CANNOT_FORK
    319,  # UNKNOWN_STATUS_OF_INSERT
    394,  # QUERY_WAS_CANCELLED
    425,  # SYSTEM_ERROR
    439,  # CANNOT_SCHEDULE_TASK
    999,  # KEEPER_EXCEPTION
    75, 76, 88, 1000,  # CANNOT_WRITE_TO, CANNOT_OPEN_FILE, CANNOT_FSYNC (full disk), POCO
})  # fmt: skip
_DECODE_CODES: Final = frozenset(
    {
        # The reader of Protobuf alone raises these, and a batch is read to its end before a view sees a row.
        # Codes that expressions or the files of a table raise as well (117 INCORRECT_DATA, 407
        # DECIMAL_OVERFLOW, 33 CANNOT_READ_ALL_DATA and the like) are none: some tables may have the batch by
        # then.
        436,  # PROTOBUF_BAD_CAST: a number that does not fit its column
        437,  # PROTOBUF_FIELD_NOT_REPEATED: a field given twice
        444,  # UNKNOWN_PROTOBUF_FORMAT: not protobuf, or fields of other types
    }
)
"""Errors for which a batch may be divided to find the request at fault."""
_ALWAYS: Final[Settings] = {
    # Else a search in parts without the text index, which are those not merged yet, fails: the engine (26.9)
    # cannot compute the index's lambda there.
    "query_plan_direct_read_from_text_index": 0,
}
_CONNECT_TIMEOUT_S: Final = 5
_ANSWER_TIMEOUT_S: Final = 300
_VERSION_TAIL: Final = " (version "
_DRIVERS_WORDS: Final = re.compile(
    r"^Received ClickHouse exception, code: \d+, server response: | \(for url [^)]*\)$"
)
"""What the driver says around an error that came over HTTP."""
_FROM_BETWEEN: Final = re.compile(r"HTTP driver received (HTTP status 5\d\d)")
"""Without the engine's code it is not the engine's answer: a proxy in between does not reach it."""


class Session:
    """One conversation with the store. Close it, or use it in a `with` block; not from two threads at
    once."""

    def __init__(self, client: Client, on_close: Callable[[Session], None], *, is_embedded: bool) -> None:
        self._open_client: Client | None = client
        self._on_close = on_close
        self._handover = Handover() if is_embedded else None

    @property
    def _client(self) -> Client:
        """The driver's; over HTTP it would go on working after its close. Raises StoreUnavailableError."""
        client = self._open_client
        if client is None:
            raise StoreUnavailableError("the session with the store has been closed")
        return client

    def frame(
        self, sql: str, params: Parameters | None = None, settings: Settings | None = None
    ) -> pl.DataFrame:
        """The rows of a query as a polars frame. Values are bound as `{name:Type}`. Raises StoreError."""
        return cast("pl.DataFrame", pl.from_arrow(self.arrow(sql, params, settings)))

    def arrow(self, sql: str, params: Parameters | None = None, settings: Settings | None = None) -> pa.Table:
        """The rows of a query as an Arrow table, strings as strings. Raises StoreError."""
        with _translated():
            return self._client.query_arrow(
                sql, parameters=dict(params or {}), settings=dict(settings or {}), use_strings=True
            )

    def rows(self, sql: str, params: Parameters | None = None) -> list[tuple[Any, ...]]:
        """The rows of a small query as Python values. Raises StoreError."""
        with _translated():
            return [tuple(row) for row in self._client.query(sql, parameters=dict(params or {})).result_rows]

    def value(self, sql: str, params: Parameters | None = None) -> Any:
        """The first value of the first row. Raises StoreError, LookupError if there is no row."""
        rows = self.rows(sql, params)
        if not rows:
            raise LookupError("the query gave no row")
        return rows[0][0]

    def raw(
        self, sql: str, params: Parameters | None = None, *, fmt: str, settings: Settings | None = None
    ) -> bytes:
        """The rows of a query in a format of ClickHouse's, as bytes. Raises StoreError."""
        with _translated():
            return self._client.raw_query(
                sql, parameters=dict(params or {}), settings=dict(settings or {}), fmt=fmt
            )

    def execute(self, sql: str, params: Parameters | None = None, settings: Settings | None = None) -> None:
        """Run a statement that gives no rows: DDL, SYSTEM. Raises StoreError."""
        with _translated():
            self._client.command(sql, parameters=dict(params or {}), settings=dict(settings or {}))

    def insert_raw(self, table: str, pieces: Iterable[bytes], *, fmt: str, settings: Settings) -> None:
        """INSERT of data that is one after the other in a format of ClickHouse's; `table` and `fmt` are names
        of ours. Raises StoreError."""
        with _translated():
            if self._handover is None:
                self._client.raw_insert(table, None, b"".join(pieces), settings=dict(settings), fmt=fmt)
                return
            client, path = self._client, self._handover.fill(pieces)
            client.command(f"INSERT INTO {table} FROM INFILE '{path}'{_clause(settings)} FORMAT {fmt}")

    def close(self) -> None:
        """Give the session back; calling it twice is fine."""
        client, self._open_client = self._open_client, None
        if client is not None:
            self._on_close(self)
            client.close()
            if self._handover is not None:
                self._handover.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Engine:
    """The store of this process. Opens sessions and closes those that are left when it closes.

    It is reached with the first session, or by `reach`: the database is made if it is missing, and `prepare`
    is given a session in it. Until that has succeeded once, every attempt begins anew.
    """

    def __init__(self, target: Target, prepare: Callable[[Session], object] = lambda _: None) -> None:
        if not DATABASE_NAME.match(target.database):
            raise StoreRefusedError(
                f"{target.database!r} is no name for a database: letters, digits and _ only"
            )
        self.target = target
        self._prepare = prepare
        self._reaching = threading.Lock()
        self._is_reached = False
        self._sessions: set[Session] = set()
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, target: Target) -> Self:
        """A store that is reached, with nothing to prepare. Raises StoreError."""
        engine = cls(target)
        engine.reach()
        return engine

    def reach(self) -> None:
        """Make sure of the database and of what is in it, once. Raises StoreError."""
        with self._reaching:
            if self._is_reached:
                return
            if isinstance(self.target, Embedded):
                self.target.directory.mkdir(parents=True, exist_ok=True)
            with self._connect("default") as first:
                first.execute(f"CREATE DATABASE IF NOT EXISTS {self.target.database}")
            with self._connect(self.target.database) as session:
                self._prepare(session)
            self._is_reached = True

    @property
    def is_embedded(self) -> bool:
        """Whether the engine runs in this process."""
        return isinstance(self.target, Embedded)

    def session(self, settings: Settings | None = None) -> Session:
        """A new session in Lowtide's database. `settings` stay on it. Raises StoreError."""
        self.reach()
        return self._connect(self.target.database, settings)

    def close(self) -> None:
        """Close every session; the embedded engine ends with its last one."""
        with self._lock:
            self._closed = True
            left = list(self._sessions)
        for session in left:
            session.close()

    def _connect(self, database: str, settings: Settings | None = None) -> Session:
        with self._lock:
            if self._closed:
                raise StoreUnavailableError("the store has been closed")
        with _translated():
            client = _client(self.target, database, {**_ALWAYS, **(settings or {})})
        session = Session(client, self._forget, is_embedded=self.is_embedded)
        with self._lock:
            self._sessions.add(session)
        return session

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._sessions.discard(session)


def _clause(settings: Settings) -> str:
    """Settings as a statement says them; of an insert they cannot follow."""
    written = (f"{name} = {_quoted(value)}" for name, value in settings.items())
    return f" SETTINGS {', '.join(written)}" if settings else ""


def _quoted(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _client(target: Target, database: str, settings: dict[str, Any]) -> Client:
    common: dict[str, Any] = {"database": database, "settings": settings, "tz_mode": "aware"}
    if isinstance(target, Embedded):
        return clickhouse_connect.get_client(interface="chdb", path=str(target.directory.resolve()), **common)
    return _server_client(target, common)


def _server_client(target: Server, common: dict[str, Any]) -> Client:
    return clickhouse_connect.get_client(
        host=target.host,
        port=target.port,
        username=target.username,
        password=target.password,
        secure=target.secure,
        connect_timeout=_CONNECT_TIMEOUT_S,
        send_receive_timeout=_ANSWER_TIMEOUT_S,
        # A session belongs to one thread; an id would only serialise what the server could overlap.
        autogenerate_session_id=False,
        query_retries=0,
        **common,
    )


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as ours."""
    try:
        yield
    except ClickHouseError as error:
        mine = _as_store_error(error)
        raise mine from (error if mine.code else _root(error))
    except OSError as error:
        # The embedded engine is handed inserts by way of a file.
        raise StoreUnavailableError(f"a file of the store cannot be written or read: {error}") from error


def _as_store_error(error: ClickHouseError) -> StoreError:
    code = int(getattr(error, "code", None) or 0)
    text = _DRIVERS_WORDS.sub("", str(error).partition(_VERSION_TAIL)[0]).strip()
    # Without a code it never was the engine's answer: a connection refused, reset or too slow.
    if code == 0 and (found := _FROM_BETWEEN.match(text)) is not None:
        return StoreUnavailableError(f"the store does not answer: {found[1]}")
    if code == 0 and isinstance(error, OperationalError):
        return StoreUnavailableError(f"the store does not answer: {_root(error)}")
    if code in _RETRYABLE_CODES:
        return StoreUnavailableError(text, code)
    if code in _DECODE_CODES:
        return StoreDecodeError(text, code)
    return StoreRefusedError(text, code)


def _root(error: BaseException) -> BaseException:
    """What it began with: the drivers' own words name addresses, attempts and objects."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error
