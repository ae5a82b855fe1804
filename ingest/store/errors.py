"""What can go wrong between Lowtide and its store. Raised by `ingest.store.engine`.

The difference that callers live by: a retryable error may pass by itself, a permanent one comes back whenever
the same statement is sent again.

    StoreError
    +-- StoreUnavailableError   no answer, overloaded, out of memory or disk for now (retryable)
    +-- StoreRefusedError       the engine refuses the statement or its data (permanent)
    |   +-- StoreDecodeError    it cannot read the data, and has looked at nothing else yet
    +-- StoreDamagedError       files of the embedded store are not what the engine takes them for (until it
    |                           goes back to its last checkpoint, at the next start)
    +-- StoreConfigError        the store is not what it must be, found at start-up (permanent)
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of the store's errors. `code` is ClickHouse's error code, 0 if it gave none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class StoreUnavailableError(StoreError):
    """The store does not answer or cannot take more for now. Trying again later is right."""


class StoreRefusedError(StoreError):
    """The store refuses this statement, and would refuse it again."""


class StoreDecodeError(StoreRefusedError):
    """The data is not what it should be, and was refused before any of it reached a table or a view."""


class StoreDamagedError(StoreError):
    """The embedded engine counts something as stored that is not on the disk. Whatever is repeated in this
    process may be lost or doubled; a new start goes back to the last checkpoint, which is whole."""


class StoreConfigError(StoreError):
    """The store is of another version, misses a table setting, or was migrated by a newer Lowtide."""
