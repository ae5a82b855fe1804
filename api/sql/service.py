"""Answers one statement from outside: borrows a handle, asks the guard, runs what it approved. Called by the
router and by `lowtide sql`; blocks, so the router calls it in a thread.

Answers are whole: the engine cannot stream most formats, and only so a late error can still become an error
instead of half an answer. Their size is limited three times, as rows, in the engine's memory and as text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from api.settings import SqlSettings
from api.sql.errors import (
    SqlBusyError,
    SqlEngineError,
    SqlError,
    SqlRefusedError,
    SqlRequestError,
    engine_error,
)
from api.sql.formats import DEFAULT_FORMAT, known_format
from api.sql.guard import approve
from api.sql.pool import ReadPool
from api.sql.telemetry import ANSWER_BYTES, SECONDS, STATEMENTS
from ingest.store.engine import Engine
from ingest.store.errors import StoreError


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """The rows in a format of ClickHouse's. `time_zone` is the store's, `elapsed_ns` includes waiting."""

    body: bytes
    format: str
    time_zone: str
    elapsed_ns: int


class SqlService:
    """SQL from outside on one store. Any thread may call `answer`; close it when the server stops."""

    def __init__(self, engine: Engine, settings: SqlSettings) -> None:
        self.settings = settings
        self.database = engine.target.database
        self._pool = ReadPool(engine, settings)
        self._time_zone: str | None = None

    def answer(
        self,
        statement: str,
        params: Mapping[str, str] | None = None,
        *,
        default_format: str = DEFAULT_FORMAT,
        tenant: str | None = None,
    ) -> SqlAnswer:
        """The answer to a statement, from the rows of a tenant (None: of all). A FORMAT clause goes before
        `default_format`; `params` are values by name, escaped as in a tab-separated file.

        Raises SqlError and its kinds.
        """
        began = time.monotonic_ns()
        try:
            answer = self._answer(statement, params or {}, known_format(default_format), tenant, began)
        except SqlError as error:
            STATEMENTS.labels(_outcome(error)).inc()
            raise
        STATEMENTS.labels("answered").inc()
        SECONDS.observe(answer.elapsed_ns / 1e9)
        ANSWER_BYTES.inc(len(answer.body))
        return answer

    def _answer(
        self, statement: str, params: Mapping[str, str], fmt: str, tenant: str | None, began: int
    ) -> SqlAnswer:
        self._check_size(statement, params)
        with self._pool.borrow(tenant) as session:
            if self._time_zone is None:
                self._time_zone = str(session.value("SELECT timezone()"))
            approved = approve(session, statement, params, self.database, confined=tenant is not None)
            chosen = approved.format or fmt
            try:
                body = session.raw(approved.sql, approved.params, fmt=chosen)
            except StoreError as error:
                raise engine_error(error) from error
        if len(body) > self.settings.max_answer_bytes:
            raise SqlEngineError(
                f"The answer has {len(body)} bytes as {chosen}, more than the "
                f"{self.settings.max_answer_bytes} allowed. Ask for fewer rows or columns, or for a more "
                "compact format",
                396,
                "TOO_MANY_ROWS_OR_BYTES",
            )
        return SqlAnswer(body, chosen, self._time_zone, time.monotonic_ns() - began)

    def _check_size(self, statement: str, params: Mapping[str, str]) -> None:
        size = len(statement.encode("utf-8", "surrogatepass"))
        size += sum(len(name) + len(value.encode("utf-8", "surrogatepass")) for name, value in params.items())
        if size > self.settings.max_statement_bytes:
            raise SqlRequestError(
                f"The statement and its parameters have {size} bytes, more than the "
                f"{self.settings.max_statement_bytes} allowed",
                412,
                "QUERY_IS_TOO_LARGE",
            )
        if not statement.strip():
            raise SqlRequestError("Empty query", 62, "SYNTAX_ERROR")

    def close(self) -> None:
        """Close the idle handles; statements at work end first. May be called again."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _outcome(error: SqlError) -> str:
    match error:
        case SqlRefusedError():
            return "refused"
        case SqlRequestError():
            return "malformed"
        case SqlBusyError():
            return "busy"
        case _:
            return "failed"
