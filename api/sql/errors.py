"""What the SQL endpoint answers instead of rows. Raised throughout `api.sql`; the router and the command turn
them into ClickHouse's shape, a code and a text.

    SqlError                code, name and text as ClickHouse gives them
    +-- SqlRefusedError     the statement asks for something that is not allowed (permanent)
    +-- SqlRequestError     the request itself is malformed or too large (permanent)
    +-- SqlEngineError      the engine's own error, passed on
    +-- SqlBusyError        every handle is taken and the queue is full, or the endpoint is closing
                            (retryable)

The trap: the texts quote the statement, which is the client's own; they are for the client and never logged.
"""

from __future__ import annotations

import re

from ingest.store.errors import StoreError

ACCESS_DENIED = 497
SYNTAX_ERROR = 62
_PREFIX = re.compile(r"^(?:Code: \d+\. DB::Exception: )+")
_NAME = re.compile(r"\s*\(([A-Z][A-Z0-9_]+)\)\.?$")
_INNER_VERSION = re.compile(r"\s*\(version [^)]*\)\.?")


class SqlError(Exception):
    """A statement without an answer. `code` and `name` are ClickHouse's: 497 and ACCESS_DENIED."""

    def __init__(self, message: str, code: int, name: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name

    def body(self) -> str:
        """The text as a ClickHouse server sends it, with a line feed."""
        return f"Code: {self.code}. DB::Exception: {self} ({self.name})\n"


class SqlRefusedError(SqlError):
    """The statement is not among what is allowed here. Says what was refused and why."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ACCESS_DENIED, "ACCESS_DENIED")


class SqlRequestError(SqlError):
    """The request cannot be understood, or is larger than allowed."""


class SqlEngineError(SqlError):
    """The engine could not run the statement, or stopped it at a limit."""


class SqlBusyError(SqlError):
    """No handle is free. `retry_after_s` is when to try again."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message, 202, "TOO_MANY_SIMULTANEOUS_QUERIES")
        self.retry_after_s = retry_after_s


def engine_error(error: StoreError) -> SqlEngineError:
    """The store's error as the client gets it: the engine's text, said once."""
    text = _INNER_VERSION.sub("", str(error)).strip()
    text = _PREFIX.sub("", text)
    name = "UNKNOWN_EXCEPTION"
    while (found := _NAME.search(text)) is not None:
        name = found[1]
        text = text[: found.start()]
    # Without a code the store itself did not answer; 1002 is what ClickHouse calls that.
    return SqlEngineError(text or "the store gave no reason", error.code or 1002, name)
